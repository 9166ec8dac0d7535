"""Records as they are written and read back: each stage leaves one, and the next starts from it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.record.files import damaged, missing, write_text


class Record(BaseModel):
    """A frozen value that crosses a file; unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, defer_build=True, use_attribute_docstrings=True, ser_json_inf_nan="strings"
    )


R = TypeVar("R", bound=Record)


def write(path: Path, record: Record) -> None:
    """Write a record as indented JSON, atomically."""
    write_text(path, record.model_dump_json(indent=1) + "\n")


def read(path: Path, kind: type[R]) -> R:
    """Read a record back.

    Raises:
        RecordError: It is missing, damaged, or of another kind.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise missing(path) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{path} {'.'.join(map(str, first['loc']))}"
        raise damaged(where, kind.__name__, first["msg"]) from None

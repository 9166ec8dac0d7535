"""Where records lie in `results/`, the atomic writes that put them there, and the slips that hurried verbs read."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from harness.errors import RecordError, unknown

PRIVATE = 0o700
"""Mode of the folders under `results/`: they hold seeds and held-out instances."""


class Slip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A small frozen value that crosses a file, for verbs that must answer at once: importing pydantic takes longer.

    Unknown keys are errors; numbers are finite.
    """


S = TypeVar("S", bound=Slip)


@dataclass(frozen=True, slots=True)
class Store:
    """The folder of records. Everything in it lands whole or not at all."""

    root: Path

    def attempt(self, name: str) -> Path:
        """The folder of an attempt."""
        return self.root / "attempts" / name

    def known_attempt(self, name: str) -> Path:
        """The folder of an attempt that exists.

        Raises:
            UsageError: No attempt has that name here.
        """
        if name not in (known := self.attempts()):
            raise unknown("attempt", name, known, where=self.root)
        return self.attempt(name)

    def attempts(self) -> list[str]:
        """All attempts that have a record, oldest name first."""
        return sorted(path.parent.name for path in (self.root / "attempts").glob("*/attempt.json"))

    def run(self, key: str) -> Path:
        """The folder of a run."""
        return self.root / "runs" / key[:2] / key

    @property
    def trees(self) -> Path:
        """The folder of submissions' files, one subfolder a Git tree."""
        return self.root / "trees"

    def lock(self, name: str) -> Path:
        """A file to lock on."""
        return private_folder(self.root / "locks") / f"{name}.lock"

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A fresh folder on the store's own file system, gone afterwards."""
        import shutil  # what is imported here is paid for by verbs that must answer at once

        folder = private_folder(self.root / "staging" / os.urandom(16).hex())
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can read."""
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
    return path


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an error of the disk name the file that it is about, which those of writing itself do not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def land(staged: Path, final: Path) -> bool:
    """Move a finished folder to its place by one rename.

    Returns:
        False if another process landed the same work first; its folder stays.
    """
    private_folder(final.parent)
    try:
        staged.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Replace a file's content in one rename, on disk before the name changes."""
    private_folder(path.parent)
    staged = path.with_name(f".{path.name}.{os.urandom(16).hex()}")
    try:
        with named(path), staged.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def write_slip(path: Path, slip: Slip) -> None:
    """Write a slip as indented JSON, atomically."""
    write_text(path, msgspec.json.format(msgspec.json.encode(slip), indent=1).decode() + "\n")


def read_slip(path: Path, kind: type[S]) -> S:
    """Read a slip back.

    Raises:
        RecordError: It is missing, damaged, or of another kind.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise missing(path) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise damaged(path, kind.__name__, str(error)) from None


def missing(path: Path) -> RecordError:
    """The error for a record that is not there."""
    return RecordError("this record does not exist", where=path, remedy="run the stage that writes it first")


def damaged(where: object, kind: str, got: str) -> RecordError:
    """The error for a record that cannot be what it should be."""
    return RecordError(
        "this record is damaged",
        where=where,
        expected=kind,
        got=got,
        remedy="remove the file; the stage that wrote it can be repeated",
    )


def canonical(value: object) -> bytes:
    """The one JSON text of a value, for hashing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=True).encode()

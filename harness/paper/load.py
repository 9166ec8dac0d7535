"""From a folder to a Paper, and from a name to the folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import PaperError, unknown
from harness.folders import find_papers
from harness.paper.consistency import problems
from harness.paper.schema import PaperSpec
from harness.paper.source import Source, read


@dataclass(frozen=True)
class Paper:
    """A paper's folder, loaded and found to hold together."""

    id: str
    folder: Path
    spec: PaperSpec
    private: Path
    """The folder of reference, mutations and generator; it may be absent where only participants work."""

    @cached_property
    def version(self) -> str:
        """Hash of what decides a score: claims, probes, metrics and rubric."""
        parts = self.spec.model_dump(mode="json", include={"claims", "probes", "metrics", "rubric", "seeds"})
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        digest.update(self.metrics_file.read_bytes())
        return digest.hexdigest()[:16]

    @property
    def metrics_file(self) -> Path:
        """The metrics, which participants see too."""
        return self.folder / "metrics.py"

    @property
    def brief_file(self) -> Path:
        """What the participant reads."""
        return self.folder / "brief.md"

    @property
    def starter(self) -> Path:
        """What is laid into every workspace."""
        return self.folder / "starter"

    def private_file(self, name: str) -> Path:
        """A file or folder beneath `private/`.

        Raises:
            PaperError: It is not there.
        """
        path = self.private / name
        if not path.exists():
            raise PaperError(
                f"the paper {self.id} has no private/{name} here",
                where=self.private,
                remedy="rerunning and scoring need a clone of Reproof, or `private_path` set to a folder that has it",
            )
        return path


def open_paper(name: str, *, private_path: Path | None = None) -> Paper:
    """The paper of that id, or in that folder if the name is a path.

    Raises:
        UsageError: No paper has that name.
        PaperError: Its folder does not hold together.
    """
    if os.sep in name:
        return load_paper(Path(name), private_path=private_path)
    found = find_papers()
    if name not in found:
        raise unknown("paper", name, found)
    return load_paper(found[name], private_path=private_path)


def load_paper(folder: Path, *, private_path: Path | None = None) -> Paper:
    """Read and check a paper's folder.

    Args:
        folder: The folder that holds paper.yaml.
        private_path: A folder with a subfolder per paper, used in place of `private/`.

    Raises:
        PaperError: With every problem of paper.yaml, each with its line.
    """
    folder = folder.resolve()
    source = read(folder / "paper.yaml")
    spec = parse(source)
    _files_present(folder, spec)
    private = private_path / folder.name if private_path else folder / "private"
    return Paper(id=folder.name, folder=folder, spec=spec, private=private.resolve())


def parse(source: Source) -> PaperSpec:
    """Check a parsed paper.yaml against the schema and against itself.

    Raises:
        PaperError: With every problem, each with file, line, what was expected and what was found.
    """
    if not isinstance(source.value, Mapping):
        raise PaperError(
            "the top of the file is not a mapping", where=source.place(()), got=type(source.value).__name__
        )
    try:
        spec = PaperSpec.model_validate(source.value)
    except ValidationError as error:
        raise _refused(source, [_sentence(source, dict(item)) for item in error.errors()]) from None
    found = [f"{source.place(problem.path)}: {problem.message}" for problem in problems(spec)]
    if found:
        raise _refused(source, found)
    return spec


def _sentence(source: Source, error: dict[str, Any]) -> str:
    """One pydantic error as `file:line path: expected ..., got ...`."""
    where = tuple(_real(source.value, error["loc"], added=error["type"] == "missing"))
    context = error.get("ctx", {})
    if error["type"] == "union_tag_invalid":
        kind = context["discriminator"].strip("'")
        return f"{source.place((*where, kind))}: expected one of {context['expected_tags']}, got {context['tag']!r}"
    if error["type"] == "union_tag_not_found":
        return f"{source.place(where)}: the key {context['discriminator']} is required"
    said = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    got = "" if error["type"] == "missing" else f", got {_short(error['input'])}"
    return f"{source.place(where)}: {_EXPECTED.get(error['type'], said)}{got}"


_EXPECTED = {
    "missing": "this key is required",
    "extra_forbidden": "no such key is known",
    "int_type": "expected an integer",
    "int_parsing": "expected an integer",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "string_type": "expected a text",
    "bool_parsing": "expected true or false",
}


def _real(value: Any, loc: tuple[str | int, ...], *, added: bool) -> Iterator[str | int]:
    """The parts of pydantic's location that stand in the file; the others name members of a union.

    Args:
        value: The parsed file.
        loc: Where pydantic found fault.
        added: Whether the last part is a key that is not there and should be.
    """
    for place, part in enumerate(loc, start=1):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part] if part < len(value) else None
        elif not (added and place == len(loc)):
            continue
        yield part


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refused(source: Source, found: list[str]) -> PaperError:
    listed = "\n  ".join(dict.fromkeys(found))
    count = len(dict.fromkeys(found))
    return PaperError(
        f"{count} problem{'s' if count > 1 else ''} in {source.path.name}\n  {listed}",
        remedy="`reproof paper schema` prints the JSON Schema; docs/add-a-paper.md explains every key",
    )


def _files_present(folder: Path, spec: PaperSpec) -> None:
    served = [environment.make for one in spec.experiments.values() for environment in one.environments.values()]
    own = ("environments.py",) if any(make.startswith("environments.py:") for make in served) else ()
    for name in ("brief.md", "metrics.py", "starter/reproduction/__main__.py", *own):
        if not (folder / name).is_file():
            raise PaperError("a paper's folder needs this file", where=folder / name, remedy="see docs/add-a-paper.md")

"""The mutations of a paper: its reference made wrong in one known way each, which the scoring must catch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from harness.errors import PaperError, unknown
from harness.paper.claims import Entry
from harness.paper.load import Paper
from harness.paper.source import Source, Where, read

FILE = "mutations.yaml"
REFERENCE, ALTERNATIVE = "reference", "alternative"
"""Folders of the private part: our solution, and another one that was written from the brief alone."""


_LONGEST_PATH = 200
"""Characters: some file systems have room for no more in a name."""


class Mutation(Entry):
    """One exact replacement in one file of the reference."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    file: str
    """Its path from the workspace's root, as in `reproduction/es.py`."""
    old: str = Field(min_length=1)
    """The text that is replaced; it occurs exactly once in the file."""
    new: str
    why: str = Field(min_length=10)
    """What a reader would overlook, as a full sentence."""
    fails: list[str] = Field(min_length=1)
    """The core leaves that must catch it."""

    @field_validator("file")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or str(path) != value or len(value) > _LONGEST_PATH:
            raise ValueError(
                f"expected a plain path beneath the workspace's root, of at most {_LONGEST_PATH} characters"
            )
        return value


def read_mutations(paper: Paper) -> tuple[Mutation, ...]:
    """Every mutation of the paper, in the order of the file.

    Raises:
        PaperError: With every problem of mutations.yaml, each with its line.
    """
    source = read(paper.private_file(FILE))
    try:
        mutations = TypeAdapter(tuple[Mutation, ...]).validate_python(source.value)
    except ValidationError as error:
        raise _refused(
            source, [(item["loc"], item["msg"].removeprefix("Value error, ")) for item in error.errors()]
        ) from None
    found = list(_problems(paper, mutations))
    if found:
        raise _refused(source, found)
    return mutations


def find_mutation(paper: Paper, name: str) -> Mutation:
    """The mutation of that name.

    Raises:
        UsageError: There is none.
        PaperError: mutations.yaml does not hold together.
    """
    by_name = {mutation.name: mutation for mutation in read_mutations(paper)}
    if name not in by_name:
        raise unknown("mutation", name, by_name, where=f"paper {paper.id}")
    return by_name[name]


def _problems(paper: Paper, mutations: tuple[Mutation, ...]) -> Iterator[tuple[Where, str]]:
    names = Counter(mutation.name for mutation in mutations)
    leaves = dict(paper.spec.leaves())
    core = [name for name, leaf in leaves.items() if leaf.core]
    for index, mutation in enumerate(mutations):
        if names[mutation.name] > 1:
            yield (
                (index, "name"),
                f"expected a name of its own, got {mutation.name!r} {names[mutation.name]} times",
            )
        if not any((folder / mutation.file).is_file() for folder in (paper.private / REFERENCE, paper.starter)):
            yield (index, "file"), f"expected a file of the reference, got {mutation.file!r}"
        for place, leaf in enumerate(mutation.fails):
            if leaf not in core:
                yield (
                    (index, "fails", place),
                    f"expected a core leaf ({', '.join(core) or 'there is none'}), got {leaf!r}",
                )


def _refused(source: Source, found: list[tuple[Where, str]]) -> PaperError:
    lines = [f"{source.place(where)}: {message}" for where, message in found]
    listed = "\n  ".join(lines)
    return PaperError(
        f"{len(lines)} problem{'s' if len(lines) > 1 else ''} in {source.path.name}\n  {listed}",
        remedy="docs/add-a-paper.md explains every key of a mutation",
    )

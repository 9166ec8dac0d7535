"""A new paper's folder: an example that loads and runs, in which everything still to be said is marked TODO."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

from harness.errors import UsageError
from harness.folders import find_papers
from harness.scratch import scratch

TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".template"
_UNTITLED = "TODO: give the title as printed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffold:
    """What was made."""

    paper: str
    folder: Path
    files: tuple[str, ...]
    """Paths beneath the folder."""


def create_paper(name: str, into: Path, *, title: str | None = None) -> Scaffold:
    """Make the folder of a new paper, whole or not at all.

    Args:
        name: The paper's id, which the folder is called by.
        into: The folder of papers; it is made if it does not exist.
        title: The paper's title, if it is known already.

    Raises:
        UsageError: The id does not fit or is taken, the title is no text, or the folder cannot be made.
    """
    folder = into / name
    _name_is_free(name, folder)
    values = {"id": name, **_titled(title)}
    texts = {file: Template(text).substitute(values) for file, text in _templates()}
    try:
        with _made(into), scratch("new", within=into) as staging:
            staged = staging / name
            _write(staged, texts)
            staged.rename(folder)
    except OSError as error:
        raise UsageError("this folder cannot be made", where=folder, got=error.strerror or error) from None
    return Scaffold(paper=name, folder=folder, files=tuple(texts))


def _name_is_free(name: str, folder: Path) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(
            "this is no id of a paper",
            expected="lower case letters, digits and underscores, beginning with a letter",
            got=repr(name),
            remedy="for example: reproof paper new random_walk",
        )
    if os.path.lexists(folder):
        raise UsageError(
            "something of this name exists already",
            where=folder,
            remedy="choose another id, or another place by --into; nothing was changed",
        )
    known = find_papers()
    if name in known:
        raise UsageError(
            "a paper of this id is known already", where=known[name], got=repr(name), remedy="choose another id"
        )


def _titled(title: str | None) -> dict[str, str]:
    """The title in one line, for Markdown and as YAML writes it."""
    heading = _UNTITLED if title is None else " ".join(title.split())
    if not heading or not heading.isprintable():
        raise UsageError(
            "this is no title", expected="printable text", got=ascii(title), remedy="leave --title out to say it later"
        )
    return {"heading": heading, "title": json.dumps(heading, ensure_ascii=False)}


def _templates() -> Iterator[tuple[str, str]]:
    """Every file of a paper's folder by its path, with its text; a wheel holds no folder called `private`."""
    for path in sorted(TEMPLATES.rglob(f"*{_SUFFIX}")):
        if path.is_file():
            yield str(path.relative_to(TEMPLATES)).replace(_SUFFIX, ""), path.read_text(encoding="utf-8")


def _write(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder that exists; the ones that had to be made for it go again after a failure."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise

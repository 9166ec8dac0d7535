"""What is left to do before a paper can be tried: everything marked TODO, and every part that is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from harness.attempt.task import overlay_tree
from harness.errors import PaperError
from harness.paper.load import Paper
from harness.paper.mutations import FILE, REFERENCE, read_mutations
from harness.paper.plugin import load_plugin
from harness.paper.source import Source, Where, read
from harness.validation.sync import TABLES

_MARK = re.compile(r"\bTODO\b")
_SUFFIXES = {".yaml", ".md", ".py"}


def left_to_do(paper: Paper) -> list[str]:
    """One sentence for each thing that is left: the file, its line where there is one, and what to do.

    Args:
        paper: The paper; a private folder that is not here is not looked into.

    Raises:
        PaperError: A YAML file cannot be read.
    """
    marked = [sentence for path in _files(paper) for sentence in _marked(paper, path)]
    missing = [*_metrics(paper), *(_private(paper) if paper.private.is_dir() else ())]
    return [*marked, *dict.fromkeys(sentence.strip() for sentence in missing)]


def _files(paper: Paper) -> list[Path]:
    """What people wrote, paper.yaml first and the private folder last, wherever it lies."""
    public = [path for path in _beneath(paper.folder) if not path.is_relative_to(paper.folder / "private")]
    public.sort(key=lambda path: (path.name != "paper.yaml", path))
    return [*public, *sorted(_beneath(paper.private))]


def _beneath(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix in _SUFFIXES and path.is_file() and not hidden:
            yield path


def _shown(paper: Paper, path: Path) -> Path:
    """A file as people of the paper call it."""
    return path.relative_to(paper.folder) if path.is_relative_to(paper.folder) else path


def _marked(paper: Paper, path: Path) -> Iterator[str]:
    """Every TODO of a file."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".md":  # the tables repeat what paper.yaml says
        text = TABLES.sub(lambda table: "\n" * table[0].count("\n"), text)
    found = [match.start() for match in _MARK.finditer(text)]
    source = read(path) if found and path.suffix == ".yaml" else None
    for start, following in pairwise([*found, len(text)]):
        where, end = _where(source, text, start)
        line = text.count("\n", 0, start) + 1
        asked = _asked(text[start : min(end, following)]) or _beside(text[end : _end_of_line(text, end)])
        yield f"{_shown(paper, path)}:{line}{where}: {asked}"


def _where(source: Source | None, text: str, start: int) -> tuple[str, int]:
    """The key that a mark stands at, after a space, and where the marked text ends."""
    end = _end_of_line(text, start)
    if source is None or text[:start].rpartition("\n")[2].lstrip().startswith("#"):
        return "", end
    for where, (begin, after) in source.texts.items():
        if begin <= start < after:
            return _dotted(where), after
    line = text.count("\n", 0, start) + 1
    beside = [where for where, number in source.lines.items() if where and number == line]
    return _dotted(min(beside, key=len)) if beside else "", end


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _dotted(where: Where) -> str:
    return f" {'.'.join(map(str, where))}"


def _asked(marked: str) -> str:
    """What a mark asks for, without the punctuation around it.

    >>> _asked('TODO: name the award"')
    'name the award'
    """
    return " ".join(marked.split()).removeprefix("TODO").lstrip(" :,.-").rstrip(" \"'#*,;")


def _beside(rest: str) -> str:
    """What a mark without words asks for, from the comment after it.

    >>> _beside("  # paper or derived")
    'put what belongs here in place of TODO: paper or derived'
    """
    comment = _asked(rest.partition("#")[2])
    return f"put what belongs here in place of TODO{': ' if comment else ''}{comment}"


def _metrics(paper: Paper) -> Iterator[str]:
    try:
        module = load_plugin(paper.metrics_file)
    except PaperError as error:
        yield str(error)
        return
    for name in paper.spec.metrics:
        if not callable(getattr(module, name, None)):
            yield f"metrics.py: write the function {name}(outputs, instance, parameters), a metric of paper.yaml"


def _private(paper: Paper) -> Iterator[str]:
    """Parts of the private folder that are missing, and mutations that do not fit the reference."""
    drawn = [name for name, spec in paper.spec.experiments.items() if spec.instances and spec.instances.held_out]
    if drawn and not (paper.private / "instances.py").is_file():
        yield f"private/instances.py: write draw(experiment, rng), which draws the instances of {', '.join(drawn)}"
    if not any((paper.private / REFERENCE).rglob("*.py")):
        yield "private/reference/reproduction: write the reference, the stubs of the starter filled in"
    elif not (paper.private / FILE).is_file():
        yield f"private/{FILE}: list the ways in which the reference is known to be made wrong"
    else:
        yield from _mutations(paper)


def _mutations(paper: Paper) -> Iterator[str]:
    try:
        mutations = read_mutations(paper)
    except PaperError as error:
        yield from error.message.splitlines()[1:] or [str(error)]
        return
    if not mutations:
        yield f"private/{FILE}: list at least one way in which the reference is known to be made wrong"
    for mutation in mutations:
        try:
            overlay_tree(paper, mutation)
        except PaperError as error:
            yield str(error)

"""What follows from paper.yaml and stands elsewhere: the tables of brief.md, and the start commit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.attempt.task import START_FILE, start_commit_of
from harness.errors import PaperError
from harness.paper.claims import (
    Claim,
    Probe,
    provenance_of,
    selections,
)
from harness.paper.load import Paper
from harness.paper.quantities import show_seconds, show_size
from harness.paper.schema import ArchiveOutput, ArrayOutput, Experiment, Output
from harness.paper.wording import to_be
from harness.record.files import write_text

TABLES = re.compile(r"<!-- reproof:(\w+) -->.*?<!-- /reproof:\1 -->", re.DOTALL)
"""The generated parts of brief.md, with the markers around them."""


def synchronise(paper: Paper, *, write: bool) -> list[str]:
    """Bring the generated parts in step with paper.yaml.

    Args:
        paper: The paper.
        write: False only looks.

    Returns:
        The names of the files that were, or would be, changed.

    Raises:
        PaperError: brief.md lacks the markers between which a table stands.
    """
    changed = []
    brief = generated_brief(paper)
    if brief != paper.brief_file.read_text():
        changed.append(paper.brief_file.name)
        if write:
            _replace(paper, paper.brief_file.name, brief)
    # The brief is part of the start commit, so the commit comes second.
    start = start_commit_of(paper)
    written = paper.folder / START_FILE
    if not written.exists() or written.read_text().strip() != start:
        changed.append(START_FILE)
        if write:
            _replace(paper, START_FILE, f"{start}\n")
    return changed


def _replace(paper: Paper, name: str, text: str) -> None:
    write_text(paper.folder / name, text)
    (paper.folder / name).chmod(0o644)


def generated_brief(paper: Paper) -> str:
    """brief.md with its tables as they follow from paper.yaml.

    Raises:
        PaperError: A marker is missing.
    """
    text = paper.brief_file.read_text()
    for name, table in (("experiments", _experiments(paper)), ("claims", _claims(paper))):
        begin, end = f"<!-- reproof:{name} -->", f"<!-- /reproof:{name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            raise PaperError("brief.md lacks a marker", where=paper.brief_file, expected=f"{begin} ... {end}")
        block = f"{begin}\n{table}\n{end}"
        text = pattern.sub(lambda _, block=block: block, text, count=1)  # type: ignore[misc]
    return text


def without_tables(paper: Paper) -> str:
    """What people wrote in brief.md, the generated tables left out."""
    return TABLES.sub("", paper.brief_file.read_text())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _experiments(paper: Paper) -> str:
    head = ("experiment", "what is run", "cases", "outputs", "limits")
    return _table(head, (_experiment(paper, name, spec) for name, spec in paper.spec.experiments.items()))


def _experiment(paper: Paper, name: str, spec: Experiment) -> tuple[str, ...]:
    instances = paper.spec.instances_of(name)
    counted = {"pinned": instances.count("pinned"), "drawn for your attempt": instances.count("held_out")}
    sets = ", ".join(f"{count} {words}" for words, count in counted.items() if count)
    summary = f"{spec.summary.rstrip('.')}. Instances: {sets}."
    limits = (
        f"{show_seconds(spec.limits.cpu)} CPU, {show_size(spec.limits.memory)}, {show_size(spec.limits.disk)} of files"
    )
    return f"`{name}`", summary, _cases(spec), "<br>".join(_outputs(spec)), "<br>".join([limits, *_steps(spec)])


def _steps(spec: Experiment) -> list[str]:
    """What a run may take of each environment."""
    return [
        f"`{id}`: {one.steps:,} training steps"
        + (f", {one.evaluation_steps:,} evaluation" if one.evaluation_steps else "")
        for id, one in spec.environments.items()
    ]


def _cases(spec: Experiment) -> str:
    shown = [", ".join(f"{key}={value}" for key, value in case.items()) for case in spec.cases if case]
    return "<br>".join(shown) or "one"


def _outputs(spec: Experiment) -> list[str]:
    return [f"`{output.file}`: {_form(output)}" for output in spec.outputs.values()]


def _form(output: Output) -> str:
    if isinstance(output, ArrayOutput):
        shape = ", ".join(map(str, output.shape))
        return f"{output.dtype} ({shape}){'' if output.finite else ', infinity allowed'}"
    if isinstance(output, ArchiveOutput):
        return ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in output.arrays.items())
    return ", ".join(f"{key} ({kind})" for key, kind in output.keys.items())


def _claims(paper: Paper) -> str:
    head = ("leaf", "statement", "measured by", "to be", "from", "weight")
    rows = []
    for share in paper.spec.shares():
        leaf = paper.spec.leaf(share.leaf)
        name = f"`{share.leaf}`{' **core**' if leaf.core else ''}"
        rows.append((name, leaf.statement, _measured(leaf), to_be(leaf), provenance_of(leaf), f"{share.weight:.1%}"))
    return _table(head, rows)


def _measured(leaf: Claim | Probe) -> str:
    where = " against ".join(str(selection) for selection in selections(leaf))
    return f"outputs of {where}" if isinstance(leaf, Probe) else f"`{leaf.metric}` of {where}"

"""What can be seen of a paper's fairness without running anything."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator

from harness.attempt.task import reference_files, start_commit_of, start_files
from harness.folders import find_papers
from harness.paper.claims import selections
from harness.paper.load import Paper
from harness.paper.mutations import REFERENCE
from harness.validation.left import left_to_do
from harness.validation.proof import Check
from harness.validation.sync import synchronise, without_tables

HEAVIEST = 0.4
"""Share of the weight that no leaf may pass."""
_COPIED_AT_LEAST = 30
"""Characters of a line; shorter ones may honestly stand in starter and reference alike."""


def looks(paper: Paper) -> Iterator[Check]:
    """Every check that needs no run, first of all what is left to do."""
    left = left_to_do(paper)
    detail = f"{len(left)} left in {paper.folder}" if left else "nothing is marked TODO, no part is missing"
    yield Check(name="nothing is left to do", ok=not left, detail=detail, problems=tuple(left),
                remedy="do what each line says")  # fmt: skip
    yield from _environments(paper)
    stale = synchronise(paper, write=False)
    yield Check(name="generated parts in step", ok=not stale, detail=", ".join(stale) or "brief.md and start_commit",
                remedy=f"run `reproof paper sync {_named(paper)}`")  # fmt: skip
    again = {start_commit_of(paper) for _ in range(3)}
    yield Check(name="one start commit", ok=len(again) == 1, detail=", ".join(sorted(again)),
                remedy="the start files must not depend on time, order or chance")  # fmt: skip
    written = without_tables(paper)
    absent = [name for name in paper.spec.experiments if name not in written]
    yield Check(name="each experiment in the brief", ok=not absent,
                detail=f"nothing is said of {', '.join(absent)} beside the table" if absent else "all of them",
                remedy="say in brief.md what each experiment is, by its name")  # fmt: skip
    copied = _copied(paper)
    detail = f"{len(copied)} lines, the first: {copied[0]!r}" if copied else "no line of 30 characters or more"
    yield Check(name="no reference text in the starter", ok=not copied, detail=detail,
                remedy="write the starter's line in another way, or leave it out")  # fmt: skip
    yield from _weights(paper)


def _environments(paper: Paper) -> Iterator[Check]:
    """Whether what the gateway is to serve can be; nothing for a paper without environments."""
    ids = {id for spec in paper.spec.experiments.values() for id in spec.environments}
    if not ids:
        return
    from harness.validation.environments import environment_problems  # it imports Gymnasium

    wrong = environment_problems(paper)
    detail = f"{len(wrong)} wrong" if wrong else f"{', '.join(sorted(ids))}: served, and the same outside"
    yield Check(name="environments open", ok=not wrong, detail=detail, problems=tuple(wrong),
                remedy="mend what each line names")  # fmt: skip


def _weights(paper: Paper) -> Iterator[Check]:
    held_out = [name for name, leaf in paper.spec.leaves() if any(s.instance == "held_out" for s in selections(leaf))]
    core = [name for name in held_out if paper.spec.leaf(name).core]
    yield Check(name="leaves on held-out instances", ok=bool(core), detail=f"{len(held_out)}, {len(core)} of them core",
                remedy="let a core leaf read instances that are drawn for the attempt")  # fmt: skip
    heaviest = max(paper.spec.shares(), key=lambda share: share.weight)
    yield Check(name="no leaf decides alone", ok=heaviest.weight <= HEAVIEST,
                detail=f"{heaviest.leaf} weighs most, {heaviest.weight:.1%}",
                remedy=f"weigh no leaf above {HEAVIEST:.0%}")  # fmt: skip


def _named(paper: Paper) -> str:
    """The paper as a command finds it: by its id, or by its folder's path."""
    return paper.id if find_papers().get(paper.id) == paper.folder else shlex.quote(str(paper.folder))


def _copied(paper: Paper) -> list[str]:
    """Lines of code that the reference adds and that stand in the starter already."""
    if not (paper.private / REFERENCE).is_dir():
        return []  # it is left to do
    before, after = start_files(paper), reference_files(paper)
    ours = {line for name, file in before.items() if _is_code(name) for line in _lines(file.data)}
    added = [file for name, file in after.items() if _is_code(name) and before.get(name) != file]
    return [line for file in added for line in _lines(file.data) if line in ours]


def _is_code(name: str) -> bool:
    return name.startswith("reproduction/") and name.endswith(".py")


def _lines(data: bytes) -> set[str]:
    """Lines of Python that say how something is done: no imports, signatures, docstrings, which a stub has to share."""
    text = data.decode(errors="replace")
    lines = text.splitlines()
    shared = {number for node in ast.walk(ast.parse(text)) for number in _shared(node)}
    stripped = (line.strip() for number, line in enumerate(lines, start=1) if number not in shared)
    return {line for line in stripped if len(line) >= _COPIED_AT_LEAST}


def _shared(node: ast.AST) -> range:
    """The numbers of the lines of an import, of a signature with its docstring, or of a module's docstring."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return range(node.lineno, (node.end_lineno or node.lineno) + 1)
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return range(0)
    documented = ast.get_docstring(node, clean=False) is not None
    first = node.body[0]
    end = (first.end_lineno or first.lineno) + 1 if documented else first.lineno
    return range(1 if isinstance(node, ast.Module) else node.lineno, end)

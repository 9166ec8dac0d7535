"""Is a paper fair: does honest work pass, does doing nothing earn nothing, is every known mistake caught?"""

from __future__ import annotations

import ast
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.attempt.task import reference_files, start_files
from harness.config import (
    BudgetSettings,
    EngineSettings,
    ParticipantSettings,
    SandboxChoice,
    Settings,
    TrackingSettings,
)
from harness.folders import find_papers
from harness.handing import hand_in, hand_out, work
from harness.paper.claims import selections
from harness.paper.load import Paper
from harness.paper.mutations import REFERENCE, Mutation, read_mutations
from harness.pipeline import Rerun as RerunRecord
from harness.pipeline import rerun, score, units_of
from harness.record.files import private_folder
from harness.record.store import Record, read
from harness.rerun.engine import Progress, known_records, silent
from harness.road import Road
from harness.scoring.finding import Verdict
from harness.scoring.score import Score
from harness.validation.left import left_to_do
from harness.validation.sync import synchronise, without_tables

REFERENCE_AT_LEAST, STARTER_AT_MOST = 0.95, 0.05
_COPIED_AT_LEAST = 30
"""Characters of a line; shorter ones may honestly stand in starter and reference alike."""


class Check(Record):
    """One thing that must hold."""

    name: str
    ok: bool
    detail: str
    problems: tuple[str, ...] = ()
    """What is wrong one by one, where there may be much."""


class Graded(Record):
    """What a participant of ours got."""

    attempt: str
    score: float
    verdict: str
    detail: str


class Caught(Record):
    """What became of one mutation."""

    name: str
    caught: bool
    verdict: str
    score: float
    failed: list[str]
    """The core leaves that failed."""
    measured: dict[str, float | None]
    """What was measured of each leaf that was to fail."""
    detail: str
    attempt: str


class Proof(Record):
    """Whether a paper is fair, and everything that says so."""

    paper: str
    fair: bool
    checks: list[Check]
    reference: Graded | None
    """None where something is left to do: then nothing is run."""
    starter: Graded | None
    mutations: list[Caught]


def validate(paper: Paper, results: Path, *, tell: Callable[[str], None], progress: Progress = silent) -> Proof:
    """Run reference, starter and every mutation through the real road, and judge the paper by what they get.

    They share one plan, so that the reference answers the held-out instances once. A paper in which something is left
    to do is looked at only.

    Args:
        paper: The paper, with its private folder.
        results: A folder `validation` is made in it.
        tell: Shows a line.
        progress: Shows runs done.

    Raises:
        PaperError: The paper has no private folder here, or something in its folder cannot be read.
    """
    checks = list(_looks(paper))
    if any(check.problems for check in checks):
        return Proof(paper=paper.id, fair=False, checks=checks, reference=None, starter=None, mutations=[])
    mutations = read_mutations(paper)
    trial = _Trial(paper, results / "validation", tell, progress)
    reference = _graded(trial.run("reference", "reference", slots="all"))
    starter = _graded(trial.run("starter", "starter"))
    caught = []
    for number, mutation in enumerate(mutations, start=1):
        tell(f"mutation {number} of {len(mutations)}: {mutation.name}")
        caught.append(_caught(mutation, *trial.run("mutation", mutation.name)))
        tell(f"  {'caught' if caught[-1].caught else 'NOT CAUGHT'}: {caught[-1].detail}")
    checks += _verdicts(paper, reference, starter, caught)
    fair = all(check.ok for check in checks)
    return Proof(paper=paper.id, fair=fair, checks=checks, reference=reference, starter=starter, mutations=caught)


def _looks(paper: Paper) -> Iterator[Check]:
    """What can be seen without running anything, first of all what is left to do."""
    left = left_to_do(paper)
    detail = f"{len(left)} left in {paper.folder}" if left else "nothing is marked TODO, no part is missing"
    yield Check(name="nothing is left to do", ok=not left, detail=detail, problems=tuple(left))
    yield from _environments(paper)
    stale = synchronise(paper, write=False)
    remedy = f"{', '.join(stale)} out of step: run `reproof paper sync {_named(paper)}`"
    yield Check(name="generated parts in step", ok=not stale, detail=remedy if stale else "brief.md and start_commit")
    written = without_tables(paper)
    absent = [name for name in paper.spec.experiments if name not in written]
    detail = f"brief.md says nothing of {', '.join(absent)} beside the table" if absent else "all of them"
    yield Check(name="each experiment in the brief", ok=not absent, detail=detail)
    copied = _copied(paper)
    detail = f"{len(copied)} lines, the first: {copied[0]!r}" if copied else "no line of 30 characters or more"
    yield Check(name="no reference text in the starter", ok=not copied, detail=detail)
    held_out = [name for name, leaf in paper.spec.leaves() if any(s.instance == "held_out" for s in selections(leaf))]
    core = [name for name in held_out if paper.spec.leaf(name).core]
    detail = f"{len(held_out)} leaves, {len(core)} of them core"
    yield Check(name="leaves on held-out instances", ok=bool(core), detail=detail)


def _environments(paper: Paper) -> Iterator[Check]:
    """Whether what the gateway is to serve can be; nothing for a paper without environments."""
    ids = {id for spec in paper.spec.experiments.values() for id in spec.environments}
    if not ids:
        return
    from harness.validation.environments import environment_problems  # it imports Gymnasium

    wrong = environment_problems(paper)
    detail = f"{len(wrong)} wrong" if wrong else f"{', '.join(sorted(ids))}: served, and the same outside"
    yield Check(name="environments open", ok=not wrong, detail=detail, problems=tuple(wrong))


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


class _Trial:
    """Takes participants of ours over the road, all on the plan of the first."""

    def __init__(self, paper: Paper, results: Path, tell: Callable[[str], None], progress: Progress) -> None:
        self._paper, self._results, self._tell, self._progress = paper, results, tell, progress
        self._plan: Path | None = None

    def run(self, adapter: str, name: str, *, slots: str = "curtailed") -> tuple[Road, Score]:
        """From brief to score."""
        settings = Settings(
            paper=str(self._paper.folder),
            participant=ParticipantSettings(adapter=adapter, kind=adapter, name=name),
            budget=BudgetSettings(name="standard"),
            sandbox=SandboxChoice(backend="bubblewrap"),
            engine=EngineSettings(),
            tracking=TrackingSettings(uri="none"),
            results=self._results,
            private_path=self._paper.private.parent if self._paper.private.name != "private" else None,
            slots="all" if slots == "all" else "curtailed",
        )
        road = hand_out(settings, tell=lambda text: None, progress=self._progress)
        hand_in(road, work(road, {}))
        if self._plan is None:
            self._plan = road.private
        else:
            shutil.copytree(self._plan, private_folder(road.private), dirs_exist_ok=True)
        rerun(road)
        result = score(road)
        self._tell(f"{name}: {result.verdict}, score {result.score.value:.3f} on {result.slots} slots")
        return road, result


def _graded(trial: tuple[Road, Score]) -> Graded:
    road, result = trial
    return Graded(
        attempt=road.attempt.id, score=result.score.value, verdict=result.verdict, detail="; ".join(result.reasons)
    )


def _caught(mutation: Mutation, road: Road, result: Score) -> Caught:
    """A mutation is caught if it ran to its end, is denied PASS, and failed the core leaves it names."""
    lost = [claim for claim in result.claims if claim.core and claim.verdict is Verdict.FAILED]
    named = {leaf: [claim for claim in result.claims if claim.id.split(".")[0] == leaf] for leaf in mutation.fails}
    escaped = [leaf for leaf, parts in named.items() if not any(part in lost for part in parts)]
    unfinished = _unfinished(road)
    caught = not escaped and not unfinished and result.verdict != "PASS"
    measured = {part.id: part.measured for parts in named.values() for part in parts}
    shown = "; ".join(f"{part.id} {part.verdict}: {part.explanation}" for parts in named.values() for part in parts)
    why = [f"did not run to its end: {unfinished[0]}"] if unfinished else []
    why += [f"{', '.join(escaped)} did not fail"] if escaped else []
    return Caught(
        name=mutation.name,
        caught=caught,
        verdict=result.verdict,
        score=result.score.value,
        failed=[claim.id for claim in lost],
        measured=measured,
        detail="; ".join([*why, shown]),
        attempt=road.attempt.id,
    )


def _unfinished(road: Road) -> list[str]:
    """Runs of the submission that did not complete: a crash is not a catch."""
    done = read(road.records / "rerun.json", RerunRecord)
    units = [unit for unit in units_of(road, done) if unit.author == "submission"]
    records = known_records(units, road.store, done.faults)
    return [f"{unit.label} {records[unit.key].status}" for unit in units if not records[unit.key].usable]


def _verdicts(paper: Paper, reference: Graded, starter: Graded, caught: list[Caught]) -> Iterator[Check]:
    most = paper.spec.seeds.looks[-1]
    ok = reference.verdict == "PASS" and reference.score >= REFERENCE_AT_LEAST
    detail = f"{reference.verdict}, {reference.score:.3f} with all {most} slots, at least {REFERENCE_AT_LEAST} needed"
    yield Check(name="reference passes", ok=ok, detail=detail)
    detail = f"{starter.score:.3f}, at most {STARTER_AT_MOST} allowed"
    yield Check(name="starter earns nothing", ok=starter.score <= STARTER_AT_MOST, detail=detail)
    missed = [mutation.name for mutation in caught if not mutation.caught]
    detail = f"not caught: {', '.join(missed)}" if missed else f"all {len(caught)}"
    yield Check(name="every mutation is caught", ok=bool(caught) and not missed, detail=detail)

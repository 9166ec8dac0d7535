"""The road from brief to score: the one place that strings the stages together, each from the record before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from harness.attempt import ledger
from harness.attempt.attempt import Attempt, HandedIn, Who, attempt_name
from harness.attempt.participant import Assignment, Outcome, open_agent
from harness.attempt.submission import Saved, Submission, bundle, commit_uncommitted, intake, keep_tree
from harness.attempt.task import BRIEF, reference_files
from harness.attempt.workspace import create_workspace
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Sandbox, SandboxSettings
from harness.config import BudgetSettings, Settings
from harness.errors import SubmissionError, unknown
from harness.paper.load import Paper, open_paper
from harness.paper.schema import Budget
from harness.record.store import Record, Store, private_folder, read, write
from harness.rerun.engine import LocalEngine, Progress, known_records, silent
from harness.rerun.execute import RunRecord
from harness.rerun.measure import Measurement, measure
from harness.rerun.plan import Planner, Unit, make_plan
from harness.rerun.runtime import circumstances
from harness.scoring.foresee import look_ahead
from harness.scoring.score import Graded, Score, Spending, claim_scores, grade, spending, verdict_of, worth

Tell = Callable[[str], None]


class Look(Record):
    """What was decided at one look at the filled slots."""

    slots: int
    verdict: str
    """The verdict as measured at this look."""
    foreseen: str | None
    """The likeliest verdict at all slots; None at the last look."""
    probability: float | None
    stop: bool


class Rerun(Record):
    """What the rerun stage leaves: enough to find every run again."""

    tree: str
    reference_tree: str
    slots: int
    circumstances: str
    isolation: str
    looks: list[Look]
    faults: dict[str, str]
    """Runs that a fault of ours ended, by key; they have no record of their own, so that they are tried again."""


class Measurements(Record):
    """All measurements of an attempt, as they were scored."""

    paper_version: str
    measurements: list[Measurement]


@dataclass(frozen=True, kw_only=True)
class Road:
    """An attempt under way: its paper, its folder, its clean room, and whom to tell."""

    paper: Paper
    store: Store
    attempt: Attempt
    tell: Tell
    progress: Progress

    @property
    def folder(self) -> Path:
        """The attempt's folder."""
        return self.store.attempt(self.attempt.id)

    @property
    def workspace(self) -> Path:
        """The participant's repository."""
        return self.folder / "workspace"

    @cached_property
    def sandbox(self) -> Sandbox:
        """The clean room the attempt was begun with."""
        settings = SandboxSettings(backend=self.attempt.sandbox, waive=tuple(self.attempt.waived))
        return open_sandbox(settings)

    def note(self, kind: ledger.Kind, **data: object) -> None:
        """Add an event to the attempt's ledger."""
        ledger.append(self.folder / "ledger.jsonl", kind, data, now=_now().isoformat())

    def submission(self) -> HandedIn:
        """What was handed in.

        Raises:
            RecordError: Nothing was yet.
        """
        return read(self.folder / "submission.json", HandedIn)


def _now() -> datetime:
    return datetime.now(UTC)


def hand_out(settings: Settings, *, tell: Tell, progress: Progress = silent) -> Road:
    """Brief to workspace: begin an attempt at the paper's start commit.

    Raises:
        UsageError: An unknown paper or budget.
        PaperError: A paper that does not hold together.
    """
    paper = open_paper(settings.paper, private_path=settings.private_path)
    budget = granted(paper, settings.budget)
    store, now = Store(settings.results.resolve()), _now()
    name = attempt_name(paper.id, settings.participant.name, now)
    folder = private_folder(store.attempt(name))
    start = create_workspace(paper, folder / "workspace")
    attempt = Attempt(
        id=name,
        paper=paper.id,
        paper_folder=str(paper.folder),
        paper_version=paper.version,
        participant=Who.model_validate(settings.participant.model_dump(exclude={"options"})),
        start_commit=start,
        budget=budget,
        started=now,
        deadline=now + timedelta(seconds=budget.wall),
        sandbox=settings.sandbox.backend,
        waived=settings.sandbox.waive,
        workers=settings.engine.workers,
        slots=settings.slots,
        tracking_uri=settings.tracking.uri,
        tracking_prefix=settings.tracking.experiment_prefix,
    )
    write(folder / "attempt.json", attempt)
    road = Road(paper=paper, store=store, attempt=attempt, tell=tell, progress=progress)
    road.note("started", start_commit=start, participant=attempt.participant.model_dump())
    tell(f"handed out: {paper.spec.title} at {start[:12]} in {road.workspace}")
    return road


def granted(paper: Paper, asked: BudgetSettings) -> Budget:
    """The paper's budget of that name, with the figures that the configuration replaces.

    Raises:
        UsageError: The paper has no such budget.
    """
    if asked.name not in paper.spec.budgets:
        raise unknown("budget", asked.name, paper.spec.budgets, where=paper.folder / "paper.yaml")
    own = paper.spec.budgets[asked.name].model_dump()
    return Budget.model_validate({**own, **asked.model_dump(exclude={"name"}, exclude_none=True)})


def resume(
    name: str, results: Path, *, tell: Tell, progress: Progress = silent, private_path: Path | None = None
) -> Road:
    """The road of an attempt that was begun before.

    Raises:
        UsageError: There is no such attempt in this results folder.
    """
    store = Store(results.resolve())
    attempt = read(store.known_attempt(name) / "attempt.json", Attempt)
    here = Path(attempt.paper_folder)
    paper = open_paper(str(here) if here.is_dir() else attempt.paper, private_path=private_path)
    return Road(paper=paper, store=store, attempt=attempt, tell=tell, progress=progress)


def work(road: Road, options: Mapping[str, object]) -> Outcome:
    """Let the participant work in the workspace, until they are done or the budget is spent."""
    attempt = road.attempt
    agent = open_agent(attempt.participant.adapter)
    outcome = agent.work(
        Assignment(
            paper=road.paper,
            workspace=road.workspace,
            brief=road.workspace / BRIEF,
            name=attempt.participant.name,
            budget=attempt.budget,
            deadline=attempt.deadline.timestamp(),
            sandbox=road.sandbox,
            options=options,
            tell=road.tell,
        )
    )
    if outcome.usage is not None:
        usage = outcome.usage
        road.note(
            "executed", cpu=usage.cpu, wall=usage.wall, memory=usage.memory, exact=usage.exact, ended=outcome.ended
        )
    road.tell(f"worked: {outcome.note}")
    return outcome


def hand_in(road: Road, outcome: Outcome) -> HandedIn:
    """Workspace to submission: commit what is left, bundle it, take it in.

    Raises:
        SubmissionError: It is refused, with the reason.
    """
    try:
        saved, taken = _take_in(road)
    except SubmissionError as error:
        road.note("submitted", refused=str(error))
        raise
    usage = outcome.usage
    handed = HandedIn(
        commit=taken.commit,
        tree=taken.tree,
        files=taken.files,
        bytes=taken.bytes,
        history=list(taken.history),
        at=_now(),
        ended=outcome.ended,
        note=outcome.note,
        cpu=usage.cpu if usage else 0.0,
        wall=usage.wall if usage else 0.0,
        exact=usage.exact if usage else True,
        saved=saved.commit is not None,
    )
    write(road.folder / "submission.json", handed)
    road.note("submitted", commit=taken.commit, tree=taken.tree, saved=saved.commit, not_saved=saved.problem)
    if saved.problem:
        road.tell(f"uncommitted work could not be committed, so the last commit counts: {saved.problem}")
    road.tell(f"handed in: commit {taken.commit[:12]}, {taken.files} files")
    return handed


def _take_in(road: Road) -> tuple[Saved, Submission]:
    start = road.attempt.start_commit
    saved = commit_uncommitted(road.workspace, road.sandbox, quota=road.attempt.budget.disk)
    made = bundle(road.workspace, start, sandbox=road.sandbox, into=road.folder)
    return saved, intake(made, start, paper=road.paper, store=road.store.root, sandbox=road.sandbox)


def planner_of(road: Road, circumstances_digest: str) -> Planner:
    """The attempt's units of work; its plan is drawn at the first call and kept."""
    private = private_folder(road.folder / "private")
    plan = make_plan(road.paper, private)
    return Planner(paper=road.paper, plan=plan, folder=private, circumstances=circumstances_digest)


def rerun(road: Road) -> Rerun:
    """Submission to runs: fill seed slots look by look, until the verdict is clear or the slots are full.

    Nothing that has a record is done again, so an interrupted rerun goes on where it stopped.
    """
    handed = road.submission()
    isolation = road.sandbox.description()
    digest = circumstances(isolation.digest)
    planner = planner_of(road, digest)
    answers = keep_tree(reference_files(road.paper), road.store.root)
    engine = LocalEngine(paper=road.paper, store=road.store, sandbox=road.sandbox, **_workers(road.attempt))
    looks, all_looks = list[Look](), road.paper.spec.seeds.looks
    measured: dict[tuple[str, str], list[Measurement]] = {}
    for slots in all_looks if road.attempt.slots == "curtailed" else all_looks[-1:]:
        units = [*planner.submission(handed.tree, slots), *planner.reference(answers)]
        records = engine.run(units, road.progress)
        fresh = [unit for unit in units if (unit.author, unit.key) not in measured]
        measured |= _measured(road, fresh, records)
        seen = [item for unit in units for item in measured[unit.author, unit.key]]
        looks.append(_look(road, grade(road.paper, seen, units, records, road.store), slots))
        road.tell(_said(looks[-1], all_looks[-1]))
        if looks[-1].stop:
            break
    done = Rerun(
        tree=handed.tree,
        reference_tree=answers,
        slots=looks[-1].slots,
        circumstances=digest,
        isolation=", ".join([isolation.backend, *(f"without {name}" for name in isolation.waivers)]),
        looks=looks,
        faults={key: "; ".join(record.problems) for key, record in records.items() if record.status == "fault"},
    )
    write(road.folder / "rerun.json", done)
    road.note("rerun", slots=done.slots, runs=len(records), plan=planner.plan.public_digest)
    return done


def _workers(attempt: Attempt) -> dict[str, int]:
    return {} if attempt.workers is None else {"workers": attempt.workers}


def _measured(
    road: Road, units: Sequence[Unit], records: Mapping[str, RunRecord]
) -> dict[tuple[str, str], list[Measurement]]:
    """Measurements by author and run, so that a later look measures only what is new."""
    found: dict[tuple[str, str], list[Measurement]] = {(unit.author, unit.key): [] for unit in units}
    for item in measure(road.paper, units, records, road.store):
        found[item.author, item.run].append(item)
    return found


def _look(road: Road, graded: Graded, slots: int) -> Look:
    now, last = verdict_of(graded)[0], road.paper.spec.seeds.looks[-1]
    if slots == last or not graded.depends_on_seeds:
        return Look(slots=slots, verdict=now, foreseen=None, probability=None, stop=True)
    ahead = look_ahead(graded, slots=last)
    stop = ahead.stop and ahead.verdict == now
    return Look(slots=slots, verdict=now, foreseen=ahead.verdict, probability=ahead.probability, stop=stop)


def _said(look: Look, last: int) -> str:
    head = f"rerun: {look.slots} of {last} seed slots filled, {look.verdict} so far"
    if look.foreseen is None:
        return head
    ahead = f"; {look.foreseen} foreseen with probability {look.probability:.2f}"
    return f"{head}{ahead}{', so the rest is not run' if look.stop else ''}"


def score(road: Road, *, again: bool = False) -> Score:
    """Runs to score, from the kept outputs alone: nothing is rerun.

    Args:
        road: The attempt.
        again: Whether this is a rescoring, for the ledger.

    Raises:
        RecordError: The attempt was not rerun, or the paper now asks for runs that were never done.
    """
    done = read(road.folder / "rerun.json", Rerun)
    handed = road.submission()
    units = units_of(road, done)
    records = known_records(units, road.store, done.faults)
    measurements = measure(road.paper, units, records, road.store)
    graded = grade(road.paper, measurements, units, records, road.store)
    result = _score(road, handed, done, graded, units, records)
    write(road.folder / "measurements.json", Measurements(paper_version=road.paper.version, measurements=measurements))
    write(road.folder / "score.json", result)
    road.note(
        "rescored" if again else "scored",
        verdict=result.verdict,
        value=result.score.value,
        paper_version=road.paper.version,
    )
    return result


def units_of(road: Road, done: Rerun) -> list[Unit]:
    """The units of work behind a rerun, the submission's first."""
    planner = planner_of(road, done.circumstances)
    return [*planner.submission(done.tree, done.slots), *planner.reference(done.reference_tree)]


def _score(
    road: Road, handed: HandedIn, done: Rerun, graded: Graded, units: Sequence[Unit], records: Mapping[str, RunRecord]
) -> Score:
    verdict, reasons = verdict_of(graded)
    who = road.attempt.participant
    by_author = {
        author: spending([records[unit.key] for unit in units if unit.author == author])
        for author in ("submission", "reference")
    }
    own = Spending(cpu=handed.cpu, wall=handed.wall, runs=0, exact=handed.exact)
    return Score(
        attempt=road.attempt.id,
        paper=road.paper.id,
        paper_version=road.paper.version,
        participant={"kind": who.kind, "name": who.name},
        commit=handed.commit,
        verdict=verdict,
        reasons=reasons,
        score=worth(graded),
        claims=claim_scores(graded),
        integrity=graded.gates,
        usage={"attempt": own, "rerun": by_author["submission"], "reference": by_author["reference"]},
        slots=graded.slots,
        isolation=done.isolation,
    )


def ensure_submission(road: Road) -> HandedIn:
    """What was handed in; after an interruption, what the workspace holds is handed in now."""
    if (road.folder / "submission.json").exists():
        return road.submission()
    return hand_in(road, Outcome(note="handed in after an interruption", ended="interrupted"))


def attempt(settings: Settings, *, tell: Tell, progress: Progress = silent) -> tuple[Road, Score]:
    """The whole road, from a paper's config to an explained score."""
    road = hand_out(settings, tell=tell, progress=progress)
    hand_in(road, work(road, settings.participant.options))
    rerun(road)
    return road, score(road)

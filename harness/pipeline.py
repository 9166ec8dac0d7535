"""The road from brief to score: the one place that strings the stages together, each from the record before it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.attempt import ledger
from harness.attempt.attempt import Attempt, Budget, HandedIn, Terms, Who, attempt_name, condition_of
from harness.attempt.budget import DECLARABLE, ITEMS, Account
from harness.attempt.confined import BUNDLE_FILE
from harness.attempt.contents import is_hash
from harness.attempt.desk import SUBMISSIONS, Desk
from harness.attempt.participant import Assignment, Outcome, open_agent
from harness.attempt.plumbing import Files
from harness.attempt.submission import (
    EmptySubmission,
    Saved,
    Submission,
    bundle,
    commit_uncommitted,
    intake,
    keep_tree,
    kept_files,
)
from harness.attempt.task import reference_files, start_files
from harness.attempt.work import Bench
from harness.attempt.workspace import create_workspace
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Sandbox, SandboxSettings
from harness.config import BudgetSettings, Settings
from harness.errors import RecordError, ReproofError, SubmissionError, UsageError, unknown
from harness.paper.load import Paper, open_paper
from harness.record.files import Store, land, private_folder, read_slip, write_slip
from harness.record.store import Record, read, write
from harness.rerun.engine import LocalEngine, Progress, known_records, silent
from harness.rerun.execute import RunRecord
from harness.rerun.measure import Measurement, measure
from harness.rerun.plan import Planner, Unit, make_plan
from harness.rerun.runtime import circumstances
from harness.scoring.foresee import look_ahead
from harness.scoring.score import Graded, Score, Spending, claim_scores, grade, spending, verdict_of, worth

Tell = Callable[[str], None]
HISTORY = "history"
"""In a submission's folder: the commits before its last one, each with records of its own."""


def quiet(text: str) -> None:
    """Tell nobody."""


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
    desk: Desk
    tell: Tell
    progress: Progress
    of: Path | None = None
    """The folder of the commit that the later stages are about; None: of the latest submission."""

    @property
    def attempt(self) -> Attempt:
        """The attempt as it was begun."""
        return self.desk.attempt

    @property
    def folder(self) -> Path:
        """The attempt's folder."""
        return self.desk.folder

    @property
    def workspace(self) -> Path:
        """The participant's repository."""
        return self.desk.workspace

    @property
    def records(self) -> Path:
        """The folder of what was handed in, where each later stage leaves its record.

        Raises:
            RecordError: Nothing was yet.
        """
        if self.of is not None:
            return self.of
        if not self.desk.submissions:
            raise RecordError("nothing was handed in yet", where=self.attempt.id, remedy="`reproof submit` hands it in")
        return self.desk.submissions[-1]

    @property
    def private(self) -> Path:
        """The folder of the plan: drawn afresh for each submission, shared by the commits that led to it."""
        return (self.records if self.of is None else self.of.parents[1]) / "private"

    @cached_property
    def sandbox(self) -> Sandbox:
        """The clean room the attempt was begun with."""
        settings = SandboxSettings(backend=self.attempt.sandbox, waive=tuple(self.attempt.waived))
        return open_sandbox(settings)

    @property
    def bench(self) -> Bench:
        """Where the participant's commands are run and metered."""
        return Bench(desk=self.desk, sandbox=self.sandbox)

    def submission(self) -> HandedIn:
        """What was handed in.

        Raises:
            RecordError: Nothing was yet.
        """
        return read_slip(self.records / "submission.json", HandedIn)


def _now() -> datetime:
    return datetime.now(UTC)


def hand_out(settings: Settings, *, tell: Tell, progress: Progress = silent) -> Road:
    """Brief to workspace: begin an attempt at the paper's start commit.

    Raises:
        UsageError: An unknown paper or budget, or a workspace that is not a new folder.
        PaperError: A paper that does not hold together.
    """
    paper = open_paper(settings.paper, private_path=settings.private_path)
    budget = granted(paper, settings.budget)
    store, now = Store(settings.results.resolve()), _now()
    name = attempt_name(paper.id, settings.participant.name, now)
    folder = private_folder(store.attempt(name))
    workspace = (settings.workspace or folder / "workspace").absolute()
    try:
        start = create_workspace(paper, workspace)
    except ReproofError:
        shutil.rmtree(folder)
        raise
    who = Who(**settings.participant.model_dump(exclude={"options"}))
    condition = settings.condition or condition_of(who.kind)
    said = {"name": who.name, "kind": who.kind, "condition": condition, "start_commit": start}
    attempt = Attempt(
        id=name,
        paper=paper.id,
        paper_folder=str(paper.folder),
        paper_version=paper.version,
        participant=who,
        condition=condition,
        terms=Terms(licence=settings.terms.licence, consent=settings.terms.consent),
        workspace=str(workspace),
        start_commit=start,
        start_tree=keep_tree(start_files(paper), store.root),
        anchor=ledger.append(folder / ledger.FILE, "started", said).digest,
        budget=budget,
        started=now,
        sandbox=settings.sandbox.backend,
        waived=settings.sandbox.waive,
        workers=settings.engine.workers,
        slots=settings.slots,
        tracking_uri=settings.tracking.uri,
        tracking_prefix=settings.tracking.experiment_prefix,
    )
    write_slip(folder / "attempt.json", attempt)
    tell(f"handed out: {paper.spec.title} at {start[:12]} in {workspace}")
    return Road(paper=paper, store=store, desk=Desk(folder=folder), tell=tell, progress=progress)


def begun_by(settings: Settings) -> None:
    """See that a person does not begin by mistake what they have begun already.

    Raises:
        UsageError: They work on the paper at this moment.
    """
    store, paper = Store(settings.results.resolve()), open_paper(settings.paper)
    for name in store.attempts():
        desk = Desk(folder=store.attempt(name))
        same = desk.attempt.paper == paper.id and desk.attempt.participant.kind == settings.participant.kind
        if not same or desk.attempt.participant.name != settings.participant.name:
            continue
        if desk.account().state not in ("over", "withdrawn"):
            raise UsageError(
                "you work on this paper already",
                where=name,
                remedy=f"go on there: cd {desk.workspace}; or begin anew beside it with --another",
            )


def ensure_no_person(settings: Settings) -> None:
    """See that nobody is waited for who works at their own pace.

    Raises:
        UsageError: The participant is a person.
    """
    if settings.participant.adapter == "human":
        remedy = f"begin with: reproof start {settings.paper} --as {settings.participant.name}"
        raise UsageError("a person works at their own pace, not within `reproof attempt`", remedy=remedy)


def granted(paper: Paper, asked: BudgetSettings) -> Budget:
    """The paper's budget of that name, with the figures that the configuration replaces.

    Raises:
        UsageError: The paper has no such budget.
    """
    if asked.name not in paper.spec.budgets:
        raise unknown("budget", asked.name, paper.spec.budgets, where=paper.folder / "paper.yaml")
    own = paper.spec.budgets[asked.name].model_dump()
    return Budget(**{**own, **asked.model_dump(exclude={"name"}, exclude_none=True)})


def resume(
    name: str, results: Path, *, tell: Tell, progress: Progress = silent, private_path: Path | None = None
) -> Road:
    """The road of an attempt that was begun before.

    Raises:
        UsageError: There is no such attempt in this results folder.
    """
    store = Store(results.resolve())
    return road_of(Desk(folder=store.known_attempt(name)), tell=tell, progress=progress, private_path=private_path)


def road_of(desk: Desk, *, tell: Tell = quiet, progress: Progress = silent, private_path: Path | None = None) -> Road:
    """The road that an attempt is on."""
    here = Path(desk.attempt.paper_folder)
    paper = open_paper(str(here) if here.is_dir() else desk.attempt.paper, private_path=private_path)
    return Road(paper=paper, store=Store(desk.folder.parents[1]), desk=desk, tell=tell, progress=progress)


def work(road: Road, options: Mapping[str, object]) -> Outcome:
    """Let the participant work in the workspace, on a running clock, until they are done or the budget is spent."""
    who = road.attempt.participant
    agent = open_agent(who.adapter)
    road.desk.note("resumed")
    try:
        outcome = agent.work(
            Assignment(paper=road.paper, bench=road.bench, name=who.name, options=options, tell=road.tell)
        )
    except BaseException:
        road.desk.note("paused", reason="interrupted")
        raise
    road.desk.witness()
    road.desk.note("paused", reason=outcome.ended)
    road.tell(f"worked: {outcome.note}")
    return outcome


def hand_in(road: Road, outcome: Outcome) -> HandedIn:
    """Workspace to submission: commit what is left, bundle it, take it in. The last one handed in counts.

    What was handed in just before, unchanged, stays that submission, with its plan: nobody rolls the dice again.

    Raises:
        SubmissionError: It is refused, with the reason.
    """
    with road.desk.held():
        road.desk.recover()
        found = road.desk.account(disk=True)
        with road.store.staging() as staging:
            try:
                saved, taken = _take_in(road, staging)
            except SubmissionError as error:
                road.desk.note("submitted", refused=str(error))
                raise
            if road.desk.submissions and road.submission().tree == taken.tree:
                road.tell(f"handed in before, unchanged: {road.submission().commit[:12]}")
                return _handed_in_again(road)
            last = road.desk.events()[-1]
            handed = _handed_in(outcome, saved, taken, found, last)
            write_slip(staging / "submission.json", handed)
            land(staging, road.folder / SUBMISSIONS / f"{len(road.desk.submissions) + 1:03}")
        road.desk.note("submitted", commit=taken.commit, tree=taken.tree, saved=saved.commit, not_saved=saved.problem)
    if saved.problem:
        road.tell(f"uncommitted work could not be committed, so the last commit counts: {saved.problem}")
    road.tell(f"handed in: commit {taken.commit[:12]}, {taken.files} files")
    return handed


def _handed_in_again(road: Road) -> HandedIn:
    handed = road.submission()
    road.desk.note("submitted", commit=handed.commit, tree=handed.tree, again=True)
    return handed


def close(road: Road) -> HandedIn:
    """Hand in what the workspace holds once the budget's time is used up.

    Raises:
        SubmissionError: It is refused, with the reason.
    """
    found = road.desk.account()
    return hand_in(road, Outcome(note=found.ended or "closed", ended="deadline"))


def withdraw(road: Road, reason: str) -> HandedIn | None:
    """End an attempt at the participant's wish; what was done is kept as a submission, and can still be scored.

    Returns:
        What is kept as the submission; None if there is nothing that could be taken in.

    Raises:
        UsageError: It is over, or was withdrawn before.
    """
    if road.desk.open_account().pending:
        try:
            hand_in(road, Outcome(note=reason, ended="withdrawn"))
        except SubmissionError as error:
            road.tell(f"what is in the workspace could not be taken in: {error}")
    road.desk.note("withdrawn", reason=reason)
    return road.submission() if road.desk.submissions else None


def _take_in(road: Road, into: Path) -> tuple[Saved, Submission]:
    base = road.attempt.start_commit
    saved = commit_uncommitted(road.workspace, road.sandbox, quota=road.attempt.budget.disk)
    road.desk.witness()
    made = bundle(road.workspace, base, sandbox=road.sandbox, into=into)
    return saved, intake(made, base, start=_start(road), store=road.store.root, sandbox=road.sandbox)


def _start(road: Road) -> Files:
    return kept_files(road.attempt.start_tree, road.store.root)


def _handed_in(outcome: Outcome, saved: Saved, taken: Submission, found: Account, last: ledger.Event) -> HandedIn:
    return HandedIn(
        commit=taken.commit,
        tree=taken.tree,
        files=taken.files,
        bytes=taken.bytes,
        history=list(taken.history),
        at=_now(),
        ended=outcome.ended,
        note=outcome.note,
        used={item: found.used(item) for item in ITEMS},
        declared={item: found.declared(item) for item in DECLARABLE},
        exact=found.exact,
        credits=found.credits(),
        late=found.late,
        saved=saved.commit is not None,
        ledger=(last.number, last.digest),
    )


def commit_road(road: Road, commit: str) -> Road:
    """The road of one commit in a submission's history, whose later stages leave their records beside it.

    Raises:
        UsageError: This is no whole hash.
        SubmissionError: The submission's history does not hold it.
    """
    if not is_hash(commit):
        remedy = f"`git log --format=%H` in {road.workspace} lists them"
        raise UsageError("a commit is named by its whole hash", expected="40 hex digits", got=commit, remedy=remedy)
    handed = road.submission()
    if commit == handed.commit:
        return road
    bundled = road.records / BUNDLE_FILE
    made = bundled if bundled.exists() else EmptySubmission(commit=handed.commit)
    base = road.attempt.start_commit
    taken = intake(made, base, start=_start(road), store=road.store.root, sandbox=road.sandbox, commit=commit)
    folder = private_folder(road.records / HISTORY / taken.commit)
    facts = {"commit": taken.commit, "tree": taken.tree, "files": taken.files, "bytes": taken.bytes}
    write_slip(folder / "submission.json", msgspec.structs.replace(handed, **facts, history=list(taken.history)))
    return replace(road, of=folder)


def planner_of(road: Road, circumstances_digest: str) -> Planner:
    """The attempt's units of work; its plan is drawn at the first call and kept."""
    private = private_folder(road.private)
    plan = make_plan(road.paper, private)
    return Planner(paper=road.paper, plan=plan, folder=private, circumstances=circumstances_digest)


def rerun(road: Road, *, slots: Literal["curtailed", "all", "first"] | None = None) -> Rerun:
    """Submission to runs: fill seed slots look by look, until the verdict is clear or the slots are full.

    Nothing that has a record is done again, so an interrupted rerun goes on where it stopped.

    Args:
        road: The attempt.
        slots: `all` fills every slot at once, `first` stops at the first look; None: as the attempt was begun.
    """
    handed = road.submission()
    isolation = road.sandbox.description()
    digest = circumstances(isolation.digest)
    planner = planner_of(road, digest)
    answers = keep_tree(reference_files(road.paper), road.store.root)
    engine = LocalEngine(paper=road.paper, store=road.store, sandbox=road.sandbox, **_workers(road.attempt))
    looks, all_looks = list[Look](), road.paper.spec.seeds.looks
    measured: dict[tuple[str, str], list[Measurement]] = {}
    chosen = {"curtailed": all_looks, "all": all_looks[-1:], "first": all_looks[:1]}
    for filled in chosen[slots or road.attempt.slots]:
        units = [*planner.submission(handed.tree, filled), *planner.reference(answers)]
        # measured here, while the cores run what is left; `measure` then only asks what is known
        records = engine.run(units, road.progress, partial(_measure_now, road))
        fresh = [unit for unit in units if (unit.author, unit.key) not in measured]
        measured |= _measured(road, fresh, records)
        seen = [item for unit in units for item in measured[unit.author, unit.key]]
        looks.append(_look(road, grade(road.paper, seen, units, records, road.store), filled))
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
    write(road.records / "rerun.json", done)
    road.desk.note("rerun", commit=handed.commit, slots=done.slots, runs=len(records), plan=planner.plan.public_digest)
    return done


def _workers(attempt: Attempt) -> dict[str, int]:
    return {} if attempt.workers is None else {"workers": attempt.workers}


def _measure_now(road: Road, unit: Unit, record: RunRecord) -> None:
    measure(road.paper, [unit], {unit.key: record}, road.store)


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
    done = read(road.records / "rerun.json", Rerun)
    handed = road.submission()
    units = units_of(road, done)
    records = known_records(units, road.store, done.faults)
    measurements = measure(road.paper, units, records, road.store)
    graded = grade(road.paper, measurements, units, records, road.store)
    result = _score(road, handed, done, graded, units, records)
    road.desk.events()  # a ledger that cannot take the event is found before anything is replaced
    before = _keep_former_score(road)
    former: dict[str, Any] = {"before": _told(before)} if before else {}
    road.desk.note("rescored" if again else "scored", **_told(result), **former)
    write(road.records / "measurements.json", Measurements(paper_version=road.paper.version, measurements=measurements))
    write(road.records / "score.json", result)
    return result


def _told(result: Score) -> dict[str, Any]:
    return {
        "commit": result.commit,
        "verdict": result.verdict,
        "value": result.score.value,
        "paper_version": result.paper_version,
    }


def _keep_former_score(road: Road) -> Score | None:
    """Put a score by another version of the paper aside before it is replaced."""
    path = road.records / "score.json"
    former = read(path, Score) if path.exists() else None
    if former is not None and former.paper_version != road.paper.version:
        write(road.records / "former_scores" / f"{former.paper_version[:16]}.json", former)
    return former


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
    own = Spending(cpu=handed.used["cpu"], wall=handed.used["working"], runs=0, exact=handed.exact)
    return Score(
        attempt=road.attempt.id,
        paper=road.paper.id,
        paper_version=road.paper.version,
        participant={"kind": who.kind, "name": ", ".join(handed.credits) or who.name},
        condition=road.attempt.condition,
        submission=road.desk.submissions.index(road.private.parent) + 1,
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
    """What was handed in; after an interruption, what the workspace holds is handed in now.

    Raises:
        UsageError: A person has not handed anything in, and has time left to.
    """
    if road.desk.submissions:
        return road.submission()
    if road.attempt.participant.adapter == "human":
        if road.desk.account().state == "over":
            return close(road)
        remedy = "they hand it in themselves, with `reproof submit`, or it is handed in when their time is used up"
        raise UsageError("nothing was handed in yet", where=road.attempt.id, remedy=remedy)
    return hand_in(road, Outcome(note="handed in after an interruption", ended="interrupted"))


def attempt(settings: Settings, *, tell: Tell, progress: Progress = silent) -> tuple[Road, Score]:
    """The whole road, from a paper's config to an explained score."""
    road = hand_out(settings, tell=tell, progress=progress)
    hand_in(road, work(road, settings.participant.options))
    rerun(road)
    return road, score(road)

"""The first half of the road, from brief to submission: hand out, let somebody work, hand in."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from harness.attempt import ledger
from harness.attempt.attempt import Attempt, Budget, Fault, HandedIn, Terms, Who, attempt_name, condition_of
from harness.attempt.budget import DECLARABLE, ITEMS, Account
from harness.attempt.confined import BUNDLE_FILE
from harness.attempt.contents import is_hash
from harness.attempt.desk import SUBMISSIONS, Desk
from harness.attempt.installed import find
from harness.attempt.participant import Assignment, Outcome, find_agents, open_agent
from harness.attempt.plumbing import Files
from harness.attempt.quarters import take_sign
from harness.attempt.salvage import salvage
from harness.attempt.submission import (
    HEAD,
    EmptySubmission,
    Saved,
    Submission,
    bundle,
    commit_uncommitted,
    intake,
    keep_tree,
    kept_files,
    uncommit,
)
from harness.attempt.task import start_files
from harness.attempt.workspace import create_workspace
from harness.cleanroom.quota import ensure_room
from harness.config import BudgetSettings, ParticipantSettings, Settings
from harness.errors import (
    HarnessFault,
    RecordError,
    SandboxError,
    SubmissionError,
    UsageError,
    machine_fault,
    masked,
    unknown,
)
from harness.folders import workspace_above
from harness.paper.load import Paper, open_paper
from harness.readiness import access_of, endpoint_of, ensure_ready
from harness.record.files import Slip, Store, claim_folder, land, private_folder, write_slip
from harness.rerun.engine import Progress, silent
from harness.road import HISTORY, Road, Tell

if TYPE_CHECKING:
    from harness.proxy.host import Access

_LAST = ("deadline", "withdrawn", "interrupted")
"""Ends after which nobody can mend what is refused."""
_BACK = 5
"""Earlier commits that are tried at most."""


_LEAST_ROOM = 2**20
"""Bytes that a workspace's disk has left if it was never in an agent's way."""


def _now() -> datetime:
    return datetime.now(UTC)


def hand_out(
    settings: Settings,
    *,
    tell: Tell,
    progress: Progress = silent,
    name: str | None = None,
    beside: Mapping[str, Slip] | None = None,
) -> Road:
    """Brief to workspace: begin an attempt at the paper's start commit.

    Args:
        settings: Of the attempt.
        tell: Hears what happens.
        progress: Hears of runs.
        name: What the attempt is called, where that was settled before; of `attempt_name`.
        beside: What else its folder holds from the start, by file; it is there before the attempt is.

    Raises:
        UsageError: An unknown paper or budget, a workspace that is not a new folder, a password that would be kept, or
            something that is missing for the participant (see `ensure_ready`).
        PaperError: A paper that does not hold together.
    """
    ensure_no_password(settings.tracking.uri)
    ensure_out_of_reach(settings.results)
    paper = open_paper(settings.paper, private_path=settings.private_path)
    budget = granted(paper, settings.budget)
    ensure_ready(settings, budget)
    store, now = Store(settings.results.resolve()), _now()
    if name is None:
        folder = claim_folder(store.attempt(""), partial(attempt_name, paper.id, settings.participant.name, now))
    else:
        folder = private_folder(store.attempt(name))
    workspace = (settings.workspace or folder / "workspace").absolute()
    with contextlib.ExitStack() as undo:  # nobody can go on with what has no record
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        start = create_workspace(paper, workspace)
        undo.callback(shutil.rmtree, workspace, ignore_errors=True)
        attempt = _begun(
            settings, paper, budget, name=folder.name, now=now, store=store, workspace=workspace, start=start
        )
        for file, slip in (beside or {}).items():
            write_slip(folder / file, slip)
        write_slip(folder / "attempt.json", attempt)
        undo.pop_all()
    tell(f"handed out: {paper.spec.title} at {attempt.start_commit[:12]} in {workspace}")
    return Road(paper=paper, store=store, desk=Desk(folder=folder), tell=tell, progress=progress)


def _begun(
    settings: Settings,
    paper: Paper,
    budget: Budget,
    *,
    name: str,
    now: datetime,
    store: Store,
    workspace: Path,
    start: str,
) -> Attempt:
    """What the record of a new attempt says, once its ledger has a first line and the starter's tree is kept."""
    who = Who(**settings.participant.model_dump(exclude={"options", "repeats"}))
    condition = settings.condition or condition_of(who.kind)
    said = {"name": who.name, "kind": who.kind, "condition": condition, "start_commit": start}
    return Attempt(
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
        anchor=ledger.append(store.attempt(name) / ledger.FILE, "started", said).digest,
        budget=budget,
        started=now,
        sandbox=settings.sandbox.backend,
        waived=settings.sandbox.waive,
        workers=settings.engine.workers,
        slots=settings.slots,
        tracking_uri=settings.tracking.uri,
        tracking_prefix=settings.tracking.experiment_prefix,
        private_path=None if settings.private_path is None else str(settings.private_path.resolve()),
    )


def ensure_no_password(uri: str | None) -> None:
    """See that no record will hold a password.

    Raises:
        UsageError: The tracking URI holds one.
    """
    if uri is not None and masked(uri) != uri:
        remedy = "leave it out: a server takes MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD from the "
        remedy += "environment, PostgreSQL PGPASSWORD or a line in ~/.pgpass"
        raise UsageError("this tracking URI holds a password, which records would keep", where=uri, remedy=remedy)


def ensure_out_of_reach(results: Path) -> None:
    """See that no participant could read the records.

    Raises:
        UsageError: They would lie in somebody's workspace.
    """
    if (place := workspace_above(results)) is not None:
        remedy = "begin in a folder of your own, or name one: results=FOLDER (--results FOLDER)"
        raise UsageError("the records would lie in a participant's folder, and hold seeds", where=place, remedy=remedy)


def begun_by(settings: Settings) -> None:
    """See that a person does not begin by mistake what they have begun already.

    Raises:
        UsageError: They work on the paper at this moment.
    """
    store, paper = Store(settings.results.resolve()), open_paper(settings.paper)
    for name in store.attempts():
        desk = Desk(folder=store.attempt(name))
        if _works_on(desk, paper.id, settings.participant):
            there = f"go on there: cd {desk.workspace}"
            if not desk.workspace.is_dir():
                there = f"its workspace is gone: put it back at {desk.workspace}"
            remedy = f"{there}; or begin anew beside it with --another"
            raise UsageError("you work on this paper already", where=name, remedy=remedy)


def _works_on(desk: Desk, paper: str, who: ParticipantSettings) -> bool:
    """Whether somebody is at work there on a paper; what cannot be read keeps nobody from beginning."""
    try:
        own = desk.attempt.participant
        if (desk.attempt.paper, own.kind, own.name) != (paper, who.kind, who.name):
            return False
        return desk.account().state not in ("over", "withdrawn")
    except RecordError:
        return False


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


def work(
    road: Road, options: Mapping[str, object], *, access: Access | None = None, agents: Path | None = None
) -> Outcome:
    """Let the participant work in the workspace, on a running clock, until they are done or the budget is spent.

    Args:
        road: The attempt.
        options: What the configuration says to the adapter.
        access: Which model they are given, and how; None: none.
        agents: A folder of adapters that is looked into first.
    """
    who = road.attempt.participant
    agent = open_agent(who.adapter, agents)
    road.desk.note("resumed", **_program(agent, options))
    try:
        outcome = agent.work(
            Assignment(
                paper=road.paper,
                bench=road.bench,
                name=who.name,
                options=options,
                tell=road.tell,
                endpoint=endpoint_of(who) if access else None,
                access=access,
            )
        )
        if who.kind == "agent":  # what its program could not write, nobody can tell from what it did not
            for place in (road.workspace, road.folder):
                ensure_room(place, _LEAST_ROOM, "the disk filled up while they worked")
    except (HarnessFault, SandboxError, OSError) as error:
        ours = machine_fault(error) if isinstance(error, OSError) else error
        road.desk.note("paused", reason="failed")
        replace_attempt(road, ours.message)
        raise ours from error
    except BaseException:
        road.desk.note("paused", reason="interrupted")
        raise
    road.desk.witness()
    road.desk.note("paused", reason=outcome.ended, worked=True)
    road.tell(f"worked: {outcome.note}")
    _keep_trajectory(road)
    return outcome


def _keep_trajectory(road: Road) -> None:
    """Tell what was done from the model's journal; where that fails, the journal is still there to tell it later."""
    from harness.trajectory.keep import trajectory_of  # a person's verbs do not wait for it

    try:
        trajectory_of(road.desk)
    except Exception as error:  # whatever it is: the work is done, and what follows it goes on
        again = f"reproof trajectory {road.attempt.id}"
        road.tell(f"the trajectory could not be written ({type(error).__name__}: {error}); again: {again}")


def _program(agent: object, options: Mapping[str, object]) -> dict[str, Any]:
    """The program behind an adapter and its version, for the ledger; nothing for an adapter that installs none."""
    known = getattr(agent, "INSTALLATION", None)
    return {} if known is None else {"program": f"{known.program} {find(known, options).version}"}


def ensure_work_counts(road: Road, agents: Path | None = None) -> None:
    """See that what an interruption has left is work, and not half of what a participant would do again.

    Raises:
        UsageError: They do the same each time, were interrupted in its midst, and so are begun anew.
    """
    adapter = road.attempt.participant.adapter
    if has_worked(road) or adapter not in find_agents(agents):
        return
    if getattr(open_agent(adapter, agents), "REPEATABLE", False):
        raise UsageError(
            "this participant was interrupted half way, and does the same each time",
            where=road.attempt.id,
            remedy="begin it anew with the same `reproof attempt`; what it has left counts nothing",
        )


def has_worked(road: Road) -> bool:
    """Whether the participant's work came to its end."""
    return any(event.kind == "paused" and event.data.get("worked") for event in road.desk.events())


def replace_attempt(road: Road, reason: str) -> None:
    """Leave out an attempt that failed by no fault of its participant's, so that another one can stand in its place."""
    road.desk.note("replaced", reason=reason)


def work_on(road: Road, settings: Settings) -> Outcome:
    """Let the participant work as the settings say."""
    return work(road, settings.participant.options, access=access_of(settings), agents=settings.agents_path)


def hand_in(road: Road, outcome: Outcome, *, commit: str | None = None) -> HandedIn:
    """Workspace to submission: commit what is left, bundle it, take it in. The last one handed in counts.

    What was handed in just before, unchanged, stays that submission, with its plan: nobody rolls the dice again. What
    is refused is a person's to mend as long as they can; else what can be taken in is handed in in its place.

    Args:
        road: The attempt.
        outcome: How the work ended.
        commit: An earlier commit of the workspace, in place of all that it holds.

    Raises:
        SubmissionError: It is refused, with the reason.
    """
    with road.desk.held():
        road.desk.recover()
        found = road.desk.account(disk=True)
        with road.store.staging() as staging:
            try:
                saved, taken, instead = _take_in(road, staging, commit, last=_is_last(road, outcome))
            except SubmissionError as error:
                road.desk.note("submitted", refused=str(error))
                raise
            if road.desk.submissions and road.submission().tree == taken.tree:
                road.tell(f"handed in before, unchanged: {road.submission().commit[:12]}")
                return _handed_in_again(road)
            last = road.desk.events()[-1]
            handed = msgspec.structs.replace(_handed_in(outcome, saved, taken, found, last), instead=instead)
            write_slip(staging / "submission.json", handed)
            land(staging, road.folder / SUBMISSIONS / f"{len(road.desk.submissions) + 1:03}")
        facts: dict[str, Any] = {
            "saved": saved.commit,
            "not_saved": saved.problem,
            **({"instead": instead} if instead else {}),
        }
        road.desk.note("submitted", commit=taken.commit, tree=taken.tree, **facts)
    if instead:
        road.tell(instead)
    if saved.problem:
        counts = "what could be is" if saved.commit else "the last commit counts"
        road.tell(f"uncommitted work could not all be committed, so {counts}: {saved.problem}")
    road.tell(f"handed in: commit {taken.commit[:12]}, {taken.files} files")
    return handed


def _handed_in_again(road: Road) -> HandedIn:
    handed = road.submission()
    road.desk.note("submitted", commit=handed.commit, tree=handed.tree, again=True)
    return handed


def close(road: Road) -> HandedIn:
    """Hand in what counts once the budget's time is used up.

    Where the clock ran and was kept to its end, that is what the workspace holds, uncommitted work included. Else it is
    the last commit that the harness had seen by then, since nobody knows when the rest was written.

    Raises:
        SubmissionError: It is refused, with the reason.
    """
    found = road.desk.account()
    outcome = Outcome(note=found.ended or "closed", ended="deadline")
    if road.desk.attended():
        return hand_in(road, outcome)
    seen = found.marks[-1].commit if found.marks else road.attempt.start_commit
    road.tell(f"{outcome.note}, and nobody kept the clock then: the commit that was seen last counts, {seen[:12]}")
    return hand_in(road, outcome, commit=seen)


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
    with road.desk.held():
        if road.desk.account().state == "withdrawn":
            road.desk.open_account()  # says so: somebody else has just done it
        road.desk.note("withdrawn", reason=reason)
    return road.submission() if road.desk.submissions else None


def _is_last(road: Road, outcome: Outcome) -> bool:
    """Whether nobody is there who could mend what is refused."""
    return outcome.ended in _LAST or road.attempt.participant.kind == "agent"


def _take_in(road: Road, into: Path, commit: str | None, *, last: bool) -> tuple[Saved, Submission, str | None]:
    """What was handed in, and, where it could not be all of it, why and what it is."""
    saved = Saved(commit=None, log="")
    if commit is None:
        if road.attempt.participant.kind == "agent":
            take_sign(road.workspace)
        saved = commit_uncommitted(road.workspace, road.sandbox, quota=road.attempt.budget.disk)
        road.desk.witness()
    try:
        return saved, _taken(road, into, of=HEAD, commit=commit or HEAD), None
    except SubmissionError as error:
        uncommit(road.workspace, saved, sandbox=road.sandbox, quota=road.attempt.budget.disk)
        if not last:
            raise
        return saved, *_salvaged(road, into, error, saved=saved, commit=commit)


def _taken(road: Road, into: Path, *, of: str, commit: str = HEAD) -> Submission:
    """Take in a commit of the history that led to another one."""
    base = road.attempt.start_commit
    made = bundle(road.workspace, base, sandbox=road.sandbox, into=into, commit=of)
    return intake(made, base, start=_start(road), store=road.store.root, sandbox=road.sandbox, commit=commit)


def _salvaged(
    road: Road, into: Path, refused: SubmissionError, *, saved: Saved, commit: str | None
) -> tuple[Submission, str]:
    """What can be taken in where all that there is cannot.

    First the same without what is refused; then the participant's own commits, the latest first.

    Raises:
        SubmissionError: The first refusal: there is nothing else.
    """
    for of, words in _others(road, saved=saved, commit=commit):
        try:
            taken = _taken(road, into, of=of)
        except SubmissionError:
            (into / BUNDLE_FILE).unlink(missing_ok=True)
            continue
        return taken, f"not all of it could be taken in ({_reason(refused)}), so {words} counts"
    raise refused


def _others(road: Road, *, saved: Saved, commit: str | None) -> Iterator[tuple[str, str]]:
    """Commits that may be taken in in the place of one that was refused, with what they are in words."""
    seen = [saved.before, *(mark.commit for mark in reversed(road.desk.account().marks))]
    if commit is None:
        whole, parent = saved.commit or HEAD, saved.before or HEAD
        quota = road.attempt.budget.disk
        with contextlib.suppress(SubmissionError):
            less = salvage(road.workspace, whole, parent=parent, sandbox=road.sandbox, quota=quota)
            yield less.commit, f"the same without {less.left_out}"
    never = {saved.commit, commit, road.attempt.start_commit}
    for earlier in [name for name in dict.fromkeys(seen) if name is not None and name not in never][:_BACK]:
        yield earlier, f"the earlier commit {earlier[:12]}"


def _reason(refused: SubmissionError) -> str:
    return refused.message if refused.got is None else f"{refused.message}: {refused.got}"


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
        fault=outcome.fault,
        note=outcome.note,
        used={item: found.used(item) for item in ITEMS if item not in found.unmeasured},
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
    folder = road.records / HISTORY / commit
    if (folder / "submission.json").exists():  # taken in before
        return replace(road, of=folder)
    bundled = road.records / BUNDLE_FILE
    made = bundled if bundled.exists() else EmptySubmission(commit=handed.commit)
    base = road.attempt.start_commit
    taken = intake(made, base, start=_start(road), store=road.store.root, sandbox=road.sandbox, commit=commit)
    private_folder(folder)
    facts = {"commit": taken.commit, "tree": taken.tree, "files": taken.files, "bytes": taken.bytes}
    write_slip(folder / "submission.json", msgspec.structs.replace(handed, **facts, history=list(taken.history)))
    return replace(road, of=folder)


def ensure_submission(road: Road) -> HandedIn:
    """What was handed in; after an interruption, what the workspace holds is handed in now.

    Raises:
        UsageError: A person has not handed anything in, and has time left to.
    """
    if road.desk.submissions:
        with road.desk.held():
            road.desk.recover()
        return road.submission()
    if road.attempt.participant.adapter == "human":
        if road.desk.account().state == "over":
            return close(road)
        remedy = "they hand it in themselves, with `reproof submit`, or it is handed in when their time is used up"
        raise UsageError("nothing was handed in yet", where=road.attempt.id, remedy=remedy)
    ensure_work_counts(road)
    road.desk.stop_lost_clock()
    replaced = any(event.kind == "replaced" for event in road.desk.events())
    fault: Fault = "harness" if replaced else "none"
    return hand_in(road, Outcome(note="handed in after an interruption", ended="interrupted", fault=fault))

"""The first half of the road, out: from brief to workspace, and the work that somebody does there."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from harness.attempt import ledger
from harness.attempt.attempt import Attempt, Budget, Terms, Who, attempt_name, condition_of
from harness.attempt.desk import Desk
from harness.attempt.installed import find
from harness.attempt.participant import Assignment, Outcome, find_agents, open_agent
from harness.attempt.registry import remember
from harness.attempt.submission import (
    keep_tree,
)
from harness.attempt.task import start_files
from harness.attempt.workspace import create_workspace
from harness.cleanroom.quota import ensure_room
from harness.config import BudgetSettings, ParticipantSettings, Settings
from harness.errors import (
    HarnessFault,
    RecordError,
    SandboxError,
    UsageError,
    machine_fault,
    masked,
    unknown,
)
from harness.folders import workspace_above
from harness.paper.load import Paper, open_paper
from harness.readiness import access_of, endpoint_of, ensure_ready
from harness.record.files import Slip, Store, land, private_folder, sync_folder, write_slip
from harness.rerun.engine import Progress, silent
from harness.road import Road, Tell

if TYPE_CHECKING:
    from harness.proxy.host import Access

_WORKSPACE = "workspace"
"""The folder in an attempt's that a participant works in, where nobody named another."""
_LEAST_ROOM = 2**20
"""Bytes that a workspace's disk has left if it was never in an agent's way."""


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
        RecordError: Something lies where an attempt of that name belongs.
    """
    ensure_no_password(settings.tracking.uri)
    ensure_out_of_reach(settings.results)
    paper = open_paper(settings.paper, private_path=settings.private_path)
    budget = granted(paper, settings.budget)
    ensure_ready(settings, budget)
    store, now = Store(settings.results.resolve()), datetime.now(UTC)
    draw = partial(attempt_name, paper.id, settings.participant.name, now)
    outside = None if settings.workspace is None else settings.workspace.absolute()
    with store.staging() as staging, contextlib.ExitStack() as undo:  # nobody can go on with half an attempt
        laid = private_folder(staging / "attempt")
        start = create_workspace(paper, outside or laid / _WORKSPACE)
        if outside is not None:
            undo.callback(shutil.rmtree, outside, ignore_errors=True)
        for file, slip in (beside or {}).items():
            write_slip(laid / file, slip)
        attempt = _begun(settings, paper, budget, now=now, store=store, ledger_file=laid / ledger.FILE, start=start)
        folder = _born(laid, attempt, store, outside, iter(draw, None) if name is None else [name])
        undo.pop_all()
    desk = Desk(folder=folder)
    tell(f"handed out: {paper.spec.title} at {start[:12]} in {desk.workspace}")
    return Road(paper=paper, store=store, desk=desk, tell=tell, progress=progress)


def _born(laid: Path, attempt: Attempt, store: Store, outside: Path | None, names: Iterable[str]) -> Path:
    """Give what was laid out a name and its place, by one rename; of two who draw the same name, one draws another.

    Raises:
        RecordError: The name was settled before, and something has it.
    """
    for name in names:
        folder = store.attempt(name)
        workspace = str(outside or folder / _WORKSPACE)
        write_slip(laid / "attempt.json", msgspec.structs.replace(attempt, id=name, workspace=workspace))
        if land(laid, folder):
            sync_folder(folder.parent)
            return folder
    raise RecordError("an attempt cannot be laid out where something lies", where=folder, remedy="move it away")


def _begun(
    settings: Settings,
    paper: Paper,
    budget: Budget,
    *,
    now: datetime,
    store: Store,
    ledger_file: Path,
    start: str,
) -> Attempt:
    """The record of an attempt without name and place as yet, once its ledger begins and the start's tree is kept."""
    who = Who(**settings.participant.model_dump(exclude={"options", "repeats"}))
    condition = settings.condition or condition_of(who.kind)
    said = {"name": who.name, "kind": who.kind, "condition": condition, "start_commit": start}
    return Attempt(
        id="",
        paper=paper.id,
        paper_folder=str(paper.folder),
        paper_version=paper.version,
        participant=who,
        condition=condition,
        terms=Terms(licence=settings.terms.licence, consent=settings.terms.consent),
        workspace="",
        start_commit=start,
        start_tree=keep_tree(start_files(paper), store.root),
        anchor=ledger.append(ledger_file, "started", said).digest,
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
            if desk.workspace.is_dir():
                remember(desk.workspace, desk.folder)  # a start that was killed has not
            else:
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

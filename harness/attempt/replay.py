"""A recorded history, lived through again: the commits of another attempt, and its clock, in a moment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from harness.attempt import clock
from harness.attempt.clock import Moment, awake_between, wall_between
from harness.attempt.confined import BUNDLE_FILE, REPLAY, refusal, run_git
from harness.attempt.desk import Desk
from harness.attempt.ledger import Event
from harness.attempt.submission import DEFAULT_LIMITS
from harness.cleanroom.sandbox import Mount, Sandbox
from harness.errors import UsageError

_KINDS = ("resumed", "paused", "noted", "executed", "committed", "handed over")
"""What a participant's own work leaves in a ledger."""


def replay(source: Desk, desk: Desk, sandbox: Sandbox) -> int:
    """Go through another attempt's commits and events again, on a clock that runs as theirs did.

    Args:
        source: An attempt at the same start commit, with a submission.
        desk: The attempt that is to have the same history.
        sandbox: Where Git meets both.

    Returns:
        How many commits were replayed.

    Raises:
        UsageError: There is nothing to replay, or it began elsewhere.
        SubmissionError: The commits cannot be brought into the workspace.
    """
    bundle = _bundle(source, desk)
    events = [event for event in source.events() if event.kind in (*_KINDS, "started")]
    commits = [str(event.data["commit"]) for event in events if event.kind == "committed"]
    if bundle is not None:
        _bring(desk, bundle, commits, sandbox)
    for event, at in _again(events, boot=f"replay-{source.attempt.id}"[:64]):
        if event.kind != "started":
            desk.note(event.kind, at=at, **event.data)
    return len(commits)


def _bundle(source: Desk, desk: Desk) -> Path | None:
    """The bundle of the latest submission; None where the start commit itself was handed in."""
    if source.attempt.start_commit != desk.attempt.start_commit:
        raise UsageError(
            "this history began at another start commit",
            where=source.folder,
            expected=desk.attempt.start_commit,
            got=source.attempt.start_commit,
            remedy="replay it with the version of the paper that it was made for",
        )
    if not source.submissions:
        raise UsageError("this attempt has handed nothing in, so there is no history to replay", where=source.folder)
    bundle = source.submissions[-1] / BUNDLE_FILE
    return bundle if bundle.exists() else None


def _bring(desk: Desk, bundle: Path, commits: list[str], sandbox: Sandbox) -> None:
    work = DEFAULT_LIMITS.work
    mounts = (
        Mount(source=desk.workspace, target="/work", writable=True, quota=desk.attempt.budget.disk),
        Mount(source=bundle.resolve(), target=f"/in/{BUNDLE_FILE}"),
    )
    with tempfile.TemporaryDirectory(prefix="reproof-replay-") as scratch:
        words = ("/work", f"/in/{BUNDLE_FILE}", *commits)
        done = run_git(sandbox, REPLAY, *words, mounts=mounts, files=(), into=Path(scratch), limits=work)
    if done.exit != 0:
        raise refusal(done, "the history cannot be replayed", where=bundle, limits=work)


def _again(events: list[Event], *, boot: str) -> Iterator[tuple[Event, Moment]]:
    """Each event with the moment it has on one clock that never restarts; the time of day is today's."""
    time = clock.now().time
    awake = up = 0.0
    yield events[0], Moment(time=time, boot=boot, awake=awake, up=up)
    for earlier, later in pairwise(events):
        awake += awake_between(earlier.moment, later.moment)
        up += wall_between(earlier.moment, later.moment)
        yield later, Moment(time=time, boot=boot, awake=awake, up=up)

"""A recorded history, lived through again: the commits of another attempt, and its clock, in a moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness.attempt import clock
from harness.attempt.budget import INTERRUPTED, LAST_SIGN, latest, signs_of
from harness.attempt.clock import Moment, awake_between, wall_between
from harness.attempt.confined import BUNDLE_FILE, REPLAY, WORK, refusal, run_git
from harness.attempt.desk import Desk
from harness.attempt.ledger import Event, Kind
from harness.attempt.submission import DEFAULT_LIMITS
from harness.cleanroom.sandbox import Mount, Sandbox
from harness.errors import UsageError
from harness.scratch import scratch

_KINDS = ("started", "resumed", "paused", "noted", "executed", "committed", "submitted", "handed over")
"""What a participant's own work leaves in a ledger."""
_Again = tuple[Kind, dict[str, Any], Moment]


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
    events = [event for event in source.events() if event.kind in _KINDS]
    commits = [str(event.data["commit"]) for event in events if event.kind == "committed"]
    if bundle is not None:
        _bring(desk, bundle, commits, sandbox)
    for kind, data, at in _again(events, boot=f"replay-{source.attempt.id}"[:64]):
        desk.note(kind, at=at, **data)
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
        Mount(source=desk.workspace, target=WORK, writable=True, quota=desk.attempt.budget.disk),
        Mount(source=bundle.resolve(), target=f"/in/{BUNDLE_FILE}"),
    )
    with scratch("replay") as folder:
        words = (WORK, f"/in/{BUNDLE_FILE}", *commits)
        done = run_git(sandbox, REPLAY, *words, mounts=mounts, files=(), into=folder, limits=work)
    if done.exit != 0:
        raise refusal(done, "the history cannot be replayed", where=bundle, limits=work)


def _again(events: list[Event], *, boot: str) -> Iterator[_Again]:
    """Each event on one clock that never restarts, with the moments it has there; the time of day is today's.

    What stopped the clock at the source stops it here: a submission, and the machine's going down.
    """
    signs, running = signs_of(events), False
    now = Moment(time=clock.now().time, boot=boot, awake=0.0, up=0.0)
    for earlier, later in pairwise(events):
        restarted = earlier.boot != later.boot
        last = latest(earlier.moment, signs) if restarted else later.moment
        now = _later(now, earlier.moment, last)
        if restarted and running:
            yield "paused", {"reason": INTERRUPTED}, now
            running = False
        now = _later(now, last, later.moment)
        running = later.kind == "resumed" or (running and later.kind not in _STOPS)
        yield _kind(later), {key: value for key, value in later.data.items() if key != LAST_SIGN}, now


_STOPS = ("paused", "submitted", "handed over")


def _later(now: Moment, earlier: Moment, later: Moment) -> Moment:
    return replace(now, awake=now.awake + awake_between(earlier, later), up=now.up + wall_between(earlier, later))


def _kind(event: Event) -> Kind:
    """Nothing is handed in by a replay itself: what did so only stops the clock."""
    return "paused" if event.kind == "submitted" else event.kind

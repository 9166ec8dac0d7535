"""Attempts whose participant works in another harness: begun, let into a room, handed in and scored here."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.attempt.living import fault_of
from harness.attempt.participant import Outcome
from harness.attempt.task import start_commit_of
from harness.cleanroom.sandbox import Completed, Mount
from harness.config import Settings, compose, quoted
from harness.errors import HarnessFault, SubmissionError, UsageError
from harness.exchange.room import INSIDE, Room
from harness.handing_in import hand_in
from harness.handing_out import hand_out
from harness.paper.load import Paper, open_paper
from harness.record.files import Slip, Store, private_folder, read_slip
from harness.rerun.engine import Progress, silent
from harness.road import Road, Tell
from harness.scoring.score import Score

ORIGIN = "origin.json"
"""In the attempt's folder: where its participant worked."""
HOME = "/reproof/home"
"""What a guest's programs find as their home."""
_GUEST = "guest"
_OURS = {("harbor", "oracle"), ("harbor", "nop")}
"""Guests that try the task out and are nobody's agent: no leaderboard ranks them."""
_LONGEST = 200


class Origin(Slip, frozen=True):
    """Where an attempt was worked on, as the other harness tells it."""

    harness: str
    """harbor or inspect."""
    job: str
    trial: str
    """Its name for the attempt, unlike any other of that harness."""
    agent: str
    model: str | None = None
    start_commit: str | None = None
    """Where the task that it ran begins; None: it does not say."""


@dataclass(kw_only=True)
class Guest:
    """One attempt with its room."""

    road: Road
    room: Room
    folders: tuple[str, ...] = ()
    """Folders of its own in the room, kept beside the attempt."""
    verdict: dict[str, Any] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def guest_settings(origin: Origin, paper: str, overrides: Iterable[str]) -> Settings:
    """The settings of an attempt by a guest; `overrides` are Hydra's and win.

    Raises:
        ConfigError: An override does not fit.
    """
    name = f"{origin.agent} {origin.model}" if origin.model else origin.agent
    own = [f"paper={quoted(paper)}", f"participant={_GUEST}", f"participant.name={quoted(plain(name))}"]
    if (origin.harness, origin.agent) in _OURS:
        own.append("condition=harness")
    return compose([*own, *overrides])[0]


def plain(text: str) -> str:
    r"""A text of another harness as one short printable line.

    >>> plain("claude\x1b[2J\n code")
    'claude [2J  code'
    """
    return "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST]).strip() or "anonymous"


def begin(settings: Settings, origin: Origin, *, tell: Tell, progress: Progress = silent) -> Road:
    """Hand out the task of a paper to a guest.

    Raises:
        UsageError: The task that they were given is of another version of the paper.
    """
    ensure_same_start(open_paper(settings.paper, private_path=settings.private_path), origin)
    return hand_out(settings, tell=tell, progress=progress, beside={ORIGIN: origin})


def ensure_same_start(paper: Paper, origin: Origin) -> None:
    """See that a guest begins where everybody does.

    Raises:
        UsageError: Their task is of another version of the paper.
    """
    own = start_commit_of(paper)
    if origin.start_commit not in (None, own):
        remedy = f"write the task again: reproof export harbor {paper.id} DIR"
        raise UsageError(
            "this task is of another version of the paper",
            where=paper.folder,
            expected=own,
            got=origin.start_commit,
            remedy=remedy,
        )


def known_origins(store: Store, harness: str) -> dict[str, str]:
    """The attempts here that guests of a harness have made, by that harness's name for them."""
    found = {}
    for name in store.attempts():
        path = store.attempt(name) / ORIGIN
        if path.exists():
            origin = read_slip(path, Origin)
            if origin.harness == harness:
                found[origin.trial] = name
    return found


def open_room(road: Road, folders: Sequence[str] = ()) -> Guest:
    """Start the clock and let the guest in.

    Args:
        road: Their attempt.
        folders: Absolute paths in the room, beside the workspace and /tmp, that they may write to.
    """
    mounts, bench = [INSIDE, *_mounts(road, [HOME, *folders])], road.bench
    road.desk.note("resumed")

    def start(words: Sequence[str], descriptor: int, cancel: threading.Event) -> Completed:
        environment = {"HOME": HOME}
        return bench.run(words, mounts=mounts, environment=environment, descriptors=(descriptor,), cancel=cancel)

    return Guest(road=road, room=Room(start), folders=tuple(folders))


def _mounts(road: Road, folders: Iterable[str]) -> list[Mount]:
    kept = private_folder(road.folder / _GUEST)
    made = [(private_folder(kept / folder.strip("/").replace("/", "-")), folder) for folder in folders]
    return [Mount(source=source, target=folder, writable=True) for source, folder in made]


def kept_folder(guest: Guest, path: str) -> Path | None:
    """Where a folder of the room is kept once it is closed; None where that is not kept."""
    for folder in guest.folders:
        if path == folder or path.startswith(f"{folder}/"):
            return guest.road.folder / _GUEST / folder.strip("/").replace("/", "-")
    return None


def leave(guest: Guest, reason: str) -> None:
    """End everything in the room and stop the clock."""
    guest.room.close()
    guest.road.desk.witness()
    guest.road.desk.note("paused", reason=reason)


def judge(guest: Guest, finish: Callable[[Road], Score], *, tokens: int | None = None) -> dict[str, Any]:
    """Close the room, hand in what the workspace holds, rerun and score it; asked again, say the same.

    Args:
        guest: Who has worked.
        finish: From a submission to its score.
        tokens: What the other harness says that its model used: self-declared.

    Raises:
        HarnessFault: Faults of this machine ended runs: that is nobody's zero.
    """
    with guest.lock:
        if guest.verdict is None:
            leave(guest, "done")
            if tokens:
                with contextlib.suppress(UsageError):  # the time is used up: then that stands
                    guest.road.desk.declare("as the other harness reports", {"tokens": tokens}, all_of_it=True)
            guest.verdict = verdict_on(guest.road, finish, _outcome(guest.room))
        return guest.verdict


def _outcome(room: Room) -> Outcome:
    done = room.ended.result() if room.ended.done() and not room.ended.exception() else None
    if done is None or done.killed_by in (None, "cancel"):
        return Outcome(note="worked in another harness")
    note = f"worked in another harness, and was ended by the {done.killed_by} limit"
    return Outcome(note=note, ended=done.killed_by, fault=fault_of(done.killed_by))


def verdict_on(road: Road, finish: Callable[[Road], Score], outcome: Outcome) -> dict[str, Any]:
    """Hand in what the workspace holds, rerun and score it.

    Raises:
        HarnessFault: Faults of this machine ended runs.
    """
    try:
        hand_in(road, outcome)
    except SubmissionError as error:
        return {"attempt": road.attempt.id, "verdict": "FAIL", "value": 0.0, "claims": {}, "reasons": [str(error)]}
    result = finish(road)
    if result.score.coverage < 1:
        again = f"reproof rerun {road.attempt.id} --results {road.store.root}"
        raise HarnessFault("faults of this machine ended runs, so this is no score yet", remedy=again)
    return told(result)


def told(result: Score) -> dict[str, Any]:
    """A score as other harnesses take it."""
    return {
        "attempt": result.attempt,
        "commit": result.commit,
        "verdict": result.verdict,
        "value": result.score.value,
        "low": result.score.low,
        "high": result.score.high,
        "claims": {claim.id: claim.score for claim in result.claims},
        "explanations": {claim.id: claim.explanation for claim in result.claims},
        "reasons": result.reasons,
    }

"""The ledger: what happened in an attempt, one hash-chained JSON line an event, never erased.

Every line carries the SHA-256 of the line before it, so whoever has noted the last one's can tell any change.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from harness.attempt import clock
from harness.attempt.clock import Moment
from harness.errors import RecordError
from harness.record.files import Slip, locked_file, private_file, sync_folder

FILE = "ledger.jsonl"
"""In the attempt's folder."""
Kind = Literal[
    "started",
    "paused",
    "resumed",
    "noted",
    "executed",
    "asked",
    "waited",
    "committed",
    "submitted",
    "withdrawn",
    "replaced",
    "handed over",
    "rerun",
    "scored",
    "disputed",
    "answered",
    "rescored",
]
KINDS: tuple[str, ...] = get_args(Kind)
NOTHING = "0" * 64
"""Stands for the line before the first one."""
_BLOCK = 65_536


_Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Event(Slip, frozen=True):
    """One line of the ledger."""

    number: Annotated[int, msgspec.Meta(ge=0)]
    """Its place in the ledger, from 0."""
    time: str
    """ISO 8601, in UTC."""
    boot: Annotated[str, msgspec.Meta(max_length=64)]
    """Which start of the machine the next two count from."""
    awake: _Seconds
    """Seconds since then that it was awake."""
    up: _Seconds
    """Seconds since then."""
    kind: Kind
    data: dict[str, Any]
    """What belongs to the kind: a reason, a commit, a usage."""
    previous: _Hash
    """SHA-256 of the line before, without its end."""

    def __post_init__(self) -> None:
        """Refuse a time that is none, or of another zone."""
        if datetime.fromisoformat(self.time).utcoffset() != timedelta(0):
            raise ValueError("expected a time in UTC, as in 2026-01-31T12:00:00Z")

    @property
    def moment(self) -> Moment:
        """When it happened."""
        return Moment(time=self.time, boot=self.boot, awake=self.awake, up=self.up)

    @property
    def line(self) -> bytes:
        """The event as it stands in the file, without the line's end."""
        return msgspec.json.encode(self)

    @property
    def digest(self) -> str:
        """SHA-256 of the line: the next one carries it, and noted elsewhere it anchors the ledger."""
        return _digest(self.line)


def append(path: Path, kind: Kind, data: Mapping[str, Any], *, at: Moment | None = None) -> Event:
    """Add an event, and return once it is on the disk; several processes may do so at once.

    Args:
        path: The ledger; it is made where it is missing, in a folder that exists.
        kind: What happened.
        data: JSON values that belong to it.
        at: When it happened, if not now.

    Raises:
        RecordError: The last line is damaged, or the event cannot be written as JSON.
    """
    with locked_file(path, os.O_APPEND) as descriptor:
        size = _set_torn_aside(descriptor, path)
        last = _last(descriptor, size, path)
        event = _event(path, kind, dict(data), at=at or clock.now(), after=last)
        try:
            _write(descriptor, event.line + b"\n")
        except OSError:  # a full disk takes half a line
            os.ftruncate(descriptor, size)
            raise
        if last is None:
            sync_folder(path.parent)
    return event


def read(path: Path) -> tuple[Event, ...]:
    """All events, the chain verified from the first line to the last.

    A last line without its end was torn by a crash before `append` returned; it is set aside in a file beside
    the ledger, or only left out where nothing can be written.

    Raises:
        RecordError: A line is damaged, missing or out of place.
    """
    if not path.exists():
        raise RecordError(
            "there is no ledger here", where=path, remedy="an attempt begins with `reproof start` or `reproof attempt`"
        )
    with locked_file(path, os.O_APPEND, reading=True) as descriptor:
        try:
            size = _set_torn_aside(descriptor, path)
        except OSError:
            size = _line_end(descriptor, os.fstat(descriptor).st_size)
        lines = _pread(descriptor, size, 0).split(b"\n")[:-1]
    events: list[Event] = []
    previous = NOTHING
    for number, line in enumerate(lines):
        event = _parsed(line, path, number + 1)
        if (event.number, event.previous) != (number, previous):
            raise _damaged(path, number + 1, "the chain is broken: a line before it was changed, removed or added")
        events.append(event)
        previous = _digest(line)
    return tuple(events)


def anchored(path: Path, events: Iterable[Event], anchors: Mapping[int, str]) -> None:
    """Hold a ledger against digests that were noted elsewhere, by the event's number.

    Raises:
        RecordError: A line is not the one that was noted, or is gone.
    """
    found = {event.number: event for event in events}
    for number, digest in anchors.items():
        if number not in found or found[number].digest != digest:
            raise _damaged(path, number + 1, "its digest is not the one that was noted when it was written")


def _event(path: Path, kind: Kind, data: dict[str, Any], *, at: Moment, after: Event | None) -> Event:
    try:
        event = Event(
            number=after.number + 1 if after else 0,
            time=at.time,
            boot=at.boot,
            awake=at.awake,
            up=at.up,
            kind=kind,
            data=data,
            previous=after.digest if after else NOTHING,
        )
        # What does not come back the same (NaN, for one) would break the chain for everybody later.
        if msgspec.json.decode(event.line, type=Event) != event:
            raise ValueError("not every value of it is JSON")
    except (ValueError, TypeError) as error:
        raise RecordError(
            "this event cannot be written",
            where=path,
            got=error,
            remedy="give JSON values, and the time in UTC",
        ) from None
    return event


def _set_torn_aside(descriptor: int, path: Path) -> int:
    """Move a last line without an end into a file of its own; return the bytes of whole lines."""
    size = os.fstat(descriptor).st_size
    whole = _line_end(descriptor, size)
    if whole < size:
        torn = _pread(descriptor, size - whole, whole)
        aside = path.with_name(f"{path.name}.torn-{_digest(torn)[:12]}")
        aside_descriptor = private_file(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            _write(aside_descriptor, torn)
        finally:
            os.close(aside_descriptor)
        os.ftruncate(descriptor, whole)
        os.fsync(descriptor)
    return whole


def _line_end(descriptor: int, before: int) -> int:
    """The place after the last line end among the first bytes; 0 if there is none."""
    while before > 0:
        start = max(0, before - _BLOCK)
        found = _pread(descriptor, before - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        before = start
    return 0


def _last(descriptor: int, size: int, path: Path) -> Event | None:
    if size == 0:
        return None
    start = _line_end(descriptor, size - 1)
    line = _pread(descriptor, size - 1 - start, start)
    event = _parsed(line, path, None)
    if event.line != line:
        raise _damaged(path, None, "it is not written as the harness writes it")
    return event


def _parsed(line: bytes, path: Path, number: int | None) -> Event:
    try:
        return msgspec.json.decode(line, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path, number, str(error)) from None


def _damaged(path: Path, number: int | None, reason: str) -> RecordError:
    return RecordError(
        f"line {number} of the ledger is damaged" if number else "the ledger's last line is damaged",
        where=f"{path}:{number}" if number else path,
        got=reason,
        remedy="restore the ledger from a copy; nothing of it may be edited",
    )


def _pread(descriptor: int, size: int, start: int) -> bytes:
    return os.pread(descriptor, size, start)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()

"""A plan's journal: what happened to its items, one JSON line an event, on disk before anything follows from it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from harness.attempt.attempt import Fault
from harness.errors import RecordError
from harness.record.files import Slip, named

Kind = Literal["taken up", "begun", "continued", "ended", "again", "stalled", "cancelling", "cancelled", "done"]
_LINE = 240
_LONGEST = 2000
"""Characters of what is said of an event."""


class Event(Slip, frozen=True):
    """One line of the journal."""

    at: datetime
    kind: Kind
    item: Annotated[int, msgspec.Meta(ge=1)] | None = None
    attempt: str | None = None
    """Which attempt at the item: `begun` stands before the first file of it is written."""
    fault: Fault = "none"
    verdict: str | None = None
    """None: it was not scored."""
    score: float | None = None
    said: str = ""
    """Why it stalled, or how the attempt ended."""

    @property
    def brief(self) -> str:
        """The first line of that, cut where it is long."""
        line = self.said.partition("\n")[0]
        return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"


def note(path: Path, kind: Kind, **facts: Any) -> Event:
    """Add an event, and return once it is on the disk; several processes may do so at once."""
    facts["said"] = str(facts.get("said", ""))[:_LONGEST]
    event = Event(at=datetime.now(UTC), kind=kind, **facts)
    with _locked(path) as descriptor:
        os.ftruncate(descriptor, _whole(descriptor))
        line = msgspec.json.encode(event) + b"\n"
        while line:
            line = line[os.write(descriptor, line) :]
        os.fsync(descriptor)
    return event


def read(path: Path) -> tuple[Event, ...]:
    """All events; a last line without its end was torn by a crash before anything followed from it, and is no event.

    Raises:
        RecordError: A line is damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return ()
    return tuple(_parsed(line, f"{path}:{number}") for number, line in enumerate(lines, start=1))


def _parsed(line: bytes, where: str) -> Event:
    try:
        return msgspec.json.decode(line, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        remedy = "restore the journal from a copy; the attempts themselves are whole"
        raise RecordError("this line of the journal is damaged", where=where, got=error, remedy=remedy) from None


def _whole(descriptor: int) -> int:
    """Bytes up to the end of the last whole line."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).rfind(b"\n") + 1


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with named(path):
            yield descriptor
    finally:
        os.close(descriptor)

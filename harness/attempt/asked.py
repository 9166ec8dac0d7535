"""What an agent's model has cost so far: told by the proxy in a file, and brought into the ledger now and then.

The file is cumulative, and the ledger's `asked` and `waited` events are what it has grown by; so whoever comes after a
harness that was killed knows what is not in the ledger yet.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from harness.attempt.ledger import Event
from harness.record.files import NO_JSON, private_file

if TYPE_CHECKING:
    from harness.attempt.budget import Account
    from harness.attempt.desk import Desk
    from harness.proxy.host import Proxy

SPENT, LOCK = "spent.json", "asking.lock"
"""In the attempt's folder: what the proxy has counted; a file that is locked while it counts."""
_COUNTED = ("requests", "input", "cached", "written", "output", "reasoning")
_EVERY = 10.0
"""Seconds between two events while an agent works."""


class _Tokens(msgspec.Struct, frozen=True):
    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    reasoning: int = 0


class _Spent(msgspec.Struct, frozen=True):
    requests: int = 0
    tokens: _Tokens = _Tokens()
    dollars: float | None = None
    waited: float = 0.0


def toll(folder: Path, events: Iterable[Event]) -> dict[str, Any]:
    """What the proxy has counted beyond the ledger, as an `asked` event would tell it, with `waited` in seconds beside.

    Args:
        folder: The attempt's.
        events: Its ledger's.
    """
    try:
        spent = msgspec.json.decode((folder / SPENT).read_bytes(), type=_Spent)
    except (OSError, *NO_JSON):
        return {}
    counts = {"requests": spent.requests, **msgspec.structs.asdict(spent.tokens)}
    known, dollars, waited = dict.fromkeys(_COUNTED, 0), 0.0, 0.0
    for event in events:
        if event.kind == "asked":
            known = {name: known[name] + int(event.data.get(name, 0)) for name in _COUNTED}
            dollars += event.data.get("dollars") or 0.0
        elif event.kind == "waited":
            waited += float(event.data.get("seconds", 0.0))
    found: dict[str, Any] = {name: max(0, counts[name] - known[name]) for name in _COUNTED}
    found["tokens"] = found["input"] + found["output"]
    if spent.dollars is not None:
        found["dollars"] = max(0.0, round(spent.dollars - dollars, 9))
    found["waited"] = max(0.0, round(spent.waited - waited, 3))
    return found if any(found.values()) else {}


class Asking:
    """Brings what the proxy counts into the ledger, while an agent works and once it has ended."""

    def __init__(self, desk: Desk) -> None:
        """Keep the desk; the proxy comes later."""
        self._desk = desk
        self._proxy: Proxy | None = None
        self._next = 0.0

    def __enter__(self) -> Self:
        """Count what an earlier proxy has left."""
        settle(self._desk)
        self._lock = private_file(self._desk.folder / LOCK, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count the rest; the proxy has ended by now."""
        _count(self._desk)
        os.close(self._lock)

    def hear(self, proxy: Proxy) -> None:
        """Take the proxy that counts."""
        self._proxy = proxy

    def note(self) -> None:
        """Count what has come since the last time, if that was a while ago."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            _count(self._desk)

    @property
    def final(self) -> str | None:
        """Why the model answers no more; None while it does."""
        return self._proxy.spent().final if self._proxy else None

    @property
    def ended(self) -> str:
        """What that is, in a word: the item of the budget that is used up, `model`, or `failed`.

        A proxy that refuses by itself, since its journal is full for instance, was brought there by the agent.
        """
        fault = self._proxy.spent().fault if self._proxy else "none"
        return scarcest(self._desk.account()) if fault == "budget" else "model" if fault == "model" else "failed"


def scarcest(found: Account) -> str:
    """Of tokens and dollars, what the budget has least of."""
    shares = {item: (found.left(item) or 0.0) / limit for item in ("tokens", "dollars") if (limit := found.limit(item))}
    return min(shares, key=lambda item: shares[item], default="tokens")


def settle(desk: Desk) -> None:
    """Count what a harness that was killed could not, unless a living one does."""
    if not (desk.folder / LOCK).exists():
        return
    lock = os.open(desk.folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _count(desk)
    except BlockingIOError:
        return
    finally:
        os.close(lock)


def _count(desk: Desk) -> None:
    found = toll(desk.folder, desk.events())
    if not found:
        return
    waited = found.pop("waited")
    if any(found.values()):
        desk.note("asked", **found)
    if waited:
        desk.note("waited", seconds=waited)

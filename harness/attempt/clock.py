"""Moments on clocks that nobody can set: what lies between two of them, whatever the time of day says."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point in time, on three clocks at once."""

    time: str
    """ISO 8601, in UTC: for people; it can be set."""
    boot: str
    """Which start of the machine `awake` and `up` count from."""
    awake: float
    """Seconds since then without those it was suspended (CLOCK_MONOTONIC)."""
    up: float
    """Seconds since then (CLOCK_BOOTTIME)."""

    @property
    def stated(self) -> datetime:
        """The time of day, as the machine gave it."""
        return datetime.fromisoformat(self.time)


def now() -> Moment:
    """This moment."""
    return Moment(
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        boot=_boot(),
        awake=round(time.clock_gettime(time.CLOCK_MONOTONIC), 3),
        up=round(time.clock_gettime(time.CLOCK_BOOTTIME), 3),
    )


@lru_cache(maxsize=1)
def _boot() -> str:
    return _BOOT.read_text().strip()


def awake_between(earlier: Moment, later: Moment) -> float:
    """Seconds the machine was awake; 0 between two of its starts, when nobody can know.

    >>> monday = Moment(time="2026-01-05T09:00:00+00:00", boot="a", awake=100.0, up=100.0)
    >>> lid_closed = Moment(time="2026-01-05T08:00:00+00:00", boot="a", awake=160.0, up=3700.0)
    >>> awake_between(monday, lid_closed), wall_between(monday, lid_closed)
    (60.0, 3600.0)
    """
    return max(0.0, later.awake - earlier.awake) if earlier.boot == later.boot else 0.0


def wall_between(earlier: Moment, later: Moment) -> float:
    """Seconds that passed; across a restart the time of day is all there is, and it never runs backwards."""
    if earlier.boot == later.boot:
        return max(0.0, later.up - earlier.up)
    return max(0.0, (later.stated - earlier.stated).total_seconds())

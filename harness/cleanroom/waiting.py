"""How long a job has waited for a core that others kept busy, as the kernel counts it for every thread."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

_OFTEN = 1.0
"""Seconds between two looks."""
_MOST = 256
"""Threads that one look goes through."""


class Waiting:
    """Adds up, look by look, the time of the thread that has waited longest since the look before.

    Only what is ready to run is counted as waiting, so nobody gains by sleeping, nor by stepping back behind others:
    by choosing few processors or the idle policy. A job whose threads wait for each other burns CPU time meanwhile,
    which has a limit of its own. What lived between two looks only is missed.
    """

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        """Count nothing yet.

        Args:
            pids: The job's processes that are alive now, in the harness's numbers.
        """
        self._pids = pids
        self._known: dict[str, float] = {}
        self._seconds, self._last = 0.0, 0.0

    @property
    def known(self) -> bool:
        """Whether the kernel counts it at all (proc(5), schedstat)."""
        return Path("/proc/self/schedstat").exists()

    def seconds(self, wall: float, *, fresh: bool = False) -> float:
        """What it has waited so far.

        Args:
            wall: Seconds since the job began.
            fresh: Whether to look now, however short ago the last look was.
        """
        if fresh or wall - self._last >= _OFTEN:
            now = _delays(self._pids())
            longest = max((delay - self._known.get(thread, 0.0) for thread, delay in now.items()), default=0.0)
            self._seconds += min(max(longest, 0.0), wall - self._last)
            self._known, self._last = now, wall
        return self._seconds


def _delays(pids: list[int]) -> dict[str, float]:
    """Seconds that each living thread has waited since it began; none where the kernel does not tell."""
    found: dict[str, float] = {}
    for pid in pids[:_MOST]:
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
            for task in Path(f"/proc/{pid}/task").iterdir():
                if len(found) >= _MOST:
                    return found
                found[task.name] = 0.0 if _stepped_back(int(task.name)) else _delay(task)
    return found


def _stepped_back(thread: int) -> bool:
    return os.sched_getscheduler(thread) == os.SCHED_IDLE or os.sched_getaffinity(thread) < os.sched_getaffinity(0)


def _delay(task: Path) -> float:
    return int((task / "schedstat").read_text().split()[1]) / 1e9

"""What a job uses, read from outside of it: the interface, and the estimate for machines without a cgroup."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.errors import HarnessFault

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DEATH = 15.0
"""Seconds a killed tree may take to be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One look at a running job."""

    cpu: float
    """CPU seconds so far."""
    memory: int
    """Peak bytes so far."""
    processes: int | None = None
    """Most processes and threads alive at once so far, where known."""
    out_of_memory: bool = False
    """Something was killed because the job's own memory limit was reached."""
    starved: bool = False
    """Something was killed for memory although the job's own limit was not reached: the machine's doing."""
    forks_refused: int = 0
    """How often the limit on processes refused a new one."""


class Meter(Protocol):
    """Counts one job's usage, and can end it whole."""

    exact: bool
    enforces: bool
    """True: the kernel keeps the limits on memory and processes; False: the watcher must."""
    doors: tuple[str, ...]
    """Files into which the job writes 0, before it becomes the command, to be counted."""

    def adopt(self, pid: int) -> None:
        """Count the tree below this process."""
        ...

    def read(self) -> Reading:
        """The usage so far."""
        ...

    def pids(self) -> list[int]:
        """The processes alive now, in the harness's numbers."""
        ...

    def kill(self) -> None:
        """Kill everything and wait until nothing is left.

        Raises:
            HarnessFault: something refuses to die.
        """
        ...

    def close(self) -> None:
        """Give back what the kernel keeps for this job; kills what is left."""
        ...


class ProcMeter:
    """An estimate from /proc: descendants; what carries a mark in its environment is killed with them.

    A mark is copied and dropped as easily as any variable, so nothing is charged for it: a job's first process, or
    its namespace, must see to it that orphans stay in its tree.

    Short-lived processes that nobody waits for are missed, pages shared between processes are left out, and
    what tmpfs holds is not counted: good enough to stop a runaway, never exact.
    """

    exact = False
    enforces = False
    doors: tuple[str, ...] = ()

    def __init__(self, *, enough: int, mark: str | None = None) -> None:
        """Count nothing yet.

        Args:
            enough: processes beyond which a look stops looking, since a bomb grows faster than it can be listed.
            mark: a NAME=VALUE in the environment of this job's processes, to find those that were born just before its
                first process died.
        """
        self._enough = enough
        self._mark = None if mark is None else mark.encode()
        self._known: dict[int, int | None] = {}
        self._cpu = 0.0
        self._memory = 0
        self._processes = 0

    def adopt(self, pid: int) -> None:
        """Count the tree below this process."""
        self._known[pid] = started(pid)
        # behind everything else, so that a bomb of busy processes cannot keep the watcher from its turn
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, pid, 19)

    def read(self) -> Reading:
        """Sum up the living, and what they inherited from children they waited for."""
        cpu, memory, threads = 0.0, 0, 0
        for pid in self.pids():
            usage = _usage_of(pid)
            if usage is not None:
                cpu, memory, threads = cpu + usage[0], memory + usage[1], threads + usage[2]
        self._cpu = max(self._cpu, cpu)
        self._memory = max(self._memory, memory)
        self._processes = max(self._processes, threads)
        return Reading(cpu=self._cpu, memory=self._memory, processes=self._processes)

    def pids(self) -> list[int]:
        """Whoever was seen before, and all their descendants."""
        return self._look(self._seen(), most=self._enough)

    def _seen(self) -> list[int]:
        # those seen before: a tree whose root is gone cannot be found from the root any more
        return [pid for pid, start in self._known.items() if start is not None and started(pid) == start]

    def _look(self, todo: list[int], *, most: float) -> list[int]:
        """These and all their descendants, as far as they live; they are known from now on."""
        found: dict[int, int | None] = {}
        while todo and len(found) <= most:
            pid = todo.pop(0)  # the oldest first: a PID namespace is gone when its first process is
            if pid not in found:
                found[pid] = started(pid)
                todo += _children_of(pid)
        self._known = found
        return [pid for pid in found if not is_zombie(pid)]

    def kill(self) -> None:
        """Stop, then kill, until a look finds nobody."""
        if self._mark is not None:
            self._hold()
        # those already known at once: with the first process of a PID namespace everyone in it dies
        for pid, start in self._known.items():
            if start is not None and started(pid) == start:
                _send(pid, signal.SIGKILL)
        end = time.monotonic() + _DEATH
        while alive := self._look([*self._seen(), *self._marked()], most=self._enough):
            # all stopped first: a tree that is half killed could still fork
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in alive:
                    _send(pid, number)
            if time.monotonic() > end:
                raise HarnessFault("processes that cannot be killed", where="clean room", got=alive)
            time.sleep(0.002)

    def _hold(self) -> None:
        """Stop everyone, until a look finds nobody new: with the first of them goes the way to their orphans."""
        held: set[int] = set()
        end = time.monotonic() + _DEATH
        while (fresh := set(self._look(self._seen(), most=math.inf)) - held) and time.monotonic() < end:
            for pid in fresh:
                _send(pid, signal.SIGSTOP)
            held |= fresh

    def _marked(self) -> list[int]:
        return _marked(self._mark) if self._mark is not None else []

    def close(self) -> None:
        """Kill what is left."""
        self.kill()


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _usage_of(pid: int) -> tuple[float, int, int] | None:
    """CPU seconds (waited children included), private bytes, threads of one process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # counted from after the name: utime, stime, cutime, cstime are 11..14, num_threads is 17 (proc(5))
    return sum(map(int, fields[11:15])) * _TICK, (int(pages[1]) - int(pages[2])) * _PAGE, int(fields[17])


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, (task / "children").read_text().split())
    return found


def _marked(mark: bytes) -> list[int]:
    found: list[int] = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
    return found


def is_zombie(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return True


def started(pid: int) -> int | None:
    """When a process started, in clock ticks after boot; with the PID it names one process for ever."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None

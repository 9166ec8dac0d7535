"""Watching one job from its start to the death of its last process."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.cleanroom.meter import Meter, Reading
from harness.cleanroom.quota import TreeQuota
from harness.cleanroom.sandbox import PATIENCE, KilledBy, Limits, Listener, Usage
from harness.cleanroom.waiting import Waiting
from harness.errors import HarnessFault

_SHORTEST, _LONGEST = 0.005, 0.05
"""Seconds between two looks at the usage: often at first, since most jobs are short."""
_LATE = 0.25
"""Seconds by which a look may be late before that is time in which the machine did nothing for us."""
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a job ended."""

    status: int
    """As subprocess gives it: negative for a signal."""
    killed_by: KilledBy | None
    usage: Usage
    limits_hit: tuple[str, ...]
    waited: float | None
    """Seconds of its wall time for which the machine kept it waiting, where its wall time ended it; None: unknown."""


class Watch:
    """One running job: its child process, its pipes, its meter and its limits."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        *,
        meter: Meter,
        limits: Limits,
        pipes: Mapping[int, Callable[[bytes], bool]],
        quotas: Sequence[TreeQuota],
        cancel: threading.Event | None,
        began: float,
        listener: Listener,
    ) -> None:
        """Keep the parts.

        Args:
            child: started, its ends of the pipes closed on our side.
            meter: counts and kills the whole tree.
            limits: of the job; memory and processes are looked at only where the meter's kernel does not keep them.
            pipes: ends to be read, each with who takes what arrives and says whether more is wanted; closed here.
            quotas: of writable folders.
            cancel: set by another thread to end the job.
            began: `time.monotonic()` at the start.
            listener: who hears of the usage.
        """
        self._child, self._meter, self._limits = child, meter, limits
        self._pipes = dict(pipes)
        self._quotas, self._cancel, self._began = quotas, cancel, began
        self._listener = listener
        self._waiting = Waiting(meter.pids)
        self._dead = False
        self._waited: float | None = None
        self._late = 0.0
        self._poll = select.poll()
        for handle in self._pipes:
            os.set_blocking(handle, False)
            self._poll.register(handle, select.POLLIN)

    def until_dead(self) -> Ending:
        """Read, look, kill when a limit is passed; returns once nothing of the job is alive.

        Raises:
            HarnessFault: the machine killed the job, or something in it cannot be killed.
        """
        killed_by = self._until_exit()
        wall = time.monotonic() - self._began
        self._meter.kill()
        if killed_by is not None:  # so early that the child had not entered its group, nobody was struck
            self._child.kill()
            self._meter.kill()
        status = self._child.wait()
        reading = self._meter.read()
        self._drain()
        self._dead = True
        if killed_by is None:
            killed_by = self._breach(reading, wall=0.0, final=True)
        return Ending(
            status=status,
            killed_by=killed_by,
            usage=self._usage(reading, wall),
            limits_hit=("processes",) if reading.forks_refused else (),
            waited=self._waited,
        )

    def _until_exit(self) -> KilledBy | None:
        handle = os.pidfd_open(self._child.pid)
        try:
            self._poll.register(handle, select.POLLIN)
            return self._watch(handle)
        finally:
            self._poll.unregister(handle)
            os.close(handle)

    def _watch(self, end: int) -> KilledBy | None:
        pause = _SHORTEST
        look = time.monotonic() + pause
        while True:
            ready = self._poll.poll(max(0.0, look - time.monotonic()) * 1000)
            for handle, _ in ready:
                if handle != end:
                    self._take(handle)
            if any(handle == end for handle, _ in ready):
                return None
            now = time.monotonic()
            if now < look:
                continue
            self._late += now - look if now - look > _LATE else 0.0  # the machine stood still, or we were not let on
            reading, wall = self._meter.read(), now - self._began
            if self._listener.usage is not None:
                self._listener.usage(self._usage(reading, wall))
            breach = self._breach(reading, wall=wall)
            if breach is not None:
                self._waited = self._kept_waiting(wall) if breach == "wall" else None
                return breach
            pause = min(pause * 1.25, _LONGEST)
            look = now + pause

    def _kept_waiting(self, wall: float) -> float | None:
        return self._waiting.seconds(wall, fresh=True) + self._late if self._waiting.known else None

    def _usage(self, reading: Reading, wall: float) -> Usage:
        return Usage(
            cpu=reading.cpu,
            wall=wall,
            memory=reading.memory,
            processes=reading.processes,
            exact=self._meter.exact,
        )

    def _breach(self, reading: Reading, *, wall: float, final: bool = False) -> KilledBy | None:
        if reading.starved:
            raise HarnessFault(
                "the machine ran out of memory and killed a job that was within its own limit",
                where="clean room",
                remedy="run fewer jobs at once, or give this machine more memory",
            )
        if self._cancel is not None and self._cancel.is_set() and not final:
            return "cancel"
        if not self._meter.enforces and (reading.processes or 0) > self._limits.processes:
            return "processes"
        if reading.out_of_memory or (not self._meter.enforces and reading.memory > self._limits.memory):
            return "memory"
        if reading.cpu > self._limits.cpu:
            return "cpu"
        if self._too_long(wall):
            return "wall"
        if any(quota.exceeded(now=final) for quota in self._quotas):
            return "disk"
        return None

    def _too_long(self, wall: float) -> bool:
        limit, waited = self._limits.wall, self._waiting.seconds
        if not self._limits.patient or wall > PATIENCE * limit:
            return wall > limit
        # the last look may be almost a second old
        return wall - waited(wall) > limit and wall - waited(wall, fresh=True) > limit

    def _take(self, handle: int) -> bool:
        """Read once; False: nothing there now, or the pipe is done with."""
        try:
            data = os.read(handle, _CHUNK)
        except BlockingIOError:
            return False
        if data and self._pipes[handle](data):
            return True
        self._poll.unregister(handle)
        del self._pipes[handle]
        os.close(handle)
        return False

    def _drain(self) -> None:
        for handle in list(self._pipes):
            while self._take(handle):
                pass

    def close(self) -> None:
        """Close the pipes; after a failure, kill the tree and reap the child first."""
        try:
            if not self._dead:
                self._meter.kill()
        finally:
            if self._child.returncode is None:
                self._child.kill()
                self._child.wait()
            for handle in self._pipes:
                with contextlib.suppress(OSError):
                    os.close(handle)
            self._pipes.clear()

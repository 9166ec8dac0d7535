"""Control groups, version 1 and 2, behind one small interface: make, join, count, kill, remove."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.cleanroom.meter import Reading, is_zombie, started
from harness.errors import HarnessFault

PREFIX = "reproof"
_DEATH = 15.0
"""Seconds a killed tree may take to be gone."""
_serial = itertools.count()


class Host(Protocol):
    """A place of this machine in which control groups can be made."""

    @property
    def version(self) -> int:
        """1 or 2."""
        ...

    @property
    def bases(self) -> tuple[Path, ...]:
        """Folders in which groups are made."""
        ...

    def create(self, *, memory: int, processes: int) -> Cgroup:
        """A fresh group with its limits (bytes; processes and threads)."""
        ...


class Cgroup:
    """One job's control group; a Meter. Subclasses of the two versions only say which file means what."""

    exact = True
    enforces = True
    door = "cgroup.procs"
    """The file through which a process joins."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """`folders`: by controller (version 1), or the one folder under "" (version 2)."""
        self.folders = dict(folders)
        self.doors = tuple(dict.fromkeys(str(folder / self.door) for folder in self.folders.values()))
        self._counts: dict[tuple[str, str], int | None] = {}

    def adopt(self, pid: int) -> None:
        """Nothing to do: the process joined by itself."""

    def read(self) -> Reading:
        """The usage so far."""
        raise NotImplementedError

    def _text(self, controller: str, name: str) -> str | None:
        """A file of the group, now; None if this kernel has none of that name.

        Each is opened once, since a job's are read some twenty times a second.
        """
        if (controller, name) not in self._counts:
            self._counts[controller, name] = _opened(self.folders[controller] / name)
        handle = self._counts[controller, name]
        return None if handle is None else os.pread(handle, 1 << 16, 0).decode()

    def _optional(self, controller: str, name: str) -> int | None:
        text = self._text(controller, name)
        return None if text is None else int(text)

    def _number(self, controller: str, name: str) -> int:
        number = self._optional(controller, name)
        if number is None:
            raise FileNotFoundError(self.folders[controller] / name)
        return number

    def _fields(self, controller: str, name: str) -> dict[str, int]:
        pairs = (line.split() for line in (self._text(controller, name) or "").splitlines())
        return {name: int(value) for name, value in pairs}

    def pids(self) -> list[int]:
        """Everything in the group."""
        try:
            return list(map(int, self._procs().read_text().split()))
        except OSError:
            if self._procs().exists():
                raise
            return []

    def _procs(self) -> Path:
        return next(iter(self.folders.values())) / "cgroup.procs"

    def _strike(self) -> None:
        """One blow at everything in the group."""
        raise NotImplementedError

    def kill(self) -> None:
        """Kill everything in the group and wait until it is empty."""
        wait, end = 0.0005, time.monotonic() + _DEATH
        while alive := [pid for pid in self.pids() if not is_zombie(pid)]:
            self._strike()
            if time.monotonic() > end:
                raise HarnessFault("processes that cannot be killed", where=self._procs(), got=alive)
            time.sleep(wait)
            wait = min(2 * wait, 0.02)

    def close(self) -> None:
        """Kill what is left, and remove the group."""
        self.kill()
        for handle in self._counts.values():
            if handle is not None:
                os.close(handle)
        self._counts.clear()
        for folder in dict.fromkeys(self.folders.values()):
            _remove(folder)


def _remove(folder: Path) -> None:
    # a process may be counted for a moment after its end
    wait, end = 0.0005, time.monotonic() + _DEATH
    while True:
        try:
            folder.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > end:
                raise HarnessFault(f"cannot remove a control group: {error}", where=folder) from error
        time.sleep(wait)
        wait = min(2 * wait, 0.02)


class _CgroupV1(Cgroup):
    # A thread that moves itself needs no lock on thread groups, whose first taker waits some ten milliseconds for an
    # RCU grace period; the shell that joins has only this one thread.
    door = "tasks"

    def read(self) -> Reading:
        killed = self._fields("memory", "memory.oom_control").get("oom_kill", 0)
        peak, limit = (self._number("memory", f"memory.{name}_in_bytes") for name in ("max_usage", "limit"))
        # memory.failcnt would say so, but recent kernels leave it at 0; memory is charged in up to 2 MiB at once
        reached = bool(killed) and peak >= limit - max(4 << 20, limit // 50)
        return Reading(
            cpu=self._number("cpuacct", "cpuacct.usage") / 1e9,
            memory=peak,
            processes=self._optional("pids", "pids.peak"),
            out_of_memory=reached,
            starved=bool(killed) and not reached,
            forks_refused=self._fields("pids", "pids.events").get("max", 0),
        )

    def _strike(self) -> None:
        # nobody can fork any more, so everyone there is has been listed after at most one more look
        write(self.folders["pids"] / "pids.max", "0")
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class _CgroupV2(Cgroup):
    def read(self) -> Reading:
        events = self._fields("", "memory.events")
        killed, reached = events.get("oom_kill", 0) > 0, events.get("oom", 0) > 0
        return Reading(
            cpu=self._fields("", "cpu.stat")["usage_usec"] / 1e6,
            memory=self._optional("", "memory.peak") or self._optional("", "memory.current") or 0,
            processes=self._optional("", "pids.peak"),
            out_of_memory=killed and reached,
            starved=killed and not reached,
            forks_refused=self._fields("", "pids.events").get("max", 0),
        )

    def _strike(self) -> None:
        kill = self.folders[""] / "cgroup.kill"
        if kill.exists():
            write(kill, "1")
            return
        with contextlib.suppress(OSError):
            write(self.folders[""] / "pids.max", "0")
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class HostV1:
    """Version 1: one folder for each of memory, pids and cpuacct."""

    own: Mapping[str, Path]
    version: int = 1

    @property
    def bases(self) -> tuple[Path, ...]:
        """Folders in which groups are made, without repetition (controllers may share a mount)."""
        return tuple(dict.fromkeys(self.own.values()))

    def create(self, *, memory: int, processes: int) -> Cgroup:
        """A fresh group with its limits."""
        name = _name()
        group = _CgroupV1({controller: base / name for controller, base in self.own.items()})
        with _undone(group):
            for folder in dict.fromkeys(group.folders.values()):
                folder.mkdir()
            write(group.folders["memory"] / "memory.limit_in_bytes", str(memory))
            # without swap accounting the file is missing; then no swapping at all is the next best thing
            swap = group.folders["memory"] / "memory.memsw.limit_in_bytes"
            if swap.exists():
                write(swap, str(memory))
            else:
                write(group.folders["memory"] / "memory.swappiness", "0")
            write(group.folders["pids"] / "pids.max", str(processes))
        return group


@dataclass(frozen=True, slots=True)
class HostV2:
    """Version 2: one folder below a base whose subtree has memory and pids."""

    base: Path
    version: int = 2

    @property
    def bases(self) -> tuple[Path, ...]:
        """The one folder in which groups are made."""
        return (self.base,)

    def create(self, *, memory: int, processes: int) -> Cgroup:
        """A fresh group with its limits."""
        folder = self.base / _name()
        group = _CgroupV2({"": folder})
        with _undone(group):
            folder.mkdir()
            write(folder / "memory.max", str(memory))
            if (folder / "memory.swap.max").exists():
                write(folder / "memory.swap.max", "0")
            write(folder / "memory.oom.group", "1")
            write(folder / "pids.max", str(processes))
        return group


@contextlib.contextmanager
def _undone(group: Cgroup) -> Iterator[None]:
    """Leave nothing behind if making a group fails half way."""
    try:
        yield
    except BaseException:
        for folder in group.folders.values():
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def sweep(host: Host) -> None:
    """Kill and remove groups whose owner, a harness seen from this PID namespace, is dead."""
    for base in host.bases:
        for folder in base.glob(f"{PREFIX}-{_namespace()}-*"):
            _, _, pid, born, _ = folder.name.split("-")
            if started(int(pid)) != int(born):
                leftover = _CgroupV2({"": folder}) if host.version == 2 else _Leftover({"": folder})
                with contextlib.suppress(FileNotFoundError, HarnessFault):
                    leftover.close()


class _Leftover(Cgroup):
    """A version 1 folder of one controller, whichever it is."""

    def _strike(self) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _name() -> str:
    return f"{PREFIX}-{_namespace()}-{os.getpid()}-{started(os.getpid())}-{next(_serial)}"


def _namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def write(path: Path, text: str) -> None:
    """Tell the kernel something."""
    # one write(2), no truncation or creation: these are not ordinary files
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


def _opened(path: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None

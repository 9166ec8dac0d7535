"""The protocol every clean room answers to, and the frozen records that cross it."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from harness.errors import ConfigError

METERING = "metering"
"""Exact metering through a cgroup: the one property that can be waived and still PASS."""

ISOLATION = ("network", "seccomp", "userns")
"""Isolation that can be waived by name; an attempt that did can never PASS."""

WAIVABLE = (METERING, *ISOLATION)

UMASK = 0o077
"""Of every job, whatever ours is: what it writes is the same everywhere, and its owner's alone."""

KilledBy = Literal["cpu", "wall", "memory", "disk", "processes", "cancel"]

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,98}")


PATIENCE = 4.0
"""A job that waits for a core all the time is ended after so many times its wall time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one job may use; the clean room kills the whole tree beyond it."""

    cpu: float
    """CPU seconds of the whole tree, user and system together."""
    wall: float
    """Seconds from start to end."""
    memory: int
    """Bytes of memory of the whole tree, page cache and shared memory included."""
    processes: int
    """Processes and threads alive at once."""
    disk: int
    """Bytes in the output folder and, on its own account, in the private /tmp."""
    patient: bool = False
    """Whether time that it waits for a busy machine's cores is left out of its wall time, up to `PATIENCE` times it."""

    def __post_init__(self) -> None:
        """Refuse limits that could never be kept."""
        for name in ("cpu", "wall", "memory", "processes", "disk"):
            if not getattr(self, name) > 0:
                raise ConfigError("limit out of range", where=f"limits.{name}", expected="> 0", got=getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file or folder of the host, shown to the job under another name."""

    source: Path
    target: str
    """Absolute path inside the sandbox."""
    writable: bool = False
    quota: int | None = None
    """Bytes of allocated blocks beneath a writable folder; None: `Limits.disk`."""

    def __post_init__(self) -> None:
        """Refuse a target that is relative, or that climbs."""
        if not self.target.startswith("/") or ".." in self.target.split("/") or self.target == "/":
            raise ConfigError("mount target", where=self.source, expected="an absolute path below /", got=self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collect:
    """The files a job is expected to leave in its output folder, and where they go."""

    directory: str = "/out"
    """Absolute path of the output folder inside the sandbox: empty at the start, capped at `Limits.disk`."""
    files: tuple[str, ...]
    """Declared names, flat; nothing else leaves the sandbox."""
    into: Path
    """Existing folder of the host that receives them; none of the names may exist in it."""

    def __post_init__(self) -> None:
        """Refuse names that are not plain file names."""
        for name in self.files:
            if not _PLAIN_NAME.fullmatch(name):
                raise ConfigError(
                    "name of an output file", where="collect.files", expected=_PLAIN_NAME.pattern, got=name
                )
        if not re.fullmatch(r"(/[A-Za-z0-9_.-]+)+", self.directory) or ".." in self.directory:
            raise ConfigError("output folder", where="collect.directory", expected="a plain path", got=self.directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a job used, read from outside of it."""

    cpu: float
    """CPU seconds of the whole tree."""
    wall: float
    """Seconds."""
    memory: int
    """Peak bytes of the whole tree."""
    processes: int | None
    """Most processes and threads alive at once, where the kernel counts them."""
    exact: bool
    """True: counted by the kernel in a cgroup. False: estimated from /proc."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who hears of a job while it runs, on the thread that watches it; neither may take long."""

    output: Callable[[bytes], None] | None = None
    """Gets what the job writes, as it arrives and as raw as it is."""
    usage: Callable[[Usage], None] | None = None
    """Gets the usage so far, up to some twenty times a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One command to be run in the clean room."""

    command: tuple[str, ...]
    limits: Limits
    mounts: tuple[Mount, ...] = ()
    """Parents before what lies inside them; a later mount covers an earlier one."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """The only variables the command sees beside PATH, HOME, USER, LANG, TMPDIR and OMP_NUM_THREADS=1."""
    cwd: str | None = None
    """Working folder inside the sandbox; None: /work if something is mounted there, else /tmp."""
    collect: Collect | None = None
    hidden: tuple[Path, ...] = ()
    """Host paths that must not be readable inside, even where a mount would show them."""
    listener: Listener = Listener()
    descriptors: tuple[int, ...] = ()
    """Open files of ours that the command inherits under the same numbers, each above those a shell redirects."""

    def __post_init__(self) -> None:
        """Refuse an empty command."""
        if not self.command or "\0" in "".join(self.command):
            raise ConfigError("command", where="job", expected="at least one word", got=self.command)

    @property
    def folder(self) -> str:
        """The working folder, with its default filled in."""
        if self.cwd is not None:
            return self.cwd
        return "/work" if any(mount.target == "/work" for mount in self.mounts) else "/tmp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A job that ended, one way or another."""

    exit: int | None
    """Exit status as a shell gives it (128 + signal); None when the clean room killed the job."""
    usage: Usage
    log: str
    """Head and tail of standard output and error together, made harmless for a terminal."""
    killed_by: KilledBy | None
    collected: Mapping[str, str]
    """Each declared file (and each refused stranger): "ok" or the problem in words."""
    limits_hit: tuple[str, ...] = ()
    """Limits the job ran into without being killed for it, e.g. "processes"."""
    waited: float | None = None
    """Seconds for which the machine kept it waiting, where its wall time ended it; None: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Which clean room, and what may be missing from it."""

    backend: str = "bubblewrap"
    """"bubblewrap", or "process" for none at all."""
    waive: tuple[str, ...] = ()
    """Properties, by name, that this machine may lack (see WAIVABLE)."""
    hidden: tuple[Path, ...] = ()
    """Host paths that no job may read (see `Job.hidden`), beside the private folders of all papers in reach."""
    records: tuple[Path, ...] = ()
    """Host folders that no job may read as a whole, although jobs are given parts of them by mounts of their own."""

    def __post_init__(self) -> None:
        """Refuse a waiver nobody knows."""
        for name in self.waive:
            if name not in WAIVABLE:
                raise ConfigError("unknown waiver", where="sandbox.waive", expected=", ".join(WAIVABLE), got=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """What a clean room guarantees, for the record of every run in it."""

    backend: str
    waivers: tuple[str, ...]
    """Waivers that were made use of: exact metering that could be had anyway is not among them."""
    isolated: bool
    """False: an attempt can never PASS."""
    exact_metering: bool
    version: str
    """Of the program and of the layout, so that a change of either changes the digest."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all fields: the same on one machine until the clean room changes."""
        facts = [self.backend, sorted(self.waivers), self.isolated, self.exact_metering, self.version]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class Sandbox(Protocol):
    """A clean room."""

    def run(self, job: Job, cancel: threading.Event | None = None) -> Completed:
        """Run one job to its end; safe to call from several threads at once.

        Args:
            job: what to run.
            cancel: once set, the job is killed within about 50 ms (`killed_by="cancel"`).

        Raises:
            SandboxError: a property of the clean room cannot be had here; nothing was run.
            HarnessFault: the machinery failed; the job is not to blame.
        """
        ...

    def description(self) -> Isolation:
        """What this clean room guarantees on this machine.

        Raises:
            SandboxError: a property that was not waived cannot be had here.
        """
        ...

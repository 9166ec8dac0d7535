"""The default clean room: namespaces and mounts by bubblewrap, limits by a cgroup, system calls by seccomp."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

from harness.cleanroom import hierarchy, layout, seccomp
from harness.cleanroom.binary import find_binary, refusal
from harness.cleanroom.collect import Receiver, tail_command
from harness.cleanroom.log import CappedLog
from harness.cleanroom.meter import Meter, ProcMeter
from harness.cleanroom.quota import TreeQuota
from harness.cleanroom.sandbox import (
    ISOLATION,
    METERING,
    UMASK,
    Completed,
    Isolation,
    Job,
    Limits,
    SandboxSettings,
)
from harness.cleanroom.supervise import Watch
from harness.errors import HarnessFault, SandboxError

_OWN_PROCESSES = 3
"""bwrap outside, bwrap as the first process inside, and the shell that collects."""
JOIN = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@"'
_TRIAL = Limits(cpu=10, wall=30, memory=256 << 20, processes=16, disk=1 << 20)


class Bubblewrap:
    """A `Sandbox` made by bubblewrap.

    The memory limit that the cgroup enforces is `limits.memory + limits.disk`, because the output folder is a
    tmpfs and its content counts as memory. /tmp and /dev/shm count as well, within the same sum.
    """

    def __init__(self, settings: SandboxSettings) -> None:
        """Keep the settings; the machine is looked at before the first job."""
        self._settings = settings
        self._waive = frozenset(settings.waive)
        self._lock = threading.Lock()
        self._ready: tuple[Path, bytes | None, Isolation] | None = None

    def description(self) -> Isolation:
        """What this clean room guarantees; looked up and tried out once.

        Raises:
            SandboxError: a property that was not waived cannot be had here.
        """
        return self._prepared()[2]

    def run(self, job: Job, cancel: threading.Event | None = None) -> Completed:
        """Run one job (see `Sandbox.run`)."""
        try:
            return self._run(job, cancel, binary=self._binary, program=self._program())
        except HarnessFault:
            self._prepared()  # a machine that cannot give a clean room is told from a job that went wrong
            raise

    @functools.cached_property
    def _binary(self) -> Path:
        return find_binary()

    def _program(self) -> bytes | None:
        return None if "seccomp" in self._waive else seccomp.program()

    def _prepared(self) -> tuple[Path, bytes | None, Isolation]:
        with self._lock:
            if self._ready is None:
                self._ready = self._prepare()
            return self._ready

    def _prepare(self) -> tuple[Path, bytes | None, Isolation]:
        binary, program = self._binary, self._program()
        exact = self._has_cgroup()
        version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
        used = [name for name in self._settings.waive if name in ISOLATION or (name == METERING and not exact)]
        isolation = Isolation(
            backend="bubblewrap",
            waivers=tuple(sorted(set(used))),
            isolated=not set(used) & set(ISOLATION),
            exact_metering=exact,
            version=f"{version.strip()}, layout {layout.VERSION}",
        )
        try:
            self._run(Job(command=("true",), limits=_TRIAL), None, binary=binary, program=program)
        except HarnessFault as fault:
            raise refusal(binary, fault.got or fault.message) from fault
        return binary, program, isolation

    def _has_cgroup(self) -> bool:
        try:
            hierarchy.host()
        except SandboxError:
            if METERING not in self._waive:
                raise
            return False
        return True

    def _run(self, job: Job, cancel: threading.Event | None, *, binary: Path, program: bytes | None) -> Completed:
        with contextlib.ExitStack() as stack:
            hidden = (*self._settings.hidden, *job.hidden)
            words = layout.arguments(replace(job, hidden=hidden), waive=self._waive, records=self._settings.records)
            meter = self._meter(job)
            stack.callback(meter.close)
            receiver = Receiver(job.collect, limit=job.limits.disk)
            stack.callback(receiver.close)
            log = CappedLog(listener=job.listener.output)
            began = time.monotonic()
            child, log_end, files_end = _start(job, meter, words=words, binary=binary, program=program)
            meter.adopt(child.pid)
            watch = Watch(
                child,
                meter=meter,
                limits=replace(job.limits, processes=job.limits.processes + _OWN_PROCESSES),
                pipes={log_end: log.feed, files_end: receiver.feed},
                quotas=_quotas(job, meter),
                cancel=cancel,
                began=began,
                listener=job.listener,
            )
            stack.callback(watch.close)
            ending = watch.until_dead()
            if ending.killed_by is None and (ending.status < 0 or not receiver.started):
                raise HarnessFault(
                    "the sandbox did not start" if not receiver.started else "the sandbox was killed",
                    where="bwrap",
                    got=f"status {ending.status}: {log.text().strip()[-2000:]}",
                )
            if receiver.missing_command and ending.killed_by is None:
                raise HarnessFault("no such program in the sandbox", where=job.command[0], remedy="mount what it needs")
            return Completed(
                exit=ending.status if ending.killed_by is None else None,
                usage=ending.usage,
                log=log.text(),
                killed_by=ending.killed_by,
                collected=receiver.finish(keep=ending.killed_by is None),
                limits_hit=ending.limits_hit,
                waited=ending.waited,
            )

    def _meter(self, job: Job) -> Meter:
        if not self._has_cgroup():
            return ProcMeter(enough=job.limits.processes + _OWN_PROCESSES)
        return hierarchy.host().create(
            memory=job.limits.memory + job.limits.disk, processes=job.limits.processes + _OWN_PROCESSES
        )


def _start(
    job: Job, meter: Meter, *, words: list[str], binary: Path, program: bytes | None
) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start bwrap inside the meter's doors; gives the child, and our ends of the log and of the files."""
    with contextlib.ExitStack() as ours:
        log_end, log_in = os.pipe()
        ours.callback(os.close, log_in)
        files_end, files_in = os.pipe()
        ours.callback(os.close, files_in)
        inherited = []
        if program is not None:
            inherited.append(_memory_file(program))
            ours.callback(os.close, inherited[0])
            words = [*words, "--seccomp", str(inherited[0])]
        # through a file rather than the command line: the job can read the latter, with all the host's paths
        listed = _memory_file(b"".join(os.fsencode(word) + b"\0" for word in words))
        ours.callback(os.close, listed)
        script = _script(job, enforced=meter.enforces)
        command = [str(binary), "--args", str(listed), "--", "/bin/sh", "-c", script, "sh", *job.command]
        try:
            child = subprocess.Popen(
                ["/bin/sh", "-c", JOIN, "sh", *meter.doors, "--", *command],
                stdin=files_in,  # the way out for the files: a number every shell can redirect
                stdout=log_in,
                stderr=log_in,
                pass_fds=(*inherited, listed, *job.descriptors),
                env={},
                cwd="/",
                umask=UMASK,
                start_new_session=True,  # so that a Ctrl-C in the terminal is the harness's to handle
            )
        except BaseException as error:
            os.close(log_end)
            os.close(files_end)
            if isinstance(error, OSError):
                raise HarnessFault(f"cannot start the sandbox: {error}", where=binary) from error
            raise
    return child, log_end, files_end


def _script(job: Job, *, enforced: bool) -> str:
    """What the sandbox's first shell does: say so, run the command, end its daemons, send the files."""
    lines = [
        "exec 7>&0 </dev/null",
        "printf S >&7",
        'case "$1" in /*) [ -x "$1" ] || { printf N >&7; exit 127; };; esac',
        f'( {ulimits(job, enforced=enforced)} {_few(job, enforced=enforced)} exec "$@" ) 7>&-',
        "code=$?",
        "trap '' PIPE",  # nobody may want to hear the rest; the status matters more
        "kill -9 -1 2>/dev/null",
        "printf T >&7",
    ]
    if job.collect is not None and job.collect.files:
        lines.append(f"( {tail_command(job.collect)} ) >&7 2>/dev/null")
    return "\n".join([*lines, "exit $code"])


def ulimits(job: Job, *, enforced: bool) -> str:
    """Shell words that set what the kernel bounds for each process by itself, a second guard beside the watcher.

    No core files; CPU seconds a little beyond the limit; the size of one file; and, where no cgroup bounds the
    memory of all (`enforced=False`), the private memory of each.
    """
    # shared memory is made of files too
    biggest = max([job.limits.memory, job.limits.disk, *(mount.quota or 0 for mount in job.mounts)])
    rules = ["-c 0", f"-t {math.ceil(job.limits.cpu) + 1}", f"-f {biggest // 512 + 1}"]
    if not enforced:
        rules.append(f"-d {job.limits.memory // 1024}")
    return " ".join(f"ulimit {rule} 2>/dev/null;" for rule in rules)


def _few(job: Job, *, enforced: bool) -> str:
    """Shell words that bound the processes of the sandbox's own user, where the kernel counts them apart.

    It does since Linux 5.14, except for the real root; elsewhere the count would include the host's processes.
    """
    version = tuple(int(part) for part in os.uname().release.split(".")[:2] if part.isdigit())
    if enforced or os.geteuid() == 0 or version < (5, 14):
        return ""
    most = job.limits.processes + _OWN_PROCESSES  # one more than is allowed, for the watcher to see
    return f"ulimit -u {most} 2>/dev/null || ulimit -p {most} 2>/dev/null;"  # bash's letter, dash's letter


def _quotas(job: Job, meter: Meter) -> list[TreeQuota]:
    return [
        TreeQuota(mount.source, limit=mount.quota or job.limits.disk, pids=meter.pids)
        for mount in job.mounts
        if mount.writable and mount.source.is_dir()
    ]


def _memory_file(data: bytes) -> int:
    handle = os.memfd_create("reproof", os.MFD_CLOEXEC)
    os.write(handle, data)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle

"""No clean room at all: the same jobs as plain processes, for machines where nothing else works."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.cleanroom import hierarchy, layout
from harness.cleanroom.bubblewrap import JOIN, ulimits
from harness.cleanroom.collect import Receiver, gather
from harness.cleanroom.log import CappedLog
from harness.cleanroom.meter import Meter, ProcMeter
from harness.cleanroom.quota import TreeQuota, allocated, ensure_room
from harness.cleanroom.sandbox import UMASK, Completed, Isolation, Job, SandboxSettings
from harness.cleanroom.supervise import Ending, Watch
from harness.errors import HarnessFault, SandboxError
from harness.scratch import scratch


class Process:
    """A `Sandbox` in name only: it measures and limits, but the job can read, write and reach what we can.

    Mounts, /out and the working folder are the host's own folders; their names inside are replaced by the real
    ones in the command and the environment. Read-only mounts are not protected, and nothing is hidden. Asked
    for by name only, recorded, and never enough to PASS. Should the harness itself be killed, the job outlives
    it until the next harness sweeps its cgroup.
    """

    def __init__(self, settings: SandboxSettings) -> None:
        """`settings.waive` has nothing left to waive here."""
        self._settings = settings

    def description(self) -> Isolation:
        """Not isolated; metering is exact where a cgroup can be had."""
        exact = _has_cgroup()
        return Isolation(
            backend="process",
            waivers=(),
            isolated=False,
            exact_metering=exact,
            version=f"layout {layout.VERSION}",
        )

    def run(self, job: Job, cancel: threading.Event | None = None) -> Completed:
        """Run one job (see `Sandbox.run`)."""
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(scratch("process"))
            ensure_room(folder, job.limits.disk, "there is less room than this job may use")
            real = _Real(job, folder)
            mark = f"REPROOF_JOB={uuid.uuid4().hex}"
            meter = _meter(job, mark)
            own = 0 if meter.enforces else 1  # the shell that catches orphans
            stack.callback(meter.close)
            receiver = Receiver(None, limit=0)
            log = CappedLog(listener=job.listener.output)
            began = time.monotonic()
            child, log_end, sign_end = _start(job, meter, real=real, mark=mark)
            meter.adopt(child.pid)
            watch = Watch(
                child,
                meter=meter,
                limits=replace(job.limits, processes=job.limits.processes + own),
                pipes={log_end: log.feed, sign_end: receiver.feed},
                quotas=real.quotas(meter),
                cancel=cancel,
                began=began,
                listener=job.listener,
            )
            stack.callback(watch.close)
            ending = watch.until_dead()
            if ending.status != 0 or ending.killed_by is not None:
                left = max(0, job.limits.disk - allocated(folder, enough=job.limits.disk))
                ensure_room(folder, left, "the disk filled up under a job, which then went wrong")
            if not receiver.started and ending.killed_by is None:
                raise HarnessFault("the job did not start", where=job.command[0], got=log.text()[-2000:])
            return Completed(
                exit=_exit(ending),
                usage=ending.usage,
                log=log.text(),
                killed_by=ending.killed_by,
                collected=real.collected(ending),
                limits_hit=ending.limits_hit,
                waited=ending.waited,
            )


class _Real:
    """The host's folders behind the names a job uses."""

    def __init__(self, job: Job, folder: Path) -> None:
        self._job = job
        self.scratch, self.out = folder / "tmp", folder / "out"
        self.scratch.mkdir()
        self.out.mkdir()
        self._names = {mount.target: str(mount.source.resolve()) for mount in job.mounts}
        if job.collect is not None:
            self._names[job.collect.directory] = str(self.out)
        words = "|".join(re.escape(name) for name in sorted(self._names, key=len, reverse=True))
        self._pattern = re.compile(rf"(?<![\w./-])({words})(?![\w.-])") if words else None

    def text(self, words: str) -> str:
        """The same words with every name of a mount replaced by its real path."""
        if self._pattern is None:
            return words
        return self._pattern.sub(lambda found: self._names[found[1]], words)

    def environment(self) -> dict[str, str]:
        """The command's variables; nothing keeps Python from leaving bytecode in a kept tree but being told not to."""
        unwritten = {"PYTHONDONTWRITEBYTECODE": "1"}
        variables = {**unwritten, **layout.environment(self._job, scratch=str(self.scratch))}
        return {name: self.text(value) for name, value in variables.items()}

    def cwd(self) -> Path:
        """The working folder; /tmp is the job's own."""
        return self.scratch if self._job.folder == "/tmp" else Path(self.text(self._job.folder))

    def quotas(self, meter: Meter) -> list[TreeQuota]:
        """A watch on every folder the job is meant to write into."""
        limit = self._job.limits.disk
        folders = {self.out: limit, self.scratch: limit}
        for mount in self._job.mounts:
            if mount.writable and mount.source.is_dir():
                folders[mount.source] = mount.quota or limit
        return [TreeQuota(path, limit=most, pids=meter.pids) for path, most in folders.items()]

    def collected(self, ending: Ending) -> dict[str, str]:
        """Take the declared files."""
        collect = self._job.collect
        if collect is None:
            return {}
        if ending.killed_by is not None:
            return dict.fromkeys(collect.files, "not collected: the job was killed")
        return gather(collect, self.out, limit=self._job.limits.disk)


_SET_CHILD_SUBREAPER = 36
"""prctl(2): whoever set it becomes the parent of all orphans below; it survives execve(2), and no child inherits it."""


def _start(job: Job, meter: Meter, *, real: _Real, mark: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start the command inside the meter's doors; gives the child, and our ends of log and starting sign."""
    # where nothing but the family tree says who belongs to the job, its orphans are caught by the shell that began it
    last = 'exec "$@" 7>&-' if meter.enforces else '( exec "$@" 7>&- ); exit $?'
    begin = f"exec 7>&0 </dev/null; printf S >&7; {ulimits(job, enforced=meter.enforces)} {last}"
    command = [real.text(word) for word in job.command]
    name, _, value = mark.partition("=")
    log_end, log_in = os.pipe()
    sign_end, sign_in = os.pipe()
    try:
        child = subprocess.Popen(
            ["/bin/sh", "-c", JOIN, "sh", *meter.doors, "--", "/bin/sh", "-c", begin, "sh", *command],
            stdin=sign_in,
            stdout=log_in,
            stderr=log_in,
            pass_fds=job.descriptors,
            env={**real.environment(), name: value},
            cwd=real.cwd(),
            umask=UMASK,
            start_new_session=True,
            preexec_fn=None if meter.enforces else _adopter(),
        )
    except BaseException as error:
        os.close(log_end)
        os.close(sign_end)
        if isinstance(error, OSError):
            raise HarnessFault(f"cannot start the job: {error}", where=real.cwd()) from error
        raise
    finally:
        os.close(log_in)
        os.close(sign_in)
    return child, log_end, sign_end


def _adopter() -> Callable[[], object]:
    """What makes a process the parent of all orphans below it, looked up beforehand: a fork must not import."""
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _exit(ending: Ending) -> int | None:
    if ending.killed_by is not None:
        return None
    return ending.status if ending.status >= 0 else 128 - ending.status


def _has_cgroup() -> bool:
    try:
        hierarchy.host()
    except SandboxError:
        return False
    return True


def _meter(job: Job, mark: str) -> Meter:
    if not _has_cgroup():
        return ProcMeter(enough=job.limits.processes + 1, mark=mark)
    return hierarchy.host().create(memory=job.limits.memory, processes=job.limits.processes)

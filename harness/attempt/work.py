"""Metered work: commands in the clean room, over the workspace, counted into the ledger; for everybody the same."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from harness.attempt.desk import EXECUTING, Desk
from harness.cleanroom.sandbox import Completed, Job, Limits, Listener, Mount, Sandbox, Usage
from harness.errors import UsageError
from harness.folders import find_papers
from harness.paper.quantities import show_seconds

BRIEF = "BRIEF.md"
WORKSPACE = "/reproof/work"
"""Where a workspace lies inside the clean room; no environment of this machine is likely to lie beneath it."""
MEMORY, PROCESSES = 8 * 2**30, 512
_OFTEN = 2.0
"""Seconds between two looks at what a command has used, and at the workspace's head."""
_LONGEST = 200
"""Characters of a command that the ledger keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where the commands of one attempt are run."""

    desk: Desk
    sandbox: Sandbox
    hidden: tuple[Path, ...] = ()
    """What must not be readable inside, beside the private folders of the papers that are found."""

    def run(
        self,
        words: Sequence[str],
        *,
        mounts: Sequence[Mount] = (),
        environment: Mapping[str, str] | None = None,
        output: Callable[[bytes], None] | None = None,
        folder: str = WORKSPACE,
    ) -> Completed:
        """Run a command in the workspace until it ends, or until the budget is spent; the ledger counts it.

        Args:
            words: The program and its arguments.
            mounts: What it may see beside the workspace and the installed programs.
            environment: Variables beside those that tell of the task.
            output: Gets what the command writes, as it comes.
            folder: Where it is run, inside the clean room.

        Raises:
            UsageError: There is no CPU time left.
        """
        left = max(self.desk.account().time_left, 1.0)
        job = Job(
            command=tuple(words),
            mounts=(self._workspace(), *mounts),
            environment={**(environment or {}), **self._told(left)},
            limits=self._limits(left),
            cwd=folder,
            hidden=self._hidden(),
        )
        return self.meter(job, output)

    def meter(
        self, job: Job, output: Callable[[bytes], None] | None = None, cancel: threading.Event | None = None
    ) -> Completed:
        """Run any job at the attempt's expense, within what is left of its CPU time.

        Raises:
            UsageError: There is no CPU time left.
        """
        cancel = cancel or threading.Event()
        job = replace(job, limits=replace(job.limits, cpu=min(job.limits.cpu, self._cpu_left())))
        with _Live(self.desk, shlex.join(job.command), cancel) as live:
            heard = replace(job, listener=Listener(output=output, usage=live.hear))
            with _interrupts_cancel(cancel) as interrupted:
                completed = self.sandbox.run(heard, cancel)
            live.end(completed)
        if interrupted:
            raise KeyboardInterrupt
        return completed

    def _cpu_left(self) -> float:
        found = self.desk.account()
        left = found.left("cpu") or 0.0
        if left <= 0:
            raise UsageError(
                "the CPU time is used up",
                where=self.desk.attempt.id,
                expected=f"less than {show_seconds(self.desk.attempt.budget.cpu)}",
                got=show_seconds(found.used("cpu")),
                remedy="what is written can still be committed and handed in: `reproof submit`",
            )
        return left

    def _workspace(self) -> Mount:
        disk = self.desk.attempt.budget.disk
        return Mount(source=self.desk.workspace, target=WORKSPACE, writable=True, quota=disk)

    def _told(self, left: float) -> dict[str, str]:
        return {
            "REPROOF_BRIEF": f"{WORKSPACE}/{BRIEF}",
            "REPROOF_WORKSPACE": WORKSPACE,
            "REPROOF_DEADLINE": str(int(time.time() + left)),
        }

    def _limits(self, wall: float) -> Limits:
        budget = self.desk.attempt.budget
        return Limits(cpu=budget.cpu, wall=wall, memory=MEMORY, processes=PROCESSES, disk=budget.disk)

    def _hidden(self) -> tuple[Path, ...]:
        folders = {Path(self.desk.attempt.paper_folder), *find_papers().values()}
        return (*self.hidden, *sorted(folder / "private" for folder in folders))


def inside(workspace: Path, folder: Path) -> str:
    """Where a folder of the workspace lies in the clean room; the workspace's root for any other folder."""
    here = folder.resolve()
    if not here.is_relative_to(workspace.resolve()):
        return WORKSPACE
    return str(Path(WORKSPACE) / here.relative_to(workspace.resolve()))


@contextlib.contextmanager
def _interrupts_cancel(cancel: threading.Event) -> Iterator[list[int]]:
    """Let a Ctrl-C end the job in good order, its usage counted, before it ends the harness."""
    import signal

    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def note(number: int, frame: object) -> None:
        seen.append(number)
        cancel.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


class _Live:
    """A command under way: a file that says what it has used so far, locked as long as somebody watches it."""

    def __init__(self, desk: Desk, command: str, cancel: threading.Event) -> None:
        self._desk, self._cancel = desk, cancel
        self._command = command if len(command) <= _LONGEST else f"{command[: _LONGEST - 3]}..."
        self._job = os.urandom(8).hex()
        self._path = desk.folder / EXECUTING / f"{self._job}.json"
        self._next = time.monotonic() + _OFTEN
        self._ended = False

    def __enter__(self) -> Self:
        self._path.parent.mkdir(exist_ok=True, mode=0o700)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._keep({})
        return self

    def __exit__(self, *error: object) -> None:
        """Without an end of its own the file stays, for whoever comes next to count."""
        if self._ended:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _keep(self, used: Mapping[str, Any]) -> None:
        text = json.dumps({"job": self._job, "command": self._command, **used}).encode()
        os.pwrite(self._descriptor, text.ljust(os.fstat(self._descriptor).st_size), 0)

    def hear(self, usage: Usage) -> None:
        """Note the usage now and then, and stop where several commands together pass the limit."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _OFTEN
        self._keep(_facts(usage))
        self._desk.witness()
        if self._desk.account().left("cpu") == 0:
            self._cancel.set()

    def end(self, completed: Completed) -> None:
        """Write the command's end into the ledger."""
        ended = completed.killed_by or ("done" if completed.exit == 0 else "failed")
        facts = {**_facts(completed.usage), "exit": completed.exit, "ended": ended}
        self._desk.note("executed", job=self._job, command=self._command, **facts)
        self._desk.witness()
        self._ended = True


def _facts(usage: Usage) -> dict[str, Any]:
    return {
        "cpu": round(usage.cpu, 6),
        "wall": round(usage.wall, 3),
        "memory": usage.memory,
        "exact": usage.exact,
    }

"""Metered work: commands in the clean room, over the workspace, counted into the ledger; for everybody the same."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from harness.attempt.beside import run_beside, told, wanted, within
from harness.attempt.desk import EXECUTING, Desk
from harness.cleanroom.sandbox import Completed, Job, Limits, Listener, Mount, Sandbox, Usage
from harness.errors import UsageError
from harness.folders import find_papers
from harness.gateway.offer import Closing, Offer, Served
from harness.paper.quantities import show_seconds
from harness.record.files import private_file, private_folder

BRIEF = "BRIEF.md"
WORKSPACE = "/reproof/work"
"""Where a workspace lies inside the clean room; no environment of this machine is likely to lie beneath it."""
MEMORY, PROCESSES = 8 * 2**30, 512
_OFTEN = 2.0
"""Seconds between two looks at what a command has used, and at the workspace's head."""
_LONGEST = 200
"""Characters of a command that the ledger keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Completed):
    """A command that ended, and what it did with the environments beside it."""

    closing: Closing | None = None
    """None: there were none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where the commands of one attempt are run."""

    desk: Desk
    sandbox: Sandbox
    hidden: tuple[Path, ...] = ()
    """What must not be readable inside, beside the private folders of the papers that are found."""
    environments: Mapping[str, Served] = field(default_factory=dict)
    """What is served to the participant's own commands, by id."""
    most_steps: int | None = None
    """Of its environments that one command may be granted; None: all that are left."""
    memory: int = MEMORY
    """Bytes that a command may hold."""

    def run(
        self,
        words: Sequence[str],
        *,
        mounts: Sequence[Mount] = (),
        environment: Mapping[str, str] | None = None,
        output: Callable[[bytes], None] | None = None,
        folder: str = WORKSPACE,
        descriptors: tuple[int, ...] = (),
        cancel: threading.Event | None = None,
        wall: float | None = None,
        called: Sequence[str] = (),
        why: Callable[[], str | None] = lambda: None,
    ) -> Done:
        """Run a command in the workspace until it ends, or until the budget is spent; the ledger counts it.

        Args:
            words: The program and its arguments.
            mounts: What it may see beside the workspace and the installed programs.
            environment: Variables beside those that tell of the task.
            output: Gets what the command writes, as it comes.
            folder: Where it is run, inside the clean room.
            descriptors: Open files of ours that it inherits (`Job.descriptors`).
            cancel: Once set, it is ended.
            wall: Seconds that it may run, where somebody watches the working time; None: until the deadline.
            called: What the ledger calls it; nothing: its words.
            why: Says of a command that was cancelled which limit has ended it; None: none.

        Raises:
            UsageError: There is no CPU time left.
        """
        left = max(self.desk.account().time_left, 1.0)
        job = Job(
            command=tuple(words),
            mounts=(self._workspace(), *mounts),
            environment={**(environment or {}), **self._told(left), **self._steps_told()},
            limits=self._limits(left if wall is None else max(wall, 1.0)),
            cwd=folder,
            hidden=self._hidden(),
            descriptors=descriptors,
        )
        return self.meter(job, output, cancel, offer=self._offer(), called=called or words, why=why)

    def meter(
        self,
        job: Job,
        output: Callable[[bytes], None] | None = None,
        cancel: threading.Event | None = None,
        *,
        offer: Offer | None = None,
        table: Path | None = None,
        called: Sequence[str] = (),
        why: Callable[[], str | None] = lambda: None,
    ) -> Done:
        """Run any job at the attempt's expense, within what is left of its CPU time and its env steps.

        Args:
            job: The job.
            output: Gets what it writes, as it comes.
            cancel: Once set, it is ended.
            offer: What is served to it; it gets as many steps of that as are left.
            table: Where the table of its episodes goes, if anybody wants it.
            called: What the ledger calls it; nothing: its command.
            why: Says once it was cancelled which limit has ended it; None: none.

        Raises:
            UsageError: There is no CPU time left.
        """
        cancel = cancel or threading.Event()
        job = replace(job, limits=replace(job.limits, cpu=min(job.limits.cpu, self._cpu_left())))
        offer = within(offer, self.most_steps) if offer else None
        with _Live(self.desk, shlex.join(called or job.command), cancel, offer) as live:
            heard = replace(job, listener=Listener(output=output, usage=live.hear))
            with _interrupts_cancel(cancel) as interrupted:
                done = self._run(heard, cancel, live, table)
            done = live.end(done, why=why())
        if interrupted:
            raise KeyboardInterrupt
        return done

    def _run(self, job: Job, cancel: threading.Event, live: _Live, table: Path | None) -> Done:
        def run(dressed: Job) -> Completed:
            completed = self.sandbox.run(dressed, cancel)
            live.keep(completed.usage)  # should the server not end well, this is counted all the same
            return completed

        if live.offer is None:
            return _done(run(job))
        return _done(*run_beside(live.offer, job, run, table or Path(live.offer.log, "metered.npy")))

    def _offer(self) -> Offer | None:
        """The environments as one command gets them: with luck of its own, and a folder for their server."""
        if not self.environments:
            return None
        folder = self.desk.folder / EXECUTING / secrets.token_hex(8)
        return Offer(environments=dict(self.environments), secret=secrets.token_hex(32), log=str(folder.absolute()))

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

    def _steps_told(self) -> dict[str, str]:
        """How many steps of environments a command may take, where the budget limits them."""
        left = self.desk.env_steps_left() if self.environments else None
        if left is None:
            return {}
        return {"REPROOF_ENV_STEPS": str(left if self.most_steps is None else min(left, self.most_steps))}

    def _limits(self, wall: float) -> Limits:
        budget = self.desk.attempt.budget
        return Limits(cpu=budget.cpu, wall=wall, memory=self.memory, processes=PROCESSES, disk=budget.disk)

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


def _done(completed: Completed, closing: Closing | None = None) -> Done:
    return Done(**{item.name: getattr(completed, item.name) for item in fields(completed)}, closing=closing)


class _Live:
    """A command under way: a file that says what it has used so far, locked as long as somebody watches it."""

    def __init__(self, desk: Desk, command: str, cancel: threading.Event, offer: Offer | None) -> None:
        self._desk, self._cancel, self.offer = desk, cancel, offer
        self._command = command if len(command) <= _LONGEST else f"{command[: _LONGEST - 3]}..."
        self._job = os.urandom(8).hex()
        self._path = desk.folder / EXECUTING / f"{self._job}.json"
        self._next = time.monotonic() + _OFTEN
        self._ended = self._spent = False

    def __enter__(self) -> Self:
        private_folder(self._path.parent)
        if self.offer is None:
            self._begin()
        else:
            with self._desk.held():  # what is left must not be granted twice
                self.offer = within(self.offer, self._desk.env_steps_left())
                self._begin()
        return self

    def _begin(self) -> None:
        self._descriptor = private_file(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._keep({})

    def __exit__(self, *error: object) -> None:
        """Without an end of its own the file stays, for whoever comes next to count."""
        if self._ended:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _keep(self, used: Mapping[str, Any]) -> None:
        offer = self.offer
        held = {} if offer is None else {"granted": wanted(offer), "gateway": offer.log}
        text = json.dumps({"job": self._job, "command": self._command, **held, **used}).encode()
        os.pwrite(self._descriptor, text.ljust(os.fstat(self._descriptor).st_size), 0)

    def hear(self, usage: Usage) -> None:
        """Note the usage now and then, and stop where several commands together pass the limit."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _OFTEN
        self.keep(usage)
        self._desk.witness()
        if self._desk.account().left("cpu") == 0:
            self._spent = True
            self._cancel.set()

    def keep(self, usage: Usage) -> None:
        """Write down what it has used, for whoever comes next should nobody write down its end."""
        self._keep(_facts(usage))

    def end(self, done: Done, *, why: str | None) -> Done:
        """Write the command's end into the ledger; what was cancelled because something is used up says what."""
        if self._spent and done.killed_by == "cancel":
            done = replace(done, killed_by="cpu")
        ended = why if why and done.killed_by == "cancel" else done.killed_by
        ended = ended or ("done" if done.exit == 0 else "failed")
        steps = told(done.closing.used) if done.closing else {}
        facts = {**_facts(done.usage), "exit": done.exit, "ended": ended, **steps}
        self._desk.note("executed", job=self._job, command=self._command, **facts)
        self._desk.witness()
        self._ended = True
        return done


def _facts(usage: Usage) -> dict[str, Any]:
    return {
        "cpu": round(usage.cpu, 6),
        "wall": round(usage.wall, 3),
        "memory": usage.memory,
        "exact": usage.exact,
    }

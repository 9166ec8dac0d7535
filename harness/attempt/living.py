"""An agent at work in its quarters: started, watched, metered, ended; and whose fault an end is."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.attempt.asked import Asking
from harness.attempt.attempt import Fault
from harness.attempt.broker import brokering
from harness.attempt.desk import Desk
from harness.attempt.participant import Assignment, Outcome
from harness.attempt.quarters import (
    LINES,
    MODEL,
    PORT,
    TEN_MINUTES,
    TOOLS,
    Launch,
    Quarters,
    give_sign,
    ignore_sign,
    keep_reported,
    quarters,
    surroundings,
    take_sign,
)
from harness.attempt.work import Done
from harness.record.files import private_file

if TYPE_CHECKING:
    from harness.proxy.host import Proxy

JOURNAL, LOG = "exchanges.jsonl", "agent.log"
"""In the attempt's folder: every exchange with the model; what the agent's program wrote."""
_LARGEST_LOG = 8 << 20
_LONGEST_WORDS = 200
"""Characters of each of its last lines that the record of its end repeats; all of them stand in its log."""
_OFTEN = 0.5
"""Seconds between two looks at the time and at what the model has cost."""
GRACE = 600.0
"""Seconds that an agent whose model answers no more has for putting its work in order."""


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Looks at an agent's time and model from a thread of its own, and ends it where either is used up."""

    assignment: Assignment
    asking: Asking | None
    cancel: threading.Event
    ended: str | None = None
    """Which limit ended it."""
    _over: threading.Event = field(default_factory=threading.Event)
    _silent_since: float | None = None
    _signed: bool = False
    _next_beat: float = 0.0
    _failed: Exception | None = None

    def run(self) -> None:
        """Look until told to stop; an agent that can no longer be looked at is ended."""
        try:
            while not self._over.wait(_OFTEN):
                self._look()
        except Exception as error:  # whatever it is, it is raised again where the agent was started
            self._failed = error
            self.cancel.set()

    def hush(self) -> None:
        """Have the thread end."""
        self._over.set()

    def stop(self) -> None:
        """Look no more.

        Raises:
            ReproofError: It could not be looked at, of the ledger for instance.
        """
        if self._failed is not None:
            raise self._failed

    def _look(self) -> None:
        desk = self.assignment.bench.desk
        if self.asking is not None:
            self.asking.note()
            self._see_model(self.asking)
        if time.monotonic() > self._next_beat:
            self._next_beat = time.monotonic() + 15
            desk.beat()
        found = desk.account()
        if found.time_left <= TEN_MINUTES and not self._signed:
            self._signed = True
            give_sign(desk.workspace)
        if found.time_left <= 0:
            self._end("wall" if found.left("wall") == 0 else "working")

    def _see_model(self, asking: Asking) -> None:
        if asking.final is None:
            return
        self._silent_since = self._silent_since or time.monotonic()
        if time.monotonic() - self._silent_since > GRACE:
            self._end(asking.ended)

    def _end(self, why: str) -> None:
        self.ended = self.ended or why
        self.cancel.set()


def live(assignment: Assignment, launch: Launch) -> Outcome:
    """Run an agent's program in its quarters until it ends, or until a budget does.

    Raises:
        ConfigError: The launch would show or write what it must not.
        HarnessFault: The quarters failed.
    """
    desk = assignment.bench.desk
    ignore_sign(desk.workspace)
    with quarters(desk, launch) as place:
        try:
            return _lived(assignment, launch, place)
        finally:
            take_sign(desk.workspace)
            if launch.trajectory is not None:
                keep_reported(place.home, launch.trajectory, desk.folder)


def _lived(assignment: Assignment, launch: Launch, place: Quarters) -> Outcome:
    desk, cancel = assignment.bench.desk, threading.Event()
    with contextlib.ExitStack() as stack:
        stack.enter_context(brokering(desk, place.lines, environment=_trusted(assignment)))
        asking = stack.enter_context(Asking(desk)) if assignment.access else None
        if asking is not None:
            asking.hear(stack.enter_context(_model(assignment, place)))
        watch = _Watch(assignment=assignment, asking=asking, cancel=cancel)
        thread = threading.Thread(target=watch.run, daemon=True)
        thread.start()
        stack.callback(watch.stop)
        stack.callback(thread.join)
        stack.callback(watch.hush)
        words = (*_forwarded(assignment, place), *launch.words)
        assignment.tell(f"working: {shlex.join(launch.words)[:200]}")
        bench = assignment.bench if asking is None else replace(assignment.bench, environments={})
        done = bench.run(
            words,
            mounts=place.mounts(launch, desk.attempt.budget.disk),
            environment=surroundings(launch, assignment.endpoint),
            output=stack.enter_context(_kept(desk.folder / LOG)),
            cancel=cancel,
            called=launch.words,
            wall=desk.account().left("wall"),
            why=lambda: watch.ended,
        )
        if asking is not None and not _answers(place.lines / MODEL):
            return Outcome(note="the proxy to its model was gone", ended="harness", fault="harness")
        return outcome(launch, done, ended=_limit(done, watch, desk), asking=asking)


def _limit(done: Done, watch: _Watch, desk: Desk) -> str | None:
    """The limit that ended an agent; None if it ended by itself."""
    if done.killed_by != "cancel":
        return done.killed_by
    return watch.ended or ("cpu" if desk.account().left("cpu") == 0 else "cancel")


def _answers(socket_file: Path) -> bool:
    """Whether somebody listens there: an agent can keep the proxy busy, and cannot end it."""
    with socket.socket(socket.AF_UNIX) as line:
        line.setblocking(False)
        try:
            line.connect(str(socket_file))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


def _trusted(assignment: Assignment) -> dict[str, str]:
    """The variables of the broker's verbs: ours, without the key."""
    key = assignment.access.key if assignment.access else None
    return {name: value for name, value in os.environ.items() if key is None or value != key}


@contextlib.contextmanager
def _model(assignment: Assignment, place: Quarters) -> Iterator[Proxy]:
    """The proxy to the model, given what is left of the budget."""
    from harness.proxy.host import proxying

    desk = assignment.bench.desk
    found = desk.account()
    tokens, dollars = found.left("tokens"), found.left("dollars")
    assert assignment.access is not None
    access = replace(assignment.access, tokens=None if tokens is None else int(tokens), dollars=dollars)
    with proxying(access, socket=place.lines / MODEL, journal=desk.folder / JOURNAL) as proxy:
        yield proxy


def _forwarded(assignment: Assignment, place: Quarters) -> tuple[str, ...]:
    """The words before an agent's own that bring the model to the sandbox's loopback."""
    if assignment.access is None:
        return ()
    from harness.proxy import forward

    file = place.tools / "forward.py"
    file.write_text(Path(forward.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    return (sys.executable, "-IS", f"{TOOLS}/{file.name}", str(PORT), f"{LINES}/{MODEL}")


@contextlib.contextmanager
def _kept(path: Path) -> Iterator[_Kept]:
    """A file for what an agent's program writes, as far as it is kept."""
    descriptor = private_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        yield _Kept(descriptor)
    finally:
        os.close(descriptor)


class _Kept:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._left = max(0, _LARGEST_LOG - os.fstat(descriptor).st_size)

    def __call__(self, data: bytes) -> None:
        if self._left:
            self._left -= os.write(self._descriptor, data[: self._left])


_BUDGET = ("working", "wall", "cpu", "tokens", "dollars")


def outcome(launch: Launch, done: Done, *, ended: str | None, asking: Asking | None) -> Outcome:
    """What the record says of how an agent ended, and whose fault it is.

    Args:
        launch: What was run.
        done: How its program ended.
        ended: The limit that ended it, if one did.
        asking: What it had asked of its model, if it had one.
    """
    final = asking.final if asking else None
    how = f"was ended by its {ended} limit" if ended else f"ended with exit code {done.exit}"
    said = f"{called(launch.words)} {how}" + (f"; its model answered no more: {final}" if final else "")
    last = "\n".join(_brief(line) for line in done.log.splitlines()[-5:])
    word = ended or ("done" if done.exit == 0 else "failed")
    if asking is not None and final is not None and (ended is None or _outwaited(ended, asking)):
        word = asking.ended  # most programs end well when nobody answers them any more
    return Outcome(note=said + (f"; its last words:\n{last}" if last else ""), ended=word, fault=fault_of(word))


def _brief(line: str) -> str:
    return line if len(line) <= _LONGEST_WORDS else f"{line[: _LONGEST_WORDS - 3]}..."


def _outwaited(ended: str, asking: Asking) -> bool:
    """Whether time ended a program that went on asking a model whose provider had failed for good."""
    return ended in ("working", "wall", "cpu") and asking.ended == "model"


def called(words: Sequence[str]) -> str:
    """A program's name: of a script of Node's the script's.

    >>> [called(words) for words in (("/usr/bin/node", "/x/codex.js", "exec"), ("/x/claude.exe",), ("sh", "-c", "ls"))]
    ['codex', 'claude', 'sh']
    """
    script = len(words) > 1 and Path(words[0]).name == "node"
    return Path(words[1 if script else 0]).stem


def fault_of(ended: str) -> Fault:
    """Whose fault an end is.

    >>> [fault_of(word) for word in ("done", "failed", "tokens", "model")]
    ['none', 'submission', 'budget', 'model']
    """
    known: dict[str, Fault] = {"done": "none", "model": "model", "harness": "harness"}
    return known.get(ended, "budget" if ended in _BUDGET else "submission")

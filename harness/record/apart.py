"""Mirroring in a process of its own: whatever a store does, nobody is held up longer than was said.

MLflow's calls have limits of their own, one by one. A server that answers byte by byte or a database that was stopped
with a connection open knows none, and a call that hangs in C cannot be ended from the same process.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from harness.child import child_environment
from harness.errors import MirrorFault
from harness.record.entry import Entry
from harness.record.files import Store
from harness.record.tracking import Mirror, Mirrored, Progress

STALLED = 70.0
"""Seconds without a sign from the store after which it is given up; each of MLflow's own calls gives up before."""
GRACE = 5.0
"""Seconds that a mirroring whose patience is over may take to say so itself."""
_SOON = 10.0
"""Seconds of silence after which people are told what is waited for."""
_PROGRAM = "from harness.record.apart import serve; serve()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be mirrored, and where."""

    root: Path
    """Of the results."""
    uri: str
    prefix: str
    patience: float
    """Seconds."""
    paper: str
    attempt: str
    parent: Entry
    children: tuple[Entry, ...]


class _Said(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line from the process: a sign that the store has answered, and at last what came of it."""

    progress: tuple[int, int, str] | None = None
    done: dict[str, Any] | None = None
    fault: dict[str, Any] | None = None


def mirror_apart(order: Order, *, shown: str, tell: Callable[[str], None], progress: Progress) -> Mirrored:
    """Mirror an attempt, within the order's patience, and no longer than `STALLED` without a sign from the store.

    Args:
        order: What, and where.
        shown: The store, as people may see it.
        tell: Hears what is waited for.
        progress: Hears of runs.

    Raises:
        MirrorFault: The store failed or was too slow; the records are whole, and mirroring can be repeated.
    """
    with _process(order) as (child, words):
        for said in _listen(child, order, shown=shown, tell=tell):
            if said.progress is not None:
                progress(*said.progress)
            if said.done is not None:
                return Mirrored(**said.done)
            if said.fault is not None:
                raise MirrorFault(said.fault.pop("message"), **said.fault)
        child.wait()
        raise _late(shown, f"its process ended with {child.returncode}: {_last_line(words)}")


@contextlib.contextmanager
def _process(order: Order) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process, given its order, and the file of what it says on standard error; it is gone afterwards."""
    words = os.memfd_create("mirror", os.MFD_CLOEXEC)  # a full disk does not keep us from hearing it
    try:
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],  # nothing is imported from the folder that somebody stands in
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            env=child_environment(),
            start_new_session=True,  # a Ctrl-C in the terminal is the harness's to handle
        )
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended: what it said tells why
                pickle.dump(order, _pipe(child.stdin))
                _pipe(child.stdin).flush()
            yield child, words
        finally:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                with contextlib.suppress(BrokenPipeError):
                    _pipe(pipe).close()
    finally:
        os.close(words)


def _pipe(pipe: Any) -> BinaryIO:
    assert pipe is not None
    return pipe  # type: ignore[no-any-return]


def _listen(
    child: subprocess.Popen[bytes], order: Order, *, shown: str, tell: Callable[[str], None]
) -> Iterator[_Said]:
    """What the process says, line by line, until it has ended.

    Raises:
        MirrorFault: It took too long.
    """
    handle, buffer = _pipe(child.stdout).fileno(), b""
    now = time.monotonic()
    over, stalled, quiet = now + order.patience + GRACE, now + STALLED, now + _SOON
    while True:
        until = min(over, stalled, quiet)
        if not select.select([handle], [], [], max(0.0, until - time.monotonic()))[0]:
            if until in (over, stalled):
                waited = order.patience if until == over else STALLED
                raise _late(shown, f"no end within {waited:.0f} s" if until == over else f"no sign for {waited:.0f} s")
            limit = min(over, stalled) - time.monotonic()
            tell(f"waiting for MLflow's store, {shown}; it is given up in {limit:.0f} s")
            quiet = math.inf
            continue
        if not (data := os.read(handle, 65536)):
            return
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            yield msgspec.json.decode(line, type=_Said)
        stalled = time.monotonic() + STALLED
        quiet = quiet if quiet == math.inf else time.monotonic() + _SOON


def _late(shown: str, got: str) -> MirrorFault:
    remedy = "the records are whole; once it answers, `reproof track ATTEMPT` mirrors them"
    return MirrorFault("MLflow's store does not answer", where=shown, got=got, remedy=remedy)


def _last_line(words: int) -> str:
    said = os.pread(words, 65536, max(0, os.fstat(words).st_size - 65536)).decode(errors="replace").strip()
    return said.splitlines()[-1][:300] if said else "it said nothing"


def serve() -> None:
    """Carry out the order on standard input, in the process."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever MLflow prints is no answer
    order: Order = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_die_with_the_harness, daemon=True).start()
    answers.write(msgspec.json.encode(_answer(order, answers)) + b"\n")


def _die_with_the_harness() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _answer(order: Order, answers: BinaryIO) -> _Said:
    lock = threading.Lock()

    def sign(said: _Said) -> None:
        with lock:
            answers.write(msgspec.json.encode(said) + b"\n")

    def progress(done: int, total: int, label: str) -> None:
        sign(_Said(progress=(done, total, label)))

    try:
        mirror = Mirror(
            Store(order.root), uri=order.uri, prefix=order.prefix, patience=order.patience, sign=lambda: sign(_Said())
        )
        made = mirror.attempt(order.paper, order.attempt, order.parent, order.children, progress)
    except MirrorFault as fault:
        parts = ("message", "where", "expected", "got", "remedy")
        return _Said(fault={part: getattr(fault, part) for part in parts})
    return _Said(done={"run": made.run, "runs": made.runs, "added": made.added, "stale": made.stale})

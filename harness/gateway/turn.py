"""Whose turn it is on a channel: showing a sequence number, looking for the other side's, and sleeping until it comes.

The same is written in C (_turn.c), which is taken where it was built. This file is laid into the clean room as well.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

SEQUENCE, SLEEPS = 0, 1
"""Places in a memory, counted in words of eight bytes."""
FORM = 2
"""Of what is written in C; an older library that was left lying about is not taken."""
PURE = "REPROOF_PURE_PYTHON"
"""The environment variable that has the C left out, if it is set."""
_LOOKS = 16
_MESSAGES = 16
"""Of one socket, taken at a time."""
_lock = threading.Lock()


def _fence() -> None:
    """Order what was written before against what is read after: a lock is a full barrier on x86."""
    _lock.acquire()
    _lock.release()


class PureTurn:
    """One end of a channel."""

    __slots__ = ("_behind", "_known", "_mine", "_theirs", "number")

    def __init__(self, mine: memoryview, theirs: memoryview, number: int, behind: bool, /) -> None:
        """Begin with nothing said on either side.

        Args:
            mine: The memory that this side writes.
            theirs: The one that the other side writes.
            number: Descriptor of the socket that wakes the other side, and this one.
            behind: Whether what is published here is a question, whose answer has the same number.
        """
        self._mine, self._theirs = mine.cast("B").cast("Q"), theirs.cast("B").cast("Q")
        self.number, self._behind, self._known = number, int(behind), 0

    def publish(self, sequence: int, /) -> None:
        """Show what was written, and wake the other side should it sleep.

        It is woken by a byte: a full socket has bytes enough, and a closed one nobody to wake.
        """
        self._known = sequence - self._behind
        _fence()
        self._mine[SEQUENCE] = sequence
        _fence()
        if self._theirs[SLEEPS]:
            with contextlib.suppress(OSError), _borrowed(self.number) as other:
                other.send(b"!", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def came(self, nanoseconds: int, /) -> bool:
        """Whether the other side shows anything new, at some time within so many nanoseconds."""
        theirs, known = self._theirs, self._known
        until = time.perf_counter_ns() + nanoseconds
        while theirs[SEQUENCE] == known:
            for _ in range(_LOOKS):
                if theirs[SEQUENCE] != known:
                    return True
            if time.perf_counter_ns() > until:
                return False
        return True

    def lie_down(self, asleep: int) -> None:
        """Say whether this side has to be woken."""
        self._mine[SLEEPS] = asleep

    def is_gone(self) -> bool:
        """Take the bytes that woke this side, a few of a flood; whether the other side is gone."""
        with _borrowed(self.number) as other:
            try:
                return not all(other.recv(64, socket.MSG_DONTWAIT) for _ in range(_MESSAGES))
            except BlockingIOError:
                return False
            except OSError:
                return True


@contextlib.contextmanager
def _borrowed(number: int) -> Iterator[socket.socket]:
    """A descriptor as a socket, which is not closed afterwards."""
    other = socket.socket(fileno=number)
    try:
        yield other
    finally:
        other.detach()


def pure_first_come(turns: tuple[PureTurn, ...], nanoseconds: int, first: int, /) -> int:
    """The place of a turn whose other side shows anything new, at some time within so many nanoseconds; or -1.

    Args:
        turns: Of all channels.
        nanoseconds: How long to look; 0 is once.
        first: Where looking begins, so that nobody is always first.
    """
    places = [(first + step) % len(turns) for step in range(len(turns))]
    until = time.perf_counter_ns() + nanoseconds
    while turns:
        for at in places:
            if turns[at].came(0):
                return at
        if time.perf_counter_ns() >= until:
            break
    return -1


def pure_doze(turns: tuple[PureTurn, ...], others: tuple[int, ...], milliseconds: int, /) -> list[int]:
    """Sleep until anything happens, for at most so many milliseconds.

    Args:
        turns: Of all channels; new on one of them is not told of.
        others: Descriptors to wait for besides.
        milliseconds: How long to sleep.

    Returns:
        The descriptors of turns whose other side is gone, and those of `others` that have something to say.
    """
    poll = select.poll()
    for number in (*(turn.number for turn in turns), *others):
        poll.register(number, select.POLLIN)
    for turn in turns:
        turn.lie_down(1)
    _fence()
    try:
        ready = {number for number, _ in poll.poll(0 if pure_first_come(turns, 0, 0) >= 0 else milliseconds)}
    finally:
        for turn in turns:
            turn.lie_down(0)
    gone = [turn.number for turn in turns if turn.number in ready and turn.is_gone()]
    return [*gone, *(number for number in others if number in ready)]


def _is_built() -> bool:
    if os.environ.get(PURE):
        return False
    try:
        from . import _turn
    except ImportError:
        return False
    return _turn.FORM == FORM


if TYPE_CHECKING or _is_built():
    from ._turn import Turn as Turn
    from ._turn import doze as doze
    from ._turn import first_come as first_come
else:
    Turn, first_come, doze = PureTurn, pure_first_come, pure_doze

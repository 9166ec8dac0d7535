"""Whose turn it is on a channel: showing a sequence number, looking for the other side's, for a while.

The same is written in C (_turn.c), which is taken where it was built. This file is laid into the clean room as well.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

SEQUENCE, SLEEPS = 0, 1
"""Places in a memory, counted in words of eight bytes."""
FORM = 1
"""Of what is written in C; an older library that was left lying about is not taken."""
PURE = "REPROOF_PURE_PYTHON"
"""The environment variable that has the C left out, if it is set."""
_LOOKS = 16
_lock = threading.Lock()


def fence() -> None:
    """Order what was written before against what is read after: a lock is a full barrier on x86."""
    _lock.acquire()
    _lock.release()


class PureTurn:
    """One end of a channel."""

    __slots__ = ("_mine", "_other", "_published", "_theirs")

    def __init__(self, mine: memoryview, theirs: memoryview, number: int, /) -> None:
        """Keep both memories, and the descriptor of the socket that wakes the other side."""
        self._mine, self._theirs = mine.cast("B").cast("Q"), theirs.cast("B").cast("Q")
        self._other, self._published = number, 0

    def publish(self, sequence: int, /) -> None:
        """Show what was written, and wake the other side should it sleep.

        It is woken by a byte: a full socket has bytes enough, and a closed one nobody to wake.
        """
        self._published = sequence
        fence()
        self._mine[SEQUENCE] = sequence
        fence()
        if self._theirs[SLEEPS]:
            self._wake()

    def answered(self, nanoseconds: int, /) -> bool:
        """Whether the other side shows what was published last, at some time within so many nanoseconds."""
        theirs, published = self._theirs, self._published
        until = time.perf_counter_ns() + nanoseconds
        while theirs[SEQUENCE] != published:
            for _ in range(_LOOKS):
                if theirs[SEQUENCE] == published:
                    return True
            if time.perf_counter_ns() > until:
                return False
        return True

    def asks(self) -> bool:
        """Whether the other side shows anything else than what was published last."""
        return self._theirs[SEQUENCE] != self._published

    def _wake(self) -> None:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._other)) as other:
            other.send(b"!", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def pure_first_asking(turns: tuple[PureTurn, ...], nanoseconds: int, first: int, /) -> int:
    """The place of a turn whose other side asks, at some time within so many nanoseconds; -1: none does.

    Args:
        turns: Of all channels.
        nanoseconds: How long to look; 0 is once.
        first: Where looking begins, so that nobody is always first.
    """
    places = [(first + step) % len(turns) for step in range(len(turns))]
    until = time.perf_counter_ns() + nanoseconds
    while turns:
        for at in places:
            if turns[at].asks():
                return at
        if time.perf_counter_ns() >= until:
            break
    return -1


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
    from ._turn import first_asking as first_asking
else:
    Turn, first_asking = PureTurn, pure_first_asking

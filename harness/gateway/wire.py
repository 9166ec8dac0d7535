"""One channel between a client and the server: two shared memories, a socket to wake up by, and the wait.

This file is laid into the clean room as well, where `harness` is not: it imports the standard library alone.

    request (the client writes)           reply (the server writes, read-only for the client)
      0  sequence number                    0  sequence number
      8  the client sleeps                  8  the server sleeps
     64  what is asked                     64  what is said in the note
     80  a seed an environment             72  length of the note, if it is pickled
      …  actions                           80  rewards, terminated, truncated, observations, note

A message is written first and its sequence number last; whoever waits looks at that number (turn.py). A wait spins for
a moment and then sleeps on the socket, where the other side leaves a byte if it sees the sleeper's flag.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import time

from .turn import Turn, doze

RESET, STEP = 1, 2
NOTHING, REFUSED, INFOS = 0, 1, 2
"""What is said in a note; above the last, infos in a layout, numbered from there."""
ASKED, SAID, LENGTH = 8, 8, 9
"""Places in a memory, counted in words of eight bytes."""
SEEDS_AT = ANSWER_AT = 80
"""Place of the first seed and of the first reward, in bytes. What is looked at while it is waited for lies apart from
the message (lines of a core's cache have 64 bytes), and a small message within two lines."""
ALIGNMENT = 8
VARIABLE = "REPROOF_GATEWAY"
"""The environment variable that names the descriptor of the server's socket."""
LARGEST_MESSAGE = 16_384
"""Bytes of a message on a socket."""
NAP = 200
"""Milliseconds after which a sleeper looks up by itself, should a wake-up be lost."""
FIRST, SHORTEST, LONGEST = 200_000, 50_000, 5_000_000
"""Nanoseconds of a spin: the first one, and the limits of later ones."""
_FEWEST, _MOST = 8, 1024
"""Waits without a spin after one in vain."""
_FORGETS = 1.1
"""By how much the shortest wait of late may grow with each one that is longer."""
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_SEAL_FUTURE_WRITE = 0x0010
"""F_SEAL_FUTURE_WRITE of linux/fcntl.h, which Python does not name."""


def aligned(offset: int) -> int:
    """The next place that may begin something."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


class Patience:
    """Whether a wait spins before it sleeps, and for how long.

    On a busy machine the other side cannot run while this one spins, and on an idle one a sleep costs more than a step:
    so a spin in vain is paid for by some waits without one. What is spun for follows the shortest waits of late: long
    ones tell of other programs.
    """

    __slots__ = ("_least", "_penalty", "_skip", "spins", "tried")

    def __init__(self) -> None:
        """Begin by spinning."""
        self._skip, self._penalty, self._least = 0, _FEWEST, float(LONGEST)
        self.spins = FIRST
        """Nanoseconds to spin next time; 0: not at all."""
        self.tried = False
        """Whether it should be told of what is met."""

    def met(self) -> None:
        """A wait has ended without a sleep."""
        if self._skip:
            self._skip -= 1
            self.spins = 0 if self._skip else self._limit()
        else:
            self._penalty >>= 1
            self.tried = self._penalty > _FEWEST

    def slept(self, waited: int) -> None:
        """A wait has ended in a sleep, and took so many nanoseconds in all."""
        self._least = min(_FORGETS * self._least, waited)
        if self._skip:
            self.met()
        else:
            self._skip, self._penalty = self._penalty, min(self._penalty << 1, _MOST)
            self.spins, self.tried = 0, True

    def _limit(self) -> int:
        return SHORTEST if self._least >= LONGEST else min(max(int(2 * self._least), SHORTEST), LONGEST)


class Hangup(Exception):
    """The other side is gone."""


class End:
    """One end of a channel: the memory this side writes, the memory it reads, and the socket."""

    __slots__ = ("_came", "_patience", "_publish", "mine", "other", "theirs", "turn")

    def __init__(self, mine: memoryview, theirs: memoryview, other: socket.socket, *, asks: bool) -> None:
        """Keep the three.

        Args:
            mine: What this side writes.
            theirs: What the other side writes.
            other: Must not block.
            asks: Whether this is the side that asks.
        """
        self.mine, self.theirs = mine.cast("Q"), theirs.cast("Q")
        self.other = other
        self.turn = Turn(mine, theirs, other.fileno(), asks)
        self._publish, self._came = self.turn.publish, self.turn.came
        self._patience = Patience()

    def ask(self, sequence: int) -> None:
        """Show what was written, and wait until the other side shows the same sequence number.

        Raises:
            Hangup: The other side is gone.
        """
        self._publish(sequence)
        patience = self._patience
        if not self._came(patience.spins):
            self._wait()
        elif patience.tried:
            patience.met()

    def _wait(self) -> None:
        turns, began = (self.turn,), time.perf_counter_ns()
        while not self._came(0):
            if doze(turns, (), NAP) and not self._came(0):
                raise Hangup
        self._patience.slept(self._patience.spins + time.perf_counter_ns() - began)


def shared(size: int, *, writable: bool) -> tuple[int, memoryview]:
    """A sealed shared memory and our view of it; the descriptor is for the client.

    Nobody can shrink it under our feet, which would kill whoever looks at it; with `writable=False` nobody but us can
    write to it.
    """
    handle = os.memfd_create("reproof", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(handle, size)
        view = memoryview(mmap.mmap(handle, size))
        seals = _SEALS if writable else _SEALS | _SEAL_FUTURE_WRITE
        fcntl.fcntl(handle, fcntl.F_ADD_SEALS, seals | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(handle)
        raise
    return handle, view


def mapped(handle: int, *, writable: bool) -> memoryview:
    """A view of a shared memory that was received; the descriptor is closed."""
    try:
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        return memoryview(mmap.mmap(handle, os.fstat(handle).st_size, prot=access))
    finally:
        os.close(handle)

"""One channel between a client and the server: two shared memories, a socket to wake up by, and the wait.

This file is laid into the clean room as well, where `harness` is not: it imports the standard library alone.

    request (the client writes)           reply (the server writes, read-only for the client)
      0  sequence number                    0  sequence number
      8  what is asked                    128  status
     64  the client sleeps                136  length of the note
    128  a seed an environment             64  the server sleeps
      …  actions                          192  rewards, terminated, truncated, observations, note

A message is written first and its sequence number last; whoever waits looks at that number. A wait spins for a moment
and then sleeps on the socket, where the other side leaves a byte if it sees the sleeper's flag.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import select
import socket
import threading
import time

RESET, STEP = 1, 2
OK, REFUSED = 0, 1
SEQUENCE, ASKED, SLEEPS, STATUS, NOTE_LENGTH = 0, 1, 8, 16, 17
"""Places in a memory, counted in words of eight bytes."""
SEEDS_AT, ANSWER_AT = 128, 192
"""Places of the first seed and of the first reward, in bytes."""
ALIGNMENT = 64
VARIABLE = "REPROOF_GATEWAY"
"""The environment variable that names the descriptor of the server's socket."""
LARGEST_MESSAGE = 16_384
"""Bytes of a message on a socket."""
NAP = 0.2
"""Seconds after which a sleeper looks up by itself, should a wake-up be lost."""
SPIN, _LONGEST_SPIN, _AT_ONCE = 200e-6, 1e-3, 8
"""Seconds; a step of most environments, and of so many small ones at once, takes less than the first."""
_FEWEST, _MOST = 8, 1024
_LOOKS = 16
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_SEAL_FUTURE_WRITE = 0x0010
"""F_SEAL_FUTURE_WRITE of linux/fcntl.h, which Python does not name."""
_lock = threading.Lock()


def fence() -> None:
    """Order what was written before against what is read after: a lock is a full barrier on x86."""
    _lock.acquire()
    _lock.release()


def aligned(offset: int) -> int:
    """The next place that may begin something."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


class Patience:
    """Whether a wait spins before it sleeps: a spin in vain is paid for by some waits without one.

    On a busy machine the other side cannot run while this one spins, and on an idle one a sleep costs more than a step.
    """

    __slots__ = ("_penalty", "_skip")

    def __init__(self) -> None:
        """Begin by spinning."""
        self._skip, self._penalty = 0, _FEWEST

    def spins(self) -> bool:
        """Whether to spin this time."""
        if self._skip:
            self._skip -= 1
            return False
        return True

    def met(self) -> None:
        """The spin was worth it."""
        self._penalty = max(self._penalty >> 1, _FEWEST)

    def in_vain(self) -> None:
        """The spin was not worth it."""
        self._skip, self._penalty = self._penalty, min(self._penalty << 1, _MOST)


class Hangup(Exception):
    """The other side is gone."""


class End:
    """One end of a channel: the memory this side writes, the memory it reads, and the socket."""

    __slots__ = ("_patience", "_sleeper", "_spins_for", "mine", "other", "theirs")

    def __init__(self, mine: memoryview, theirs: memoryview, other: socket.socket, *, count: int) -> None:
        """Keep the three; the socket must not block, and an answer of more environments is waited for longer."""
        self._spins_for = min(SPIN * max(1.0, count / _AT_ONCE), _LONGEST_SPIN)
        self.mine, self.theirs = mine.cast("Q"), theirs.cast("Q")
        self.other = other
        self._patience = Patience()
        self._sleeper = select.poll()
        self._sleeper.register(other, select.POLLIN)

    def publish(self, sequence: int) -> None:
        """Show what was written, and wake the other side should it sleep."""
        fence()
        self.mine[SEQUENCE] = sequence
        fence()
        if self.theirs[SLEEPS]:
            self.wake()

    def wake(self) -> None:
        """Leave a byte; a full socket has bytes enough, and a closed one nobody to wake."""
        with contextlib.suppress(OSError):
            self.other.send(b"!", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def wait(self, sequence: int) -> None:
        """Wait until the other side shows a sequence number.

        Raises:
            Hangup: The other side is gone.
        """
        if self._patience.spins():
            if self._spin(sequence):
                self._patience.met()
                return
            self._patience.in_vain()
        while self.theirs[SEQUENCE] != sequence:
            self._sleep(sequence)

    def _spin(self, sequence: int) -> bool:
        theirs, until = self.theirs, time.perf_counter() + self._spins_for
        while True:
            for _ in range(_LOOKS):
                if theirs[SEQUENCE] == sequence:
                    return True
            if time.perf_counter() > until:
                return False

    def _sleep(self, sequence: int) -> None:
        self.mine[SLEEPS] = 1
        fence()
        try:
            if self.theirs[SEQUENCE] == sequence:
                return
            if self._sleeper.poll(NAP * 1000):
                self._hear()
        finally:
            self.mine[SLEEPS] = 0

    def _hear(self) -> None:
        try:
            heard = self.other.recv(64, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            raise Hangup from error
        if not heard:
            raise Hangup


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

"""Both ways of taking turns, the one in C and the one in Python, do the same."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.gateway import turn

BUILT = turn.Turn.__name__ == "Turn"
KINDS = {"python": (turn.PureTurn, turn.pure_first_asking)} | ({"c": (turn.Turn, turn.first_asking)} if BUILT else {})
SECOND = 10**9


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any, Any, socket.socket, memoryview]]:
    """Both ends, how one looks for who asks, the socket of the second end, and its memory."""
    kind, first_asking = KINDS[request.param]
    here, there = memoryview(bytearray(128)), memoryview(bytearray(128))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.setblocking(False)
        yield kind(here, there, ours.fileno()), kind(there, here, theirs.fileno()), first_asking, theirs, there


def test_ci_has_the_one_in_c() -> None:
    """Elsewhere there may be no compiler; here there is, so that both are tested."""
    assert BUILT or not os.environ.get("REPROOF_CI")


def test_what_is_published_is_seen_and_answered(pair: Any) -> None:
    client, server, first_asking, _, _ = pair
    assert client.answered(0)  # nothing was asked
    assert first_asking((server,), 0, 0) == -1
    client.publish(1)
    assert not client.answered(0)
    assert first_asking((server,), 0, 0) == 0
    server.publish(1)
    assert client.answered(0)
    assert first_asking((server,), 0, 0) == -1


def test_looking_begins_where_it_is_told_to(pair: Any) -> None:
    client, server, first_asking, _, _ = pair
    client.publish(1)
    assert [first_asking((server, client, server), 0, first) for first in range(5)] == [0, 1, 2, 0, 1]
    assert first_asking((), SECOND, 7) == -1


def test_a_look_ends_in_time_and_lets_other_threads_run(pair: Any) -> None:
    client, server, first_asking, _, _ = pair
    client.publish(1)
    began = time.perf_counter()
    assert not client.answered(SECOND // 20)
    assert first_asking((client,), 0, 0) == 0
    assert 0.05 <= time.perf_counter() - began < 5
    threading.Timer(0.05, server.publish, (1,)).start()
    assert client.answered(20 * SECOND)


def test_only_a_sleeper_is_woken(pair: Any) -> None:
    client, _, _, socket_of_other, memory = pair
    client.publish(1)
    with pytest.raises(BlockingIOError):
        socket_of_other.recv(8)
    memory.cast("Q")[turn.SLEEPS] = 1
    client.publish(2)
    assert socket_of_other.recv(8) == b"!"


def test_a_closed_or_full_socket_holds_nobody_up(pair: Any) -> None:
    client, _, _, socket_of_other, memory = pair
    memory.cast("Q")[turn.SLEEPS] = 1
    for number in range(3000):
        client.publish(number)
    socket_of_other.close()
    client.publish(1)


@pytest.mark.skipif(not BUILT, reason="there was no compiler when Reproof was installed")
def test_c_takes_nothing_that_it_cannot_hold() -> None:
    memory, short, fixed = memoryview(bytearray(128)), memoryview(bytearray(8)), memoryview(bytes(128))
    for mine, theirs in itertools.product((short, fixed), (memory,)):
        with pytest.raises((ValueError, BufferError)):
            turn.Turn(mine, theirs, 0)
    with pytest.raises(ValueError, match="at least"):
        turn.Turn(memory, short, 0)
    taken = turn.Turn(memory, fixed, 0)
    for wrong in (-1, 2**64):
        with pytest.raises(OverflowError):
            taken.publish(wrong)
    with pytest.raises(TypeError):
        turn.first_asking(("no turn",), 0, 0)  # type: ignore[arg-type]

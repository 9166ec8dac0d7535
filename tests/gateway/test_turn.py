"""Both ways of taking turns, the one in C and the one in Python, do the same."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from harness.gateway import turn

BUILT = turn.Turn.__name__ == "Turn"
KINDS = {"python": (turn.PureTurn, turn.pure_first_come, turn.pure_doze)}
KINDS |= {"c": (turn.Turn, turn.first_come, turn.doze)} if BUILT else {}
SECOND = 10**9


class Pair(NamedTuple):
    """Both ends, how they look and sleep, their sockets, and the memory that the server writes."""

    client: Any
    server: Any
    first_come: Any
    doze: Any
    ours: socket.socket
    theirs: socket.socket
    memory: memoryview


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A channel of one kind."""
    kind, first_come, doze = KINDS[request.param]
    here, there = memoryview(bytearray(128)), memoryview(bytearray(128))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        client, server = kind(here, there, ours.fileno(), True), kind(there, here, theirs.fileno(), False)
        yield Pair(client, server, first_come, doze, ours, theirs, there)


def test_ci_has_the_one_in_c() -> None:
    """Elsewhere there may be no compiler; here there is, so that both are tested."""
    assert BUILT or not os.environ.get("REPROOF_CI")


def test_what_is_asked_is_seen_and_answered(pair: Pair) -> None:
    client, server, first_come = pair.client, pair.server, pair.first_come
    assert first_come((server,), 0, 0) == -1
    client.publish(1)
    assert not client.came(0)
    assert first_come((server,), 0, 0) == 0
    server.publish(1)
    assert client.came(0)
    assert first_come((server,), 0, 0) == -1
    client.publish(2)
    assert not client.came(0)
    assert server.came(0)


def test_looking_begins_where_it_is_told_to(pair: Pair) -> None:
    pair.client.publish(1)
    several = (pair.server, pair.client, pair.server)
    assert [pair.first_come(several, 0, first) for first in range(5)] == [0, 2, 2, 0, 2]
    assert pair.first_come((), SECOND, 7) == -1


def test_a_look_ends_in_time_and_lets_other_threads_run(pair: Pair) -> None:
    pair.client.publish(1)
    began = time.perf_counter()
    assert not pair.client.came(SECOND // 20)
    assert pair.first_come((pair.client,), SECOND // 20, 0) == -1
    assert 0.1 <= time.perf_counter() - began < 5
    threading.Timer(0.05, pair.server.publish, (1,)).start()
    assert pair.client.came(20 * SECOND)


def test_only_a_sleeper_is_woken(pair: Pair) -> None:
    pair.client.publish(1)
    assert pair.doze((pair.client,), (pair.theirs.fileno(),), 20) == []
    later = threading.Timer(0.05, pair.server.publish, (1,))
    later.start()
    began = time.perf_counter()
    assert pair.doze((pair.client,), (), 20_000) == []
    assert time.perf_counter() - began < 10
    assert pair.client.came(SECOND)
    later.join()
    assert pair.memory.cast("Q")[turn.SLEEPS] == 0


def test_what_has_come_already_is_not_slept_over(pair: Pair) -> None:
    pair.client.publish(1)
    began = time.perf_counter()
    assert pair.doze((pair.server,), (), 20_000) == []
    assert time.perf_counter() - began < 10


def test_who_is_gone_is_told_even_after_wake_ups(pair: Pair) -> None:
    for _ in range(10):
        pair.ours.send(b"!")
    assert pair.doze((pair.server,), (), 1000) == []
    pair.ours.send(b"!")
    pair.ours.close()
    assert pair.doze((pair.server,), (), 1000) == [pair.theirs.fileno()]


def test_other_descriptors_are_told(pair: Pair) -> None:
    reader, writer = os.pipe()
    try:
        assert pair.doze((pair.server,), (reader,), 10) == []
        os.write(writer, b"x")
        assert pair.doze((pair.server,), (reader,), 1000) == [reader]
        assert pair.doze((), (reader,), 1000) == [reader]
    finally:
        os.close(reader)
        os.close(writer)


def test_a_closed_or_full_socket_holds_nobody_up(pair: Pair) -> None:
    pair.memory.cast("Q")[turn.SLEEPS] = 1
    for number in range(3000):
        pair.client.publish(number)
    pair.theirs.close()
    pair.client.publish(1)


@pytest.mark.skipif(not BUILT, reason="there was no compiler when Reproof was installed")
def test_c_takes_nothing_that_it_cannot_hold() -> None:
    memory, short, fixed = memoryview(bytearray(128)), memoryview(bytearray(8)), memoryview(bytes(128))
    for mine, theirs in itertools.product((short, fixed), (memory,)):
        with pytest.raises((ValueError, BufferError)):
            turn.Turn(mine, theirs, 0, True)
    with pytest.raises(ValueError, match="at least"):
        turn.Turn(memory, short, 0, True)
    taken = turn.Turn(memory, fixed, 0, True)
    for wrong in (-1, 2**64):
        with pytest.raises(OverflowError):
            taken.publish(wrong)
    with pytest.raises(TypeError):
        turn.first_come(("no turn",), 0, 0)  # type: ignore[arg-type]

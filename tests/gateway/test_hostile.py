"""Clients that misbehave on the socket and in the raw memories: they harm their own run, and nothing hangs."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import random
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gateway.served import HERE, Run, running, served
from gymnasium import error
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.gateway import client, turn, wire
from harness.gateway.opening import MOST_ENVIRONMENTS
from harness.gateway.server import MOST_CHANNELS

SOON = 10.0
"""Seconds within which a server must have answered, or ended."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with running(
        tmp_path / "run",
        Cart=served("CartPole-v1", evaluation_steps=100),
        Pend=served("Pendulum-v1"),
        Odd=served(f"{HERE}:Odd"),
        Broken=served(f"{HERE}:Broken"),
    ) as run:
        yield run


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One server for many clients: none of them may end it, or spoil it for the next."""
    offered = {"Cart": served("CartPole-v1"), "Pend": served("Pendulum-v1"), "Odd": served(f"{HERE}:Odd")}
    with running(tmp_path_factory.mktemp("shared") / "run", **offered) as run:
        yield run
        assert run.end()[0].fault is None


def control() -> socket.socket:
    return socket.socket(fileno=os.dup(int(os.environ[wire.VARIABLE])))


def still_serves(run: Run) -> None:
    """Another client of the same run gets what it asks for."""
    began = time.monotonic()
    env = run.env("reproof/Cart-v0")
    env.reset(seed=1)
    env.step(1)
    env.close()
    assert time.monotonic() - began < SOON


def end_of(env: Any) -> wire.End:
    end = env._channel._end
    assert end is not None
    return end


def gone(env: Any) -> None:
    """The server has closed this channel, and the client is told so rather than left waiting."""
    closed = select.poll()
    closed.register(end_of(env).other, select.POLLRDHUP)
    assert closed.poll(SOON * 1000)
    with pytest.raises(client.GatewayError, match="ended this environment"):
        env.reset()


MESSAGES = (
    b"",
    b"\0" * 100,
    b"[" * 9000,
    b'{"id": 1}',
    b"\xff\xfe",
    b'{"id":"x","count":1e99,"phase":1}',
    os.urandom(5000),
)


def test_garbage_on_the_socket(run: Run) -> None:
    with control() as ours:
        for message in MESSAGES:
            for handles in ([], [0], [os.open("/dev/null", os.O_RDONLY)], [0, 1, 2], [ours.fileno()]):
                socket.send_fds(ours, [message], handles)
                if handles and handles[0] > 2 and handles[0] != ours.fileno():
                    os.close(handles[0])
    still_serves(run)


def test_an_empty_message_does_not_deafen_the_server(run: Run) -> None:
    with control() as ours:
        ours.send(b"")
    still_serves(run)


@pytest.mark.slow
def test_floods_of_messages_and_of_wake_ups(run: Run) -> None:
    env = run.env("reproof/Cart-v0")
    env.reset()
    until = time.monotonic() + 1
    with control() as ours:
        ours.setblocking(False)
        while time.monotonic() < until:
            for noisy in (ours, end_of(env).other):
                with contextlib.suppress(BlockingIOError):
                    noisy.send(os.urandom(random.choice([0, 1, 64, 4000])) or b"!")
    env.step(0)
    still_serves(run)
    closing, _ = run.end()
    assert closing.fault is None
    assert closing.misbehaved


def test_a_stalled_client_does_not_keep_the_server(run: Run) -> None:
    env = run.env("reproof/Cart-v0")
    env.reset()
    end_of(env).mine[turn.SLEEPS] = 1
    began = time.monotonic()
    closing, _ = run.end()
    assert closing.fault is None
    assert time.monotonic() - began < SOON


def test_the_log_outlives_a_client_that_dies(run: Run) -> None:
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            env = run.env("reproof/Cart-v0")
            env.reset(seed=4)
            for _ in range(3):
                env.step(0)
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    still_serves(run)
    _, log = run.end()
    assert sorted(zip(log["outcome"], log["length"], log["seed"], strict=True)) == [
        ("abandoned", 1, 1),
        ("abandoned", 3, 4),
    ]


@pytest.mark.parametrize(
    "action", [np.nan, np.inf, -np.inf, 1e30, 2.1, "left", None, [[1.0, 2.0], [3.0, 4.0]], {"a": 1}, 10**400]
)
def test_an_action_that_is_none(shared: Run, action: Any) -> None:
    env = shared.env("reproof/Pend-v0")
    env.reset(seed=1)
    with pytest.raises(client.ActionRefused, match="expected a value of"):
        env.step(action if not isinstance(action, float) else np.array([action]))
    env.step(np.array([0.5]))


def test_an_action_that_is_none_is_not_counted(run: Run) -> None:
    env = run.env("reproof/Pend-v0")
    env.reset(seed=1)
    with pytest.raises(client.ActionRefused):
        env.step(np.array([np.nan]))
    env.step(np.array([0.5]))
    closing, _ = run.end()
    assert closing.used["reproof/Pend-v0"].training == 1
    assert not closing.misbehaved


@pytest.mark.parametrize("action", [-1, 2, 2**62, -(2**63)])
def test_a_choice_out_of_range(shared: Run, action: int) -> None:
    for env in (shared.env("reproof/Cart-v0"), shared.vector(3, "reproof/Cart-v0")):
        env.reset()
        with pytest.raises(client.ActionRefused):
            env.step(action if isinstance(env, client.GatewayEnv) else np.array([0, action, 0]))


def test_no_step_before_a_reset_and_none_after_the_end(shared: Run) -> None:
    env = shared.env("reproof/Cart-v0")
    with pytest.raises(error.ResetNeeded):
        env.step(0)
    env.reset()
    while not env.step(0)[2]:
        pass
    with pytest.raises(error.ResetNeeded):
        env.step(0)
    several = shared.vector(2, "reproof/Cart-v0")
    with pytest.raises(error.ResetNeeded):
        several.step(np.zeros(2, dtype=int))


@pytest.mark.parametrize("jump", [2, 100, 2**63, -1])
def test_a_wrong_sequence_number(shared: Run, jump: int) -> None:
    env = shared.env("reproof/Cart-v0")
    env.reset()
    end_of(env).turn.publish((1 + jump) % 2**64)
    gone(env)
    still_serves(shared)


def test_misbehaviour_is_kept_in_words(run: Run) -> None:
    for sequence, asked in ((7, wire.STEP), (1, 9)):
        env = run.env("reproof/Cart-v0")
        end_of(env).mine[wire.ASKED] = asked
        end_of(env).turn.publish(sequence)
        gone(env)
    closing, _ = run.end()
    assert closing.misbehaved == ["sequence number 7 in place of 1", "unknown request 9"]
    assert closing.fault is None


@pytest.mark.parametrize("asked", [0, 3, 2**64 - 1])
def test_an_unknown_request(shared: Run, asked: int) -> None:
    env = shared.env("reproof/Cart-v0")
    env.reset()
    end = end_of(env)
    end.mine[wire.ASKED] = asked
    end.turn.publish(2)
    gone(env)
    still_serves(shared)


def test_a_negative_seed_in_memory_is_refused(shared: Run) -> None:
    env = shared.env("reproof/Cart-v0")
    env._channel.seeds[0] = -7
    with pytest.raises(error.Error, match="at least 0"):
        env._channel.ask(wire.RESET)
    still_serves(shared)


def test_memory_that_changes_in_the_middle_of_a_read(run: Run) -> None:
    env = run.env("reproof/Odd-v0")
    end, stop = end_of(env), threading.Event()
    raw = np.frombuffer(end.mine, dtype=np.uint8)[wire.SEEDS_AT :]

    def flip() -> None:
        while not stop.is_set():
            raw[...] = np.random.default_rng().integers(0, 256, len(raw), dtype=np.uint8)

    other = threading.Thread(target=flip)
    other.start()
    refused = 0
    try:
        for _ in range(200):
            try:
                env._channel.ask(random.choice([wire.RESET, wire.STEP]))
            except (client.ActionRefused, error.Error):
                refused += 1
    finally:
        stop.set()
        other.join()
    assert refused
    still_serves(run)
    assert run.end()[0].fault is None


def opened(id: str = "reproof/Cart-v0") -> tuple[socket.socket, int, int]:
    """Open an environment by hand; gives the descriptors of both memories as the client gets them."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, control() as to:
        wanted = {"id": id, "count": 0, "phase": "training", "autoreset": "NextStep", "keywords": {}}
        socket.send_fds(to, [client._encoded(wanted)], [theirs.fileno()])
    _, (request, reply), _, _ = socket.recv_fds(ours, 1000, 2)
    return ours, request, reply


def test_memory_can_be_neither_cut_nor_grown_nor_written_where_it_is_ours(shared: Run) -> None:
    ours, request, reply = opened()
    size = os.fstat(reply).st_size
    for handle in (request, reply):
        for length in (0, 1, 2**20 + 2**30):
            with pytest.raises(PermissionError):
                os.ftruncate(handle, length)
        with pytest.raises(PermissionError):
            fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    with pytest.raises(PermissionError):
        mmap.mmap(reply, size)
    with pytest.raises(PermissionError):
        os.pwrite(reply, b"won", wire.ANSWER_AT)
    with pytest.raises(OSError, match="not permitted"):
        os.posix_fallocate(reply, 0, size * 2)
    ours.close()
    still_serves(shared)


@pytest.mark.slow
def test_thousands_of_environments_opened(run: Run) -> None:
    kept = [run.env("reproof/Cart-v0") for _ in range(MOST_CHANNELS)]
    for _ in range(1000):
        with pytest.raises(client.GatewayError, match=f"at most {MOST_CHANNELS} proxies"):
            run.env("reproof/Cart-v0")
    for env in kept:
        env.close()
    for _ in range(1000):
        run.env("reproof/Cart-v0").close()
    with pytest.raises(client.GatewayError, match=rf"(at most|<=) .*{MOST_ENVIRONMENTS}"):
        run.vector(MOST_ENVIRONMENTS + 1, "reproof/Cart-v0")
    half = run.vector(MOST_ENVIRONMENTS // 2, "reproof/Cart-v0")
    with pytest.raises(client.GatewayError, match="at most"):
        run.vector(MOST_ENVIRONMENTS // 2 + 1, "reproof/Cart-v0")
    half.close()
    still_serves(run)


def test_a_slow_reader_that_never_takes_its_answers(run: Run) -> None:
    with control() as ours:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(MOST_CHANNELS)]
        wanted = {"id": "reproof/Cart-v0", "count": 0, "phase": "training", "autoreset": "NextStep", "keywords": {}}
        for _, theirs in pairs:
            with contextlib.suppress(BlockingIOError):
                while True:  # a queue that is full before the server has said a word
                    theirs_full = socket.socket(fileno=os.dup(theirs.fileno()))
                    theirs_full.setblocking(False)
                    with theirs_full:
                        theirs_full.send(b"x" * 4000)
            socket.send_fds(ours, [client._encoded(wanted)], [theirs.fileno()])
    began = time.monotonic()
    closing, _ = run.end()
    assert closing.fault is None
    assert time.monotonic() - began < SOON
    for pair in pairs:
        for one in pair:
            one.close()


def test_what_is_not_offered_is_refused_in_words(run: Run) -> None:
    for id, keywords, said in (
        ("reproof/Nothing-v0", {}, "is not served here; known: reproof/Cart-v0"),
        ("reproof/Cart-v0", {"gravity": 0}, "leave 'gravity' out"),
        ("reproof/Pend-v0", {"phase": "evaluation"}, "has no evaluation stream"),
        ("reproof/Cart-v0", {"render_mode": "human"}, "renders nothing"),
    ):
        with pytest.raises(client.GatewayError, match=said):
            run.env(id, **keywords)
    with pytest.raises(client.GatewayError, match="options"):
        run.env().reset(options={"low": 0})
    with pytest.raises(client.GatewayError, match="renders nothing"):
        run.env().render()
    with pytest.raises(ValueError, match="'training' or 'evaluation'"):
        run.env(phase="test")


def test_an_environment_that_fails_is_our_fault(run: Run) -> None:
    env = run.env("reproof/Broken-v0")
    env.reset()
    with pytest.raises(client.GatewayError):
        [env.step(0) for _ in range(3)]
    closing, _ = run.end()
    assert "it broke" in (closing.fault or "")


@settings(max_examples=150)
@given(
    data=st.binary(min_size=1, max_size=700),
    at=st.integers(0, 600),
    step=st.integers(0, 3),
    name=st.sampled_from(["Cart", "Odd"]),
)
def test_random_memory(shared: Run, data: bytes, at: int, step: int, name: str) -> None:
    env = shared.env(f"reproof/{name}-v0")
    env.reset()
    memory = end_of(env).mine.cast("B")
    at = min(at, len(memory) - 1)
    data = data[: len(memory) - at]
    memory[at : at + len(data)] = data
    end_of(env).other.send(b"!")
    with contextlib.suppress(client.GatewayError, client.ActionRefused, error.Error):
        env._channel.ask(step)
    env.close()
    still_serves(shared)


@settings(max_examples=150)
@given(data=st.binary(max_size=2000))
def test_random_messages(shared: Run, data: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, control() as to:
        socket.send_fds(to, [data], [theirs.fileno()])
    still_serves(shared)


def test_an_environment_is_not_told_the_keys_of_whoever_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"OPENAI_API_KEY", "REPROOF_MODEL_KEY", "PGPASSWORD", "ANYTHING"}
    for name in keys:
        monkeypatch.setenv(name, "canary")
    with running(tmp_path / "told", Tells=served(f"{HERE}:Tells")) as run:
        told = set(run.env().reset(seed=1)[1]["told"])
    assert {"PATH", "PYTHONPATH", "OMP_NUM_THREADS"} <= told
    assert not keys & told

"""What comes over the sockets of the gateway and of the broker, from inside a clean room."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzzing.effort import Effort, answered, within
from fuzzing.material import changed, damaged, values
from gateway.served import Run, running, served
from hypothesis import strategies as st

from harness.attempt import broker
from harness.errors import UsageError
from harness.gateway import client, wire
from harness.gateway.log import ROW, read_metered
from harness.gateway.opening import read_wanted
from harness.gateway.owned import Refusal

WANTED = {"id": "reproof/Cart-v0", "count": 2, "phase": "training", "autoreset": "NextStep", "keywords": {"seed": 1}}
MARKS = [b"{", b"[" * 2000, b'{"a":' * 1000, b'"\\ud800"', b"9" * 400, b"1e999", b"NaN", b"\0", b"\n"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with running(tmp_path_factory.mktemp("fuzzed") / "run", Cart=served("CartPole-v1")) as run:
        yield run
        closing, _ = run.end()
        assert closing.fault is None


messages = changed(WANTED).map(lambda value: json.dumps(value).encode()) | damaged(
    json.dumps(WANTED).encode(), marks=MARKS
)


def test_what_is_asked_of_the_gateway(effort: Effort) -> None:
    @effort.over(messages, few=25)
    def check(message: bytes) -> None:
        with within(2.0), contextlib.suppress(Refusal):
            read_wanted(message)


def test_messages_to_a_server(effort: Effort, run: Run) -> None:
    @effort.over(st.lists(messages, min_size=1, max_size=6), few=4)
    def check(told: list[bytes]) -> None:
        with socket.socket(fileno=os.dup(int(os.environ[wire.VARIABLE]))) as control:
            for message in told:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with ours, theirs, contextlib.suppress(OSError):
                    socket.send_fds(control, [message[: wire.LARGEST_MESSAGE]], [theirs.fileno()])
        env = run.env("reproof/Cart-v0")
        env.reset(seed=1)
        env.step(1)
        env.close()


def test_memory_that_a_client_writes(effort: Effort, run: Run) -> None:
    """The request of several environments, written over anywhere; the server answers the next client all the same."""

    @effort.over(st.integers(0, 400), st.binary(min_size=1, max_size=64), st.sampled_from([0, 1, 2, 3, 2**63]), few=6)
    def check(at: int, data: bytes, asked: int) -> None:
        from gymnasium import error

        several = run.vector(3)
        several.reset(seed=1)
        end = several._channel._end
        memory = end.mine.cast("B")
        place = min(at, len(memory) - 1)
        memory[place : place + len(data)] = data[: len(memory) - place]
        with contextlib.suppress(client.GatewayError, client.ActionRefused, error.Error, struct.error, OverflowError):
            several._channel.ask(asked)
        several.close()
        env = run.env("reproof/Cart-v0")
        env.reset()
        env.close()


class _Desk:
    folder = Path("/records/attempts/20260101-000000-lean-x-0000")

    class attempt:
        id = "20260101-000000-lean-x-0000"


ASKED: dict[str, Any] = {
    "words": ["exec", "--env-steps=5", "--experiment", "walk", "--json", "--", "python", "-c", "x"],
    "folder": "/reproof/work/a",
}
LONG = json.dumps({"words": ["exec", "--", "a" * 200_000], "folder": "/"}).encode()
"""No system hands a process a word of that length."""
words = st.lists(
    st.sampled_from(
        [*ASKED["words"], "status", "check", "--help", "--results", "--attempt=x", "-x", "", "é", "a" * 9000]
    )
    | st.text(),
    max_size=7,
)
asked = st.builds(
    lambda words, folder: json.dumps({"words": words, "folder": folder}).encode(),
    words,
    st.text(max_size=9) | st.just("/reproof/work/../.."),
)


def test_what_is_asked_of_the_broker(effort: Effort) -> None:
    whole = json.dumps(ASKED).encode()
    shaped = changed(ASKED).map(lambda value: json.dumps(value).encode())

    @effort.over(asked | shaped | damaged(whole, marks=MARKS), few=25, cases=[LONG])
    def check(data: bytes) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            theirs.settimeout(5)
            theirs.sendall(data + b"\n")
            theirs.shutdown(socket.SHUT_WR)
            found = answered(lambda: understood(ours), UsageError)
        for word in found or ():
            assert "\0" not in word
            assert len(os.fsencode(word)) < 2**17
        if found is not None:
            named = found[: found.index("--")] if "--" in found else found
            assert [word for word in named if word.startswith(("--results", "--attempt"))] in (
                ["--results"],
                ["--attempt", "--results"],
            )


def understood(line: socket.socket) -> list[str]:
    try:
        told = broker._read(line)
        return broker.command(told.words, told.folder, _Desk())  # type: ignore[arg-type]
    except UsageError as error:
        raise error.at("broker") from None


def test_tables_of_episodes(effort: Effort, run: Run, tmp_path: Path) -> None:
    """What the gateway has logged comes back from an archive, as somebody has changed it."""
    import numpy as np

    np.save(tmp_path / "table.npy", np.zeros(2, dtype=ROW))
    whole = (tmp_path / "table.npy").read_bytes()
    endless = whole.replace(b"(2,), }" + b" " * 14, b"(" + b"9" * 15 + b",), }")
    odd = [b"", b"\x93NUMPY", b"PK\5\6" + b"\0" * 18, b"PK\3\4", endless]

    @effort.over(
        damaged(whole, at=range(130)) | values().map(lambda value: repr(value).encode("utf-8", "replace")),
        few=12,
        cases=odd,
    )
    def check(data: bytes) -> None:
        from harness.errors import ReproofError

        (tmp_path / "table.npy").write_bytes(data)
        answered(lambda: dict(read_metered(tmp_path / "table.npy", ["reproof/Cart-v0"])), ReproofError)

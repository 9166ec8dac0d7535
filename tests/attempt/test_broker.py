"""The broker does an agent's verbs and nothing else, whatever comes over its socket."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watching import alive, soon

from harness.attempt import broker as broker_module
from harness.attempt.broker import CONNECTIONS, LARGEST, Broker, brokering, command
from harness.errors import UsageError
from harness.road import Road

pytestmark = pytest.mark.usefixtures("no_keeper_survives")
Heard = tuple[str, str, int | None]


@pytest.fixture
def road(begin: Callable[..., Road], tmp_path: Path) -> Road:
    road = begin(results=tmp_path / "results", adapter="starter")
    road.desk.note("resumed")
    return road


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        yield Path(made)


@pytest.fixture
def open_broker(road: Road, place: Path, environment: dict[str, str]) -> Iterator[Broker]:
    with brokering(road.desk, place, environment=environment) as broker:
        yield broker


def connect(place: Path, timeout: float = 30.0) -> socket.socket:
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(timeout)
    line.connect(str(place / "broker.sock"))
    return line


def heard(line: socket.socket) -> Heard:
    """What comes until the exit status or the end: output, errors, status."""
    said = {"o": b"", "e": b""}
    with line, line.makefile("rb") as stream:
        while len(head := stream.read(5)) == 5:
            kind, size = struct.unpack(">cI", head)
            data = stream.read(size)
            if kind == b"x":
                return said["o"].decode(), said["e"].decode(), int(data)
            said[kind.decode()] += data
    return said["o"].decode(), said["e"].decode(), None


def ask(place: Path, *words: str, folder: str = "/reproof/work") -> Heard:
    line = connect(place)
    line.sendall(json.dumps({"words": words, "folder": folder}).encode() + b"\n")
    return heard(line)


def under_way(road: Road) -> bool:
    return any((road.folder / "executing").glob("*.json"))


def test_the_account_is_told(open_broker: Broker, place: Path, road: Road) -> None:
    output, _, status = ask(place, "status", "--json")
    assert status == 0
    assert json.loads(output)["attempt"] == road.attempt.id


ATTEMPT = "20260101-000000-lean-x-0000"


class _Desk:
    folder = Path("/records/attempts") / ATTEMPT

    class attempt:
        id = ATTEMPT


@pytest.mark.parametrize(
    ("words", "folder", "found"),
    [
        (["status"], "/", ["status", "--results", "/records", "--", ATTEMPT]),
        (["check", "walk", "--json"], "/", ["check", "--json", "--attempt", ATTEMPT, "--results", "--", "walk"]),
        (
            ["exec", "--env-steps", "5", "--experiment=walk", "--", "python", "--results", "x"],
            "/reproof/work/deep",
            ["exec", "--env-steps=5", "--experiment=walk", "--attempt", ATTEMPT, "--results", "/records",
             "--folder=deep", "--memory", str(2 * 2**30), "--", "python", "--results", "x"],
        ),
        (["exec", "ls"], "/reproof/work/../home", ["--folder=.", "ls"]),
        (["exec", "ls"], "/etc", ["--folder=.", "ls"]),
        (["exec", "--experiment=--results=/etc", "--", "ls"], "/", ["--experiment=--results=/etc"]),
    ],
)  # fmt: skip
def test_a_verb_is_about_this_attempt_alone(words: list[str], folder: str, found: list[str]) -> None:
    made = command(words, folder, _Desk())  # type: ignore[arg-type]
    assert set(found) <= set(made)
    before = made[: made.index("--")]
    assert before.count("--results") == 1
    assert made[made.index("--results") + 1] == "/records"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["submit"],
        ["clock", "pause", "lunch"],
        ["rerun"],
        ["paper", "show", "tree_search"],
        ["status", "--results", "/elsewhere"],
        ["status", "another-attempt"],
        ["check", "--results=/elsewhere"],
        ["check", "--attempt", "another"],
        ["exec", "--attempt", "another", "--", "ls"],
        ["exec", "--results=/x", "ls"],
        ["exec", "--folder=/x", "ls"],
        ["exec", "--memory=999", "ls"],
        ["exec", "--experiment"],
        ["--version"],
        ["\x1b[31mstatus"],
    ],
)
def test_other_words_are_refused_with_what_works(words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        command(words, "/reproof/work", _Desk())  # type: ignore[arg-type]
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"status\n",
        b'{"words": ["status"]}\n',
        b'{"words": ["status"], "folder": "/", "results": "/"}\n',
        b'{"words": "status", "folder": "/"}\n',
        b'{"words": [1], "folder": "/"}\n',
        b'{"words": ["exec", "a\\u0000b"], "folder": "/"}\n',
        b'{"words": [' + b'"a",' * 5000 + b'"a"], "folder": "/"}\n',
        b"[" * 10_000 + b"\n",
        bytes(range(256)) + b"\n",
        b"x" * (LARGEST + 1),
        b'{"words": ["\xff"], "folder": "/"}\n',
    ],
    ids=range(12),
)
def test_what_is_no_request_is_refused(open_broker: Broker, place: Path, data: bytes) -> None:
    line = connect(place)
    line.sendall(data)
    _, errors, status = heard(line)
    assert (status, "this is no request" in errors) == (2, True)


def test_half_a_request_and_a_flood_keep_nobody_waiting(
    open_broker: Broker, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "_PATIENCE", 0.5)
    flood = [connect(place) for _ in range(CONNECTIONS)]
    flood[0].sendall(b'{"words"')
    ends = time.monotonic() + 2.0

    def storm() -> None:
        while time.monotonic() < ends:
            with socket.socket(socket.AF_UNIX) as line, contextlib.suppress(OSError):
                line.settimeout(0.2)
                line.connect(str(place / "broker.sock"))
            time.sleep(0.002)

    stormers = [threading.Thread(target=storm) for _ in range(3)]
    for one in stormers:
        one.start()
    for one in stormers:
        one.join()
    assert soon(lambda: ask(place, "status")[2] == 0, within=20)
    assert threading.active_count() < 2 * CONNECTIONS + 10
    for line in flood:
        line.close()


def test_more_commands_at_once_than_are_allowed_are_refused(open_broker: Broker, place: Path, road: Road) -> None:
    lines = [connect(place) for _ in range(4)]
    for line in lines:
        line.sendall(json.dumps({"words": ["exec", "sleep", "60.125"], "folder": "/"}).encode() + b"\n")
    try:
        assert soon(lambda: len(list((road.folder / "executing").glob("*.json"))) == 4, within=20)
        assert ask(place, "exec", "true")[2] == 75
    finally:
        for line in lines:
            line.close()  # whoever hangs up wants no more of it
    assert soon(lambda: not alive("60.125"), within=15)


def test_an_interrupt_ends_a_command_and_it_is_counted(open_broker: Broker, place: Path, road: Road) -> None:
    line = connect(place)
    line.sendall(json.dumps({"words": ["exec", "sh", "-c", "echo up; sleep 60.5"], "folder": "/"}).encode() + b"\n")
    assert soon(lambda: under_way(road), within=10)
    line.sendall(b"i")
    assert heard(line)[2] == 130
    ended = [event.data["ended"] for event in road.desk.events() if event.kind == "executed"]
    assert ended == ["cancel"]


def test_what_is_under_way_ends_with_the_broker(road: Road, place: Path, environment: dict[str, str]) -> None:
    with brokering(road.desk, place, environment=environment):
        line = connect(place)
        line.sendall(json.dumps({"words": ["exec", "sleep", "60.75"], "folder": "/"}).encode() + b"\n")
        assert soon(lambda: under_way(road), within=10)
    line.close()
    assert not alive("60.75")
    assert [event.kind for event in road.desk.events()][-1] == "executed"


def test_a_workspace_cannot_make_the_broker_import_its_files(
    open_broker: Broker, place: Path, road: Road, tmp_path: Path
) -> None:
    for name in ("harness/__init__.py", "click.py", "sitecustomize.py", "json.py"):
        file = road.workspace / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"open({str(tmp_path / 'escaped')!r}, 'w')\n")
    assert ask(place, "status")[2] == 0
    assert ask(place, "exec", "true")[2] == 0
    assert not (tmp_path / "escaped").exists()


def test_there_is_an_end_to_commands(open_broker: Broker, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "MOST", 1)
    assert ask(place, "exec", "true")[2] == 0
    assert ask(place, "exec", "true")[2] == 75
    assert ask(place, "status")[2] == 0

"""A guest's room in the real clean room, and what is made of answers that were never honest."""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Completed, Job, Limits, Mount, SandboxSettings, Usage
from harness.exchange.room import INSIDE, MOST, Room, RoomError

WORK = "/reproof/work"
LIMITS = Limits(cpu=20.0, wall=60.0, memory=2**29, processes=64, disk=2**26)
ENDED = Completed(
    exit=0, usage=Usage(cpu=0, wall=0, memory=0, processes=1, exact=True), log="", killed_by=None, collected={}
)
Answer = Callable[[socket.socket, dict[str, object]], None]


def real(folder: Path, limits: Limits = LIMITS) -> Room:
    sandbox = open_sandbox(SandboxSettings())

    def start(words: Sequence[str], descriptor: int, cancel: threading.Event) -> Completed:
        mounts = (
            INSIDE,
            Mount(source=folder, target=WORK, writable=True),
        )
        return sandbox.run(Job(command=tuple(words), limits=limits, mounts=mounts, descriptors=(descriptor,)), cancel)

    return Room(start)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    (tmp_path / "work").mkdir()
    opened = real(tmp_path / "work")
    yield opened
    opened.close()


def run(room: Room, script: str, **more: object) -> tuple[int, str, str]:
    ran = room.execute(["/bin/sh", "-c", script], folder=WORK, environment={}, **more)  # type: ignore[arg-type]
    return ran.code, ran.out.decode(), ran.err.decode()


def test_commands_share_files_and_processes_and_see_no_network(room: Room) -> None:
    assert run(room, "echo one >/tmp/note; echo out; echo err >&2; exit 3") == (3, "out\n", "err\n")
    assert run(room, "cat /tmp/note; cat", content=b"given") == (0, "one\ngiven", "")
    began = time.monotonic()
    assert run(room, "sleep 50 & echo $! >/tmp/pid")[0] == 0
    assert time.monotonic() - began < 20  # what is left in the background keeps nobody waiting
    assert run(room, "kill -0 $(cat /tmp/pid)")[0] == 0
    assert run(room, "python -c 'import socket; socket.create_connection((\"127.0.0.1\", 9))'")[0] != 0
    assert run(room, "echo $WHO; ls $HOME/.. | grep -c private", content=b"")[1].startswith("\n0")


def test_a_command_beyond_its_time_is_ended_and_a_missing_one_is_told(room: Room) -> None:
    ran = room.execute(["/bin/sh", "-c", "echo a; sleep 60"], folder=WORK, environment={}, seconds=0.3)
    assert (ran.late, ran.out) == (True, b"a\n")
    with pytest.raises(RoomError) as found:
        room.execute(["no-such-program"], folder=WORK, environment={})
    assert found.value.kind == "FileNotFoundError"


def test_files_go_in_and_plain_files_come_out(room: Room, tmp_path: Path) -> None:
    given = tmp_path / "given"
    (given / "below").mkdir(parents=True)
    (given / "below" / "file").write_text("hello")
    room.put(given, f"{WORK}/in/deep")
    room.put_bytes(f"{WORK}/made/new.txt", b"bytes")
    assert run(room, "cat in/deep/below/file made/new.txt")[1] == "hellobytes"
    run(room, "mkdir left; echo kept >left/kept; ln -s /etc/hostname left/link; mkfifo left/pipe; ln -s / left/root")
    got = tmp_path / "got"
    got.mkdir()
    assert room.get(f"{WORK}/left", got) is True
    assert sorted(str(path.relative_to(got)) for path in got.rglob("*")) == ["kept"]
    assert room.get(f"{WORK}/made/new.txt", got) is False
    assert (got / "new.txt").read_bytes() == b"bytes"
    with pytest.raises(RoomError) as found:
        room.get(f"{WORK}/nowhere", got)
    assert found.value.kind == "FileNotFoundError"
    run(room, "head -c 2000000 /dev/zero >big")
    with pytest.raises(RoomError) as found:
        room.get(f"{WORK}/big", got, most=1_000_000)
    assert found.value.kind == "OverflowError"


def test_a_closed_room_says_so_and_nothing_in_it_lives_on(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    room = real(tmp_path / "work")
    run(room, "(while true; do date +%s.%N >alive; sleep .05; done) & sleep .2")
    room.close()
    last = (tmp_path / "work" / "alive").read_text()
    time.sleep(0.3)
    assert (tmp_path / "work" / "alive").read_text() == last
    with pytest.raises(RoomError, match="closed"):
        run(room, "true")


def test_a_room_that_was_ended_says_by_which_limit(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    room = real(tmp_path / "work", Limits(cpu=20.0, wall=1.5, memory=2**29, processes=64, disk=2**26))
    with pytest.raises(RoomError):
        run(room, "sleep 30")
    assert room.ended.result(20).killed_by == "wall"
    with pytest.raises(RoomError, match="wall limit"):
        run(room, "true")


def fake(answer: Answer) -> Room:
    """A room whose inside is replaced, as a guest of the same user could."""

    def start(words: Sequence[str], descriptor: int, cancel: threading.Event) -> Completed:
        with socket.socket(fileno=os.dup(descriptor)) as line, line.makefile("rb") as source:
            while header := source.readline():
                request = json.loads(header)
                source.read(request["bytes"])
                answer(line, request)
        return ENDED

    return Room(start)


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def named(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def replying(content: bytes, **more: object) -> Answer:
    def answer(line: socket.socket, request: dict[str, object]) -> None:
        line.sendall(json.dumps({"id": request["id"], "bytes": len(content), **more}).encode() + b"\n" + content)

    return answer


GARBAGE = [
    b"garbage\n",
    b"[" * 60_000 + b"\n",
    b'{"id": 1, "bytes": -1}\n',
    b'{"id": 1, "bytes": %d}\n' % (MOST + 1),
    b'{"id": 1}\n',
    b'{"bytes": 0}\n',
    b"[1, 2]\n",
    b"x" * 200_000,
    b'{"id": [1], "bytes": 0}\n',
]


@pytest.mark.parametrize("said", GARBAGE, ids=lambda said: str(said[:24]))
def test_garbage_closes_the_room(said: bytes) -> None:
    room = fake(lambda line, request: line.sendall(said))
    with pytest.raises(RoomError):
        run(room, "true")
    room.close()


def test_an_answer_without_a_code_is_refused_and_one_to_nobody_is_ignored() -> None:
    room = fake(replying(b"", code="0"))
    with pytest.raises(RoomError, match="no sense"):
        run(room, "true")
    strange = fake(
        lambda line, request: [replying(b"", code=0)(line, {"id": 99}), replying(b"", code=7)(line, request)]
    )
    assert run(strange, "true")[0] == 7


def test_names_that_climb_and_links_write_nothing_outside(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    (into / "old").symlink_to(tmp_path)
    content = packed(
        (named("../out"), b"x"),
        (named("/abs"), b"x"),
        (named("a/../../out"), b"x"),
        (named("link", tarfile.SYMTYPE, str(tmp_path)), b""),
        (named("link/out"), b"x"),
        (named("old/out"), b"x"),
        (named("hard", tarfile.LNKTYPE, "/etc/passwd"), b""),
        (named("x" * 300), b"x"),
        (named("good/file"), b"x"),
        (named("good"), b"over a folder"),
        (named("good/file/below"), b"under a file"),
    )
    fake(replying(content)).get(WORK, into)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "into", "into/good", "into/good/file", "into/link", "into/link/out", "into/old",
    ]  # fmt: skip


def test_archives_that_are_none_or_grow_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RoomError):
        fake(replying(b"no tar at all" * 100)).get(WORK, tmp_path)
    sparse = named("hole")
    sparse.size = 2**40
    header = sparse.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(RoomError):
        fake(replying(header + b"\0" * 1024)).get(WORK, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 10_000


def test_the_inside_needs_nothing_of_ours() -> None:
    source = Path("harness/exchange/inside.py")
    text = (Path(__file__).parents[2] / source).read_text()
    assert "harness" not in text.split('"""', 2)[2]
    assert compile(text, "inside", "exec")


def _header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header with a size that the library would not write: in base 256 it may be negative."""
    block = bytearray(named(name, kind).tobuf(tarfile.GNU_FORMAT))
    block[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    if kind == tarfile.GNUTYPE_SPARSE:
        block[124:136], block[386:410], block[482] = tarfile.itn(0, 12, tarfile.GNU_FORMAT), bytes(24), 0
        block[483:495] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "member",
    [_header("back", -512), _header("far", -(2**40)), _header("hole", 2**20, tarfile.GNUTYPE_SPARSE)],
    ids=["to itself", "before the beginning", "a hole"],
)
def test_sizes_that_lead_back_or_stand_for_nothing_are_refused(tmp_path: Path, member: bytes) -> None:
    """A negative size leads the library back to what it has read, and would give back what was counted."""
    with pytest.raises(RoomError, match="no sense"):
        fake(replying(member + b"\0" * 1024)).get(WORK, tmp_path)
    assert list(tmp_path.iterdir()) == []

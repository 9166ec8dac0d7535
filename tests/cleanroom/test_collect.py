import io
import os
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watching import names

from harness.cleanroom.collect import Receiver, gather
from harness.cleanroom.sandbox import Collect
from harness.errors import HarnessFault


def test_declared_files_arrive_whole(python, tmp_path):
    done = python(
        "import random\n"
        "data = random.Random(1).randbytes(1_000_003)\n"
        "open('/out/big.npy', 'wb').write(data); open('/out/empty', 'w'); open('/out/other', 'w').write('no')\n"
        "print(hash(data) and sum(data))",
        files=("big.npy", "empty"),
        into=tmp_path,
    )
    assert done.collected == {"big.npy": "ok", "empty": "ok"}
    assert names(tmp_path) == ["big.npy", "empty"]
    assert sum((tmp_path / "big.npy").read_bytes()) == int(done.log)
    assert (tmp_path / "big.npy").stat().st_size == 1_000_003
    assert (tmp_path / "big.npy").stat().st_mode & 0o7111 == 0


def test_the_exit_status_survives_the_collecting(shell, tmp_path):
    done = shell("echo x > /out/a; exit 7", files=("a",), into=tmp_path)
    assert (done.exit, done.collected) == (7, {"a": "ok"})


def test_whatever_is_not_a_plain_file_is_refused_by_name(shell, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("42.4242")
    into = tmp_path / "into"
    into.mkdir()
    done = shell(
        f"cd /out; ln -s {secret} link; ln -s /etc/ld.so.cache inner; mkfifo pipe; mkdir folder; echo x > folder/x;"
        " echo shared > first; ln first second; mknod device c 1 3;"
        " python -S -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")';"
        " echo hidden > locked; chmod 0 locked; truncate -s 0 hole; echo fine > fine",
        files=("link", "inner", "pipe", "folder", "first", "second", "device", "socket", "locked", "gone", "fine"),
        into=into,
    )
    assert done.collected == {
        "link": "refused: a symbolic link",
        "inner": "refused: a symbolic link",
        "pipe": "refused: a named pipe",
        "folder": "refused: a folder",
        "first": "ok",
        "second": "ok",
        "device": "missing or unreadable",
        "socket": "missing or unreadable",
        "locked": "missing or unreadable",
        "gone": "missing or unreadable",
        "fine": "ok",
    }
    assert names(into) == ["fine", "first", "second"]
    assert (into / "first").stat().st_nlink == 1


def test_a_file_of_holes_is_refused_for_what_it_claims_to_be(shell, tmp_path):
    done = shell(
        "echo fine > /out/a; truncate -s 100M /out/b; truncate -s 3M /out/c; exit 4",
        files=("a", "b", "c"),
        into=tmp_path,
    )
    assert done.exit == 4
    assert done.collected["a"] == "ok"
    assert done.collected["b"].startswith("refused: too large, 104857600 bytes")
    assert done.usage.wall < 5
    assert (tmp_path / "a").read_text() == "fine\n"
    assert not (tmp_path / "b").exists()


def test_the_limit_is_for_all_files_together(shell, tmp_path):
    done = shell("truncate -s 3M /out/a /out/b", files=("a", "b"), into=tmp_path, disk=4 << 20)
    assert done.collected["a"] == "ok"
    assert done.collected["b"].startswith("refused: too large, 3145728 bytes where 1048576 of 4194304 were left")


def test_a_full_output_folder_says_so_to_the_job(shell, tmp_path):
    done = shell("head -c 9000000 /dev/zero > /out/a", files=("a",), into=tmp_path, disk=1 << 20)
    assert "No space left on device" in done.log
    assert done.exit == 1
    assert (tmp_path / "a").stat().st_size == 1 << 20


def test_the_output_folder_cannot_be_replaced(shell, tmp_path):
    done = shell(
        "rmdir /out; mv /out /tmp/out; rm -rf /out; ln -s /etc /out; mount --bind /etc /out; echo x > /out/a",
        files=("a",),
        into=tmp_path,
    )
    assert done.collected == {"a": "ok"}
    assert (tmp_path / "a").read_text() == "x\n"


def test_an_unreadable_output_folder_collects_nothing(shell, tmp_path):
    done = shell("echo x > /out/a; chmod 0 /out; exit 5", files=("a",), into=tmp_path)
    assert (done.exit, done.collected) == (5, {"a": "missing or unreadable"})


def test_a_killed_job_collects_nothing(python, tmp_path):
    done = python("open('/out/a', 'w').write('x')\nwhile True: pass", files=("a",), into=tmp_path, cpu=0.2)
    assert done.killed_by == "cpu"
    assert done.collected == {"a": "not collected: the job was killed"}
    assert names(tmp_path) == []


def test_daemons_are_dead_before_the_collecting_begins(shell, tmp_path):
    script = "setsid sh -c 'while :; do date +%N > /out/b; mv /out/b /out/a; done' >/dev/null 2>&1 & sleep .1; echo end"
    done = shell(script, files=("a",), into=tmp_path)
    assert done.exit == 0
    assert done.collected["a"] in ("ok", "missing or unreadable")


def test_a_daemon_has_no_time_for_last_words(shell, tmp_path):
    daemon = "while kill -0 $0 2>/dev/null; do :; done; sleep .01; echo x > /out/late"
    done = shell(
        f"head -c 90000000 /dev/zero > /out/big; setsid sh -c '{daemon}' $$ >/dev/null 2>&1 &",
        files=("big", "late"),
        into=tmp_path,
        disk=100 << 20,
    )
    assert done.collected == {"big": "ok", "late": "missing or unreadable"}


def test_garbage_from_a_job_that_finds_the_way_out(python, tmp_path):
    # the way out is not inherited, but the shell that holds it is the job's own user: whatever is written there
    # must do no harm
    done = python(
        "import os\n"
        "parent = os.getppid()\n"
        "for name in os.listdir(f'/proc/{parent}/fd'):\n"
        "    try:\n"
        "        if os.readlink(f'/proc/{parent}/fd/{name}').startswith('pipe'):\n"
        "            open(f'/proc/{parent}/fd/{name}', 'wb').write(b'T' + b'garbage' * 9999)\n"
        "    except OSError: pass\n"
        "open('/out/a', 'w').write('x')",
        files=("a",),
        into=tmp_path,
    )
    assert done.exit == 0
    assert set(names(tmp_path)) <= {"a"}
    assert done.collected["a"] == "missing or unreadable"
    assert done.collected["(the stream)"] == "damaged"


def test_a_file_of_ours_is_never_overwritten(shell, tmp_path):
    target = tmp_path / "elsewhere"
    target.write_text("precious")
    into = tmp_path / "into"
    into.mkdir()
    (into / "a").symlink_to(target)
    with pytest.raises(HarnessFault, match="cannot write"):
        shell("echo x > /out/a", files=("a",), into=into)
    assert target.read_text() == "precious"


def test_a_missing_folder_of_ours_is_our_fault(shell, tmp_path):
    with pytest.raises(HarnessFault, match="no folder"):
        shell("true", files=("a",), into=tmp_path / "gone")


# the reader alone, on streams no honest tar would write


def stream(*members):
    """Tar bytes of (name, kind, content) or of (name, kind, content, claimed size)."""
    raw = io.BytesIO()
    for name, kind, content, *size in members:
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, size[0] if size else len(content)
        info.linkname = "/etc/passwd" if kind in (b"1", b"2") else ""
        raw.write(info.tobuf(tarfile.GNU_FORMAT))
        raw.write(content + b"\0" * (-len(content) % 512))
    return b"ST" + raw.getvalue() + b"\0" * 1024


def receive(data, tmp_path, *, files=("a", "b"), limit=10_000, step=10**9):
    into = tmp_path / "into"
    into.mkdir(exist_ok=True)
    receiver = Receiver(Collect(files=files, into=into), limit=limit)
    wanted = True
    for at in range(0, len(data), step):
        wanted = receiver.feed(data[at : at + step])
        if not wanted:
            break
    fate = receiver.finish(keep=True)
    receiver.close()
    return fate, {path.name: path.read_bytes() for path in into.iterdir()}, wanted


@pytest.mark.parametrize("step", [1, 7, 511, 512, 513, 10**9])
def test_bytes_may_arrive_in_any_portions(tmp_path, step):
    fate, found, _ = receive(stream(("a", b"0", b"x" * 700), ("b", b"0", b"")), tmp_path, step=step)
    assert fate == {"a": "ok", "b": "ok"}
    assert found == {"a": b"x" * 700, "b": b""}


@pytest.mark.parametrize("name", ["../a", "/reproof-was-here", "c", "a/../b", "./a", "", "\x1b[2J"])
def test_strangers_are_refused(tmp_path, name):
    fate, found, wanted = receive(stream((name, b"0", b"x"), ("b", b"0", b"y")), tmp_path)
    assert found == {}
    assert not wanted
    assert "refused: not declared, or sent twice" in fate.values() or fate["(the stream)"] == "damaged"
    assert all(word.isprintable() for word in fate)


def test_a_file_sent_twice_keeps_the_first(tmp_path):
    fate, found, _ = receive(stream(("a", b"0", b"1"), ("a", b"0", b"2")), tmp_path)
    assert found == {"a": b"1"}
    assert fate["a"] != "ok"


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"5", b"6", b"S", b"x", b"g", b"L", b"\xff"])
def test_only_regular_files_are_made(tmp_path, kind):
    fate, found, _ = receive(stream(("a", kind, b"")), tmp_path)
    assert found == {}
    assert fate["a"].startswith("refused: ")


def test_a_claim_of_more_than_the_limit_ends_it(tmp_path):
    fate, found, wanted = receive(stream(("a", b"0", b"x", 1 << 40)), tmp_path)
    assert fate["a"].startswith("refused: too large")
    assert (found, wanted) == ({}, False)


def test_half_a_file_is_none(tmp_path):
    fate, found, _ = receive(stream(("a", b"0", b"x" * 2000))[:1500], tmp_path)
    assert fate == {"a": "incomplete", "b": "missing or unreadable"}
    assert found == {}


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=3000), where=st.integers(0, 2000), base=st.booleans())
def test_no_stream_does_harm(tmp_path_factory, data, where, base):
    good = stream(("a", b"0", b"x" * 700), ("b", b"0", b"y")) if base else b"ST"
    fate, found, _ = receive(good[:where] + data + good[where + len(data) :], tmp_path_factory.mktemp("t"))
    assert set(found) <= {"a", "b"}
    assert {name for name, said in fate.items() if said == "ok"} <= set(found)
    assert sum(map(len, found.values())) <= 10_000


# the same for a folder of the host (the backend "process")


def test_gathering_follows_nothing(tmp_path):
    out, into = tmp_path / "out", tmp_path / "into"
    out.mkdir()
    into.mkdir()
    (out / "a").write_bytes(b"x" * 10)
    (out / "link").symlink_to("/etc/passwd")
    (out / "folder").mkdir()
    os.mkfifo(out / "pipe")
    with (out / "hole").open("wb") as hole:
        hole.truncate(1 << 40)
    collect = Collect(files=("a", "link", "folder", "pipe", "hole", "gone"), into=into)
    fate = gather(collect, out, limit=1000)
    assert fate.pop("hole").startswith("refused: too large")
    assert fate == {
        "a": "ok",
        "link": "refused: a symbolic link",
        "folder": "refused: a folder",
        "pipe": "refused: not a regular file",
        "gone": "missing or unreadable",
    }
    assert names(into) == ["a"]

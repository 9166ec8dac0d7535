"""Records land whole or not at all, and say what is wrong with them."""

from __future__ import annotations

import json
import math
import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import RecordError, UsageError
from harness.record.files import Store, canonical, land, private_folder, write_text
from harness.record.store import Record, read, write


class Thing(Record):
    """Something kept."""

    number: float
    maybe: float | list[list[float]] | None = None


@pytest.mark.parametrize("value", [1.5, math.inf, -math.inf, 1e308, 5e-324, -0.0])
def test_every_number_reads_back_as_it_was(tmp_path: Path, value: float) -> None:
    thing = Thing(number=value, maybe=value)
    write(tmp_path / "t.json", thing)
    assert read(tmp_path / "t.json", Thing) == thing
    curve = Thing(number=1.0, maybe=[[1.0, value]])
    write(tmp_path / "t.json", curve)
    assert read(tmp_path / "t.json", Thing) == curve
    json.loads((tmp_path / "t.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_nan_reads_back(tmp_path: Path) -> None:
    write(tmp_path / "t.json", Thing(number=math.nan))
    assert math.isnan(read(tmp_path / "t.json", Thing).number)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"number": "x"}', '{"number": 1, "more": 2}', "\x00"])
def test_a_damaged_record_names_file_and_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(RecordError) as caught:
        read(tmp_path / "t.json", Thing)
    assert str(tmp_path / "t.json") in str(caught.value)
    assert caught.value.remedy
    with pytest.raises(RecordError, match="does not exist"):
        read(tmp_path / "none.json", Thing)


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "t.json", Thing(number=1.0))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "t.json", Thing(number=2.0))
    assert read(tmp_path / "t.json", Thing).number == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"], "a half written file is left behind"


def test_a_folder_lands_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(name)
    assert land(tmp_path / "a", tmp_path / "deep/er/final")
    assert not land(tmp_path / "b", tmp_path / "deep/er/final")
    assert (tmp_path / "deep/er/final/run.json").read_text() == "a"
    with pytest.raises(OSError, match="nowhere"):
        land(tmp_path / "nowhere", tmp_path / "elsewhere")


def test_staging_is_gone_afterwards(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(KeyError), store.staging() as folder:  # noqa: PT012
        (folder / "x").write_text("x")
        assert folder.stat().st_mode & 0o077 == 0
        raise KeyError
    assert not folder.exists()


def test_private_folders_are_private(tmp_path: Path) -> None:
    assert private_folder(tmp_path / "results" / "attempts" / "one").stat().st_mode & 0o077 == 0


def test_attempts_are_found_by_name_and_by_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store.attempt("b") / "attempt.json", Thing(number=1))
    write(store.attempt("a") / "attempt.json", Thing(number=1))
    store.attempt("unfinished").mkdir()
    assert store.attempts() == ["a", "b"]
    assert store.known_attempt("a") == store.attempt("a")
    for name in ("c", "../a", "", "unfinished", "a/../b"):
        with pytest.raises(UsageError, match="unknown attempt"):
            store.known_attempt(name)


def test_the_canonical_text_is_one() -> None:
    assert (
        canonical({"b": 1, "a": [1.0, "é"]}) == canonical({"a": [1.0, "é"], "b": 1}) == b'{"a":[1.0,"\\u00e9"],"b":1}'
    )
    assert canonical({"a": 1}) != canonical({"a": 1.0})


def _write_many(path: Path, number: int) -> None:
    for _ in range(50):
        write_text(path, json.dumps({"number": number, "maybe": None}) * 1)


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    _write_many(path, 0)
    writers = [multiprocessing.Process(target=_write_many, args=(path, n)) for n in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert read(path, Thing).number in range(3)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0


WRITER = (
    "import os, pathlib, sys; from harness.record import files\n"
    "files.os.fsync = lambda descriptor: (print('staged', flush=True), sys.stdin.read())\n"
    "files.write_text(pathlib.Path(sys.argv[1]), 'never whole')"
)


def test_what_a_killed_writer_has_left_is_swept_by_the_next_and_a_living_one_s_is_not(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"staged\n"
    dead, living = writers
    with dead, living:
        dead.kill()
        dead.wait()
        assert len(list(tmp_path.iterdir())) == 2
        write_text(path, "whole")
        assert len(list(tmp_path.iterdir())) == 2, "what the killed one staged is gone, the other's is there"
        assert living.communicate(b"")[0] == b""
        assert living.returncode == 0, "it could still land what it had staged"
    assert path.read_text() == "never whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.json"]


def test_writers_of_one_file_do_not_sweep_each_other(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_text(path, str(number)), range(200)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.json"]

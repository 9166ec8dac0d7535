"""Files without number, folders without end, files of holes, names that nobody can write: how long everybody waits."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from handmade import commit
from tiny_paper import WORK

from harness.attempt.participant import Outcome
from harness.attempt.submission import kept_files
from harness.cleanroom.quota import allocated
from harness.errors import RecordError
from harness.handing_in import hand_in
from harness.report.page import write_page
from harness.road import Road

pytestmark = pytest.mark.slow
Begin = Callable[..., Road]
MANY = int(os.environ.get("REPROOF_MANY", "100000"))
"""Files; the figures in docs/security.md are of a million."""
GONE = Outcome(note="time is up", ended="deadline")
WORKFILE = "reproduction/work.py"


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """That something takes no longer, whatever is there; what it took is printed (`pytest -s`)."""
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    print(f"{what}: {took:.2f} s of {seconds:g}")
    assert took < seconds, what


def strew(folder: Path, number: int) -> None:
    """Empty files, a thousand in a folder."""
    for some in range(0, number, 1000):
        below = folder / str(some)
        below.mkdir(parents=True)
        handle = os.open(below, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for one in range(1000):
                os.close(os.open(str(one), os.O_CREAT | os.O_WRONLY, dir_fd=handle))
        finally:
            os.close(handle)


def odd(folder: Path) -> None:
    """Names as long as they may be, of no encoding, with lines in them; a hole of a tebibyte."""
    folder.mkdir()
    for name in (b"x" * 255, b"\xff\xfe\x80", b"a\nb\x1b[2J", b" ", b"-rf", b"\xe2\x80\xae"):
        (folder / os.fsdecode(name)).write_text("x")
    with (folder / "hole").open("wb") as file:
        file.truncate(1 << 40)


def nest(folder: Path, deep: int) -> None:
    """Folders within folders, deeper than any path can name."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(deep):
        os.mkdir("d", dir_fd=handle)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)


@pytest.fixture
def road(begin: Begin, tmp_path: Path) -> Iterator[Road]:
    """Somebody with good work, one commit of it."""
    road = begin(results=tmp_path / "results", disk=64 << 30)
    road.desk.start_clock()
    commit(road.workspace, {WORKFILE: WORK}, "mine")
    road.desk.witness()
    yield road
    with within(120, "deletion"):
        shutil.rmtree(road.folder)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("what", ["many files", "odd names and holes", "deep folders", "many in .git"])
def test_good_work_beside_it_counts_and_nobody_waits_long(road: Road, what: str) -> None:
    if what == "many files":
        strew(road.workspace / "many", MANY)
    elif what == "odd names and holes":
        odd(road.workspace / "odd")
    elif what == "deep folders":
        nest(road.workspace, 900)
    else:
        strew(road.workspace / ".git" / "many", min(MANY, 400_000))
    with within(30, "status"):
        assert road.desk.account(disk=True).used("disk") > 0
    with within(20, "quota"):
        assert allocated(road.workspace, enough=64 << 30) > 0
    with within(400, "handing in"):
        handed = hand_in(road, GONE)
    assert kept_files(handed.tree, road.store.root)[WORKFILE].data == WORK.encode()
    assert handed.files <= 5000
    with within(30, "page or refusal of one"), pytest.raises(RecordError):
        write_page(road.desk, paper=road.paper)

"""The keeper of a clock: pulses, commits seen, and what it does when the time is used up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from handmade import commit, data_of, desk_at, git, kinds, set_head
from tiny_paper import WORK
from watching import alive, soon

from harness import keeper
from harness.attempt.desk import Desk
from harness.attempt.submission import UNCOMMITTED
from harness.keeper import keep
from harness.road import Road

pytestmark = pytest.mark.usefixtures("no_keeper_survives")
WORKFILE = "reproduction/work.py"
Begin = Callable[..., Road]
A = "a" * 40


def keepers(folder: Path) -> list[int]:
    return alive(f"clock\0keep\0{folder}")


SPAWN = """\
import sys
from pathlib import Path
from harness.attempt.desk import Desk
from harness.keeper import spawn
spawn(Desk(folder=Path(sys.argv[1])))
"""


def spawn(desk: Desk) -> None:
    """Start a keeper as a verb does, which is gone before it."""
    subprocess.run([sys.executable, "-c", SPAWN, str(desk.folder)], check=True)


def test_at_the_deadline_what_there_is_is_handed_in(begin: Begin) -> None:
    road = begin(working=1.0)
    commit(road.workspace, {"notes.txt": "x"}, "seen")
    road.desk.start_clock()
    (road.workspace / WORKFILE).write_text(WORK)
    began = time.monotonic()
    keep(road.desk)
    assert time.monotonic() - began >= 0.9
    handed = road.submission()
    assert (handed.ended, handed.note, handed.saved) == ("deadline", "the working time is used up", True)
    assert 1.0 <= handed.used["working"] < 2.0
    assert handed.late == 0
    assert git(road.workspace, "log", "-1", "--format=%s") == UNCOMMITTED
    found = road.desk.account()
    assert (found.state, found.pending, found.submissions) == ("over", False, 1)
    keep(road.desk)
    assert road.desk.account().submissions == 1


def test_at_the_end_of_the_wall_time_it_is_the_same_and_late(begin: Begin) -> None:
    road = begin(wall=1.5)
    road.desk.start_clock()
    keep(road.desk)
    handed = road.submission()
    assert (handed.ended, handed.note) == ("deadline", "the wall time is used up")
    assert 0 <= handed.late < 5


def test_a_refusal_at_the_deadline_is_written_down_and_ends_the_keeper(begin: Begin) -> None:
    road = begin(working=0.5)
    road.desk.start_clock()
    config = road.workspace / ".git" / "config"
    config.unlink()
    config.symlink_to("/etc/passwd")
    keep(road.desk)
    assert road.desk.submissions == []
    assert "link" in data_of(road.desk, "submitted")[0]["refused"]
    assert road.desk.account().state == "over"


def test_what_was_handed_in_is_not_handed_in_again(begin: Begin) -> None:
    from harness.attempt.participant import Outcome
    from harness.handing_in import hand_in

    road = begin(working=1.0)
    road.desk.start_clock()
    hand_in(road, Outcome(note="", ended="submitted"))
    road.desk.declare("what I forgot", {"working": 10.0}, all_of_it=True)
    keep(road.desk)
    assert road.desk.account().submissions == 1


@pytest.mark.parametrize("state", ["ready", "paused"])
def test_a_clock_that_does_not_run_has_no_keeper(tmp_path: Path, state: str) -> None:
    desk = desk_at(tmp_path / "attempt")
    if state == "paused":
        desk.start_clock()
        desk.pause_clock("x")
    before = desk.pulse()
    keep(desk)
    assert desk.pulse() == before


def test_a_keeper_beats_and_sees_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "BEAT", 0.05)
    desk = desk_at(tmp_path / "attempt")
    desk.start_clock()
    thread = threading.Thread(target=keep, args=(desk,))
    thread.start()
    first = desk.pulse()
    set_head(desk.workspace, A)
    assert soon(lambda: data_of(desk, "committed") == [{"commit": A}])
    assert soon(lambda: desk.pulse() != first)
    desk.pause_clock("x")
    thread.join(5)
    assert not thread.is_alive()
    assert kinds(desk) == ["started", "resumed", "committed", "paused"]


def test_of_two_keepers_one_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "BEAT", 0.05)
    desk = desk_at(tmp_path / "attempt")
    desk.start_clock()
    thread = threading.Thread(target=keep, args=(desk,))
    thread.start()
    assert soon(lambda: (desk.folder / "keeper.lock").exists())
    time.sleep(0.2)
    began = time.monotonic()
    keep(desk)
    assert time.monotonic() - began < 2
    assert thread.is_alive()
    desk.pause_clock("x")
    thread.join(5)
    assert not thread.is_alive()


def test_an_attempt_that_is_gone_has_no_keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "BEAT", 0.05)
    desk = desk_at(tmp_path / "attempt")
    desk.start_clock()
    thread = threading.Thread(target=keep, args=(desk,))
    thread.start()
    (desk.folder / "attempt.json").unlink()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.slow
def test_in_the_background_it_lives_as_long_as_the_clock_runs(tmp_path: Path) -> None:
    desk = desk_at(tmp_path / "attempt", working=5.0)
    desk.start_clock()
    first = desk.pulse()
    spawn(desk)
    assert soon(lambda: len(keepers(desk.folder)) == 1 and desk.pulse() != first, within=30)
    [pid] = keepers(desk.folder)
    assert os.getsid(pid) != os.getsid(0), "closing the terminal would end it"
    assert Path(f"/proc/{pid}/cwd").resolve() == Path("/")
    spawn(desk)
    assert soon(lambda: keepers(desk.folder) == [pid], within=30)
    desk.pause_clock("lunch")
    assert soon(lambda: not keepers(desk.folder), within=30)


def test_a_keeper_that_was_killed_takes_nothing_away(tmp_path: Path) -> None:
    desk = desk_at(tmp_path / "attempt")
    desk.start_clock()
    spawn(desk)
    assert soon(lambda: keepers(desk.folder))
    for pid in keepers(desk.folder):
        os.kill(pid, signal.SIGKILL)
    assert soon(lambda: not keepers(desk.folder))
    time.sleep(0.2)
    assert desk.account().state == "running"
    assert desk.pause_clock("x").used("working") >= 0.2


@pytest.mark.slow
def test_a_background_keeper_hands_in(begin: Begin, tmp_path: Path, environment: dict[str, str],
                                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("REPROOF_PAPERS_PATH", environment["REPROOF_PAPERS_PATH"])
    road = begin(working=2.0, results=tmp_path / "results")
    (road.workspace / WORKFILE).write_text(WORK)
    road.desk.start_clock()
    spawn(road.desk)
    assert soon(lambda: road.desk.submissions, within=60)
    assert road.submission().saved
    assert soon(lambda: not keepers(road.folder), within=30)
    assert road.desk.account().state == "over"

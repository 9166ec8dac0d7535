"""Work that cannot all be taken in: who can mend it is told, and for who cannot the best of it counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from handmade import commit, data_of, git
from tiny_paper import WORK

from harness.attempt.attempt import HandedIn
from harness.attempt.participant import Outcome
from harness.attempt.submission import kept_files
from harness.errors import SubmissionError
from harness.handing_in import close, hand_in, withdraw
from harness.report.account import status, status_lines
from harness.road import Road

Begin = Callable[..., Road]
DEADLINE = Outcome(note="time is up", ended="deadline")
WORKFILE = "reproduction/work.py"


@pytest.fixture
def road(begin: Begin, tmp_path: Path) -> Road:
    """A person at work, with one commit of theirs and something good that is not committed."""
    road = begin(results=tmp_path / "results", disk=1 << 30)
    road.desk.start_clock()
    commit(road.workspace, {WORKFILE: WORK + "# committed\n"}, "mine")
    road.desk.witness()
    (road.workspace / WORKFILE).write_text(WORK + "# later\n")
    return road


def files_of(road: Road, handed: HandedIn) -> dict[str, bytes]:
    return {name: file.data for name, file in kept_files(handed.tree, road.store.root).items()}


def linked(workspace: Path) -> str:
    (workspace / "data").symlink_to("/etc/passwd")
    return "'data'"


def nested(workspace: Path) -> str:
    inner = workspace / "vendor" / "lib"
    inner.mkdir(parents=True)
    git(inner, "init", "-q")
    commit(inner, {"x": "y"})
    return "'vendor/lib'"


def too_large(workspace: Path) -> str:
    with (workspace / "model.bin").open("wb") as file:
        file.truncate(70 << 20)
    return "'model.bin'"


def too_many(workspace: Path) -> str:
    (workspace / "cache").mkdir()
    for number in range(5100):
        (workspace / "cache" / str(number)).write_text(str(number))
    return "'cache/"


def named(workspace: Path) -> str:
    (workspace / "a\x1b[2Jb\nc").write_text("x")
    (workspace / "back\\slash").write_text("x")
    return "back\\\\slash"


def not_unicode(workspace: Path) -> str:
    (workspace / os.fsdecode(b"\xff\xfe")).write_text("x")
    return "\\\\xff\\\\xfe"


JUNK = [linked, nested, named, not_unicode, pytest.param(too_large, marks=pytest.mark.slow),
        pytest.param(too_many, marks=pytest.mark.slow)]  # fmt: skip


@pytest.mark.parametrize("junk", JUNK)
def test_at_the_deadline_the_rest_of_uncommitted_work_counts(road: Road, junk: Callable[[Path], str]) -> None:
    left_out = junk(road.workspace)
    handed = hand_in(road, DEADLINE)
    files = files_of(road, handed)
    assert files[WORKFILE].endswith(b"# later\n")
    assert handed.instead is not None
    assert left_out in handed.instead
    assert data_of(road.desk, "submitted")[-1]["instead"] == handed.instead
    assert handed.commit == git(road.workspace, "rev-parse", "HEAD")
    assert not {"\x1b", "\n"} & set(handed.instead)
    assert f"not all handed in: {handed.instead}" in "\n".join(status_lines(road.desk, road.desk.account()))
    assert status(road.desk, road.desk.account())["instead"] == handed.instead


def test_whoever_can_mend_it_is_told_so_and_keeps_their_commits(road: Road) -> None:
    linked(road.workspace)
    with pytest.raises(SubmissionError, match="symbolic link"):
        hand_in(road, Outcome(note="submitted", ended="submitted"))
    assert road.desk.submissions == []
    (road.workspace / "data").unlink()
    handed = hand_in(road, Outcome(note="submitted", ended="submitted"))
    assert handed.instead is None
    assert files_of(road, handed)[WORKFILE].endswith(b"# later\n")


def test_what_was_committed_is_salvaged_too(road: Road) -> None:
    linked(road.workspace)
    commit(road.workspace, {"more.py": "x = 1\n"}, "with a link")
    handed = hand_in(road, DEADLINE)
    files = files_of(road, handed)
    assert files["more.py"] == b"x = 1\n"
    assert "data" not in files


@pytest.mark.slow
def test_a_history_that_is_too_large_falls_back_to_the_last_good_commit(road: Road) -> None:
    good = git(road.workspace, "rev-parse", "HEAD")
    (road.workspace / "noise.bin").write_bytes(os.urandom(66 << 20))
    commit(road.workspace, {}, "noise")
    road.desk.witness()
    git(road.workspace, "rm", "-q", "noise.bin")
    commit(road.workspace, {"more.py": "x = 1\n"}, "without it")
    handed = hand_in(road, DEADLINE)
    assert handed.commit == good
    assert handed.instead is not None
    assert "too large" in handed.instead
    assert good[:12] in handed.instead


def test_where_nothing_else_is_there_the_first_reason_is_told(begin: Begin, tmp_path: Path) -> None:
    road = begin(results=tmp_path / "results")
    road.desk.start_clock()
    (road.workspace / ".git" / "config").unlink()
    (road.workspace / ".git" / "config").symlink_to("/etc/passwd")
    with pytest.raises(SubmissionError, match="symbolic link"):
        hand_in(road, DEADLINE)
    assert "symbolic link" in data_of(road.desk, "submitted")[-1]["refused"]


def test_a_withdrawal_keeps_what_it_can(road: Road) -> None:
    linked(road.workspace)
    kept = withdraw(road, "the project ends")
    assert kept is not None
    assert kept.instead is not None
    assert files_of(road, kept)[WORKFILE].endswith(b"# later\n")


def test_after_an_end_that_nobody_kept_an_earlier_commit_counts(begin: Begin, tmp_path: Path) -> None:
    road = begin(results=tmp_path / "results")
    road.desk.start_clock()
    good = commit(road.workspace, {"notes.txt": "in time"}, "in time")
    road.desk.witness()
    linked(road.workspace)
    commit(road.workspace, {}, "a link")
    road.desk.pause_clock("night")
    road.desk.declare("worked on paper", {"working": 4000.0}, all_of_it=True)
    handed = close(road)
    assert handed.commit == good
    assert handed.instead is not None


SUBMITTED = Outcome(note="submitted", ended="submitted")


def test_a_refusal_leaves_the_repository_as_it_was(road: Road) -> None:
    before, state = git(road.workspace, "rev-parse", "HEAD"), git(road.workspace, "status", "--porcelain")
    linked(road.workspace)
    with pytest.raises(SubmissionError, match="symbolic link"):
        hand_in(road, SUBMITTED)
    assert git(road.workspace, "rev-parse", "HEAD") == before
    assert git(road.workspace, "status", "--porcelain") == f"{state}\n?? data"


@pytest.mark.slow
def test_what_was_too_large_once_is_not_in_the_history_when_it_is_gone(road: Road) -> None:
    """Git keeps what was committed, so what is refused must not stay committed."""
    (road.workspace / "noise.bin").write_bytes(os.urandom(66 << 20))
    with pytest.raises(SubmissionError, match="too large"):
        hand_in(road, SUBMITTED)
    (road.workspace / "noise.bin").unlink()
    assert files_of(road, hand_in(road, SUBMITTED))[WORKFILE].endswith(b"# later\n")

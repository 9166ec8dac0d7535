"""Repositories that try to read what is hidden, to reach elsewhere, or to keep whoever takes them in waiting."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from handmade import commit, data_of, git
from hostility import SECRET

from harness.attempt.participant import Outcome
from harness.attempt.submission import IntakeLimits, bundle, commit_uncommitted, kept_files, picture
from harness.check import check
from harness.errors import SubmissionError
from harness.handing_in import hand_in
from harness.road import Road

DONE = Outcome(note="by hand", ended="submitted")
Begin = Callable[..., Road]


def spy(workspace: Path, script: str) -> None:
    """Have Git put what a script prints in the place of a file that it adds."""
    git(workspace, "config", "filter.spy.clean", script)
    (workspace / ".gitattributes").write_text("spied filter=spy\n")
    (workspace / "spied").write_text("x")


def handed_in(road: Road) -> str:
    """Everything that was handed in, as one text."""
    files = kept_files(hand_in(road, DONE).tree, road.store.root)
    return "\n".join(file.data.decode(errors="replace") for file in files.values())


@pytest.mark.parametrize("paper", ["other", "lean"])
def test_a_filter_does_not_read_a_reference(road: Road, inside_python: Path, paper: str) -> None:
    private = inside_python / "papers" / paper / "private"
    spy(road.workspace, f"cat {private}/reference/reproduction/work.py; ls {inside_python}/papers {private}; id -u")
    text = handed_in(road)
    assert SECRET not in text
    assert "65534" in text  # the filter did run
    assert "other" in text  # and saw what lies beside


def test_a_filter_does_not_read_records(begin: Begin, inside_python: Path) -> None:
    road = begin(results=inside_python / "results")
    road.desk.start_clock()
    (road.store.root / "runs").mkdir()
    (road.store.root / "runs" / "answer").write_text(SECRET)
    spy(road.workspace, f"cat {inside_python}/results/runs/answer; ls {inside_python} {inside_python}/results; id -u")
    text = handed_in(road)
    assert SECRET not in text
    assert "attempts" not in text
    assert "65534" in text
    assert "papers" in text


def test_a_check_hides_the_same(road: Road, inside_python: Path) -> None:
    private = inside_python / "papers" / "other" / "private"
    code = f"raise SystemExit(open('{private}/reference/reproduction/work.py').read())"
    (road.workspace / "reproduction" / "work.py").write_text(code)
    git(road.workspace, "add", "-A")
    found = check(road)
    assert not found.ok
    assert SECRET not in found.runs[0].log_tail
    assert "Permission denied" in found.runs[0].log_tail


def linked(workspace: Path, name: str, target: Path | str) -> None:
    (workspace / name).unlink(missing_ok=True)
    (workspace / name).symlink_to(target)


def piped(workspace: Path, name: str) -> None:
    (workspace / name).parent.mkdir(parents=True, exist_ok=True)
    (workspace / name).unlink(missing_ok=True)
    os.mkfifo(workspace / name)


def refused(road: Road, *said: str) -> SubmissionError:
    """Hand in, and see that it is refused at once, in these words, and that the ledger has them too."""
    begun = time.monotonic()
    with pytest.raises(SubmissionError) as caught:
        hand_in(road, DONE)
    assert time.monotonic() - begun < 10
    assert all(words in str(caught.value) for words in said), caught.value
    assert data_of(road.desk, "submitted")[-1]["refused"] == str(caught.value)
    assert road.desk.submissions == []
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        "HEAD",
        "config",
        "index",
        "packed-refs",
        "refs/heads/main",
        "objects/info/commit-graph",
        "shallow",
        "info/attributes",
    ],
)
def test_a_named_pipe_in_the_repository_keeps_nobody_waiting(road: Road, name: str) -> None:
    piped(road.workspace, f".git/{name}")
    assert road.desk.witness() is None or name not in ("HEAD", "refs/heads/main")
    refused(road, "cannot be read: it holds a named pipe", f".git/{name}", "replace it by a plain file")


def test_a_named_pipe_in_the_place_of_an_object(road: Road) -> None:
    commit(road.workspace, {"mine.py": "x = 1\n"}, "mine")
    blob = git(road.workspace, "rev-parse", "HEAD:mine.py")
    piped(road.workspace, f".git/objects/{blob[:2]}/{blob[2:]}")
    refused(road, "a named pipe", f".git/objects/{blob[:2]}/{blob[2:]}")


def test_a_socket_in_the_repository(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(road.workspace / ".git")  # the names of sockets are short
    Path("config").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("config")
        refused(road, "it holds a socket", ".git/config")


def test_the_socket_of_git_itself_is_let_be(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(road.workspace / ".git")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("fsmonitor--daemon.ipc")
        assert hand_in(road, DONE).files


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_in_the_repository(road: Road) -> None:
    (road.workspace / ".git" / "config").unlink()
    try:
        os.mknod(road.workspace / ".git" / "config", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this container makes no devices")
    refused(road, "it holds a device", ".git/config")


@pytest.mark.parametrize("how", ["link", "file", "pipe"])
def test_a_repository_that_is_elsewhere(road: Road, tmp_path: Path, how: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (road.workspace / ".git").rename(elsewhere)
    if how == "link":
        (road.workspace / ".git").symlink_to(elsewhere)
    elif how == "file":
        (road.workspace / ".git").write_text(f"gitdir: {elsewhere}\n")
    else:
        os.mkfifo(road.workspace / ".git")
    assert road.desk.witness() is None
    kind = {"link": "a symbolic link", "file": "a file in the place of a folder", "pipe": "a named pipe"}[how]
    refused(road, f"it holds {kind}", "'.git'", "put the folder .git back")


@pytest.mark.parametrize("name", ["refs", "refs/heads", "objects", "HEAD", "config", "index", "logs"])
def test_a_link_within_the_repository_leads_nowhere(road: Road, tmp_path: Path, name: str) -> None:
    place, elsewhere = road.workspace / ".git" / name, tmp_path / "elsewhere"
    if place.exists():
        place.rename(elsewhere)
    place.symlink_to(elsewhere)
    if name in ("refs", "refs/heads", "HEAD"):
        assert road.desk.witness() is None
    refused(road, "it holds a symbolic link", f"'.git/{name}'")


def test_hooks_that_are_links_are_let_be(road: Road) -> None:
    (road.workspace / ".git" / "hooks").mkdir()
    linked(road.workspace, ".git/hooks/pre-commit", "/dev/ptmx")
    assert hand_in(road, DONE).files


@pytest.mark.parametrize("name", ["objects/info/alternates", "commondir"])
def test_a_repository_that_borrows_of_another(road: Road, tmp_path: Path, name: str) -> None:
    git(road.workspace, "init", "-q", "--bare", str(tmp_path / "other"))
    (road.workspace / ".git" / name).write_text(f"{tmp_path}/other\n")
    refused(road, "a way into another repository", f".git/{name}")


def test_a_work_tree_beside_the_workspace_is_no_workspace(road: Road, tmp_path: Path) -> None:
    git(road.workspace, "worktree", "add", "-q", str(tmp_path / "beside"))
    beside = (tmp_path / "beside" / ".git").read_text()
    shutil.rmtree(road.workspace / ".git")
    (road.workspace / ".git").write_text(beside)
    refused(road, "a file in the place of a folder")


def test_too_many_entries_and_folders_too_deep_are_told(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    place = road.workspace / ".git" / "objects"
    for _ in range(80):
        place = place / "d"
        place.mkdir()
    refused(road, "folders deeper than 64", "`git gc`")
    shutil.rmtree(road.workspace / ".git" / "objects" / "d")
    monkeypatch.setattr("harness.attempt.repository.MOST_ENTRIES", 100)
    for index in range(120):
        (road.workspace / ".git" / f"stray-{index}").touch()
    refused(road, "more than 100 entries")


WAITS: dict[str, Callable[[Path], object]] = {
    "a configuration that includes a terminal": lambda at: git(at, "config", "include.path", "/dev/ptmx"),
    "attributes in a terminal": lambda at: git(at, "config", "core.attributesFile", "/dev/ptmx"),
    "a pipe among the ignored": lambda at: piped(at, "data/.gitignore"),
    "a pipe of attributes": lambda at: (piped(at, "data/.gitattributes"), (at / "data" / "x.py").touch()),
    "an included pipe": lambda at: (piped(at, "pipe"), git(at, "config", "include.path", "../pipe")),
    "a filter that sleeps": lambda at: spy(at, "sleep 600"),
}


@pytest.mark.parametrize("trap", WAITS.values(), ids=WAITS)
def test_git_that_waits_is_not_waited_for(road: Road, trap: Callable[[Path], object]) -> None:
    (road.workspace / "new.py").write_text("x = 1\n")
    trap(road.workspace)
    begun = time.monotonic()
    saved = commit_uncommitted(road.workspace, road.sandbox, limits=IntakeLimits(idle=0.4))
    assert time.monotonic() - begun < 10
    assert saved.commit is None
    assert "Git waits for something that never comes" in str(saved.problem)
    assert "named pipes (`find . -type p`)" in str(saved.problem)


HASTY = IntakeLimits(idle=0.4)
LOOKS: dict[str, Callable[[Road, Path], object]] = {
    "bundle": lambda road, into: bundle(
        road.workspace, road.attempt.start_commit, sandbox=road.sandbox, into=into, limits=HASTY
    ),
    "picture": lambda road, into: picture(road.workspace, sandbox=road.sandbox, limits=HASTY),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_configuration_that_waits_is_refused_by_every_verb(
    road: Road, tmp_path: Path, look: Callable[[Road, Path], object]
) -> None:
    commit(road.workspace, {"mine.py": "x = 1\n"}, "mine")
    git(road.workspace, "config", "include.path", "/dev/ptmx")
    with pytest.raises(SubmissionError, match="Git waits for something that never comes"):
        look(road, tmp_path)


def test_who_computes_is_not_taken_for_waiting(road: Road) -> None:
    (road.workspace / "new.py").write_text("x = 1\n")
    spy(road.workspace, "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done; echo done")
    assert commit_uncommitted(road.workspace, road.sandbox, limits=IntakeLimits(idle=0.2)).commit


@pytest.mark.slow
def test_a_waiting_git_is_told_within_half_a_minute(road: Road) -> None:
    git(road.workspace, "config", "include.path", "/dev/ptmx")
    begun = time.monotonic()
    with pytest.raises(SubmissionError, match="Git waits for something that never comes"):
        hand_in(road, DONE)
    assert time.monotonic() - begun < 60


def test_folders_nested_without_end_cost_nobody_their_status(road: Road) -> None:
    at = os.open(road.workspace, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    assert road.desk.account(disk=True).used("disk") > 0
    assert hand_in(road, DONE).files  # Git tracks no empty folders
    subprocess.run(["rm", "-rf", road.workspace / "d"], check=True)  # deeper than Python itself can remove

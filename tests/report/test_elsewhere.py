"""Pages and pictures where a user wants them: whatever else lies there stays as it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import Attempted

from harness.cli.main import reproof
from harness.errors import UsageError
from harness.report.elsewhere import MARK, write_elsewhere

OURS = f"{MARK}\nours\n"


def _lay(path: Path, kind: str) -> None:
    match kind:
        case "a file":
            path.write_text("root:x:0:0\n")
        case "a file that names us late":
            path.write_text("x" * 300 + OURS)
        case "a link":
            path.with_name("theirs").write_text(OURS)
            path.symlink_to("theirs")
        case "a link to nothing":
            path.symlink_to("nothing")
        case "a pipe":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
        case "a device":
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "kind",
    ["a file", "a file that names us late", "a link", "a link to nothing", "a pipe", "a folder", "a device"],
)
def test_what_is_not_ours_stays_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "name"
    if kind == "a device" and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    _lay(path, kind)
    before = path.lstat()
    with pytest.raises(UsageError, match="is not written over") as caught:
        write_elsewhere(path, OURS)
    assert "name another file" in str(caught.value)
    assert path.lstat() == before
    assert sorted(tmp_path.iterdir()) == sorted({path, *tmp_path.glob("theirs")})


@pytest.mark.parametrize("there", [None, "", OURS.replace("ours", "older")])
def test_a_new_an_empty_and_an_older_one_of_ours_are_written(tmp_path: Path, there: str | None) -> None:
    path = tmp_path / "below" / "page.html" if there is None else tmp_path / "page.html"
    if there is not None:
        path.write_text(there)
    write_elsewhere(path, OURS)
    assert path.read_text() == OURS


def test_every_option_that_names_a_file_keeps_what_lies_there(
    lean_finished: Attempted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: `leaderboard --page /etc/passwd`, typed by root, was obeyed."""
    road = lean_finished[0]
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> int | str | None:
        done = CliRunner().invoke(reproof, [*words, "--results", str(road.store.root)])
        return str(done.exception) if isinstance(done.exception, UsageError) else done.exit_code

    name = road.attempt.id
    for verb in (
        ["report", name, "--page"],
        ["report", name, "--svg"],
        ["leaderboard", "--page"],
        ["pack", name, "--to"],
    ):
        theirs, own = tmp_path / "theirs", tmp_path / f"{verb[0]}{verb[-1]}"
        theirs.write_text("theirs\n")
        assert str(theirs) in str(call(*verb, str(theirs))), verb
        assert theirs.read_text() == "theirs\n"
        assert [call(*verb, str(own)), call(*verb, str(own))] == [0, 0], verb  # the same command twice is no mistake

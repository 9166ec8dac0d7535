"""Scratch folders: gone afterwards, swept once their maker is dead, and never somebody else's."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.scratch import held, scratch, sweep

HOLD = (
    "import sys, pathlib; from harness.scratch import scratch\n"
    "with scratch('run', within=pathlib.Path(sys.argv[1])) as folder:\n"
    "    (folder / 'deep').mkdir(); (folder / 'deep/file').write_text('x')\n"
    "    print(folder, flush=True); sys.stdin.read()"
)


def holder(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a scratch folder."""
    command = [sys.executable, "-c", HOLD, str(place)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_is_made_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with scratch("tree", within=tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_of_a_killed_process_it_is_swept_and_of_a_living_one_it_is_not(tmp_path: Path) -> None:
    (dead, left), (living, kept) = holder(tmp_path), holder(tmp_path)
    with dead, living:
        assert sweep(tmp_path) == []
        dead.kill()
        dead.wait()
        assert left.exists()
        assert sweep(tmp_path) == [left]
        assert kept.exists()
        living.kill()
    with scratch(within=tmp_path):  # the first of this process in a place sweeps it
        assert not kept.exists()


@pytest.mark.parametrize("name", ["reproof-results", "reproof-0123456789abcdef", "x.scratch", "reproof-x.scratch"])
def test_what_others_have_named_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert sweep(tmp_path) == []


def test_a_link_of_that_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    (tmp_path / "reproof-0123456789abcdef.scratch").symlink_to(tmp_path / "mine")
    assert sweep(tmp_path) == []
    assert (tmp_path / "mine/file").exists()


def test_what_was_swept_before_it_was_held_is_not_held(tmp_path: Path) -> None:
    assert held(tmp_path / "gone") is None


def test_makers_and_sweepers_side_by_side_take_nothing_from_each_other(tmp_path: Path) -> None:
    def make(number: int) -> bool:
        if number % 2:
            sweep(tmp_path)
            return True
        with scratch(within=tmp_path) as folder:
            (folder / "file").touch()
            return (folder / "file").exists()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(make, range(400)))
    assert list(tmp_path.iterdir()) == []

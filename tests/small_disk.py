"""A small file system of one's own, that fills up, runs out of inodes or turns read only: a real tmpfs."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_PAGE = 4096


@dataclass(frozen=True)
class SmallDisk:
    """A mounted tmpfs."""

    path: Path

    def leave(self, room: int) -> None:
        """Let a ballast take all but some bytes, rounded down to whole pages."""
        about = os.statvfs(self.path)
        with (self.path / "ballast").open("ab") as file:
            size = about.f_bavail * about.f_frsize - room // _PAGE * _PAGE
            os.posix_fallocate(file.fileno(), file.tell(), max(size, 1))

    def free(self) -> None:
        """Make room again: for bytes, for files, for writers."""
        self._again("rw,size=64m,nr_inodes=100000")
        (self.path / "ballast").unlink(missing_ok=True)

    def inodes(self, number: int) -> None:
        """Let so many files be made beside those that are there."""
        about = os.statvfs(self.path)
        self._again(f"nr_inodes={about.f_files - about.f_ffree + number}")

    def read_only(self) -> None:
        """Take no write any more."""
        self._again("ro")

    def _again(self, words: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{words}", str(self.path)], check=True)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount a file system of 64 MiB on a new folder; it is gone afterwards, whatever was in it."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m,nr_inodes=100000", "none", str(folder)], capture_output=True, text=True
    )
    if done.returncode != 0:
        reason = f"nobody may mount here: {done.stderr.strip()}"
        pytest.fail(reason) if os.environ.get("REPROOF_CI") else pytest.skip(reason)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)

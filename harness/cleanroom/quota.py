"""What a folder of the host takes up on its disk, watched while untrusted code writes into it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from harness.errors import HarnessFault

_DEEPEST = 100
_EVERY = 0.1
"""Seconds between two looks, at least; never more than a tenth of the time is spent looking."""
_FEWEST = 16
"""Files that a file system must still take."""
_ENTRY = 512
"""Bytes charged for an entry without blocks of its own, so that empty files have a price too."""


class TreeQuota:
    """A folder and the bytes of allocated blocks it may hold.

    Files that were unlinked while a process keeps them open are counted through that process. What is only
    mapped into memory, or in flight between two processes, is missed: `RLIMIT_FSIZE` bounds each such file.
    """

    def __init__(self, root: Path, *, limit: int, pids: Callable[[], Iterable[int]]) -> None:
        """`limit`: bytes; `pids`: the processes that may hold unlinked files open."""
        self._root, self._limit, self._pids = root, limit, pids
        self._next = 0.0

    def exceeded(self, *, now: bool = False) -> bool:
        """Whether the folder holds too much; looks only from time to time unless told to look now."""
        begin = time.monotonic()
        if begin < self._next and not now:
            return False
        size = allocated(self._root, enough=self._limit)
        if size <= self._limit:
            size += _unlinked(self._pids(), device=self._root.stat().st_dev)
        end = time.monotonic()
        self._next = end + max(_EVERY, 10 * (end - begin))
        return size > self._limit


def short_of(folder: Path, needed: int) -> str | None:
    """Why a file system cannot take some bytes more, in words; None if it can.

    Args:
        folder: A folder on it.
        needed: Bytes.
    """
    about = os.statvfs(folder)
    if about.f_flag & os.ST_RDONLY:
        return "it is read only"
    if (room := about.f_bavail * about.f_frsize) < needed:
        return f"{room} bytes are left there where {needed} may be needed"
    if about.f_files and about.f_favail < _FEWEST:
        return f"room for {about.f_favail} files is left there"
    return None


def ensure_room(folder: Path, needed: int, message: str) -> None:
    """See that it is not this machine that keeps somebody from writing what they may.

    Raises:
        HarnessFault: The file system is too full, or read only.
    """
    if why := short_of(folder, needed):
        remedy = "make room there (`df -h` and `df -i`), and give the same command again; nobody is judged by this"
        raise HarnessFault(message, where=folder, got=why, remedy=remedy)


def allocated(root: Path, *, enough: int) -> int:
    """Bytes of allocated blocks in a tree, links not followed; stops counting beyond `enough`.

    A folder that cannot be read, or nested deeper than 100, counts as more than enough: it can only be meant
    to hide something.
    """
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        return _below(handle, enough=enough, depth=0)
    finally:
        os.close(handle)


def _below(handle: int, *, enough: int, depth: int) -> int:
    total = 0
    with os.scandir(handle) as entries:
        for entry in entries:
            try:
                about = entry.stat(follow_symlinks=False)
                total += max(about.st_blocks * 512, _ENTRY)
                if stat.S_ISDIR(about.st_mode):
                    total += _inside(handle, entry.name, enough=enough - total, depth=depth + 1)
            except FileNotFoundError:
                continue
            if total > enough:
                break
    return total


def _inside(parent: int, name: str, *, enough: int, depth: int) -> int:
    if depth > _DEEPEST:
        return enough + 1
    try:
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except PermissionError:
        return enough + 1
    except NotADirectoryError:
        return 0  # replaced between two looks; counted at the next one
    try:
        return _below(handle, enough=enough, depth=depth)
    finally:
        os.close(handle)


def _unlinked(pids: Iterable[int], *, device: int) -> int:
    sizes: dict[int, int] = {}
    for pid in pids:
        try:
            handles = list(Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue
        for handle in handles:
            try:
                about = handle.stat()
            except OSError:
                continue
            if about.st_nlink == 0 and about.st_dev == device and stat.S_ISREG(about.st_mode):
                sizes[about.st_ino] = about.st_blocks * 512
    return sum(sizes.values())

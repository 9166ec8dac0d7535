"""Scratch: folders that are there for a moment, held by whoever made them, and swept once nobody holds them any more.

A harness that is killed cannot remove what it was about to. The kernel lets go of its locks, whatever ends it; so what
nobody holds is nobody's, and the next harness removes it. By its name such a folder is told from whatever else is
there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_MADE = re.compile(r"\.?reproof-(?:[a-z]+-)?[0-9a-f]{16}\.scratch")
_swept: set[Path] = set()


@contextlib.contextmanager
def scratch(purpose: str = "", *, within: Path | None = None) -> Iterator[Path]:
    """A fresh folder that only its owner can read, gone afterwards; what dead harnesses left beside it goes with it.

    Args:
        purpose: A word for its name, in small letters.
        within: The folder it is made in; None: the system's for temporary files. In any
            other, its name begins with a dot.
    """
    place = within or Path(tempfile.gettempdir())
    if place not in _swept:
        _swept.add(place)
        sweep(place)
    folder, descriptor = _made(place, f"{'.' if within else ''}reproof-{purpose}{'-' if purpose else ''}")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _made(place: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and the lock on it; it is still there once the lock is ours, or another one is made."""
    while True:
        folder = place / f"{prefix}{os.urandom(8).hex()}.scratch"
        folder.mkdir(mode=0o700)
        if (descriptor := held(folder)) is not None:
            return folder, descriptor


def sweep(place: Path) -> list[Path]:
    """Remove what nobody holds of the scratch folders in a place.

    Returns:
        What is gone.
    """
    gone = []
    for folder in _of_ours(place):
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
                gone.append(folder)
            finally:
                os.close(descriptor)
    return gone


def _of_ours(place: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if _MADE.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                yield Path(entry.path)


def held(path: Path) -> int | None:
    """Hold a file or folder that was just made, as long as the descriptor is open.

    Returns:
        The descriptor; None: whoever sweeps was there between its making and its locking, and it is gone.
    """
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # a file system without such locks: then it is swept by nobody either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        os.close(descriptor)
    return None

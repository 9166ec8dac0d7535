"""Turns: as many runs at once on a machine as it has cores, however many harness processes one user has.

Eight processes that each keep two cores busy would make every run eight times as long, and wall time, which only
guards, would end runs that are well within their CPU limit.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from harness.folders import state_folder
from harness.record.files import private_file, private_folder

_OFTEN = 0.05
"""Seconds between two looks whether a place is free."""


@contextlib.contextmanager
def turn(places: int, cancel: threading.Event, *, otherwise: Path) -> Iterator[None]:
    """Wait for one of some places, and hold it; the kernel lets go of it whatever ends this process.

    Args:
        places: How many there are, as this process sees it: of two that differ, both share those that both see.
        cancel: Once set, nobody waits any more.
        otherwise: A folder for the locks where the user's state folder cannot be written.
    """
    folder = _folder(otherwise)
    held: int | None = None
    while held is None and not cancel.is_set():
        held = next(_free(folder, places), None)
        if held is None:
            cancel.wait(_OFTEN)
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


def _folder(otherwise: Path) -> Path:
    try:
        folder = private_folder(state_folder() / "turns")
    except OSError:
        return private_folder(otherwise)
    return folder if os.access(folder, os.W_OK) else private_folder(otherwise)


def _free(folder: Path, places: int) -> Iterator[int]:
    """The free places, each locked by now."""
    for number in range(places):
        descriptor = private_file(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        yield descriptor
        return

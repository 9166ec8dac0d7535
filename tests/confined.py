"""Where tests try whatever comes to mind: files outside of their own folders cannot be changed, not by root either."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_CLONE_NEWNS, _CLONE_FS = 0x00020000, 0x00000200
_KERNELS = ("/proc", "/sys", "/dev")
"""What the clean room needs to be able to write, and what holds no files of anybody's."""


@contextlib.contextmanager
def confined(*own: Path) -> Iterator[None]:
    """Until the end this process, and those that it starts, see everything but these and temporary files read-only.

    Who is not root cannot write the system's files anyway, and goes on as before.

    Args:
        own: Folders that stay as they are.
    """
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    folder = Path.cwd()
    try:
        _ask(libc.unshare(_CLONE_NEWNS))
        try:
            _close_off([Path(tempfile.gettempdir()).resolve(), *(path.resolve() for path in own)])
            os.chdir(folder)  # the folder of the same name in the new mounts
            yield
        finally:
            _ask(libc.unshare(_CLONE_FS))  # threads that live on share it, and then nobody may leave
            _ask(libc.setns(here, _CLONE_NEWNS))
            os.chdir(folder)
    finally:
        os.close(here)


def _close_off(own: list[Path]) -> None:
    _mount("--make-rprivate", "/")
    for path in own:
        _mount("--rbind", path, path)
    for place in _places():
        if not any(map(place.is_relative_to, [*own, *_KERNELS])):
            _mount("-o", "remount,bind,ro", place)


def _places() -> set[Path]:
    lines = Path("/proc/thread-self/mountinfo").read_text().splitlines()
    return {Path(line.split()[4].encode().decode("unicode_escape")) for line in lines}


def _mount(*words: object) -> None:
    subprocess.run(["mount", *map(str, words)], check=True, timeout=30)


def _ask(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

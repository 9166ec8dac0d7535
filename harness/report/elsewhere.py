"""A page or a picture where somebody wants it: what is there already is replaced only if it was one of ours."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from harness.errors import UsageError
from harness.record.files import write_text

MARK = "<!-- made by Reproof -->"
"""Stands in the first lines of every page and picture of ours."""
_FIRST = 256
"""Bytes in which it stands."""


def write_elsewhere(path: Path, text: str) -> None:
    """Write a page or a picture into a file that a user named.

    Args:
        path: The file; an older page or picture of ours is replaced.
        text: What holds the mark in its first lines.

    Raises:
        UsageError: Something else has this name, or nothing can be written there.
    """
    try:
        if not _is_free(path):
            remedy = "name another file, or move that one away"
            raise UsageError(
                "what has this name is no page of ours, and is not written over", where=path, remedy=remedy
            )
        write_text(path, text)
    except OSError as error:
        remedy = "name a file that can be written"
        raise UsageError("nothing can be written there", where=path, got=error.strerror, remedy=remedy) from None


def _is_free(path: Path) -> bool:
    """Whether nothing is lost there: no file, an empty one, or one of ours. Waits for no pipe, and follows no link."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    with os.fdopen(descriptor, "rb") as file:
        first = file.read(_FIRST)
    return not first or MARK.encode() in first

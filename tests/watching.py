"""What tests look at from outside: processes, folders, and whether something becomes true in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def alive(token: str) -> list[int]:
    """Processes of this machine whose command line holds the token."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if token.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def soon(true: Callable[[], object], *, within: float = 5.0) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return False

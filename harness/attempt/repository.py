"""What a participant's `.git` may be made of: looked at without Git and without opening a file, before Git meets it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from harness.errors import SubmissionError

MOST_ENTRIES, DEEPEST = 500_000, 64
"""Files and folders of a `.git`, and how deep they may lie; far more than Git makes of such work."""
_LINKED, _SOCKETS = ("hooks",), ("fsmonitor--daemon.ipc",)
"""Where links are common and read by nobody here, and the one socket that Git itself makes."""
_BORROWED = {
    "objects/info/alternates": "`git repack -a -d`, then remove that file",
    "commondir": "work in the workspace itself, not in a work tree beside it",
}
"""Files that lead to another repository, and what to do instead."""
_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Something in a `.git` that Git must not be let loose on."""

    path: str
    """Relative to the workspace."""
    kind: str
    remedy: str


def ensure_plain(workspace: Path) -> None:
    """See that a workspace's repository is a folder of plain files that leads nowhere else.

    Raises:
        SubmissionError: It is not; the message names the place.
    """
    if odd := oddity(workspace):
        raise not_plain(workspace, odd)


def not_plain(workspace: Path, odd: Oddity) -> SubmissionError:
    """The refusal of such a repository."""
    message = f"the workspace's repository cannot be read: it holds {odd.kind}"
    return SubmissionError(message, where=workspace, got=ascii(odd.path)[:200], remedy=odd.remedy)


def oddity(workspace: Path) -> Oddity | None:
    """The first thing in a workspace's `.git` that is neither plain file nor folder, or leads elsewhere."""
    try:
        mode = (workspace / ".git").lstat().st_mode
    except OSError:
        return None  # Git itself says that there is none
    if not stat.S_ISDIR(mode):
        kind = "a file in the place of a folder" if stat.S_ISREG(mode) else _kind(mode)
        return Oddity(path=".git", kind=kind, remedy="put the folder .git back that the workspace began with")
    return next(_oddities(workspace / ".git"), None)


def _kind(mode: int) -> str:
    return "a symbolic link" if stat.S_ISLNK(mode) else _KINDS.get(stat.S_IFMT(mode), "no plain file")


def _oddities(git: Path) -> Iterator[Oddity]:
    for count, (path, mode) in enumerate(_walk(git)):
        if count > MOST_ENTRIES or path.count("/") > DEEPEST:
            kind = f"more than {MOST_ENTRIES} entries, or folders deeper than {DEEPEST}"
            yield Oddity(path=f".git/{path}", kind=kind, remedy="`git gc` packs them; remove what Git did not write")
            return
        if path in _BORROWED and stat.S_ISREG(mode):
            yield Oddity(path=f".git/{path}", kind="a way into another repository", remedy=_BORROWED[path])
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and not _harmless(path, mode):
            yield Oddity(path=f".git/{path}", kind=_kind(mode), remedy="remove it, or replace it by a plain file")


def _harmless(path: str, mode: int) -> bool:
    return (stat.S_ISLNK(mode) and path.split("/")[0] in _LINKED) or (stat.S_ISSOCK(mode) and path in _SOCKETS)


def _walk(git: Path) -> Iterator[tuple[str, int]]:
    """Every entry's path and mode, one folder after another; links are not followed."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for name, mode in _listed(git / below):
            yield f"{below}{name}", mode
            if stat.S_ISDIR(mode):
                waiting.append(f"{below}{name}/")


def _listed(folder: Path) -> list[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            return [(e.name, e.stat(follow_symlinks=False).st_mode) for e in islice(entries, MOST_ENTRIES + 1)]
    except OSError:  # gone, or closed to us: Git will say so, in the sandbox
        return []

"""Whether a results folder is its owner's alone: what is written now is, and older folders may not be."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_PUBLIC = frozenset(("README.md", ".gitignore"))
"""What a clone has in its results folder."""
_MOST = 5
"""Names that are told."""
_TAKEN_OVER = "whoever owns it can change every record"


def objection(results: Path, *, user: int | None = None) -> str | None:
    """What somebody else on this machine can do with a results folder, a phrase; None: nothing, or there is none yet.

    Args:
        results: The folder; a link to it is followed, and told.
        user: Whose it should be; by default who asks.
    """
    user = os.geteuid() if user is None else user
    try:
        about, below = results.stat(), sorted(results.iterdir())
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"it cannot be looked into: {error.strerror}"
    if about.st_uid != user:
        return f"it belongs to user {about.st_uid}, and you are {user}: {_TAKEN_OVER}"
    if not _open(about):
        return None
    if _open(about) & 0o022 and not about.st_mode & stat.S_ISVTX:
        return "others may write to it, and so put other records in the place of yours"
    names = [f"{path.name}: {why}" for path in below if path.name not in _PUBLIC for why in _objections(path, user)]
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return "; ".join(names[:_MOST]) + more or None


def _objections(path: Path, user: int) -> Iterator[str]:
    about = path.lstat()
    if about.st_uid != user:
        yield f"of user {about.st_uid}"
    elif not stat.S_ISLNK(about.st_mode) and (bits := _open(about)):
        yield "others may write to it" if bits & 0o022 else "others may read it"


def _open(about: os.stat_result) -> int:
    """The bits by which others than the owner come in; a group that nobody else is in keeps them out."""
    return about.st_mode & (0o007 if _is_own_group(about.st_gid) else 0o077)


def _is_own_group(group: int) -> bool:
    """Whether it is the one that many systems give each user (Debian Policy 9.2; `USERGROUPS_ENAB` of login.defs)."""
    import grp
    import pwd

    try:
        found, me = grp.getgrgid(group), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return (found.gr_gid, found.gr_name) == (me.pw_gid, me.pw_name) and {*found.gr_mem} <= {me.pw_name}

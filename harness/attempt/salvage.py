"""What of a commit can be taken in where all of it cannot: a commit beside it that leaves out what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from harness.attempt.confined import WORK, collected, hashes, refusal, run_git
from harness.attempt.contents import Entry, read_listing
from harness.attempt.repository import ensure_plain
from harness.attempt.submission import DEFAULT_LIMITS, IntakeLimits
from harness.cleanroom.sandbox import Mount, Sandbox
from harness.errors import SubmissionError
from harness.scratch import scratch

MESSAGE = "What of this work can be taken in"
_LISTED = 32 << 20
"""Bytes of a listing that are looked at; what follows is left out."""
_NAMED = 3
"""Paths that are told."""

LIST = """\
export GIT_DIR="$2/.git"
git rev-parse --verify "$3^{commit}" >"$1/head" || exit
git ls-tree -r -z -l --full-tree "$3" | head -c "$4" >"$1/listing"
"""
"""Lists what a commit holds; words: work tree, commit, bytes of the listing at most. Leaves `head` and `listing`."""

COMMIT = """\
export GIT_DIR="$2/.git" GIT_INDEX_FILE="${TMPDIR:-/tmp}/index"
git update-index -z --index-info <"$3" || exit
tree=$(git write-tree) || exit
commit=$(git commit-tree -p "$4" -m "$5" "$tree") || exit
git update-ref HEAD "$commit" || exit
echo "$commit" >"$1/head"
unset GIT_INDEX_FILE
GIT_WORK_TREE="$2" git reset -q || true
"""
"""Commits listed entries; words: work tree, the list, parent, message. Leaves `head`, which is HEAD then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """A commit that can be taken in, and what it leaves out."""

    commit: str
    left_out: str


def salvage(
    workspace: Path,
    commit: str,
    *,
    parent: str,
    sandbox: Sandbox,
    quota: int | None = None,
    limits: IntakeLimits = DEFAULT_LIMITS,
) -> Salvaged:
    """Commit, in a participant's repository, what of one of its commits can be taken in.

    Args:
        workspace: The work tree; its files stay as they are.
        commit: What is too much.
        parent: Which commit the new one follows.
        sandbox: Where Git meets the workspace.
        quota: Bytes that the workspace may hold.
        limits: What a submission may hold.

    Raises:
        SubmissionError: Nothing is refused for what it is, or the repository cannot be read.
    """
    ensure_plain(workspace)
    listing = _listing(workspace, commit, sandbox=sandbox, limits=limits)
    fit, unfit = _parted(listing.split(b"\0")[:-1])
    kept = dict(_within(fit, limits))
    left_out = [*unfit, *(entry.path for record, entry in fit.items() if record not in kept)]
    if not left_out:
        raise SubmissionError("nothing in it is refused for what it is", where=workspace)
    made = _commit(workspace, kept.values(), parent=parent, sandbox=sandbox, quota=quota, limits=limits)
    return Salvaged(commit=made, left_out=_in_words(left_out))


def _listing(workspace: Path, commit: str, *, sandbox: Sandbox, limits: IntakeLimits) -> bytes:
    mount, files = Mount(source=workspace.resolve(), target=WORK), ("head", "listing")
    with scratch("salvage") as out:
        words = (WORK, commit, str(_LISTED))
        done = run_git(
            sandbox, LIST, *words, mounts=(mount,), files=files, into=out, limits=limits.work, idle=limits.idle
        )
        if done.exit != 0:
            raise refusal(done, "the commit cannot be listed", where=workspace, limits=limits.work, theirs=True)
        return collected(done, "listing", into=out, where=workspace).read_bytes()


def _parted(records: list[bytes]) -> tuple[dict[bytes, Entry], list[str]]:
    """The plain files, and the names of what is none or bears a name that cannot be taken in."""
    fit: dict[bytes, Entry] = {}
    unfit: list[str] = []
    for record in records:
        try:
            [entry] = read_listing(record + b"\0", files=1, total=1 << 62, where="")
            fit[record] = entry
        except (SubmissionError, ValueError):
            unfit.append(record.partition(b"\t")[2].decode("utf-8", errors="backslashreplace"))
    return fit, unfit


def _within(fit: Mapping[bytes, Entry], limits: IntakeLimits) -> Iterator[tuple[bytes, Entry]]:
    """As much as may be: folders with the fewest files come first, and in each the smallest files."""

    def top(item: tuple[bytes, Entry]) -> str:
        return item[1].path.partition("/")[0]

    folders = [list(group) for _, group in groupby(sorted(fit.items(), key=top), key=top)]
    files, total = limits.files, min(limits.total, limits.bundle)
    small = [pair for folder in sorted(folders, key=len) for pair in sorted(folder, key=lambda pair: pair[1].size)]
    for record, entry in small:
        if files > 0 and entry.size <= total:
            files, total = files - 1, total - entry.size
            yield record, entry


def _commit(
    workspace: Path,
    entries: Iterable[Entry],
    *,
    parent: str,
    sandbox: Sandbox,
    quota: int | None,
    limits: IntakeLimits,
) -> str:
    listed = b"".join(f"{entry.mode} {entry.name}\t{entry.path}\0".encode() for entry in entries)
    with scratch("salvage") as staging:
        into, given = staging / "out", staging / "list"
        into.mkdir()
        given.write_bytes(listed)
        mounts = (
            Mount(source=workspace.resolve(), target=WORK, writable=True, quota=quota),
            Mount(source=given, target="/in/list"),
        )
        words = (WORK, "/in/list", parent, MESSAGE)
        done = run_git(
            sandbox, COMMIT, *words, mounts=mounts, files=("head",), into=into, limits=limits.work, idle=limits.idle
        )
        if done.exit != 0:
            message = "what can be taken in could not be committed"
            raise refusal(done, message, where=workspace, limits=limits.work, theirs=True)
        [made] = hashes(done, "head", into=into, where=workspace)
        return made


def _in_words(paths: list[str]) -> str:
    named = ", ".join(ascii(path if len(path) <= 80 else f"{path[:77]}...") for path in paths[:_NAMED])
    return named if len(paths) <= _NAMED else f"{named} and {len(paths) - _NAMED} more"

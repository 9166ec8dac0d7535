"""What a submission may contain: Git's account of a tree and a history, parsed and proved by its hashes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.attempt.plumbing import EXECUTABLE_MODE, FILE_MODE, File, blob_name, trees
from harness.errors import SubmissionError

LONGEST_PATH = 1024
"""Bytes of a whole path; one part of it may have 255, the file systems' own limit."""
DEEPEST = 64
"""Parts of a path."""
_HASH = re.compile(r"[0-9a-f]{40}")
_LONGEST_SIZE = 20
"""Digits."""
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_REFUSED_MODES = {
    "120000": ("it holds a symbolic link", "replace the link by the file it points to, and commit again"),
    "160000": (
        "it holds a submodule",
        "copy its files into the repository itself (without its .git), and commit again",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of a tree, as Git lists it."""

    mode: str
    name: str
    """Of the blob, 40 hex digits."""
    size: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit, as Git lists it."""

    name: str
    parents: tuple[str, ...]
    time: int
    """Seconds since 1970, as its author states them."""


def is_hash(text: str) -> bool:
    """Whether a text is a name of Git's default format."""
    return _HASH.fullmatch(text) is not None


def unfit(path: str) -> str | None:
    """Why a path cannot be written out safely on any machine; None if it can.

    >>> unfit("reproduction/es.py"), unfit("a/.GIT/config")
    (None, 'it names a Git folder')
    """
    parts = path.split("/")
    if len(path.encode()) > LONGEST_PATH or len(parts) > DEEPEST:
        return f"it is longer than {LONGEST_PATH} bytes or deeper than {DEEPEST} folders"
    return next((reason for part in parts if (reason := _unfit_part(part))), None)


def _unfit_part(part: str) -> str | None:
    if part in ("", ".", ".."):
        return "it is absolute, or climbs"
    if len(part.encode()) > 255:
        return "a part of it is longer than 255 bytes"
    if "\\" in part or any(unicodedata.category(letter) in _INVISIBLE for letter in part):
        return "it holds a backslash, or a control or invisible character"
    # Other file systems fold case and width, and drop trailing dots, spaces and streams.
    folded = unicodedata.normalize("NFKC", part).casefold().rstrip(". ")
    if folded in (".git", "git~1") or folded.startswith(".git:"):
        return "it names a Git folder"
    return None


def read_listing(data: bytes, *, files: int, total: int, where: object) -> tuple[Entry, ...]:
    """Parse `git ls-tree -r -t -z -l`, and refuse what is no plain file, or too much.

    Args:
        data: What Git wrote; it may be cut off where there was too much.
        files: How many files there may be.
        total: How many bytes they may have together.
        where: The submission, for the message.

    Raises:
        SubmissionError: Naming the path at fault.
    """
    entries = tuple(entry for record in data.split(b"\0")[:-1] if (entry := _entry(record, where)))
    if len(entries) > files or (data and not data.endswith(b"\0")):
        raise SubmissionError(
            "the submission has too many files",
            where=where,
            expected=f"at most {files}",
            got=f"{len(entries)} or more",
            remedy="commit only what the reproduction needs to run",
        )
    if (size := sum(entry.size for entry in entries)) > total:
        largest = max(entries, key=lambda entry: entry.size)
        raise SubmissionError(
            "the submission's files are too large",
            where=where,
            expected=f"at most {total} bytes together",
            got=f"{size} (the largest is {largest.path!a} with {largest.size})",
            remedy="commit only what the reproduction needs to run",
        )
    return entries


def _entry(record: bytes, where: object) -> Entry | None:
    """One record of the listing; None for a folder, whose name has been checked."""
    try:
        facts, _, raw = record.partition(b"\t")
        mode, kind, name, size = facts.decode("ascii").split()
        path = raw.decode("utf-8")
    except ValueError:
        raise _bad_path(ascii(record[-80:]), "it is not UTF-8", where) from None
    if mode in _REFUSED_MODES:
        message, remedy = _REFUSED_MODES[mode]
        raise SubmissionError(
            f"the submission cannot be taken in: {message}", where=where, got=ascii(path), remedy=remedy
        )
    if reason := unfit(path):
        raise _bad_path(ascii(path), reason, where)
    if kind == "tree":
        return None
    if kind != "blob" or mode not in (FILE_MODE, EXECUTABLE_MODE) or not is_hash(name) or not _is_size(size.encode()):
        raise _bad_path(ascii(path), f"it is no plain file (mode {mode})", where)
    return Entry(mode=mode, name=name, size=int(size), path=path)


def _bad_path(path: str, reason: str, where: object) -> SubmissionError:
    short = path if len(path) <= 200 else f"{path[:197]}..."
    return SubmissionError(
        f"the submission holds a path that cannot be taken in, because {reason}",
        where=where,
        got=short,
        remedy="rename it and commit again",
    )


def _is_size(digits: bytes) -> bool:
    """Whether they are a number that a file's size can be; Python reads none of more than 4300 digits."""
    return digits.isdigit() and len(digits) < _LONGEST_SIZE


def read_blobs(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Parse `git cat-file --batch` as far as it is whole, and name each content by its own hash."""
    at = 0
    while (end := data.find(b"\n", at)) >= 0:
        words = data[at:end].split(b" ")
        if len(words) != 3 or words[1] != b"blob" or not _is_size(words[2]):
            return
        content = data[end + 1 : end + 1 + int(words[2])]
        yield blob_name(content), content
        at = end + 1 + int(words[2]) + 1


def read_files(entries: tuple[Entry, ...], blobs: Mapping[str, bytes], *, tree: str, where: object) -> dict[str, File]:
    """The files of a tree, proved to be that tree's by its name.

    Raises:
        SubmissionError: The contents do not hash to the tree.
    """
    missing = next((entry for entry in entries if entry.name not in blobs), None)
    if missing:
        raise SubmissionError(
            "the content of a file is missing or damaged", where=where, got=ascii(missing.path), remedy=AGAIN
        )
    leaves = {entry.path: (entry.mode, entry.name) for entry in entries}
    folders = {str(folder) for path in leaves for folder in PurePosixPath(path).parents}
    if len(leaves) != len(entries) or folders & leaves.keys() or trees(leaves)[0] != tree:
        raise SubmissionError(
            "the commit's tree is not written as Git itself writes one",
            where=where,
            expected=f"{len(entries)} files that hash to {tree}",
            got="empty folders, repeated names or unusual modes",
            remedy="check it out and commit it again with plain Git",
        )
    return {entry.path: File(blobs[entry.name], entry.mode == EXECUTABLE_MODE) for entry in entries}


AGAIN = "submit again; if it stays, check the repository with `git fsck --full`"


def read_history(data: bytes, *, head: str, base: str, most: int, where: object) -> tuple[Commit, ...]:
    """Parse `git rev-list --timestamp --parents --reverse`, and prove that it descends from the start commit.

    Raises:
        SubmissionError: It does not, or it is too long.
    """
    try:
        commits = tuple(_commit(line) for line in data.decode("ascii").splitlines())
    except ValueError:
        raise SubmissionError("the history cannot be read", where=where, remedy=AGAIN) from None
    if len(commits) > most:
        raise SubmissionError(
            "the history is too long",
            where=where,
            expected=f"at most {most} commits",
            got="more",
            remedy="squash some of it",
        )
    if head != base and not _descends(head, base, {commit.name: commit.parents for commit in commits}):
        raise not_descended(where, head=head, base=base)
    return commits


def not_descended(where: object, *, head: str | None, base: str) -> SubmissionError:
    """The refusal of an alien or rewritten history."""
    return SubmissionError(
        "the history does not begin at the start commit",
        where=where,
        expected=f"a descendant of {base}",
        got=head,
        remedy=f"bring the work onto it (`git rebase --onto {base[:12]} --root` may do) and submit again",
    )


def _commit(line: str) -> Commit:
    time, name, *parents = line.split(" ")
    if not all(map(is_hash, (name, *parents))):
        raise ValueError(line)
    return Commit(name=name, parents=tuple(parents), time=int(time))


def _descends(head: str, base: str, parents: Mapping[str, tuple[str, ...]]) -> bool:
    seen: set[str] = set()
    waiting = [head]
    while waiting:
        name = waiting.pop()
        if name == base:
            return True
        if name not in seen:
            seen.add(name)
            waiting.extend(parents.get(name, ()))
    return False

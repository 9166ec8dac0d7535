"""What an archive holds, and how much of it: the manifest, and the one form that names of members may have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec

from harness.attempt.contents import DEEPEST, LONGEST_PATH
from harness.errors import HarnessFault, RecordError, machine_fault
from harness.record.files import Slip

MANIFEST = "manifest.json"
"""The archive's first member; every other one is named in it, in its order."""
FORMAT = "reproof-archive-1"
MOST_FILES = 100_000
_MIB = 2**20
LARGEST_RECORD, LARGEST_DATA, LARGEST_ARCHIVE = 32 * _MIB, 1024 * _MIB, 4096 * _MIB
"""Bytes of a record or of the manifest, of an output or a bundle, and of all members together."""
_FILE = r"[^/\x00-\x1f\x7f\\]{1,200}"
_RECORD = r"[A-Za-z_]{1,40}\.(?:json|html)"
_NAMES = re.compile(
    rf"""attempts/[A-Za-z0-9_-]+/(?:attempt\.json|ledger\.jsonl|trajectory\.json|submissions/\d{{3}}/(?:
        submission\.bundle | {_RECORD} | former_scores/[0-9a-f]+\.json
        | history/[0-9a-f]{{40}}/{_RECORD}
        | private/plan\.json | private/\w{{1,100}}-\d{{1,5}}/[\w .-]{{1,100}}\.(?:json|npy)))
    | runs/[0-9a-f]{{2}}/[0-9a-f]{{64}}/(?:run\.json|log\.txt|metered\.npy|outputs/{_FILE})
    | (?:paper|trees/[0-9a-f]{{40}})(?:/{_FILE})+""",
    re.VERBOSE,
)
_DATA = re.compile(r"runs/[^/]+/[^/]+/outputs/.+|.+\.(?:npy|bundle)|attempts/[^/]+/trajectory\.json")
_FEW = 20
_Text = Annotated[str, msgspec.Meta(max_length=300)]
_Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Name = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{1,150}\Z")]


class Member(Slip, frozen=True):
    """One file of the archive."""

    name: Annotated[str, msgspec.Meta(max_length=LONGEST_PATH + 50)]
    """A path that a submission may hold, and the folder of the store before it."""
    sha256: _Hash
    size: Annotated[int, msgspec.Meta(ge=0)]
    """Bytes."""
    executable: bool = False


class Manifest(Slip, frozen=True):
    """What the archive's first member says: what it is about, and every file in it."""

    format: str
    attempt: _Name
    paper: _Name
    paper_version: str
    """The version of the paper that the score is by."""
    private: str | None
    """Digest of the paper's private folder, which stays at home; None: there was none."""
    commit: _Text
    reproof: _Text
    """The version that packed it."""
    runtime: Annotated[dict[_Text, _Text], msgspec.Meta(max_length=_FEW)]
    """Versions of what runs are computed with, where it was packed."""
    consent: bool
    """Whether the participant lets the work be published with its score."""
    licence: _Text | None
    outputs: bool
    """Whether the outputs of runs are in it."""
    notes: Annotated[list[_Text], msgspec.Meta(max_length=_FEW)]
    """What whoever holds the archive should know, a sentence each."""
    files: Annotated[list[Member], msgspec.Meta(max_length=MOST_FILES)]
    """In the order of their names."""


def largest(name: str) -> int:
    """Bytes that a member of that name may have."""
    return LARGEST_DATA if _DATA.fullmatch(name) else LARGEST_RECORD


def unfit(files: Sequence[Member]) -> str | None:
    """Why no archive may hold these files, in words; None if one may.

    >>> unfit([Member(name="../passwd", sha256="0" * 64, size=1)])
    "no archive holds a file of this name: '../passwd'"
    """
    for member in files:
        parts = member.name.split("/")
        if not _NAMES.fullmatch(member.name) or {".", ".."} & set(parts) or len(parts) > DEEPEST + 2:
            return f"no archive holds a file of this name: {member.name[:200]!r}"
        if member.size > largest(member.name):
            return f"{member.name} has {member.size} bytes, more than {largest(member.name)}"
    names = [member.name for member in files]
    if any(first >= second for first, second in pairwise(names)):
        return "names are out of order, or stand twice"
    known = set(names)
    if both := next((folder for name in names for folder in _folders(name) if folder in known), None):
        return f"{both} is both a file and a folder"
    if len(files) > MOST_FILES or sum(member.size for member in files) > LARGEST_ARCHIVE:
        return f"it holds more than {MOST_FILES} files or {LARGEST_ARCHIVE} bytes"
    return None


def _folders(name: str) -> Iterator[str]:
    """The folders on the way to a file, each made when it is asked for: together they may be far longer."""
    at = name.find("/")
    while at >= 0:
        yield name[:at]
        at = name.find("/", at + 1)


def refused(archive: Path, why: str, *, got: object = None) -> RecordError:
    """The error for an archive that is not what it should be."""
    remedy = "nothing of it was kept; get it again from whoever packed it, and compare its SHA-256 with theirs"
    return RecordError(f"this archive is refused: {why}", where=archive, got=got, remedy=remedy)


def disk_error(where: Path, error: OSError) -> HarnessFault:
    """The error for a disk that does not take what is written, or gives what is read; nothing half-made stays."""
    error.filename = error.filename or str(where)
    return machine_fault(error)

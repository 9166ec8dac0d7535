"""Packing: everything that somebody else needs to rerun and score an attempt again, in one file of fixed bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import IO

import msgspec

from harness.archive.manifest import FORMAT, MANIFEST, Manifest, Member, disk_error, unfit
from harness.attempt import ledger
from harness.errors import RecordError, UsageError
from harness.paper.load import Paper
from harness.pipeline import Rerun, units_of
from harness.record.entry import NO_MIRROR
from harness.record.store import read
from harness.rerun.execute import RunRecord
from harness.rerun.runtime import runtime_summary
from harness.rerun.served import METERED
from harness.road import HISTORY, Road
from harness.scoring.score import Score
from harness.scratch import scratch
from harness.trajectory.keep import FILE as TRAJECTORY
from harness.trajectory.keep import trajectory_of

SUFFIX = ".reproof.tar.gz"
NO_CONSENT = "the participant has not agreed to publication: keep this archive to yourself"
HOLDS_REFERENCE = "its submission is made of the paper's reference: give it to nobody who may work on the paper"
LEFT_OUT = "left out when it was packed"
_LEVEL = 6
"""Of gzip's compression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An archive that was written."""

    archive: Path
    sha256: str
    manifest: Manifest
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a member's bytes come from: a file, or these bytes."""

    name: str
    content: Path | bytes
    executable: bool = False

    @property
    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def open(self) -> IO[bytes]:
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")

    def member(self) -> Member:
        with self.open() as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        return Member(name=self.name, sha256=digest, size=self.size, executable=self.executable)


def pack(road: Road, to: Path | None = None, *, outputs: bool = True) -> Packed:
    """Write the archive of an attempt, whole or not at all; the same records give the same bytes.

    Args:
        road: The attempt, its latest submission scored.
        to: The file; `ATTEMPT.reproof.tar.gz` in the current folder unless said.
        outputs: Whether the outputs of runs go in, without which a score can be rerun but not be computed again.

    Raises:
        RecordError: It is not scored, or what its score rests on is damaged or gone.
        UsageError: Work goes on, the paper has changed since, or another file has that name.
    """
    to = to or Path(f"{road.attempt.id}{SUFFIX}")
    with road.desk.held():
        score = _final(road)
        sources = sorted(_sources(road, outputs=outputs), key=lambda source: source.name)
        road.tell(f"packing {len(sources)} files")
        try:
            manifest = _manifest(road, score, [source.member() for source in sources], outputs=outputs)
            if why := unfit(manifest.files):
                raise UsageError("this attempt cannot be packed", where=road.attempt.id, got=why, remedy="--no-outputs")
            digest = _written(to, manifest, sources)
        except OSError as error:
            raise disk_error(to, error) from error
    return Packed(archive=to, sha256=digest, manifest=manifest, bytes=to.stat().st_size)


def _final(road: Road) -> Score:
    """The score of an attempt that nothing is to be added to."""
    name, path = road.attempt.id, road.records / "score.json"
    if not path.exists():
        raise RecordError("this attempt was not scored yet", where=name, remedy=f"reproof rerun {name}")
    found, score = road.desk.account(), read(path, Score)
    if found.pending and found.state != "withdrawn":
        remedy = "`reproof submit` hands in what there is; `reproof withdraw` ends the attempt without it"
        raise UsageError("work goes on that was not handed in", where=name, got=found.state, remedy=remedy)
    if score.paper_version != road.paper.version:
        raise UsageError(
            "its score is by another version of the paper",
            where=name,
            expected=road.paper.version,
            got=score.paper_version,
            remedy=f"`reproof rescore {name}` scores it by the paper as it is now",
        )
    return score


def _sources(road: Road, *, outputs: bool) -> Iterator[_Source]:
    attempt, store = road.attempt, road.store
    inside, start = f"attempts/{attempt.id}", store.trees / attempt.start_tree
    if not start.is_dir():
        raise RecordError("this folder does not exist, and belongs to the attempt", where=start)
    # Paths and the mirror's address, which may hold a password, are nobody else's business.
    left_out = {"workspace": LEFT_OUT, "paper_folder": LEFT_OUT, "private_path": None}
    told = msgspec.structs.replace(attempt, **left_out, tracking_uri=NO_MIRROR)
    yield _Source(name=f"{inside}/attempt.json", content=msgspec.json.format(msgspec.json.encode(told), indent=1))
    yield _Source(name=f"{inside}/{ledger.FILE}", content=(road.folder / ledger.FILE).read_bytes())
    if trajectory_of(road.desk) is not None:
        yield _Source(name=f"{inside}/{TRAJECTORY}", content=road.folder / TRAJECTORY)
    yield from _folder(road.folder / "submissions", f"{inside}/submissions")
    yield from _folder(start, f"trees/{attempt.start_tree}", hidden=True)
    yield from _folder(road.paper.folder, "paper", without=(road.paper.folder / "private", road.paper.private))
    shown, answers = _keys(road)
    for key in sorted(shown | answers):
        yield from _run(store.run(key), f"runs/{key[:2]}/{key}", theirs=key in shown, outputs=outputs)


def _folder(folder: Path, name: str, *, hidden: bool = False, without: tuple[Path, ...] = ()) -> Iterator[_Source]:
    """Plain files beneath a folder, without bytecode and, unless they belong to it, hidden ones."""
    for path in sorted(folder.iterdir()):
        if path in without or path.name == "__pycache__" or (path.name.startswith(".") and not hidden):
            continue
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from _folder(path, f"{name}/{path.name}", hidden=hidden, without=without)
        elif stat.S_ISREG(mode):
            yield _Source(name=f"{name}/{path.name}", content=path, executable=bool(mode & stat.S_IXUSR))
        else:
            raise RecordError("only plain files are packed", where=path, remedy="replace the link by what it means")


def _keys(road: Road) -> tuple[set[str], set[str]]:
    """The runs that the submission's score and its score over time rest on: its own, and the reference's answers."""
    shown, answers = set[str](), set[str]()
    for at in (road, *(replace(road, of=folder) for folder in sorted((road.records / HISTORY).glob("*")))):
        if not (at.records / "rerun.json").exists():
            continue
        units = units_of(at, read(at.records / "rerun.json", Rerun))
        for unit in [*units, *(unit.needs for unit in units if unit.needs)]:
            (shown if unit.author == "submission" else answers).add(unit.key)
    return shown, answers - shown


def _run(folder: Path, name: str, *, theirs: bool, outputs: bool) -> Iterator[_Source]:
    """A run's record, log and outputs; of the reference's runs nothing that could quote its source."""
    if not (folder / "run.json").exists():  # a fault of ours ended it: rerun.json says so
        return
    record = read(folder / "run.json", RunRecord)
    told = record if theirs else record.model_copy(update={"log_tail": ""})
    yield _Source(name=f"{name}/run.json", content=told.model_dump_json(indent=1).encode() + b"\n")
    if theirs:
        yield _Source(name=f"{name}/log.txt", content=folder / "log.txt")
    kept = {f"outputs/{file}": digest for file, digest in sorted(record.outputs.items())}
    kept |= {METERED: record.metered} if record.metered else {}
    for file, digest in kept.items() if outputs else ():
        source = _Source(name=f"{name}/{file}", content=folder / file)
        if source.member().sha256 != digest:
            raise RecordError("an output was changed since it was measured", where=source.content)
        yield source


def _manifest(road: Road, score: Score, files: list[Member], *, outputs: bool) -> Manifest:
    attempt = road.attempt
    said = {
        NO_CONSENT: not attempt.terms.consent,
        HOLDS_REFERENCE: attempt.participant.kind in ("reference", "mutation"),
    }
    return Manifest(
        format=FORMAT,
        attempt=attempt.id,
        paper=attempt.paper,
        paper_version=score.paper_version,
        private=private_digest(road.paper),
        commit=score.commit,
        reproof=version("reproof"),
        runtime=runtime_summary(),
        consent=attempt.terms.consent,
        licence=attempt.terms.licence,
        outputs=outputs,
        notes=[note for note, holds in said.items() if holds],
        files=files,
    )


def private_digest(paper: Paper) -> str | None:
    """One digest of a paper's private folder, by which two installations can tell whether they hold the same."""
    if not paper.private.is_dir():
        return None
    members = [source.member() for source in _folder(paper.private, "private")]
    lines = sorted(f"{member.name} {member.sha256}" for member in members)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _written(to: Path, manifest: Manifest, sources: list[_Source]) -> str:
    """Write the archive beside its place, and move it there once it is on the disk; its SHA-256."""
    with scratch("pack", within=to.parent) as beside:
        staged = beside / to.name
        with staged.open("xb") as file:
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=_LEVEL, mtime=0) as stream:
                _write_members(stream, manifest, sources)
            file.flush()
            os.fsync(file.fileno())
        digest = digest_of(staged)
        if os.path.lexists(to) and not (to.is_file() and digest_of(to) == digest):
            remedy = "name another with --to, or move that one away"
            raise UsageError("another file has this name", where=to, remedy=remedy)
        staged.replace(to)
    return digest


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_members(stream: gzip.GzipFile, manifest: Manifest, sources: list[_Source]) -> None:
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT, encoding="utf-8") as archive:
        for source in (_Source(name=MANIFEST, content=text), *sources):
            header = tarfile.TarInfo(source.name)  # no time, no owner: they would differ from one packing to the next
            header.size, header.mode = source.size, 0o755 if source.executable else 0o644
            with source.open() as content:
                archive.addfile(header, content)

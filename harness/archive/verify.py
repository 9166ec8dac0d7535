"""Verifying: an archive's commit rerun here, on its plan, and scored by this installation's paper."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout

from harness.archive.compare import LeafCheck, leaves, totals_agree
from harness.archive.examine import (
    Examined,
    examine,
    notes_on,
    problems_of_instances,
    problems_of_records,
    rescored,
)
from harness.archive.manifest import Manifest, disk_error
from harness.archive.pack import digest_of, private_digest
from harness.archive.unpack import peek, unpack
from harness.attempt.desk import Desk
from harness.attempt.submission import keep_tree
from harness.attempt.task import reference_files, start_commit_of
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Sandbox, SandboxSettings
from harness.errors import HarnessFault, UsageError
from harness.folders import PAPERS_PATH
from harness.paper.load import Paper, open_paper
from harness.paper.mutations import REFERENCE
from harness.pipeline import scored, units_of
from harness.record.files import Store, locked_file, private_folder
from harness.record.store import Record, write
from harness.rerun.engine import LocalEngine, Progress, silent
from harness.rerun.execute import RunRecord, known
from harness.rerun.plan import Unit
from harness.rerun.runtime import circumstances, runtime_summary
from harness.road import Road, Tell, quiet
from harness.scoring.score import Score

VERIFIED = "verified"
"""In the results folder: the records of verifications, and the runs made for them."""
FILE = "verified.json"
"""In an attempt's folder: its last verification by a rerun."""


class Runs(Record):
    """How the runs made here compare with the packed ones."""

    compared: int
    identical: int
    """Runs whose outputs are the same to the last bit."""


class Totals(Record):
    """A figure of the packed score, and of the one found here."""

    packed: float | str
    here: float | str


class Verification(Record):
    """What verifying an archive has shown."""

    archive: str
    """SHA-256 of the file."""
    attempt: str
    paper: str
    commit: str
    paper_version: str
    at: datetime
    machine: str
    rerun: bool
    """Whether the commit was rerun here; if not, it was only scored again, which verifies nothing about its outputs."""
    rescored: bool
    """Whether the score was computed again from the packed outputs; not if they were left out."""
    same: bool
    score: Totals
    verdict: Totals
    leaves: list[LeafCheck]
    runs: Runs | None
    """None: nothing was rerun, or the outputs were left out."""
    problems: list[str]
    """What in the archive does not hold together, a sentence each; any makes it differ."""
    notes: list[str]
    """What is otherwise here than there, and what the manifest wants known."""


@dataclass(frozen=True, kw_only=True)
class _Foreign(Road):
    """Somebody else's attempt, in a clean room of ours: what its records ask for does not matter."""

    room: Sandbox

    @cached_property
    def sandbox(self) -> Sandbox:
        """Ours."""
        return self.room


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """This installation: where it keeps records, its clean room, and the paper's private part."""

    results: Path
    waive: tuple[str, ...] = ()
    """Properties that the clean room here may lack; an archive has no say in it."""
    private_path: Path | None = None
    tell: Tell = quiet
    progress: Progress = silent

    def verify(self, archive: Path, *, quick: bool = False, again: bool = False) -> Verification:
        """Check an archive, score it again from its outputs, and rerun it here; what was found is kept.

        Nothing of the archive stays but the verification and the runs made here, so an interrupted one goes on.

        Args:
            archive: The file, which may be hostile.
            quick: Only score again; nothing is rerun, and it does not count as verified.
            again: Make runs anew although this was verified here before.

        Raises:
            UsageError: No such file, another version of the paper here, or another attempt of that name.
            PaperError: The paper's private part is not here.
            RecordError: The archive is refused, or the disk is full.
            HarnessFault: Runs were ended by a fault of this machine, so nothing can be said.
        """
        manifest, store = peek(archive), Store(self.results.resolve())
        paper = self._paper(archive, manifest, quick=quick)
        with _disk(store.root), _alone(store, manifest.attempt), store.staging() as staging:
            self.tell(f"unpacking {len(manifest.files)} files of {manifest.attempt}")
            digest = digest_of(archive)
            manifest = unpack(archive, staging)
            desk = Desk(folder=staging / "attempts" / manifest.attempt)
            room = open_sandbox(SandboxSettings(waive=self.waive, hidden=(paper.private,), records=(store.root,)))
            road = _Foreign(paper=paper, store=Store(staging), desk=desk, tell=quiet, progress=silent, room=room)
            found = examine(archive, manifest, road)
            _ensure_ours(store, found)
            return _keep(store, self._verified(found, digest, None if quick else _reruns(store, found, again)))

    def _paper(self, archive: Path, manifest: Manifest, *, quick: bool) -> Paper:
        """This installation's paper, of the version that the score is by."""
        if quick and not manifest.outputs:
            remedy = "leave out --quick: its commit can still be rerun"
            raise UsageError("the outputs of its runs were left out of this archive", where=archive, remedy=remedy)
        paper = open_paper(manifest.paper, private_path=self.private_path)
        if paper.version != manifest.paper_version:
            raise UsageError(
                f"the paper {paper.id} is of another version here",
                where=paper.folder,
                expected=manifest.paper_version,
                got=paper.version,
                remedy=f"verify it with the papers of Reproof {manifest.reproof} as they were when it was packed (the "
                f"archive's folder paper/ shows its public part), named by {PAPERS_PATH}",
            )
        if not quick:
            paper.private_file(REFERENCE)
        return paper

    def _verified(self, found: Examined, digest: str, reruns: Store | None) -> Verification:
        problems, packed = problems_of_records(found), found.score
        here, notes = packed, [*found.manifest.notes, *self._notes(found)]
        if found.road.paper.private.is_dir():
            problems += problems_of_instances(found)
        if found.manifest.outputs:
            self.tell("scoring it again from the packed outputs")
            here, more = rescored(found)
            problems += more
        for problem in problems:
            self.tell(f"problem: {problem}")
        runs = None
        if reruns is not None:
            here, runs = self._rerun(found, reruns)
        checks = leaves(packed, here, rerun=runs is not None)
        return Verification(
            archive=digest,
            attempt=packed.attempt,
            paper=packed.paper,
            commit=packed.commit,
            paper_version=packed.paper_version,
            at=datetime.now(UTC),
            machine=_machine(),
            rerun=runs is not None,
            rescored=found.manifest.outputs,
            same=not problems and all(check.same for check in checks) and totals_agree(packed, here),
            score=Totals(packed=packed.score.value, here=here.score.value),
            verdict=Totals(packed=packed.verdict, here=here.verdict),
            leaves=checks,
            runs=runs,
            problems=problems,
            notes=notes,
        )

    def _notes(self, found: Examined) -> list[str]:
        paper = found.road.paper
        here = circumstances(found.road.sandbox.description().digest)
        notes = list(notes_on(found, start=start_commit_of(paper), private=private_digest(paper), circumstances=here))
        if not paper.private.is_dir():
            notes.append("held-out instances are taken as packed: the paper's generator is not here")
        return notes

    def _rerun(self, found: Examined, own: Store) -> tuple[Score, Runs]:
        """The packed commit's score by runs made here: packed outputs are never taken for them."""
        road, paper = found.road, found.road.paper
        taken = found.submission(own.root)
        isolation = road.sandbox.description()
        digest = circumstances(isolation.digest)
        more = {"reference_tree": keep_tree(reference_files(paper), own.root), "circumstances": digest}
        done = found.done.model_copy(update={**more, "tree": taken.tree, "isolation": isolation.backend, "faults": {}})
        here = replace(road, store=own)
        units = units_of(here, done)
        self.tell(f"rerunning commit {taken.commit[:12]}: {len(units)} runs on the packed seeds and instances")
        records = LocalEngine(paper=paper, store=own, sandbox=road.sandbox).run(units, self.progress)
        _ensure_no_fault(records.values())
        return scored(here, done)[0], _compared(found, units, records)


def _compared(found: Examined, units: list[Unit], records: Mapping[str, RunRecord]) -> Runs:
    """The submission's runs here beside the packed ones: the same plan gives both, in the same order."""
    pairs = [
        (known(theirs, found.road.store), records[ours.key])
        for theirs, ours in zip(units_of(found.road, found.done), units, strict=True)
        if ours.author == "submission"
    ]
    same = [(a.status, a.outputs) == (b.status, b.outputs) for a, b in pairs if a is not None]
    return Runs(compared=len(same), identical=sum(same))


def _ensure_no_fault(records: Iterable[RunRecord]) -> None:
    faults = [record for record in records if record.status == "fault"]
    if faults:
        raise HarnessFault(
            f"{len(faults)} runs were ended by a fault of this machine, so nothing can be said",
            got="; ".join(faults[0].problems),
            remedy="start it again: what was done is kept. `reproof doctor` says what is amiss",
        )


def _ensure_ours(store: Store, found: Examined) -> None:
    """Where an attempt of that name is kept here, the archive is of that attempt, as it stands."""
    name, packed = found.road.attempt.id, found.road
    if name not in store.attempts():
        return
    desk = Desk(folder=store.attempt(name))
    files = ("submission.json", "rerun.json", "score.json", "private/plan.json")
    last = desk.submissions[-1] if desk.submissions else desk.folder
    alike = last.name == packed.records.name and all(
        (last / file).is_file() and (last / file).read_bytes() == (packed.records / file).read_bytes() for file in files
    )
    if not alike or desk.attempt.anchor != packed.attempt.anchor:
        raise UsageError(
            "the attempt of that name here is not what was packed",
            where=desk.folder,
            remedy=f"pack it again if it has changed since: reproof pack {name}; or verify in another --results",
        )


def _reruns(store: Store, found: Examined, again: bool) -> Store:
    """Where runs of an attempt are kept that were made to verify it; never beside the runs of attempts."""
    folder = private_folder(store.root / VERIFIED / "reruns" / found.road.attempt.id)
    number = max((int(path.name) for path in folder.glob("[0-9]*")), default=0)
    return Store(private_folder(folder / f"{max(1, number + again):03}"))


def _keep(store: Store, found: Verification) -> Verification:
    """Add a verification to the attempt's others; its last rerun stands in a file of its own."""
    folder = private_folder(store.root / VERIFIED)
    with locked_file(folder / f"{found.attempt}.jsonl", os.O_APPEND) as log, open(log, "a", closefd=False) as file:
        file.write(found.model_dump_json() + "\n")
        file.flush()
        os.fsync(file.fileno())
    if found.rerun:
        here = found.attempt in store.attempts()
        write(store.attempt(found.attempt) / FILE if here else folder / f"{found.attempt}.json", found)
    return found


@contextmanager
def _alone(store: Store, attempt: str) -> Iterator[None]:
    """Nobody else verifies the same attempt meanwhile."""
    try:
        with FileLock(store.lock(f"verify-{attempt}"), timeout=0):
            yield
    except Timeout:
        remedy = "wait for the other one to end"
        raise UsageError("this attempt is being verified at this moment", where=attempt, remedy=remedy) from None


@contextmanager
def _disk(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise disk_error(where, error) from error


def _machine() -> str:
    """What this machine computes with, without its name."""
    runtime = ", ".join(f"{name} {number}" for name, number in runtime_summary().items())
    return f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, {runtime}"

"""An unpacked archive's records: whether they hold together, and whether the score follows from the packed outputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from harness.archive.compare import alike, rescored_problems
from harness.archive.manifest import Manifest, refused
from harness.archive.pack import digest_of
from harness.attempt.attempt import plain_name
from harness.attempt.confined import BUNDLE_FILE
from harness.attempt.contents import is_hash
from harness.attempt.submission import EmptySubmission, Submission, intake, kept_files
from harness.overtime import FILE as OVER_TIME
from harness.overtime import OverTime
from harness.paper.load import Paper
from harness.pipeline import Measurements, Rerun, planner_of, scored, units_of
from harness.record.store import read
from harness.rerun.execute import RunRecord, known
from harness.rerun.instance import Instance, draw
from harness.rerun.measure import Measurement
from harness.rerun.outputs import problems_of
from harness.rerun.plan import Plan, Unit
from harness.rerun.served import METERED
from harness.road import HISTORY, Road
from harness.scoring.integrity import SAME
from harness.scoring.probes import compare
from harness.scoring.score import Score

NOT_MEASURED = "the packed measurements are not what the packed outputs give"


@dataclass(frozen=True, kw_only=True)
class Examined:
    """An unpacked archive whose records can be read, beside the paper of this installation."""

    archive: Path
    manifest: Manifest
    road: Road
    """Paper and clean room are ours; records and outputs lie in the folder that the archive was unpacked into."""
    done: Rerun
    score: Score
    """As it was packed."""

    @property
    def plan(self) -> Plan:
        """The packed seeds and held-out instances."""
        return read(self.road.private / "plan.json", Plan)

    @cached_property
    def outputs(self) -> dict[str, dict[str, str]]:
        """SHA-256 of the packed outputs, by run and file, as they were unpacked."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for member in self.manifest.files:
            top, *parts = member.name.split("/")
            if top == "runs" and parts[2] == "outputs":
                found[parts[1]][parts[3]] = member.sha256
        return found

    def submission(self, store: Path) -> Submission:
        """Take the packed commit in, as any submission is.

        Raises:
            SubmissionError: It is refused.
            RecordError: It is not the commit or the tree that the records name.
        """
        return self.taken(self.score.commit, self.done.tree, store)

    def taken(self, commit: str, tree: str, store: Path) -> Submission:
        """Take a commit of the packed history in (see `submission`)."""
        attempt, bundle = self.road.attempt, self.road.records / BUNDLE_FILE
        if not is_hash(commit):
            raise refused(self.archive, "its history names no commit of Git", got=repr(commit[:100]))
        taken = intake(
            bundle if bundle.exists() else EmptySubmission(commit=commit),
            attempt.start_commit,
            start=kept_files(attempt.start_tree, self.road.store.root),
            store=store,
            sandbox=self.road.sandbox,
            commit=commit,
        )
        if (taken.commit, taken.tree) != (commit, tree):
            raise refused(self.archive, "its bundle does not hold the commit that was scored", got=taken.commit)
        return taken


def examine(archive: Path, manifest: Manifest, road: Road) -> Examined:
    """Read an unpacked archive's records, and hold them against each other.

    Raises:
        RecordError: One is missing or damaged, the ledger's chain is broken, or they speak of different things.
    """
    attempt = road.attempt
    road.desk.events()  # the chain, and what was noted of it
    done, score = read(road.records / "rerun.json", Rerun), read(road.records / "score.json", Score)
    found = Examined(archive=archive, manifest=manifest, road=road, done=done, score=score)
    named = {
        "attempt": {attempt.id, score.attempt, manifest.attempt},
        "paper": {attempt.paper, score.paper, manifest.paper, found.plan.paper},
        "paper_version": {score.paper_version, manifest.paper_version},
        "commit": {score.commit, road.submission().commit, manifest.commit},
        "tree": {done.tree, road.submission().tree},
    }
    for what, names in named.items():
        if len(names) > 1:
            raise refused(archive, f"its records speak of more than one {what}", got=", ".join(sorted(names)))
    _ensure_plan(archive, road.paper, found.plan, done)
    return found


def _ensure_plan(archive: Path, paper: Paper, plan: Plan, done: Rerun) -> None:
    spec = paper.spec
    fits = (
        len(plan.seeds) == spec.seeds.looks[-1]
        and len(plan.reference_seeds) == spec.seeds.reference
        and all(0 <= seed < 2**32 for seed in (*plan.seeds, *plan.reference_seeds))
        and 1 <= done.slots <= spec.seeds.looks[-1]
        and plan.held_out.keys() == {name for name, one in spec.experiments.items() if one.instances}
        and all(len(kept) == spec.instances_of(name).count("held_out") for name, kept in plan.held_out.items())
    )
    if not fits:
        raise refused(archive, "its plan is not one that this paper can have")


def problems_of_records(found: Examined) -> list[str]:
    """What the ledger says otherwise than the records do, a sentence each."""
    score, events = found.score, found.road.desk.events()
    about = [event for event in events if event.data.get("commit") == score.commit]
    told = {
        kind: next((event.data for event in reversed(about) if event.kind in kinds), {})
        for kind, kinds in {"submitted": ("submitted",), "rerun": ("rerun",), "scored": ("scored", "rescored")}.items()
    }
    result = (told["scored"].get("verdict"), told["scored"].get("value"), told["scored"].get("paper_version"))
    held = {
        "its ledger does not say that this commit was handed in": told["submitted"].get("tree") == found.done.tree,
        "its ledger does not commit to this plan": told["rerun"].get("plan") == found.plan.public_digest,
        "its ledger tells of another score": result == (score.verdict, score.score.value, score.paper_version),
    }
    return [sentence for sentence, holds in held.items() if not holds]


def problems_of_instances(found: Examined) -> list[str]:
    """Held-out instances that the paper's generator here does not draw from the packed entropy."""
    paper = found.road.paper
    try:
        drawn = {name: draw(paper, name, int(found.plan.entropy, 16)) for name in found.plan.held_out}
    except ValueError:
        return ["the plan's entropy is no number"]
    kept = planner_of(found.road, found.done.circumstances).instances
    return [
        f"the packed instance {theirs.label} of {name} is not what this paper's generator draws from the plan"
        for name in drawn
        for theirs, ours in zip([one for one in kept[name] if one.which == "held_out"], drawn[name], strict=True)
        if not _alike(theirs, ours)
    ]


def _alike(theirs: Instance, ours: Instance) -> bool:
    if theirs.digest == ours.digest:
        return True
    if theirs.values.keys() != ours.values.keys() or theirs.arrays.keys() != ours.arrays.keys():
        return False
    try:  # drawn with other versions of the libraries, the last digits may differ
        return compare("instance", theirs.as_seen(), ours.as_seen(), SAME).excess <= 1
    except (KeyError, TypeError, ValueError):
        return False


def rescored(found: Examined) -> tuple[Score, list[str]]:
    """The score that the packed outputs give, and where the packed records say otherwise.

    Raises:
        RecordError: The outputs of a run are not those of its record, or not as the paper declares them.
    """
    here, problems = _rescored(found, found.road, found.done, found.score)
    for folder in sorted((found.road.records / HISTORY).glob("*")):
        if (folder / "score.json").exists():
            road = replace(found.road, of=folder)
            done, packed = read(folder / "rerun.json", Rerun), read(folder / "score.json", Score)
            more = _rescored(found, road, done, packed)[1]
            problems += [f"commit {folder.name[:12]} of its history: {problem}" for problem in more]
    return here, [*problems, *_problems_over_time(found)]


def _rescored(found: Examined, road: Road, done: Rerun, packed: Score) -> tuple[Score, list[str]]:
    for unit in with_needs(units_of(road, done)):
        record = known(unit, road.store)
        if record is not None:
            _ensure_run(found, unit, record)
    found.taken(packed.commit, done.tree, road.store.root)  # it may hold a report of its own numbers
    here, measurements = scored(road, done)
    said = read(road.records / "measurements.json", Measurements).measurements
    problems = rescored_problems(packed, here)
    return here, problems if _alike_measured(said, measurements) else [*problems, NOT_MEASURED]


def _alike_measured(said: Sequence[Measurement], found: Sequence[Measurement]) -> bool:
    """Whether packed measurements are those that the packed outputs give, up to rounding."""
    return len(said) == len(found) and all(
        alike(a.value, b.value) and _named(a) == _named(b) for a, b in zip(said, found, strict=True)
    )


def _named(item: Measurement) -> dict[str, object]:
    return item.model_dump(exclude={"value", "problem"})


def _problems_over_time(found: Examined) -> Iterator[str]:
    """Points of the score over time that are not the packed scores of their commits."""
    path = found.road.records / OVER_TIME
    for point in read(path, OverTime).points if path.exists() else ():
        last = point.commit == found.score.commit
        folder = found.road.records if last else found.road.records / HISTORY / plain_name(point.commit)
        scored_there = (folder / "score.json").exists()
        score = read(folder / "score.json", Score) if scored_there else None
        if point.score != (score and score.score) or point.verdict != (score and score.verdict):
            yield f"the score at {point.share:.0%} of the budget is not that of its commit"


def with_needs(units: Iterable[Unit]) -> Iterator[Unit]:
    """Some units and those that they need."""
    for unit in units:
        yield unit
        if unit.needs is not None:
            yield unit.needs


def _ensure_run(found: Examined, unit: Unit, record: RunRecord) -> None:
    """A packed record is that of this unit, and its outputs are as it says and as the paper declares."""
    said = (record.key, record.experiment, record.parameters, record.instance, record.seed, record.replicate)
    if said != (unit.key, unit.experiment, unit.parameters, unit.instance.digest, unit.seed, unit.replicate):
        raise refused(found.archive, f"the record of the run {unit.key[:12]} is that of another run")
    folder = found.road.store.run(unit.key) / "outputs"
    table = folder.with_name(METERED)
    if (digest_of(table) if table.exists() else None) != record.metered:
        raise refused(found.archive, f"the episode log of the run {unit.key[:12]} is not that of its record")
    if found.outputs.get(unit.key, {}) != record.outputs:
        raise refused(found.archive, f"the outputs of the run {unit.key[:12]} are not those of its record")
    problems = problems_of(folder, found.road.paper.spec.experiments[unit.experiment]) if record.usable else []
    if problems:
        raise refused(found.archive, f"the outputs of the run {unit.key[:12]} cannot be used", got=problems[0])


def notes_on(found: Examined, *, start: str, private: str | None, circumstances: str) -> Iterator[str]:
    """What is otherwise here than where it was packed, and does not decide anything by itself.

    Args:
        found: The archive.
        start: The commit that this installation's paper begins at.
        private: Digest of this installation's private part; None: there is none.
        circumstances: Digest of runtime and isolation here.
    """
    if found.road.attempt.start_commit != start:
        yield "it began at another start commit than this paper's here: brief, starter or limits have changed since"
    if found.manifest.private != private:
        there = found.manifest.private[:12] if found.manifest.private else "none"
        yield f"the paper's private part is another: {private[:12] if private else 'none'} here, {there} there"
    if found.done.circumstances != circumstances:
        runtime = ", ".join(f"{name} {number}" for name, number in found.manifest.runtime.items())
        yield f"runtime or isolation differ from those it was rerun with; it was packed on: {runtime}"

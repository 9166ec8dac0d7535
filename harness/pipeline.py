"""The second half of the road, from submission to score, and the whole of it strung together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harness.attempt.attempt import Budget, HandedIn
from harness.attempt.ledger import Kind
from harness.attempt.reported import FILE, Reported, read_reported
from harness.attempt.submission import keep_tree, kept_files
from harness.attempt.task import reference_files
from harness.config import Settings
from harness.errors import RecordError
from harness.handing_in import hand_in
from harness.handing_out import hand_out, work_on
from harness.record.files import private_folder
from harness.record.store import Record, read, write
from harness.rerun.engine import LocalEngine, Progress, cores, known_records, silent
from harness.rerun.execute import RunRecord
from harness.rerun.measure import Measurement, measure
from harness.rerun.plan import Planner, Unit, make_plan
from harness.rerun.runtime import circumstances, runtime_summary
from harness.rerun.steps import ServedRun, remarks
from harness.road import Road, Tell
from harness.scoring.foresee import look_ahead
from harness.scoring.score import Graded, Score, Spending, Spent, claim_scores, grade, spending, verdict_of, worth

PAGE = "page.html"
"""In the submission's folder: what people open in a browser, drawn from the records."""


class Look(Record):
    """What was decided at one look at the filled slots."""

    slots: int
    verdict: str
    """The verdict as measured at this look."""
    foreseen: str | None
    """The likeliest verdict at all slots; None at the last look."""
    probability: float | None
    stop: bool


class Rerun(Record):
    """What the rerun stage leaves: enough to find every run again."""

    tree: str
    reference_tree: str
    slots: int
    circumstances: str
    isolation: str
    looks: list[Look]
    faults: dict[str, str]
    """Runs that a fault of ours ended, by key; they have no record of their own, so that they are tried again."""
    runtime: dict[str, str] = Field(default_factory=dict)
    """Versions of what the runs computed with; empty in records of before it was kept."""


class Measurements(Record):
    """All measurements of an attempt, as they were scored."""

    paper_version: str
    measurements: list[Measurement]


def planner_of(road: Road, circumstances_digest: str) -> Planner:
    """The attempt's units of work; its plan is drawn at the first call and kept."""
    private = private_folder(road.private)
    plan = make_plan(road.paper, private)
    return Planner(paper=road.paper, plan=plan, folder=private, circumstances=circumstances_digest)


def rerun(road: Road, *, slots: Literal["curtailed", "all", "first"] | None = None) -> Rerun:
    """Submission to runs: fill seed slots look by look, until the verdict is clear or the slots are full.

    Nothing that has a record is done again, so an interrupted rerun goes on where it stopped.

    Args:
        road: The attempt.
        slots: `all` fills every slot at once, `first` stops at the first look; None: as the attempt was begun.
    """
    with road.desk.alone("rerun", road.tell):
        return _rerun(road.settled(), slots)


def _rerun(road: Road, slots: Literal["curtailed", "all", "first"] | None) -> Rerun:
    handed = road.submission()
    isolation = road.sandbox.description()
    digest = circumstances(isolation.digest)
    planner = planner_of(road, digest)
    answers = keep_tree(reference_files(road.paper), road.store.root)
    workers = road.attempt.workers or cores()
    engine = LocalEngine(paper=road.paper, store=road.store, sandbox=road.sandbox, workers=workers)
    looks, all_looks = list[Look](), road.paper.spec.seeds.looks
    measured: dict[tuple[str, str], list[Measurement]] = {}
    chosen = {"curtailed": all_looks, "all": all_looks[-1:], "first": all_looks[:1]}[slots or road.attempt.slots]
    for filled in chosen:
        units = [*planner.submission(handed.tree, filled), *planner.reference(answers)]
        # measured here, while the cores run what is left; `measure` then only asks what is known
        records = engine.run(units, road.progress, partial(_measure_now, road))
        fresh = [unit for unit in units if (unit.author, unit.key) not in measured]
        measured |= _measured(road, fresh, records)
        seen = [item for unit in units for item in measured[unit.author, unit.key]]
        graded = grade(road.paper, seen, units, records, road.store)
        looks.append(_look(road, graded, filled, final=filled == chosen[-1]))
        road.tell(_said(looks[-1], all_looks[-1]))
        if looks[-1].stop:
            break
    done = Rerun(
        tree=handed.tree,
        reference_tree=answers,
        slots=looks[-1].slots,
        circumstances=digest,
        isolation=", ".join([isolation.backend, *(f"without {name}" for name in isolation.waivers)]),
        looks=looks,
        faults={key: "; ".join(record.problems) for key, record in records.items() if record.status == "fault"},
        runtime=runtime_summary(),
    )
    write(road.records / "rerun.json", done)
    facts = {"slots": done.slots, "runs": len(records), "plan": planner.plan.public_digest}
    _note_once(road, "rerun", commit=handed.commit, **facts)
    return done


def _note_once(road: Road, kind: Kind, **data: Any) -> None:
    """Write an event unless the last one of its kind and commit says the same: a stage may be gone through again."""
    own = [event for event in road.desk.events() if (event.kind, event.data.get("commit")) == (kind, data["commit"])]
    if not own or own[-1].data != data:
        road.desk.note(kind, **data)


def _measure_now(road: Road, unit: Unit, record: RunRecord) -> None:
    measure(road.paper, [unit], {unit.key: record}, road.store)


def _measured(
    road: Road, units: Sequence[Unit], records: Mapping[str, RunRecord]
) -> dict[tuple[str, str], list[Measurement]]:
    """Measurements by author and run, so that a later look measures only what is new."""
    found: dict[tuple[str, str], list[Measurement]] = {(unit.author, unit.key): [] for unit in units}
    for item in measure(road.paper, units, records, road.store):
        found[item.author, item.run].append(item)
    return found


def _look(road: Road, graded: Graded, slots: int, *, final: bool) -> Look:
    now, last = verdict_of(graded)[0], road.paper.spec.seeds.looks[-1]
    if final or not graded.depends_on_seeds:
        return Look(slots=slots, verdict=now, foreseen=None, probability=None, stop=True)
    ahead = look_ahead(graded, slots=last)
    stop = ahead.stop and ahead.verdict == now
    return Look(slots=slots, verdict=now, foreseen=ahead.verdict, probability=ahead.probability, stop=stop)


def _said(look: Look, last: int) -> str:
    head = f"rerun: {look.slots} of {last} seed slots filled, {look.verdict} so far"
    if look.foreseen is None:
        return head
    ahead = f"; {look.foreseen} foreseen with probability {look.probability:.2f}"
    return f"{head}{ahead}{', so the rest is not run' if look.stop else ''}"


def score(road: Road, *, again: bool = False) -> Score:
    """Runs to score, from the kept outputs alone: nothing is rerun.

    Args:
        road: The attempt.
        again: Whether this is a rescoring, for the ledger.

    Raises:
        RecordError: The attempt was not rerun, or the paper now asks for runs that were never done.
    """
    with road.desk.alone("score", road.tell):
        road = road.settled()
        result, measurements = scored(road, read(road.records / "rerun.json", Rerun))
        kept = Measurements(paper_version=road.paper.version, measurements=measurements)
        with road.desk.held():  # nobody packs, draws or mirrors one of the two with the other as it was before
            _keep_score(road, result, kept, again=again)
    return result


def _keep_score(road: Road, result: Score, measurements: Measurements, *, again: bool) -> None:
    road.desk.events()  # a ledger that cannot take the event is found before anything is replaced
    before = _keep_former_score(road)
    if again or before is None or _told(before) != _told(result):
        former: dict[str, Any] = {"before": _told(before)} if before else {}
        _note_once(road, "rescored" if again else "scored", **_told(result), **former)
    if before != result:
        (road.records / PAGE).unlink(missing_ok=True)  # no page may show another score than the one that is kept
    write(road.records / "measurements.json", measurements)
    write(road.records / "score.json", result)


def graded_again(road: Road) -> Graded:
    """Every leaf of a scored attempt judged anew; measured anew only if that was by another version of the paper."""
    done = read(road.records / "rerun.json", Rerun)
    units = units_of(road, done)
    records = known_records(units, road.store, done.faults)
    kept = read(road.records / "measurements.json", Measurements)
    same = kept.paper_version == road.paper.version
    measurements = kept.measurements if same else measure(road.paper, units, records, road.store)
    return grade(road.paper, measurements, units, records, road.store)


def scored(road: Road, done: Rerun) -> tuple[Score, list[Measurement]]:
    """The score that a rerun's kept outputs give, and what was measured; nothing is written."""
    units = units_of(road, done)
    records = known_records(units, road.store, done.faults)
    measurements = measure(road.paper, units, records, road.store)
    graded = grade(road.paper, measurements, units, records, road.store, reported=_reported(road, done.tree))
    return _score(road, road.submission(), done, graded, units, records), measurements


def _reported(road: Road, tree: str) -> Reported:
    """What the submission says of itself; where its files are lost or damaged, its score stands without that."""
    try:
        return read_reported(kept_files(tree, road.store.root), road.paper)
    except RecordError as error:
        return Reported(problems=(f"{FILE} is not looked at: {error.message}",))


def _told(result: Score) -> dict[str, Any]:
    return {
        "commit": result.commit,
        "verdict": result.verdict,
        "value": result.score.value,
        "paper_version": result.paper_version,
    }


def _keep_former_score(road: Road) -> Score | None:
    """Put a score by another version of the paper aside before it is replaced."""
    former = kept_score(road.records)
    if former is not None and former.paper_version != road.paper.version:
        write(road.records / "former_scores" / f"{former.paper_version[:16]}.json", former)
    return former


def kept_score(folder: Path) -> Score | None:
    """The score that a submission's folder keeps; None if there is none yet."""
    path = folder / "score.json"
    return read(path, Score) if path.exists() else None


def units_of(road: Road, done: Rerun) -> list[Unit]:
    """The units of work behind a rerun, the submission's first."""
    planner = planner_of(road, done.circumstances)
    return [*planner.submission(done.tree, done.slots), *planner.reference(done.reference_tree)]


def _score(
    road: Road, handed: HandedIn, done: Rerun, graded: Graded, units: Sequence[Unit], records: Mapping[str, RunRecord]
) -> Score:
    verdict, reasons = verdict_of(graded)
    who = road.attempt.participant
    by_author = {
        author: spending([records[unit.key] for unit in units if unit.author == author])
        for author in ("submission", "reference")
    }
    own = Spending(cpu=handed.used["cpu"], wall=handed.used["working"], runs=0, exact=handed.exact)
    return Score(
        attempt=road.attempt.id,
        paper=road.paper.id,
        paper_version=road.paper.version,
        participant={"kind": who.kind, "name": ", ".join(handed.credits) or who.name},
        condition=road.attempt.condition,
        submission=road.desk.submissions.index(road.private.parent) + 1,
        commit=handed.commit,
        verdict=verdict,
        reasons=reasons,
        score=worth(graded),
        claims=claim_scores(graded),
        integrity=graded.gates,
        reported_problems=list(graded.reported.problems),
        usage={"attempt": own, "rerun": by_author["submission"], "reference": by_author["reference"]},
        budget=_budget(road.attempt.budget, handed),
        environments=[_served(unit, records[unit.key]) for unit in units if _is_served(unit, records[unit.key])],
        slots=graded.slots,
        isolation=done.isolation,
    )


def _is_served(unit: Unit, record: RunRecord) -> bool:
    return unit.author == "submission" and bool(record.env_steps)


def _served(unit: Unit, record: RunRecord) -> ServedRun:
    return ServedRun(
        run=unit.label,
        key=unit.key,
        experiment=unit.experiment,
        status=record.status,
        env_steps=record.env_steps,
        remarks=remarks(record.env_steps, record.misbehaved),
    )


def _budget(granted: Budget, handed: HandedIn) -> dict[str, Spent]:
    return {
        item: Spent(used=used, limit=getattr(granted, item), declared=handed.declared.get(item, 0.0))
        for item, used in handed.used.items()
    }


def attempt(settings: Settings, *, tell: Tell, progress: Progress = silent) -> tuple[Road, Score]:
    """The whole road, from a paper's config to an explained score."""
    road = hand_out(settings, tell=tell, progress=progress)
    with road.desk.alone("attempt", tell):
        hand_in(road, work_on(road, settings))
        rerun(road)
        return road, score(road)

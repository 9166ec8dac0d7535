"""An attempt as MLflow shows it: what becomes a parameter, a tag, a metric, a dataset, a note or an artifact."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import msgspec

from harness.errors import RecordError, masked
from harness.overtime import FILE as OVER_TIME
from harness.overtime import OverTime, Point
from harness.pipeline import Measurements, Rerun, units_of
from harness.record.apart import Order, mirror_apart
from harness.record.entry import KEY_TAG, KIND_TAG, NO_MIRROR, NOTE_TAG, Dataset, Entry, default_uri
from harness.record.store import read
from harness.record.tracking import Mirror, Mirrored, alone
from harness.report.note import attempt_note, run_note
from harness.report.series import series
from harness.report.text import inline
from harness.rerun.engine import known_records
from harness.rerun.execute import RunRecord
from harness.rerun.measure import Measurement
from harness.rerun.plan import Unit
from harness.rerun.runtime import runtime_summary
from harness.rerun.steps import remarks
from harness.road import Road
from harness.scoring.finding import Verdict
from harness.scoring.score import Score

PAGE = "page.html"
"""The attempt's page, beside its score."""
_SHORT = 12  # digits of a hash that people compare


def track(road: Road, *, uri: str | None = None, patience: float = math.inf, apart: bool = False) -> Mirrored | None:
    """Mirror a scored attempt; what is there already is not written twice.

    Nothing is mirrored before the score: until then the plan is private, and afterwards nothing is run on it any more.

    Args:
        road: The attempt.
        uri: MLflow's tracking URI, in place of the one that the attempt was begun with.
        patience: Seconds that it may take on a slow server.
        apart: Whether a process of its own does it, which is ended when it takes too long, whatever hangs.

    Returns:
        What the mirror holds of it; None if none is wanted.

    Raises:
        RecordError: The attempt was not scored, or by another version of the paper.
        MirrorFault: The store failed; the records are whole.
    """
    uri = uri or road.attempt.tracking_uri
    if uri == NO_MIRROR:
        return None
    uri = uri or default_uri(road.store)
    entries(road)  # what cannot be shown is said before MLflow is waited for
    with alone(road.store, road.attempt.id, uri=uri):
        with road.desk.held():
            parent, children = entries(road)
        done = (_apart if apart else _here)(road, uri, patience, parent, children)
    road.tell(f"mirrored to MLflow: {done.runs} runs, {done.added} of them new")
    return done


def _here(road: Road, uri: str, patience: float, parent: Entry, children: list[Entry]) -> Mirrored:
    mirror = Mirror(road.store, uri=uri, prefix=road.attempt.tracking_prefix, patience=patience)
    return mirror.attempt(road.paper.id, road.attempt.id, parent, children, road.progress)


def _apart(road: Road, uri: str, patience: float, parent: Entry, children: list[Entry]) -> Mirrored:
    order = Order(
        root=road.store.root,
        uri=uri,
        prefix=road.attempt.tracking_prefix,
        patience=patience,
        paper=road.paper.id,
        attempt=road.attempt.id,
        parent=parent,
        children=tuple(children),
    )
    return mirror_apart(order, shown=masked(uri), tell=road.tell, progress=road.progress)


def entries(road: Road) -> tuple[Entry, list[Entry]]:
    """The attempt's run, and a child for each run that its score rests on.

    Raises:
        RecordError: The attempt was not scored, or by another version of the paper.
    """
    score = read(road.records / "score.json", Score)
    if score.paper_version != road.paper.version:
        remedy = f"reproof rescore {road.attempt.id}"
        raise RecordError("it was scored by another version of the paper", where=road.attempt.id, remedy=remedy)
    done = read(road.records / "rerun.json", Rerun)
    units = _once(units_of(road, done))
    records = known_records(units, road.store, done.faults)
    measured = _by_run(read(road.records / "measurements.json", Measurements).measurements)
    children = [_child(road, unit, records[unit.key], measured[unit.author, unit.key], score) for unit in units]
    return _parent(road, score, children), children


def _once(units: list[Unit]) -> list[Unit]:
    """A run that submission and reference share is shown once, as the submission's."""
    return list({unit.key: unit for unit in reversed(units)}.values())


def _by_run(measured: Sequence[Measurement]) -> Mapping[tuple[str, str], list[Measurement]]:
    found: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    for item in measured:
        found[item.author, item.run].append(item)
    return found


def _parent(road: Road, score: Score, children: list[Entry]) -> Entry:
    attempt, page = road.attempt, road.records / PAGE
    who = {"paper": attempt.paper, "participant": inline(attempt.participant.name)}
    own = {
        KIND_TAG: "attempt",
        "reproof.verdict": score.verdict,
        "reproof.trust": _trust(score),
        "reproof.core_lost": ",".join(_lost(score)) or "none",
        "reproof.gates": _fired(score, denying=True),
        "reproof.flags": _fired(score, denying=False),
        "reproof.isolation": score.isolation,
        "reproof.slots": str(score.slots),
        "reproof.runtime": " ".join(f"{name}={version}" for name, version in runtime_summary().items()),
        NOTE_TAG: attempt_note(score, page=page.name if page.exists() else None),
    }
    return Entry(
        name=f"{inline(attempt.participant.name)} {attempt.started:%Y-%m-%d %H:%M}",
        status="FINISHED",
        started=attempt.started,
        ended=road.submission().at,
        params=who | _granted(road),
        tags=_tags(score) | own,
        metrics=(*_totals(score), *_over_time(road)),
        artifacts=tuple(
            path for name in (PAGE, "score.json", "measurements.json") if (path := road.records / name).exists()
        ),
        texts={"runs.json": _table(children)},
    )


def _granted(road: Road) -> dict[str, str]:
    budget = msgspec.structs.asdict(road.attempt.budget)
    return {f"budget_{item}": f"{value:g}" for item, value in budget.items() if value is not None}


def _totals(score: Score) -> Iterator[tuple[str, float, int]]:
    worth = score.score
    yield "score", worth.value, 0
    yield "score_low", worth.low, 0
    yield "score_high", worth.high, 0
    yield "coverage", worth.coverage, 0
    for leaf in score.claims:
        yield f"leaf/{leaf.id}", leaf.score, 0
        if leaf.measured is not None:
            yield f"measured/{leaf.id}", leaf.measured, 0
        if leaf.reported is not None:
            yield f"reported/{leaf.id}", leaf.reported, 0
    for name, spent in score.usage.items():
        yield f"used/{name}_cpu_s", spent.cpu, 0


def _over_time(road: Road) -> Iterator[tuple[str, float, int]]:
    """The score at each quarter of the working budget; the steps are per cent of it, the same for everybody."""
    path = road.records / OVER_TIME
    points: list[Point] = read(path, OverTime).points if path.exists() else []
    for point in points:
        if point.score is not None:
            step = round(100 * point.share)
            yield "over_time/score", point.score.value, step
            yield "over_time/score_low", point.score.low, step
            yield "over_time/score_high", point.score.high, step


def _lost(score: Score) -> list[str]:
    """The core leaves without which nothing passes, and that this attempt lost."""
    return [leaf.id for leaf in score.claims if leaf.core and leaf.verdict in (Verdict.FAILED, Verdict.MISSING)]


def _fired(score: Score, *, denying: bool) -> str:
    """The gates that deny PASS, or those that only ask for an audit."""
    return ",".join(gate.name for gate in score.integrity if gate.fired and gate.denies_pass is denying) or "none"


def _trust(score: Score) -> str:
    """The share of the weight at each trust, the larger first: `recomputed 92%, reported 8%`."""
    shares: Counter[str] = Counter()
    for leaf in score.claims:
        shares[leaf.trust] += leaf.weight  # type: ignore[assignment]  # a Counter may hold shares
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.most_common())


def _tags(score: Score) -> dict[str, str]:
    """What an attempt and all its runs carry."""
    return {
        "reproof.paper": score.paper,
        "reproof.paper_version": score.paper_version[:_SHORT],
        "reproof.participant": inline(score.participant["name"]),
        "reproof.participant_kind": score.participant["kind"],
        "reproof.condition": score.condition,
        "reproof.submission": str(score.submission),
        "reproof.commit": score.commit,
        "mlflow.user": inline(score.participant["name"])[:200],
        "mlflow.source.name": "reproof",
        "mlflow.source.git.commit": score.commit,
    }


def _dataset(road: Road, unit: Unit) -> Dataset:
    one = unit.instance
    source = json.dumps({"paper": road.paper.id, "experiment": one.experiment, "instance": one.label})
    name = f"{road.paper.id}/{one.experiment}/{one.label}"
    return Dataset(name=name, digest=one.digest[:16], context=one.which, source=source)


def _child(road: Road, unit: Unit, record: RunRecord, measured: list[Measurement], score: Score) -> Entry:
    amiss = remarks(record.env_steps, record.misbehaved)
    own = {
        KIND_TAG: "run",
        KEY_TAG: unit.key,
        "reproof.author": unit.author,
        "reproof.experiment": unit.experiment,
        "reproof.status": record.status,
        "reproof.environments": "amiss" if amiss else "fine" if record.env_steps else "none",
        "reproof.instance": unit.instance.which,
        "reproof.instance_digest": unit.instance.digest[:16],
        "reproof.trust": ",".join(sorted({item.trust for item in measured})) or "none",
        "reproof.record": str(road.store.run(unit.key).relative_to(road.store.root)),
    }
    note = {} if record.usable and not amiss else {NOTE_TAG: run_note(record, amiss)}
    return Entry(
        name=unit.label if unit.author == "submission" else f"reference: {unit.label}",
        status="FINISHED" if record.usable else "FAILED",
        started=record.started,
        ended=record.started + timedelta(seconds=record.spent.wall),
        params={key: str(value) for key, value in unit.parameters.items()}
        | {"experiment": unit.experiment, "slot": str(unit.slot), "seed": str(unit.seed)}
        | {"replicate": str(unit.replicate)},
        tags=_tags(score) | own | note,
        metrics=(*_metrics(record, measured), *_series(road, unit, record)),
        datasets=(_dataset(road, unit),),
    )


def _series(road: Road, unit: Unit, record: RunRecord) -> Iterator[tuple[str, float, int]]:
    if record.usable:
        yield from series(road.store.run(unit.key) / "outputs", road.paper.spec.experiments[unit.experiment])


def _metrics(record: RunRecord, measured: list[Measurement]) -> Iterator[tuple[str, float, int]]:
    yield "used/cpu_s", record.spent.cpu, 0
    yield "used/wall_s", record.spent.wall, 0
    yield "used/memory_mib", record.spent.memory / 2**20, 0
    for id, steps in record.env_steps.items():
        yield f"env_steps/{id.removeprefix('reproof/')}/training", steps.training, 0
        yield f"env_steps/{id.removeprefix('reproof/')}/evaluation", steps.evaluation, 0
    for item in measured:
        if isinstance(item.value, list):
            yield from _curve(item.metric, item.value)
        elif item.value is not None:
            yield item.metric, item.value, 0


def _curve(name: str, points: list[list[float]]) -> Iterator[tuple[str, float, int]]:
    """A curve over MLflow's whole steps: its x where that is one throughout; else the point's number, x beside it."""
    whole = all(abs(x) < 2**53 and x == int(x) for x, _ in points)
    for number, (x, y) in enumerate(points):
        yield name, y, int(x) if whole else number
        if not whole:
            yield f"{name}/x", x, number


def _table(children: list[Entry]) -> str:
    """All runs in one table, for whoever wants them outside the UI: MLflow shows it, `mlflow.load_table` reads it."""
    columns = ["run", "status", "author", "instance", "slot", "seed", "cpu_s", "record"]
    data = [
        [child.name, child.tags["reproof.status"], child.tags["reproof.author"], child.tags["reproof.instance"],
         int(child.params["slot"]), int(child.params["seed"]), dict((n, v) for n, v, _ in child.metrics)["used/cpu_s"],
         child.tags["reproof.record"]]
        for child in children
    ]  # fmt: skip
    return json.dumps({"columns": columns, "data": data})

"""An attempt as MLflow shows it: what becomes a parameter, a tag, a metric or an artifact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import msgspec

from harness.attempt.attempt import Attempt
from harness.pipeline import Measurements, Rerun, units_of
from harness.record.files import Store
from harness.record.store import read
from harness.record.tracking import KEY_TAG, KIND_TAG, NO_MIRROR, Entry, Mirror
from harness.rerun.engine import known_records
from harness.rerun.execute import RunRecord
from harness.rerun.measure import Measurement
from harness.rerun.plan import Unit
from harness.rerun.runtime import runtime_summary
from harness.road import Road
from harness.scoring.score import Score


def track(road: Road, *, uri: str | None = None) -> int:
    """Mirror a scored attempt; what is there already is not written twice.

    Args:
        road: The attempt.
        uri: MLflow's tracking URI, in place of the one that the attempt was begun with.

    Returns:
        How many runs the mirror holds of it.

    Raises:
        RecordError: The attempt was not scored.
        HarnessFault: The store failed; the records are whole.
    """
    uri = uri or road.attempt.tracking_uri
    if uri == NO_MIRROR:
        return 0
    score = read(road.records / "score.json", Score)
    measured = read(road.records / "measurements.json", Measurements).measurements
    done = read(road.records / "rerun.json", Rerun)
    units = _once(units_of(road, done))
    records = known_records(units, road.store, done.faults)
    children = (_child(road.store, unit, records[unit.key], measured, score) for unit in units)
    mirror = Mirror(road.store, uri=uri, prefix=road.attempt.tracking_prefix)
    mirror.attempt(road.paper.id, road.attempt.id, _parent(road, score), children)
    road.tell(f"mirrored to MLflow: {len(units)} runs")
    return len(units)


def _once(units: list[Unit]) -> list[Unit]:
    """A run that submission and reference share is shown once, as the submission's."""
    return list({unit.key: unit for unit in reversed(units)}.values())


def _parent(road: Road, score: Score) -> Entry:
    attempt = road.attempt
    worth = score.score
    metrics = {"score": worth.value, "score_low": worth.low, "score_high": worth.high, "coverage": worth.coverage}
    metrics |= {f"leaf/{leaf.id}": leaf.score for leaf in score.claims}
    metrics |= {f"measured/{leaf.id}": leaf.measured for leaf in score.claims if leaf.measured is not None}
    metrics |= {f"used/{name}_cpu_s": spent.cpu for name, spent in score.usage.items()}
    return Entry(
        name=f"{attempt.participant.name} {attempt.started:%Y-%m-%d %H:%M}",
        status="FINISHED",
        started=attempt.started,
        ended=road.submission().at,
        params={"paper": attempt.paper, "participant": attempt.participant.name}
        | {
            f"budget_{key}": f"{value:g}"
            for key, value in msgspec.structs.asdict(attempt.budget).items()
            if value is not None
        },
        tags=_tags(score)
        | {
            "reproof.trust": _trust(score),
            "reproof.verdict": score.verdict,
            "reproof.isolation": score.isolation,
            "reproof.slots": str(score.slots),
        },
        metrics=tuple((name, value, 0) for name, value in metrics.items()),
        artifacts=(road.records / "score.json", road.records / "measurements.json"),
    )


def _granted(attempt: Attempt) -> dict[str, float | None]:
    return msgspec.structs.asdict(attempt.budget)


def _trust(score: Score) -> str:
    """The share of the weight at each trust, the larger first: `recomputed 92%, reported 8%`."""
    shares: Counter[str] = Counter()
    for leaf in score.claims:
        shares[leaf.trust] += leaf.weight  # type: ignore[assignment]  # a Counter may hold shares
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.most_common())


def _tags(score: Score) -> dict[str, str]:
    runtime = " ".join(f"{name}={version}" for name, version in runtime_summary().items())
    return {
        "reproof.participant_kind": score.participant["kind"],
        "reproof.participant": score.participant["name"],
        "reproof.condition": score.condition,
        "reproof.commit": score.commit,
        "reproof.paper_version": score.paper_version,
        "reproof.runtime": runtime,
    }


def _child(store: Store, unit: Unit, record: RunRecord, measured: list[Measurement], score: Score) -> Entry:
    own = [item for item in measured if item.run == unit.key and item.author == unit.author]
    folder = store.run(unit.key)
    kept = tuple(path for path in (folder / "log.txt", folder / "run.json", folder / "outputs") if path.exists())
    return Entry(
        name=unit.label if unit.author == "submission" else f"reference: {unit.label}",
        status="FINISHED" if record.usable else "FAILED",
        started=record.started,
        ended=record.started + timedelta(seconds=record.spent.wall),
        params={key: str(value) for key, value in unit.parameters.items()}
        | {"experiment": unit.experiment, "slot": str(unit.slot), "seed": str(unit.seed)}
        | {"replicate": str(unit.replicate)},
        tags=_tags(score)
        | {
            KEY_TAG: unit.key,
            KIND_TAG: "run",
            "reproof.author": unit.author,
            "reproof.status": record.status,
            "reproof.instance": unit.instance.which,
            "reproof.instance_digest": unit.instance.digest[:16],
            "reproof.trust": ",".join(sorted({item.trust for item in own})),
        },
        metrics=tuple(_metrics(record, own)),
        artifacts=kept,
    )


def _steps(points: list[list[float]]) -> Iterator[tuple[int, float]]:
    """A curve over MLflow's whole steps: its x where that is one throughout, else the number of the point."""
    whole = all(abs(x) < 2**53 and x == int(x) for x, _ in points)
    yield from ((int(x) if whole else number, y) for number, (x, y) in enumerate(points))


def _metrics(record: RunRecord, measured: list[Measurement]) -> Iterator[tuple[str, float, int]]:
    yield "used/cpu_s", record.spent.cpu, 0
    yield "used/wall_s", record.spent.wall, 0
    yield "used/memory_mib", record.spent.memory / 2**20, 0
    for item in measured:
        if isinstance(item.value, list):
            yield from ((item.metric, y, step) for step, y in _steps(item.value))
        elif item.value is not None:
            yield item.metric, item.value, 0

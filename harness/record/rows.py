"""Entries as rows of MLflow's tables: hundreds of runs land in one transaction, where its calls take four for each."""

from __future__ import annotations

import math
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from harness.record.entry import Dataset, Entry

Rows = dict[str, list[dict[str, Any]]]
"""By table, in the order in which they may be inserted."""
TABLES = ("runs", "tags", "params", "metrics", "latest_metrics", "datasets", "inputs", "input_tags")
_LARGEST = 1.7976931348623157e308  # what MLflow writes for infinity, which SQL does not know


def rows_of(entries: Iterable[Entry], *, experiment: int, artifacts: str, known: Mapping[tuple[str, str], str]) -> Rows:
    """What MLflow's own client would have written, one row a thing.

    Args:
        entries: The runs, their tags complete.
        experiment: MLflow's id of the experiment.
        artifacts: Where the experiment keeps artifacts.
        known: MLflow's id of the datasets that are there already, by name and digest.
    """
    rows: Rows = {table: [] for table in TABLES}
    datasets = dict(known)
    for entry in entries:
        run = uuid.uuid4().hex
        rows["runs"].append(_run(run, entry, experiment, artifacts))
        tags = {**entry.tags, "mlflow.runName": entry.name}
        rows["tags"] += ({"run_uuid": run, "key": key, "value": value} for key, value in tags.items())
        rows["params"] += ({"run_uuid": run, "key": key, "value": value} for key, value in entry.params.items())
        history = _history(run, entry)
        rows["metrics"] += history
        rows["latest_metrics"] += _latest(history)
        for dataset in dict.fromkeys(entry.datasets):
            _use(rows, run, dataset, experiment, datasets)
    return {table: found for table, found in rows.items() if found}


def _run(run: str, entry: Entry, experiment: int, artifacts: str) -> dict[str, Any]:
    return {
        "run_uuid": run,
        "name": entry.name,
        "source_type": "UNKNOWN",
        "source_name": "",
        "entry_point_name": "",
        "user_id": entry.tags.get("mlflow.user", "unknown"),
        "status": entry.status,
        "start_time": milliseconds(entry.started),
        "end_time": milliseconds(entry.ended),
        "source_version": "",
        "lifecycle_stage": "active",
        "artifact_uri": f"{artifacts}/{run}/artifacts",
        "experiment_id": experiment,
    }


def milliseconds(moment: Any) -> int:
    """A moment as MLflow counts time."""
    return int(moment.timestamp() * 1000)


def _history(run: str, entry: Entry) -> list[dict[str, Any]]:
    at = milliseconds(entry.ended)
    return [
        {"run_uuid": run, "key": name, "step": step, "timestamp": at, **_stored(value)}
        for name, value, step in dict.fromkeys(entry.metrics)
    ]


def _stored(value: float) -> dict[str, Any]:
    if math.isnan(value):
        return {"value": 0.0, "is_nan": True}
    return {"value": min(max(value, -_LARGEST), _LARGEST), "is_nan": False}


def _latest(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The point of each metric that MLflow shows in its tables: the last step's, of several the largest."""
    by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for point in history:
        by_name[point["key"]].append(point)
    return [max(points, key=lambda point: (point["step"], point["value"])) for points in by_name.values()]


def _use(rows: Rows, run: str, dataset: Dataset, experiment: int, known: dict[tuple[str, str], str]) -> None:
    """That a run was done on an instance."""
    place = dataset.name, dataset.digest
    if place not in known:
        known[place] = uuid.uuid4().hex
        rows["datasets"].append(
            {
                "dataset_uuid": known[place],
                "experiment_id": experiment,
                "name": dataset.name,
                "digest": dataset.digest,
                "dataset_source_type": "reproof",
                "dataset_source": dataset.source,
            }
        )
    use = uuid.uuid4().hex
    rows["inputs"].append(
        {"input_uuid": use, "source_type": "DATASET", "source_id": known[place], "destination_type": "RUN",
         "destination_id": run}
    )  # fmt: skip
    rows["input_tags"].append({"input_uuid": use, "name": "mlflow.data.context", "value": dataset.context})

"""From runs to measurements: each metric of each run that a claim reads, with its trust."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from harness.errors import HarnessFault, OutputError, PaperError
from harness.gateway.log import read_metered
from harness.paper.claims import InstanceSet, Probe, Scalar, Selection, selections
from harness.paper.load import Paper
from harness.paper.plugin import load_plugin
from harness.record.files import Store
from harness.record.store import Record
from harness.rerun.execute import RunRecord
from harness.rerun.outputs import load_outputs
from harness.rerun.plan import Author, Unit
from harness.rerun.served import METERED

Value = tuple[float | list[list[float]] | None, str | None]
"""What was measured, and why nothing was."""
_MOST_KNOWN = 100_000
_known: dict[tuple[str, ...], Value] = {}


class Measurement(Record):
    """A metric of one run."""

    author: Author
    metric: str
    trust: str
    experiment: str
    parameters: dict[str, Scalar]
    which: InstanceSet
    index: int
    """Which instance of the set, from 0."""
    slot: int
    deterministic: bool
    value: float | list[list[float]] | None
    """A number, the points (x, y) of a curve, or None where `problem` says why there is none."""
    problem: str | None
    fault: bool
    """Whether the problem is ours."""
    run: str
    """The run's key."""


def measure(paper: Paper, units: Iterable[Unit], records: Mapping[str, RunRecord], store: Store) -> list[Measurement]:
    """Compute every metric that a claim reads on the runs it reads.

    Args:
        paper: The paper with its metrics.
        units: The units whose runs were done, of submission and reference.
        records: Their records by key.
        store: Where the outputs lie.

    Raises:
        PaperError: metrics.py lacks a function that paper.yaml names.
    """
    module = load_plugin(paper.metrics_file)
    wanted = {name: _metrics_for(paper, name) for name in paper.spec.experiments}
    return [
        measurement
        for unit in units
        if unit.replicate == 0
        for measurement in _of_run(paper, module, unit, records[unit.key], wanted[unit.experiment], store)
    ]


def _metrics_for(paper: Paper, experiment: str) -> list[tuple[str, Selection]]:
    """The metrics read from an experiment, each with the selection that reads it."""
    return [
        (leaf.metric, selection)
        for _, leaf in paper.spec.leaves()
        if not isinstance(leaf, Probe)
        for selection in selections(leaf)
        if selection.experiment == experiment
    ]


def _of_run(
    paper: Paper, module: Any, unit: Unit, record: RunRecord, wanted: list[tuple[str, Selection]], store: Store
) -> Iterator[Measurement]:
    names = {
        metric
        for metric, selection in wanted
        if selection.instance == unit.instance.which and selection.case.items() <= unit.parameters.items()
    }
    if not names:
        return
    outputs, problem = _outputs(paper, unit, record, store)
    for name in sorted(names):
        value, trouble = (
            (None, problem) if outputs is None else _remembered(module, paper, name, outputs, unit, record, store)
        )
        yield Measurement(
            author=unit.author,
            metric=name,
            trust=paper.spec.metrics[name].trust,
            experiment=unit.experiment,
            parameters=unit.parameters,
            which=unit.instance.which,
            index=unit.instance.index,
            slot=unit.slot,
            deterministic=paper.spec.experiments[unit.experiment].is_deterministic(unit.parameters),
            value=value,
            problem=trouble,
            fault=record.status == "fault",
            run=unit.key,
        )


def _outputs(paper: Paper, unit: Unit, record: RunRecord, store: Store) -> tuple[dict[str, Any] | None, str | None]:
    if not record.usable:
        return None, f"{unit.label} {record.status}: {'; '.join(record.problems)}"
    try:
        return load_outputs(store.run(unit.key) / "outputs", paper.spec.experiments[unit.experiment]), None
    except OutputError as error:
        raise HarnessFault("a kept output changed after it was checked", where=unit.key, got=error) from error


def _remembered(
    module: Any, paper: Paper, name: str, outputs: dict[str, Any], unit: Unit, record: RunRecord, store: Store
) -> Value:
    """A metric of one run, computed once by this process: looks and scores ask for the same again and again."""
    key = (module.__name__, name, unit.key, *sorted(record.outputs.values()))
    if key not in _known:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = _value(module, paper, name, outputs, unit, _log(paper, name, unit, store))
    return _known[key]


def _log(paper: Paper, name: str, unit: Unit, store: Store) -> dict[str, Any]:
    """What a metered metric is given beside what every metric is."""
    if paper.spec.metrics[name].trust != "metered":
        return {}
    served = list(paper.spec.experiments[unit.experiment].environments)
    return {"metered": read_metered(store.run(unit.key) / METERED, served)}


def _value(module: Any, paper: Paper, name: str, outputs: dict[str, Any], unit: Unit, log: dict[str, Any]) -> Value:
    function = getattr(module, name, None)
    if function is None:
        raise PaperError("metrics.py lacks a metric", where=paper.metrics_file, expected=f"a function {name}")
    try:
        with np.errstate(all="ignore"):
            value = function(outputs, unit.instance.as_seen(), dict(unit.parameters), **log)
        return _number(value) if paper.spec.metrics[name].kind == "number" else _curve(value)
    except Exception as error:  # the outputs are hostile: what a metric makes of them is the submission's problem
        return None, f"the metric {name} fails on the outputs of {unit.label}: {type(error).__name__}: {error}"


def _number(value: Any) -> tuple[float | None, str | None]:
    number = float(value)
    return (None, "the metric is not a number (NaN)") if math.isnan(number) else (number, None)


def _curve(value: Any) -> tuple[list[list[float]] | None, str | None]:
    points = np.asarray(value, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2:
        return None, f"the metric's curve has shape {points.shape}, expected (points, 2)"
    if len(points) < 2 or not np.isfinite(points[:, 0]).all() or np.isnan(points).any():
        return None, "the metric's curve needs two points or more, finite x, and numbers (not NaN) everywhere"
    return points.tolist(), None

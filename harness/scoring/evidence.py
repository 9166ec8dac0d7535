"""From measurements to evidence: for every leaf the rows of numbers its rule is given, or why there are none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from harness.paper.claims import (
    Claim,
    CurveClaim,
    ExactFromReference,
    ExactValue,
    ExponentClaim,
    FromReference,
    OrderingClaim,
    Probe,
    Published,
    PublishedCurve,
    RelativeMargin,
    Selection,
    ThresholdClaim,
    needs_reference,
)
from harness.paper.load import Paper
from harness.paper.rubric import Share
from harness.rerun.measure import Measurement
from harness.rerun.plan import Author
from harness.scoring.curves import PublishedCurve as CurveTarget
from harness.scoring.curves import log_slopes
from harness.scoring.finding import FloatArray, spread_to_sd
from harness.scoring.finding import Published as Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The samples of one selection."""

    values: FloatArray
    """Shape [slots], or [slots, tasks] for an improvement, or [slots, points] for a curve."""
    deterministic: bool
    x: FloatArray | None = None
    """The points of a curve, shape [points]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How close a probe's outputs come to the reference's."""

    excess: float
    """Largest deviation over its tolerance; at most 1 agrees."""
    worst: str
    """Where that is, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was measured for one leaf."""

    share: Share
    leaf: Claim | Probe
    sides: dict[str, Side] = field(default_factory=dict)
    """`of`, or `higher` and `lower`."""
    target: Target | None = None
    curve: CurveTarget | None = None
    margin: float = 0.0
    digits: int | None = None
    trust: str = "recomputed"
    agreement: Agreement | None = None
    """Of a probe."""
    problem: str | None = None
    """Why there is nothing to judge."""
    fault: bool = False
    """Whether that is our fault."""


class _Absent(Exception):
    """A selection without usable samples."""

    def __init__(self, why: str, *, fault: bool) -> None:
        super().__init__(why)
        self.fault = fault


def gather(paper: Paper, measurements: Iterable[Measurement], probes: dict[str, Evidence]) -> list[Evidence]:
    """The evidence of every leaf, in the order of the rubric.

    Args:
        paper: The paper.
        measurements: Of the submission and of the reference.
        probes: The probes' evidence, which is made from outputs.
    """
    table = _Table(measurements)
    return [
        probes[share.leaf] if share.leaf in probes else _claim(paper, share, table) for share in paper.spec.shares()
    ]


def _claim(paper: Paper, share: Share, table: _Table) -> Evidence:
    claim = paper.spec.claims[share.leaf]
    trust = paper.spec.metrics[claim.metric].trust
    try:
        sides = _sides(paper, claim, table, "submission")
    except _Absent as absent:
        return Evidence(share=share, leaf=claim, trust=trust, problem=str(absent), fault=absent.fault)
    try:
        return _with_target(paper, claim, table, Evidence(share=share, leaf=claim, sides=sides, trust=trust))
    except (_Absent, ValueError) as absent:
        why = f"the reference gave no answer: {absent}"
        return Evidence(share=share, leaf=claim, sides=sides, trust=trust, problem=why, fault=True)


def _with_target(paper: Paper, claim: Claim, table: _Table, evidence: Evidence) -> Evidence:
    if isinstance(claim, OrderingClaim | ThresholdClaim):
        return evidence
    target = claim.target
    answer = _sides(paper, claim, table, "reference")["of"] if needs_reference(claim) else None
    if isinstance(target, PublishedCurve):
        points, mean, sd = (np.asarray(v, dtype=np.float64) for v in (target.x, target.mean, target.sd))
        return replace(evidence, curve=CurveTarget(x=points, mean=mean, sd=sd, n=target.n), margin=target.margin)
    if isinstance(target, ExactValue):
        return replace(
            evidence, target=Target(mean=target.value, exact=True), margin=target.tolerance, digits=target.digits
        )
    if isinstance(target, Published):
        return replace(evidence, target=published_target(target), margin=target.margin)
    assert answer is not None
    if isinstance(target, ExactFromReference):
        return replace(evidence, target=Target(mean=float(answer.values.mean()), exact=True), margin=target.tolerance)
    return _answered(claim, target, answer, evidence)


def _answered(claim: Claim, target: FromReference, answer: Side, evidence: Evidence) -> Evidence:
    """The reference's samples stand where the paper's would."""
    if isinstance(claim, CurveClaim):
        assert answer.x is not None
        curve = CurveTarget.of(answer.x, answer.values)
        return replace(evidence, curve=curve, margin=_margin(target, float(np.abs(curve.mean).max())))
    exact = answer.deterministic
    stated = Target(mean=float(answer.values.mean()), exact=True) if exact else Target.of(answer.values)
    return replace(evidence, target=stated, margin=_margin(target, abs(stated.mean)))


def _margin(target: FromReference, scale: float) -> float:
    if not isinstance(target.margin, RelativeMargin):
        return float(target.margin)
    if scale == 0:
        raise ValueError("a relative margin of an answer that is zero")
    return target.margin.relative * scale


def published_target(target: Published) -> Target:
    """A published number as the rules take it: its plus-minus as a standard deviation.

    An exact number has no spread that could cap the rerun's. A margin is at least three of an honest rerun's standard
    deviations, so a third of it is taken for that: otherwise a rerun ten margins off, but noisy enough, would be
    FAILED in a third of cases only (with the cap in .97; honest ones never, either way; docs/scoring.md).
    """
    tol = target.read_off
    if target.spread.kind == "none":
        return Target(mean=target.value, tol=tol, exact=True, bound=target.margin / 3)
    assert target.spread.value is not None
    if target.spread.kind == "bound":
        if target.provenance.kind == "derived":
            return Target(mean=target.value, tol=tol, exact=True, bound=target.spread.value)
        return Target(mean=target.value, sd=target.spread.value, n=target.n, tol=tol)
    sd = spread_to_sd(target.spread.kind, target.spread.value, target.n)
    return Target(mean=target.value, sd=sd, n=target.n, tol=tol)


def _sides(paper: Paper, claim: Claim, table: _Table, author: Author) -> dict[str, Side]:
    return {name: _side(paper, claim, selection, table, author) for name, selection in _chosen(claim).items()}


def _chosen(claim: Claim) -> dict[str, Selection]:
    return {"higher": claim.higher, "lower": claim.lower} if isinstance(claim, OrderingClaim) else {"of": claim.of}


def _side(paper: Paper, claim: Claim, selection: Selection, table: _Table, author: Author) -> Side:
    if isinstance(claim, ExponentClaim):
        return _slopes(paper, claim, selection, table, author)
    if isinstance(claim, CurveClaim):
        return _curves(paper, claim, selection, table, author)
    values, deterministic = table.matrix(paper, claim.metric, selection, author)
    if claim.relative_to is not None:
        values, deterministic = _combined(paper, claim, values, deterministic, table, author)
    tasks = isinstance(claim, OrderingClaim) and claim.by == "improvement"
    with np.errstate(over="ignore", invalid="ignore"):
        means = values.mean(axis=1)
    if np.isnan(means).any():
        raise _Absent(f"{claim.metric} is plus and minus infinity on different instances", fault=False)
    return Side(values=values if tasks else means, deterministic=deterministic)


def _slopes(paper: Paper, claim: Claim, selection: Selection, table: _Table, author: Author) -> Side:
    """The slope of each curve on log-log axes, averaged over instances; each curve has its own x."""
    curves, deterministic = table.curves(paper, claim.metric, selection, author)
    try:
        slopes = [[float(log_slopes(points[:, 0], points[None, :, 1])[0]) for points in slot] for slot in curves]
    except ValueError as error:
        raise _Absent(f"the curve of {claim.metric} has no slope: {error}", fault=False) from None
    return Side(values=np.asarray(slopes).mean(axis=1), deterministic=deterministic)


def _combined(
    paper: Paper, claim: Claim, values: FloatArray, deterministic: bool, table: _Table, author: Author
) -> tuple[FloatArray, bool]:
    assert claim.relative_to is not None
    other, still = table.matrix(paper, claim.metric, claim.relative_to, author)
    if values.shape[1] != other.shape[1]:
        values, other = values.mean(axis=1, keepdims=True), other.mean(axis=1, keepdims=True)
    slots = max(len(values), len(other)) if deterministic or still else min(len(values), len(other))
    values, other = (v if len(v) == 1 else v[:slots] for v in (values, other))
    with np.errstate(all="ignore"):
        combined = values / other if claim.combine == "ratio" else values - other
    if np.isnan(combined).any():
        raise _Absent(f"the {claim.combine} of {claim.metric} is not a number", fault=False)
    return combined, deterministic and still


def _curves(paper: Paper, claim: CurveClaim, selection: Selection, table: _Table, author: Author) -> Side:
    """Curves averaged over instances, at the x of the target: the published one's, or the reference's first curve's."""
    curves, deterministic = table.curves(paper, claim.metric, selection, author)
    if isinstance(claim.target, PublishedCurve):
        x = np.asarray(claim.target.x, dtype=np.float64)
    else:
        try:
            x = np.unique(table.curves(paper, claim.metric, selection, "reference")[0][0][0][:, 0])
        except _Absent as absent:
            raise _Absent(f"the reference gave no answer: {absent}", fault=True) from None
    rows = [np.mean([np.interp(x, *_ordered(points)) for points in slot], axis=0) for slot in curves]
    return Side(values=np.asarray(rows), deterministic=deterministic, x=x)


def _ordered(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    order = np.argsort(points[:, 0], kind="stable")
    return points[order, 0], points[order, 1]


class _Table:
    """Measurements, found by what a selection names."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._rows: dict[tuple[str, str, str, str], list[Measurement]] = {}
        for row in measurements:
            self._rows.setdefault((row.author, row.metric, row.experiment, row.which), []).append(row)

    def matrix(self, paper: Paper, metric: str, selection: Selection, author: Author) -> tuple[FloatArray, bool]:
        """Values of shape [slots, instances], and whether they do not depend on the seed."""
        grid, deterministic = self._grid(paper, metric, selection, author)
        return np.asarray(grid, dtype=np.float64), deterministic

    def curves(
        self, paper: Paper, metric: str, selection: Selection, author: Author
    ) -> tuple[list[list[FloatArray]], bool]:
        """Points (x, y) of every curve, by slot and instance: each of shape [points, 2]."""
        grid, deterministic = self._grid(paper, metric, selection, author)
        return [[np.asarray(points, dtype=np.float64) for points in slot] for slot in grid], deterministic

    def _grid(self, paper: Paper, metric: str, selection: Selection, author: Author) -> tuple[list[list[object]], bool]:
        found = [
            row
            for row in self._rows.get((author, metric, selection.experiment, selection.instance), [])
            if selection.case.items() <= row.parameters.items()
        ]
        for row in sorted(found, key=lambda row: row.fault):  # a crash is said before a fault of ours
            if row.problem is not None:
                raise _Absent(row.problem, fault=row.fault)
        instances = paper.spec.instances_of(selection.experiment).count(selection.instance)
        by_place = {(row.slot, row.index): row.value for row in found}
        slots = sorted({slot for slot, _ in by_place})
        if not slots or len(by_place) != len(slots) * instances:
            raise _Absent(f"no runs of {selection}", fault=True)
        grid: list[list[object]] = [[by_place[slot, index] for index in range(instances)] for slot in slots]
        return grid, found[0].deterministic

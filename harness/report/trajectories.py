"""Measured curves, gathered for plotting: one family a metric, a case and a set of instances, with who made each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.paper.claims import CurveClaim, PublishedCurve
from harness.paper.load import Paper
from harness.rerun.measure import Measurement
from harness.scoring.finding import DIVERGENT, FloatArray
from harness.scoring.score import ClaimScore

MOST_POINTS = 400
"""A longer curve is thinned to so many points: nobody sees more, and a submission decides how many it writes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """One side's curves over its seed slots."""

    name: str
    """submission, reference or paper."""
    x: FloatArray
    """Shape [points]."""
    mean: FloatArray
    """Over the slots, shape [points]; NaN where a slot diverged."""
    low: FloatArray
    """One standard deviation between slots below the mean."""
    high: FloatArray
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """Everything that is drawn into one plot."""

    metric: str
    case: str
    """Experiment, instances and parameters, in words."""
    lines: tuple[Line, ...]
    logarithmic: bool
    """Both axes: an exponent is read off it."""
    connected: bool
    """Whether the points follow one another, so that a line between them means something."""

    @property
    def words(self) -> str:
        """The plot for who cannot see it."""
        said = "; ".join(f"{line.name}, {_ends(line)}" for line in self.lines)
        return f"{self.metric} on {self.case}, the mean over seed slots: {said}."


def _ends(line: Line) -> str:
    first, last = (f"{line.mean[k]:.4g} at x = {line.x[k]:.4g}" for k in (0, -1))
    return f"{line.slots} slot{'s' if line.slots != 1 else ''}, from {first} to {last}"


def families(measured: Sequence[Measurement], claims: Iterable[ClaimScore], paper: Paper | None) -> list[Family]:
    """Every measured curve with what stands beside it.

    Args:
        measured: Of submission and reference.
        claims: The leaves, which tell what an exponent is read off.
        paper: For the published curves; None where it is not at hand.
    """
    slopes = {leaf.metric for leaf in claims if leaf.kind == "exponent"}
    found: dict[tuple[str, str], list[Measurement]] = {}
    for item in measured:
        if isinstance(item.value, list):
            found.setdefault((item.metric, _case(item)), []).append(item)
    return [_family(metric, case, items, paper, metric in slopes) for (metric, case), items in found.items()]


def _case(item: Measurement) -> str:
    words = [item.which.replace("_", "-"), *(f"{key}={value}" for key, value in item.parameters.items())]
    return f"{item.experiment} ({', '.join(words)})"


def _family(metric: str, case: str, items: list[Measurement], paper: Paper | None, slope: bool) -> Family:
    own = [_line(author, [item for item in items if item.author == author]) for author in ("submission", "reference")]
    lines = [line for line in (*own, _published(items[0], paper)) if line is not None]
    positive = all((line.x > 0).all() and (line.mean[np.isfinite(line.mean)] > 0).all() for line in lines)
    rising = all((np.diff(line.x) > 0).all() for line in lines)
    return Family(metric=metric, case=case, lines=tuple(lines), logarithmic=slope and positive, connected=rising)


def _line(author: str, items: Sequence[Measurement]) -> Line | None:
    """The mean over slots and instances at the first curve's points, and the spread between slots."""
    if not items:
        return None
    curves = [np.asarray(item.value, dtype=np.float64) for item in items]
    x = curves[0][:, 0]
    x = x[np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))] if len(x) > MOST_POINTS else x
    by_slot: dict[int, list[FloatArray]] = {}
    for item, points in zip(items, curves, strict=True):
        by_slot.setdefault(item.slot, []).append(_at(x, points))
    rows = np.asarray([np.mean(same, axis=0) for same in by_slot.values()])
    mean, spread = rows.mean(axis=0), rows.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(len(x))
    return Line(name=author, x=x, mean=mean, low=mean - spread, high=mean + spread, slots=len(rows))


def _at(x: FloatArray, points: FloatArray) -> FloatArray:
    """A curve at the points x; what diverged is NaN, which a plot leaves out."""
    y = np.where(np.abs(points[:, 1]) > DIVERGENT, np.nan, points[:, 1])
    if points.shape[0] == x.size and np.array_equal(points[:, 0], x):
        return y
    order = np.argsort(points[:, 0], kind="stable")
    return np.asarray(np.interp(x, points[order, 0], y[order]))


def _published(like: Measurement, paper: Paper | None) -> Line | None:
    """The paper's own curve, where a claim states one."""
    for claim in paper.spec.claims.values() if paper else ():
        if not isinstance(claim, CurveClaim) or not isinstance(claim.target, PublishedCurve):
            continue
        of = claim.of
        same = (claim.metric, of.experiment, of.instance) == (like.metric, like.experiment, like.which)
        if same and of.case.items() <= like.parameters.items():
            x, mean, sd = (
                np.asarray(v, dtype=np.float64) for v in (claim.target.x, claim.target.mean, claim.target.sd)
            )
            return Line(name="paper", x=x, mean=mean, low=mean - sd, high=mean + sd, slots=claim.target.n)
    return None

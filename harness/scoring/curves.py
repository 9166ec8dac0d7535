"""The rules for learning curves (final value, area, shape) and for scaling exponents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtr

from harness.scoring.equivalence import numeric, numeric_rows
from harness.scoring.finding import (
    CERTIFIED,
    CONSISTENT,
    DIVERGENT,
    FAILED,
    INCONCLUSIVE,
    VERDICTS,
    Finding,
    Findings,
    FloatArray,
    Published,
    Rule,
    Verdict,
)
from harness.scoring.samples import ZERO, as_samples, override, summarize, welch_degrees

WORST_FIRST = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.CONSISTENT, Verdict.CERTIFIED)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PublishedCurve:
    """A learning curve as the paper gives it, read at increasing points."""

    x: FloatArray
    """Shape [points], increasing."""
    mean: FloatArray
    """Shape [points]."""
    sd: FloatArray
    """Standard deviation between runs, shape [points]; zeros for an exact curve."""
    n: int = 5
    tol: float = 0.0
    """Half width of the reading."""
    area_sd: float | None = None
    """Standard deviation between runs of the mean height; None: as if all points moved together."""

    def __post_init__(self) -> None:
        """Refuse what no rule could use."""
        if self.x.ndim != 1 or self.x.size < 2 or not (np.diff(self.x) > 0).all():
            raise ValueError(f"a curve needs two or more increasing points, got x={self.x}")
        if self.mean.shape != self.x.shape or self.sd.shape != self.x.shape:
            raise ValueError(f"a curve of {self.x.size} points with mean {self.mean.shape} and sd {self.sd.shape}")
        for k in range(self.x.size):
            self.at(k)

    @classmethod
    def of(cls, x: npt.ArrayLike, samples: npt.ArrayLike, *, tol: float = 0.0) -> PublishedCurve:
        """The reference's own curves [runs, points] on the same instance, where the paper's would stand."""
        points, values = np.asarray(x, dtype=np.float64), as_samples(samples)
        if not np.isfinite(values).all():
            raise ValueError("the reference's curves must be finite")
        many = values.shape[0] > 1
        sd = values.std(axis=0, ddof=1) if many else np.zeros(values.shape[1])
        area = float(mean_height(points, values).std(ddof=1)) if many else 0.0
        return cls(x=points, mean=values.mean(axis=0), sd=sd, n=values.shape[0], tol=tol, area_sd=area)

    def at(self, point: int) -> Published:
        """The number published at one point."""
        return Published(mean=float(self.mean[point]), sd=float(self.sd[point]), n=self.n, tol=self.tol)

    def area(self) -> Published:
        """The published mean height: the area under the curve over the length of its axis."""
        sd = float(mean_height(self.x, self.sd)) if self.area_sd is None else self.area_sd
        return Published(mean=float(mean_height(self.x, self.mean)), sd=sd, n=self.n, tol=self.tol)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveFinding:
    """The three sub-claims of a learning curve, of equal weight."""

    final: Finding
    area: Finding
    shape: Finding

    @property
    def score(self) -> float:
        """Mean of the three scores."""
        return (self.final.score + self.area.score + self.shape.score) / 3.0

    @property
    def verdict(self) -> Verdict:
        """The worst of the three verdicts."""
        return min((self.final.verdict, self.area.verdict, self.shape.verdict), key=WORST_FIRST.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveFindings:
    """The three sub-claims over rows of curves."""

    final: Findings
    area: Findings
    shape: Findings

    @property
    def score(self) -> FloatArray:
        """Mean of the three scores, a row each."""
        return np.asarray((self.final.score + self.area.score + self.shape.score) / 3.0)

    @property
    def verdict(self) -> npt.NDArray[np.int8]:
        """Codes of the worst of the three verdicts, a row each."""
        rank = np.array([WORST_FIRST.index(v) if v in WORST_FIRST else 0 for v in VERDICTS])
        back = np.array([VERDICTS.index(v) for v in WORST_FIRST], dtype=np.int8)
        ranks = [rank[f.verdict] for f in (self.final, self.area, self.shape)]
        return np.asarray(back[np.minimum.reduce(ranks)])


def curve(
    samples: npt.ArrayLike, target: PublishedCurve, *, margin: float, deterministic: bool = False
) -> CurveFinding:
    """A learning curve from samples of shape [runs, points]; see `curve_rows`."""
    values = as_samples(samples)
    rows = curve_rows(values[None], target, margin=margin, deterministic=deterministic)
    final = numeric(values[:, -1], target.at(-1), margin=margin, deterministic=deterministic)
    heights = mean_height(target.x, values)
    area = numeric(heights, target.area(), margin=margin, deterministic=deterministic)
    return CurveFinding(final=final, area=area, shape=rows.shape.one())


def curve_rows(
    samples: npt.ArrayLike, target: PublishedCurve, *, margin: float, deterministic: bool = False
) -> CurveFindings:
    """Final value and mean height by the numeric rule, and shape by R, the RMS over points of t statistics.

    The shape's score is clip(2 - R, 0, 1); R >= 2 fails, a score of at least .5 is consistent. It is no test
    of equivalence and never certifies. The t statistics enter as normal scores, ndtri(F_nu(t)): as they are,
    they give a faithful rerun .72 to .84 of the score and fail it in up to .11 of cases (n=5, m=3 to 10,
    points independent to fully correlated, 8 000 repetitions a cell); as normal scores .85 to .96 and .05.

    Args:
        samples: Shape [..., runs, points], at the target's points.
        target: The paper's curve.
        margin: The largest difference that does not matter, in the metric's unit, at every point.
        deterministic: The experiment is declared deterministic: only the margin decides, at every point.

    Raises:
        ValueError: A NaN, no runs, other points than the target's, or a margin that is not positive.
    """
    values = as_samples(samples)
    if values.ndim < 2 or values.shape[-1] != target.x.size:
        raise ValueError(f"curve: expected [..., runs, {target.x.size}], got {values.shape}")
    heights = mean_height(target.x, values)
    return CurveFindings(
        final=numeric_rows(values[..., -1], target.at(-1), margin=margin, deterministic=deterministic),
        area=numeric_rows(heights, target.area(), margin=margin, deterministic=deterministic),
        shape=_shape(values, target, margin=margin, deterministic=deterministic),
    )


def mean_height(x: FloatArray, values: FloatArray) -> FloatArray:
    """Area under curves [..., points] by the trapezoid rule over the axis's length, inf if a point is."""
    diverged = np.any(np.abs(values) > DIVERGENT, axis=-1)
    finite = np.where(diverged[..., None], 0.0, values)
    return np.where(diverged, np.inf, np.trapezoid(finite, x, axis=-1) / (x[-1] - x[0]))


def _shape(values: FloatArray, target: PublishedCurve, *, margin: float, deterministic: bool) -> Findings:
    summary = summarize(np.moveaxis(values, -1, -2))  # [..., points]
    d = summary.mean - target.mean
    sd = summary.sd if summary.runs > 1 else np.broadcast_to(1.5 * target.sd, d.shape)
    sd = np.where(target.sd > 0, np.minimum(sd, 1.5 * target.sd), sd)
    nu = welch_degrees(target.sd, np.asarray(target.n), sd, np.asarray(summary.runs))
    variance = target.sd**2 / target.n + sd**2 / summary.runs + target.tol**2 / 3.0
    se = np.hypot(np.sqrt(variance), 0.05 * margin)
    with np.errstate(over="ignore"):
        scores = -ndtri(np.maximum(stdtr(nu, -np.abs(d) / se), 1e-300))
    rms = np.sqrt(np.mean(scores**2, axis=-1))
    score = np.clip(2.0 - rms, 0.0, 1.0)
    verdict = np.select([rms >= 2.0, score >= 0.5], [FAILED, CONSISTENT], INCONCLUSIVE).astype(np.int8)
    scale = np.maximum(np.abs(summary.mean), np.maximum(np.abs(target.mean), margin))
    spread = np.maximum(summary.sd, target.sd).max(axis=-1)
    still = (spread <= ZERO * scale.max(axis=-1)) & (summary.runs > 1) | deterministic
    within = np.all(np.abs(d) <= margin + ZERO * scale, axis=-1)
    diverged = summary.diverged.sum(axis=-1)
    unknown = np.asarray(summary.runs == 1 and not target.sd.any() and not deterministic)
    code, score, confidence, rule = override(
        (verdict, score, score),
        (True, verdict, score, Rule.SHAPE),
        (unknown, INCONCLUSIVE, 0.0, Rule.UNKNOWN_SPREAD),
        (still, np.where(within, CERTIFIED, FAILED), within, Rule.MARGIN),
        (diverged > 0, FAILED, 0.0, Rule.DIVERGED),
    )
    return Findings(
        verdict=code,
        score=score,
        rule=rule,
        runs=summary.runs,
        estimate=rms,
        spread=np.zeros_like(rms),
        standard_error=np.zeros_like(rms),
        degrees=np.zeros_like(rms),
        confidence=confidence,
        diverged=diverged,
        target=0.0,
        margin=2.0,
    )


def exponent(
    x: npt.ArrayLike,
    samples: npt.ArrayLike,
    target: Published,
    *,
    margin: float,
    deterministic: bool = False,
) -> Finding:
    """A scaling exponent: a log-log slope for each of samples [runs, points], then the numeric rule."""
    return numeric(log_slopes(x, as_samples(samples)), target, margin=margin, deterministic=deterministic)


def exponent_rows(
    x: npt.ArrayLike,
    samples: npt.ArrayLike,
    target: Published,
    *,
    margin: float,
    deterministic: bool = False,
) -> Findings:
    """`exponent` over samples of shape [..., runs, points]."""
    return numeric_rows(log_slopes(x, as_samples(samples)), target, margin=margin, deterministic=deterministic)


def log_slopes(x: npt.ArrayLike, samples: FloatArray) -> FloatArray:
    """Least-squares slopes of log y on log x, for y of shape [..., points].

    A row with a value that has no finite logarithm (zero, negative, infinite) has slope infinity: diverged.

    Raises:
        ValueError: Fewer than two distinct positive x, or another number of points.
    """
    points = np.asarray(x, dtype=np.float64)
    if points.ndim != 1 or not (np.isfinite(points).all() and (points > 0).all()) or np.ptp(points) == 0:
        raise ValueError(f"an exponent needs two or more distinct positive x, got {points}")
    if samples.shape[-1] != points.size:
        raise ValueError(f"exponent: expected [..., {points.size}], got {samples.shape}")
    lawful = np.all((samples > 0) & (samples < DIVERGENT), axis=-1)
    logs = np.log(np.where(lawful[..., None], samples, 1.0))
    centred = np.log(points) - np.log(points).mean()
    return np.where(lawful, logs @ centred / (centred @ centred), np.inf)

"""The rules for claims about a number: equivalence with a published value, and exact equality.

Every rule exists once, over rows: `samples` of shape [..., runs] give `Findings` of shape [...].
The rule for one claim is the rule over rows with one row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from harness.scoring.finding import (
    CERTIFIED,
    CONSISTENT,
    FAILED,
    INCONCLUSIVE,
    RULES,
    Finding,
    Findings,
    FloatArray,
    IntArray,
    Published,
    Rule,
)
from harness.scoring.samples import (
    MOST_SEEDS,
    ZERO,
    Summary,
    as_row,
    as_samples,
    first_settled,
    override,
    summarize,
    welch_degrees,
)

LEAST_MARGIN = 1e-300
"""Below this a share of the margin is no normal double any more."""


def numeric(samples: npt.ArrayLike, target: Published, *, margin: float, deterministic: bool = False) -> Finding:
    """A claim with a numeric target, from samples of shape [runs]; see `numeric_rows`."""
    summary = summarize(as_row(samples))
    found = _numeric(summary, target, margin=margin, deterministic=deterministic)
    if found.verdict[0] != INCONCLUSIVE:
        return found.one()
    ahead = np.arange(summary.runs + 1, MOST_SEEDS + 1)
    if summary.runs == 1:
        return found.one(more_seeds=1)
    judged = _judge_number(summary.mean - target.mean, summary.sd, ahead, target, margin)
    return found.one(more_seeds=first_settled(judged.verdict))


def numeric_rows(samples: npt.ArrayLike, target: Published, *, margin: float, deterministic: bool = False) -> Findings:
    """Equivalence of measured means with a published one within a margin, by two one-sided t tests.

    With d the difference of means, SE its standard error (the rerun's spread capped at 1.5 of the paper's,
    so that noise buys no tolerance; a floor of 0.05 margins) and nu the Welch-Satterthwaite degrees of
    freedom, the confidence C is the probability that the true difference is within the margin, and the
    score is C over what a perfect replica gets on average. Schuirmann 1987 (two one-sided tests);
    Satterthwaite 1946. A single run on a side counts one degree of freedom, its spread 1.5 of the paper's.

    Args:
        samples: Shape [..., runs].
        target: The paper's number. Exact, or without spread: its term drops, and only its `bound`
            caps the rerun's spread.
        margin: The largest difference that does not matter, positive, in the metric's unit.
        deterministic: The experiment is declared deterministic: only the margin decides.

    Raises:
        ValueError: A NaN, no runs, or a margin that is not positive.
    """
    return _numeric(summarize(samples), target, margin=margin, deterministic=deterministic)


def _numeric(summary: Summary, target: Published, *, margin: float, deterministic: bool) -> Findings:
    if not (math.isfinite(margin) and margin >= LEAST_MARGIN):
        raise ValueError(f"margin: expected a finite number >= {LEAST_MARGIN}, got {margin}")
    d = summary.mean - target.mean
    judged = _judge_number(d, summary.sd, np.asarray(summary.runs), target, margin)
    scale = np.maximum(np.abs(summary.mean), max(abs(target.mean), margin))
    still = (np.maximum(summary.sd, target.sd) <= ZERO * scale) & (summary.runs > 1) | deterministic
    within = np.abs(d) <= margin + ZERO * scale
    unknown = np.asarray(summary.runs == 1 and not (target.sd or target.bound or deterministic))
    code, score, confidence, rule = override(
        (judged.verdict, judged.score, judged.confidence),
        (unknown, INCONCLUSIVE, 0.0, Rule.UNKNOWN_SPREAD),
        (still, np.where(within, CERTIFIED, FAILED), within, Rule.MARGIN),
        (summary.diverged > 0, FAILED, 0.0, Rule.DIVERGED),
    )
    settled = still | (summary.diverged > 0)
    return Findings(
        verdict=code,
        score=score,
        rule=rule,
        runs=summary.runs,
        estimate=summary.mean,
        spread=summary.sd,
        standard_error=np.where(settled, 0.0, judged.standard_error),
        degrees=np.where(settled, 0.0, judged.degrees),
        confidence=confidence,
        diverged=summary.diverged,
        target=target.mean,
        margin=margin,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    verdict: npt.NDArray[np.int8]
    score: FloatArray
    confidence: FloatArray
    standard_error: FloatArray
    degrees: FloatArray


def _judge_number(d: FloatArray, sd: FloatArray, runs: IntArray, target: Published, margin: float) -> _Judged:
    """The numeric rule from summary statistics, all broadcast against each other."""
    bound = target.sd or target.bound
    capped = sd if bound is None else np.where(runs > 1, np.minimum(sd, 1.5 * bound), 1.5 * bound)
    paper, rerun = np.broadcast_arrays(np.asarray(target.sd), capped)
    nu = welch_degrees(paper, np.asarray(target.n), rerun, runs)
    unit = np.maximum(rerun, max(target.sd, target.tol, margin))  # squares of shares can neither over- nor underflow
    variance = (paper / unit) ** 2 / target.n + (rerun / unit) ** 2 / runs
    floor = (target.tol / unit) ** 2 / 3.0 + (0.05 * margin / unit) ** 2
    se = unit * np.sqrt(variance + floor)
    with np.errstate(over="ignore"):
        z, reach = np.abs(d) / se, margin / se
        inside = stdtr(nu, (margin - np.abs(d)) / se)
        confidence = inside - stdtr(nu, (-margin - np.abs(d)) / se)
        perfect = 2.0 * stdtr(nu, reach / math.sqrt(2.0)) - 1.0
        # For a margin that is nothing beside the noise C / C0 tends to sqrt(2) f(z) / f(0), f t's density.
        limit = math.sqrt(2.0) * (1.0 + z**2 / nu) ** (-(nu + 1.0) / 2.0)
    score = np.where(reach < 1e-6, limit, confidence / np.maximum(perfect, 1e-300)).clip(0.0, 1.0)
    verdict = np.select(
        [inside >= 0.95, (stdtr(nu, -z) >= 0.025) | (score >= 0.5), inside < 0.025],
        [CERTIFIED, CONSISTENT, FAILED],
        INCONCLUSIVE,
    ).astype(np.int8)
    return _Judged(verdict=verdict, score=score, confidence=confidence.clip(0.0, 1.0), standard_error=se, degrees=nu)


def exact(samples: npt.ArrayLike, value: float, *, tolerance: float = 0.0, digits: int | None = None) -> Finding:
    """A value known exactly: every one of samples [runs] must round to it; see `exact_rows`."""
    return exact_rows(as_row(samples), value, tolerance=tolerance, digits=digits).one()


def exact_rows(samples: npt.ArrayLike, value: float, *, tolerance: float = 0.0, digits: int | None = None) -> Findings:
    """All runs within half the last printed digit plus the stated tolerance of the value, or not.

    Args:
        samples: Shape [..., runs].
        value: The exact value; may be infinite, where divergence is the claim.
        tolerance: Stated numeric tolerance, absolute.
        digits: Decimals printed; None if the value is not printed but computed.

    Raises:
        ValueError: A NaN, no runs, or a negative tolerance.
    """
    values = as_samples(samples)
    if not (math.isfinite(tolerance) and tolerance >= 0) or math.isnan(value):
        raise ValueError(f"expected a value and a tolerance >= 0, got {value} and {tolerance}")
    summary = summarize(values)
    allowed = tolerance + (0.0 if digits is None else 0.5 * 10.0**-digits)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(values - value) <= allowed + ZERO * np.minimum(abs(value), np.abs(values))
    right = np.all(np.where(np.isinf(values) | math.isinf(value), values == value, near), axis=-1)
    shape = right.shape
    return Findings(
        verdict=np.where(right, CERTIFIED, FAILED).astype(np.int8),
        score=right.astype(np.float64),
        rule=np.full(shape, RULES.index(Rule.ROUNDING), dtype=np.int8),
        runs=summary.runs,
        estimate=summary.mean,
        spread=summary.sd,
        standard_error=np.zeros(shape),
        degrees=np.zeros(shape),
        confidence=right.astype(np.float64),
        diverged=summary.diverged,
        target=value,
        margin=allowed,
    )

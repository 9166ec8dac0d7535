"""The rules for claims about order: one side above another, or above a constant."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from harness.scoring.finding import (
    CERTIFIED,
    CONSISTENT,
    DIVERGENT,
    FAILED,
    INCONCLUSIVE,
    RULES,
    Finding,
    Findings,
    FloatArray,
    Rule,
)
from harness.scoring.samples import (
    MOST_SEEDS,
    ZERO,
    as_row,
    as_samples,
    first_settled,
    summarize,
    welch_degrees,
)


def ordering(
    higher: npt.ArrayLike,
    lower: npt.ArrayLike,
    *,
    paired: bool = False,
    higher_deterministic: bool = False,
    lower_deterministic: bool = False,
) -> Finding:
    """A claim that one side lies above the other, from samples of shape [runs] each; see `ordering_rows`."""
    fixed = (higher_deterministic, lower_deterministic)
    sides = _Sides(as_row(higher), as_row(lower), paired=paired, fixed=fixed)
    return _with_more_seeds(sides.judge(), sides)


def ordering_rows(
    higher: npt.ArrayLike,
    lower: npt.ArrayLike,
    *,
    paired: bool = False,
    higher_deterministic: bool = False,
    lower_deterministic: bool = False,
) -> Findings:
    """Confidence c = F(difference / SE) that `higher` has the higher mean: Welch's t, or paired differences.

    The score is clip((c - .5) / .45, 0, 1); c >= .95 is certified, c <= .05 failed, between them a score
    of at least .5 is consistent. Without any spread the sign decides, and a tie fails: the claim says
    "above". A deterministic side enters as a constant. A single run of a stochastic side shows no spread:
    inconclusive. Infinities are values: where there is one, paired differences count by their sign only,
    and unpaired values by their joint ranks.

    Args:
        higher: Shape [..., runs].
        lower: Shape [..., runs]; if paired (and neither side deterministic), as many runs as `higher`.
        paired: Run j of both sides shares its seed slot.
        higher_deterministic: The side has no spread, however many runs it shows.
        lower_deterministic: The same of the other side.

    Raises:
        ValueError: A NaN, no runs, or paired sides of different length.
    """
    fixed = (higher_deterministic, lower_deterministic)
    return _Sides(as_samples(higher), as_samples(lower), paired=paired, fixed=fixed).judge()


def threshold(
    samples: npt.ArrayLike,
    *,
    above: float | None = None,
    below: float | None = None,
    deterministic: bool = False,
) -> Finding:
    """A claim that samples [runs] lie above (or below) a constant; see `threshold_rows`."""
    higher, lower, fixed = _against_constant(as_row(samples), above, below, deterministic)
    sides = _Sides(higher, lower, paired=False, fixed=fixed)
    return _with_more_seeds(sides.judge(), sides)


def threshold_rows(
    samples: npt.ArrayLike,
    *,
    above: float | None = None,
    below: float | None = None,
    deterministic: bool = False,
) -> Findings:
    """An ordering of the mean of samples [..., runs] against a constant.

    Raises:
        ValueError: A NaN, no runs, or not exactly one of `above` and `below`.
    """
    higher, lower, fixed = _against_constant(as_samples(samples), above, below, deterministic)
    return _Sides(higher, lower, paired=False, fixed=fixed).judge()


def _against_constant(
    samples: FloatArray, above: float | None, below: float | None, deterministic: bool
) -> tuple[FloatArray, FloatArray, tuple[bool, bool]]:
    if above is not None and below is None:
        return samples, np.full((*samples.shape[:-1], 1), above), (deterministic, True)
    if below is not None and above is None:
        return np.full((*samples.shape[:-1], 1), below), samples, (True, deterministic)
    raise ValueError(f"threshold: expected exactly one of above and below, got {above} and {below}")


class _Sides:
    """The two sides of an ordering, reduced to a difference and a variance a side."""

    def __init__(self, higher: FloatArray, lower: FloatArray, *, paired: bool, fixed: tuple[bool, bool]) -> None:
        self.means = (summarize(higher), summarize(lower))
        self.fixed = fixed
        infinite = np.any(np.abs(higher) > DIVERGENT, axis=-1) | np.any(np.abs(lower) > DIVERGENT, axis=-1)
        self.infinite = infinite
        self.scale = np.where(infinite, 1.0, _scale(higher, lower))
        if paired and not any(fixed):
            if higher.shape[-1] != lower.shape[-1]:
                raise ValueError(f"paired sides of {higher.shape[-1]} and {lower.shape[-1]} runs")
            signs = (higher > lower).astype(np.float64) - (higher < lower)
            higher = np.where(infinite[..., None], signs, _minus(higher, lower))
            lower = np.zeros((*higher.shape[:-1], 1))
            self.fixed = (False, True)
        else:
            above, below = _joint_ranks(higher, lower) if infinite.any() else (higher, lower)
            higher = np.where(infinite[..., None], above, higher)
            lower = np.where(infinite[..., None], below, lower)
        self.a, self.b = summarize(higher), summarize(lower)
        self.difference = self.a.mean - self.b.mean
        self.sd = tuple(
            np.zeros_like(self.difference) if still else np.broadcast_to(s.sd, self.difference.shape)
            for s, still in zip((self.a, self.b), self.fixed, strict=True)
        )
        self.unknown = any(s.runs == 1 and not f for s, f in zip((self.a, self.b), self.fixed, strict=True))

    def welch(self, extra: npt.ArrayLike = 0) -> tuple[FloatArray, FloatArray]:
        """Standard error and degrees of freedom with `extra` more runs on every side that has a spread."""
        n_a = np.asarray(self.a.runs) + (0 if self.fixed[0] else np.asarray(extra))
        n_b = np.asarray(self.b.runs) + (0 if self.fixed[1] else np.asarray(extra))
        se = np.hypot(self.sd[0] / np.sqrt(n_a), self.sd[1] / np.sqrt(n_b))
        return se, welch_degrees(self.sd[0], n_a, self.sd[1], n_b)

    def judge(self) -> Findings:
        """The rule, with every degenerate case."""
        se, nu = self.welch()
        still = se <= ZERO * self.scale
        tie = np.abs(self.difference) <= ZERO * self.scale
        sign = np.where(tie, 0.5, (self.difference > 0).astype(np.float64))
        with np.errstate(over="ignore"):
            c = np.where(still, sign, stdtr(nu, self.difference / np.where(still, 1.0, se)))
        rule = np.where(self.infinite, RULES.index(Rule.ORDER), np.where(still, RULES.index(Rule.SIGN), 0))
        verdict = order_verdict(c, lost=still & tie)
        if self.unknown:
            c, verdict = np.full_like(c, 0.5), np.full_like(verdict, INCONCLUSIVE)
            rule = np.full_like(rule, RULES.index(Rule.UNKNOWN_SPREAD))
        stochastic = [s.runs for s, f in zip((self.a, self.b), self.fixed, strict=True) if not f]
        return Findings(
            verdict=verdict.astype(np.int8),
            score=order_score(c),
            rule=rule.astype(np.int8),
            runs=min(stochastic or [self.a.runs]),
            estimate=self.difference,
            spread=np.hypot(*self.sd),
            standard_error=np.where(still, 0.0, se),
            degrees=np.where(still, 0.0, nu),
            confidence=c,
            diverged=self.means[0].diverged + self.means[1].diverged,
            target=0.0,
            higher=self.means[0].mean,
            lower=self.means[1].mean,
        )


def _scale(higher: FloatArray, lower: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(np.abs(higher).max(axis=-1), np.abs(lower).max(axis=-1)))


def _minus(higher: FloatArray, lower: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore"):
        return np.asarray(higher - lower, dtype=np.float64)


def order_score(c: FloatArray) -> FloatArray:
    """Score of a confidence in an order: 0 at one half, 1 from .95."""
    return np.asarray(np.clip((c - 0.5) / 0.45, 0.0, 1.0))


def order_verdict(c: FloatArray, *, lost: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """Verdict codes of confidences in an order; `lost` marks ties known exactly."""
    return np.select(
        [(c <= 0.05) | lost, c >= 0.95, order_score(c) >= 0.5], [FAILED, CERTIFIED, CONSISTENT], INCONCLUSIVE
    ).astype(np.int8)


def _joint_ranks(higher: FloatArray, lower: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mid-ranks of both sides in their union, [..., runs] each; infinities are largest and smallest."""
    higher = np.broadcast_to(higher, (*np.broadcast_shapes(higher.shape[:-1], lower.shape[:-1]), higher.shape[-1]))
    lower = np.broadcast_to(lower, (*higher.shape[:-1], lower.shape[-1]))
    values = np.concatenate([higher, lower], axis=-1)
    below = np.count_nonzero(values[..., None, :] < values[..., None], axis=-1)
    same = np.count_nonzero(values[..., None, :] == values[..., None], axis=-1)
    ranks = below + 0.5 * (same + 1)
    return ranks[..., : higher.shape[-1]], ranks[..., higher.shape[-1] :]


def _with_more_seeds(found: Findings, sides: _Sides) -> Finding:
    """The only row, and how many more seeds would settle it if difference and spreads stayed as they are."""
    if found.verdict[0] != INCONCLUSIVE:
        return found.one()
    if sides.unknown:
        return found.one(more_seeds=1)
    se, nu = sides.welch(np.arange(1, MOST_SEEDS - found.runs + 1))
    c = stdtr(nu, sides.difference / se)
    return found.one(more_seeds=first_settled(order_verdict(c, lost=np.zeros(c.shape, dtype=np.bool_))))

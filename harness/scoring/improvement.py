"""The rule for an ordering over many tasks: one side is better more often than not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from harness.scoring.finding import INCONCLUSIVE, RULES, Finding, Findings, FloatArray, Rule
from harness.scoring.ordering import order_score, order_verdict
from harness.scoring.samples import MOST_SEEDS, as_samples, first_settled, welch_degrees


def improvement(
    higher: npt.ArrayLike,
    lower: npt.ArrayLike,
    *,
    paired: bool = False,
    higher_deterministic: bool = False,
    lower_deterministic: bool = False,
) -> Finding:
    """An ordering from samples of shape [runs, tasks] on each side; see `improvement_rows`."""
    found = improvement_rows(
        as_samples(higher)[None],
        as_samples(lower)[None],
        paired=paired,
        higher_deterministic=higher_deterministic,
        lower_deterministic=lower_deterministic,
    )
    if found.verdict[0] != INCONCLUSIVE:
        return found.one()
    if RULES[int(found.rule[0])] is Rule.UNKNOWN_SPREAD:
        return found.one(more_seeds=1)
    return found.one(more_seeds=_more_seeds(found))


def _more_seeds(found: Findings) -> int | None:
    """Seeds that would settle it if the probability stayed, its standard error shrinking with their root."""
    share = np.arange(found.runs + 1.0, MOST_SEEDS + 1.0) / found.runs
    c = stdtr(found.degrees * share, (found.estimate - found.target) / found.standard_error * np.sqrt(share))
    return first_settled(order_verdict(c, lost=np.zeros(c.shape, dtype=np.bool_)))


def improvement_rows(
    higher: npt.ArrayLike,
    lower: npt.ArrayLike,
    *,
    paired: bool = False,
    higher_deterministic: bool = False,
    lower_deterministic: bool = False,
) -> Findings:
    """Confidence that the probability of improvement P(higher > lower), averaged over tasks, exceeds 1/2.

    P is Mann and Whitney's U over the number of pairs, ties one half, averaged over tasks (Agarwal et al.
    2021, "Deep RL at the edge of the statistical precipice", section 4.3). Its standard error comes from the
    placement of each run among the other side's (DeLong et al. 1988): the tasks are taken as given, the runs
    are the sample. If both sides are deterministic, the tasks are the sample. The standard error is at least
    the binomial one with one success and one failure added: winning all of a few comparisons is no
    certainty. Only order enters, so infinities are values.

    Args:
        higher: Shape [..., runs, tasks].
        lower: Shape [..., runs, tasks], the same tasks; the same number of runs if paired.
        paired: Run j of both sides shares its seed slot: only runs of the same slot are compared.
        higher_deterministic: The side has no spread between runs.
        lower_deterministic: The same of the other side.

    Raises:
        ValueError: A NaN, no runs or tasks, different tasks, or paired sides of different length.
    """
    above, below = as_samples(higher), as_samples(lower)
    fixed = (higher_deterministic, lower_deterministic)
    paired = paired and not any(fixed)
    _check(above, below, paired=paired)
    placements = _placements(above, below, paired=paired, fixed=fixed)
    sizes = [p.shape[-1] for p in placements]
    value = placements[0].mean(axis=-1)
    variances = [p.var(axis=-1, ddof=min(1, n - 1)) / n for p, n in zip(placements, sizes, strict=True)]
    runs = min((s.shape[-2] for s, still in zip((above, below), fixed, strict=True) if not still), default=1)
    known = all(fixed) and above.shape[-1] == 1
    se = np.zeros_like(value) if known else _standard_error(value, variances, runs * above.shape[-1])
    nu = np.zeros_like(value) if known else _degrees(variances, sizes)
    if known:
        c, rule = value.copy(), Rule.SIGN  # one comparison of two constants: 0, 1/2 or 1
    elif not all(fixed) and min(sizes) == 1:
        c, rule = np.full_like(value, 0.5), Rule.UNKNOWN_SPREAD
    else:
        c, rule = stdtr(nu, (value - 0.5) / se), Rule.DISTRIBUTION
    return Findings(
        verdict=order_verdict(c, lost=np.full(c.shape, known) & (c == 0.5)),
        score=order_score(c),
        rule=np.full(c.shape, RULES.index(rule), dtype=np.int8),
        runs=runs,
        estimate=value,
        spread=np.sqrt(variances[0] * sizes[0]),
        standard_error=se,
        degrees=nu,
        confidence=c,
        diverged=np.zeros(value.shape, dtype=np.int64),
        target=0.5,
    )


def _check(above: FloatArray, below: FloatArray, *, paired: bool) -> None:
    if above.ndim < 2 or below.ndim < 2 or above.shape[-1] != below.shape[-1] or 0 in above.shape:
        raise ValueError(f"improvement: expected [..., runs, tasks] twice, got {above.shape}, {below.shape}")
    if paired and above.shape[-2] != below.shape[-2]:
        raise ValueError(f"paired sides of {above.shape[-2]} and {below.shape[-2]} runs")


def _standard_error(value: FloatArray, variances: list[FloatArray], trials: int) -> FloatArray:
    smooth = (value * trials + 1.0) / (trials + 2.0)
    return np.asarray(np.sqrt(np.maximum(np.sum(variances, axis=0), smooth * (1.0 - smooth) / trials)))


def _placements(above: FloatArray, below: FloatArray, *, paired: bool, fixed: tuple[bool, bool]) -> list[FloatArray]:
    """The samples whose mean is P: per slot, per run of each stochastic side, or per task."""
    if paired:
        return [(0.5 * ((above > below) * 1.0 + (above >= below))).mean(axis=-1)]
    pairs = above[..., :, None, :], below[..., None, :, :]
    wins = 0.5 * ((pairs[0] > pairs[1]) * 1.0 + (pairs[0] >= pairs[1]))
    if all(fixed):
        return [wins.mean(axis=(-3, -2))]
    sides = [wins.mean(axis=(-2, -1)), wins.mean(axis=(-3, -1))]
    return [side for side, still in zip(sides, fixed, strict=True) if not still]


def _degrees(variances: list[FloatArray], runs: list[int]) -> FloatArray:
    """Welch-Satterthwaite; where all variances are 0, those of the smaller sample."""
    first, last = np.sqrt(variances[0] * runs[0]), np.sqrt(variances[-1] * runs[-1])
    if len(variances) == 1:
        return np.full(first.shape, max(runs[0] - 1.0, 1.0))
    nu = welch_degrees(first, np.asarray(runs[0]), last, np.asarray(runs[-1]))
    return np.where(first + last > 0, nu, max(min(runs) - 1.0, 1.0))

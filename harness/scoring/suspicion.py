"""The statistics behind integrity gates 2 to 5: too little spread, too good a fit, too rosy a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc, chdtr, chdtri, digamma, fdtri, ndtri, polygamma, stdtr

_polygamma: Callable[[int, float], float] = polygamma

LEAST_RATIO = 1e-12
"""A variance ratio below this counts as this: no spread at all is as suspicious as can be, and finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """One gate's statistic; a gate that fires asks for an audit and zeroes nothing."""

    value: float | None
    """None where the gate does not apply."""
    threshold: float | None
    """The gate fires below it."""
    fired: bool
    p: float | None
    """Probability of a value this small from an honest submission."""
    claims: int
    """How many claims entered."""


NOT_APPLICABLE = Suspicion(value=None, threshold=None, fired=False, p=None, claims=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spreads:
    """The standard deviations of one claim: measured in m reruns, published for n runs."""

    measured: float
    m: int
    published: float
    n: int

    @property
    def usable(self) -> bool:
        """Both sides have a spread to compare."""
        return self.m >= 2 and self.n >= 2 and self.published > 0

    @property
    def ratio(self) -> float:
        """Measured over published variance."""
        return max((self.measured / self.published) ** 2, LEAST_RATIO)


def too_little_spread(spreads: Spreads, *, level: float = 0.001) -> Suspicion:
    """Gate 2: the variance ratio of one claim against the lower tail of F(m - 1, n - 1).

    Only for claims with `spread_check`: near normal, their spread measured on at least five runs.
    """
    if not spreads.usable:
        return NOT_APPLICABLE
    threshold = float(fdtri(spreads.m - 1, spreads.n - 1, level))
    return Suspicion(value=spreads.ratio, threshold=threshold, fired=spreads.ratio < threshold, p=None, claims=1)


def too_little_spread_over_claims(claims: Sequence[Spreads], *, level: float = 0.001) -> Suspicion:
    """Gate 3: z of the mean log variance ratio over claims.

    The logarithm of a chi squared over its nu degrees of freedom has mean digamma(nu/2) - log(nu/2) and
    variance trigamma(nu/2) (Bartlett & Kendall 1946).
    """
    usable = [c for c in claims if c.usable]
    if not usable:
        return NOT_APPLICABLE
    excess = sum(math.log(c.ratio) - _log_mean(c.m) + _log_mean(c.n) for c in usable)
    variance = sum(_log_variance(c.m) + _log_variance(c.n) for c in usable)
    z, threshold = excess / math.sqrt(variance), float(ndtri(level))
    return Suspicion(value=z, threshold=threshold, fired=z < threshold, p=_normal(z), claims=len(usable))


def _log_mean(runs: int) -> float:
    half = (runs - 1) / 2
    return float(digamma(half)) - math.log(half)


def _log_variance(runs: int) -> float:
    return float(_polygamma(1, (runs - 1) / 2))


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def prediction_p(measured: float, m: int, *, mean: float, sd: float, n: int) -> float | None:
    """Two-sided p-value of a mean of m reruns in the paper's own prediction distribution, t(n - 1).

    None where the paper shows no spread. Uniform for an honest rerun; near 1 if the mean is too close.
    """
    if sd <= 0 or n < 2 or not math.isfinite(measured):
        return None
    return float(2.0 * stdtr(n - 1.0, -abs(measured - mean) / (sd * math.sqrt(1.0 / m + 1.0 / n))))


def too_good_to_be_true(p_values: Sequence[float | None], *, level: float = 0.01) -> Suspicion:
    """Gate 4: Fisher's Q = -2 sum of log p, in the lower tail of chi squared with 2 k degrees of freedom."""
    known = np.array([p for p in p_values if p is not None], dtype=np.float64)
    if known.size == 0:
        return NOT_APPLICABLE
    if not ((known >= 0) & (known <= 1)).all():
        raise ValueError(f"p-values must lie in [0, 1], got {known}")
    q, freedom = float(-2.0 * np.log(np.maximum(known, 1e-300)).sum()), 2.0 * known.size
    threshold = float(chdtri(freedom, 1.0 - level))
    return Suspicion(value=q, threshold=threshold, fired=q < threshold, p=float(chdtr(freedom, q)), claims=known.size)


def too_rosy(gaps: npt.ArrayLike, *, level: float = 0.01) -> Suspicion:
    """Gate 5: sign test for optimism, over claims, of what was reported against what was measured.

    Args:
        gaps: Reported minus measured in the direction that flatters, one a claim; see `flattery`. Zeros are
            dropped.
        level: The gate fires if the share of flattering gaps has a smaller p-value than this.

    Returns:
        `value` is the p-value itself.
    """
    signs = np.sign(np.asarray(gaps, dtype=np.float64))
    if np.isnan(signs).any():
        raise ValueError("gaps: NaN")
    trials, rosy = int(np.count_nonzero(signs)), int(np.count_nonzero(signs > 0))
    if trials == 0:
        return NOT_APPLICABLE
    p = 1.0 if rosy == 0 else float(bdtrc(rosy - 1, trials, 0.5))
    return Suspicion(value=p, threshold=level, fired=p < level, p=p, claims=trials)


def flattery(reported: float, measured: float, *, target: float) -> float:
    """How much nearer to the target the report lies than the measurement; positive if it flatters.

    Differences of at most 1e-9 of the scale are rounding and give 0; a finite report of what diverged flatters
    without limit.
    """
    gap = abs(measured - target) - abs(reported - target)
    if math.isnan(gap):
        raise ValueError(f"flattery of {reported} over {measured} against {target} is not a number")
    scale = max(abs(reported), abs(measured), abs(target))
    return 0.0 if math.isfinite(gap) and abs(gap) <= 1e-9 * scale else gap

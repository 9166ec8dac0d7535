"""What the statistics are told of a paper's number, and what they say of a claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DIVERGENT = 1e150
"""A magnitude above this counts as infinite: its square would not fit a double."""


class Verdict(StrEnum):
    """What the statistics say of one claim."""

    CERTIFIED = "certified"
    CONSISTENT = "consistent"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"
    MISSING = "missing"
    INVALID = "invalid"


VERDICTS = tuple(Verdict)
"""The verdict of every code in `Findings.verdict`."""
CERTIFIED, CONSISTENT, INCONCLUSIVE, FAILED = range(4)


class Rule(StrEnum):
    """Which rule decided a claim: the usual one, or one of the degenerate cases."""

    DISTRIBUTION = "t distribution"
    MARGIN = "no spread on either side: within the margin or not"
    SIGN = "no spread on either side: the sign of the difference"
    DIVERGED = "infinite where a number was expected"
    ORDER = "infinities among the values: only their order counts"
    UNKNOWN_SPREAD = "a single run shows no spread"
    ROUNDING = "equal up to the printed digits and the stated tolerance"
    SHAPE = "root mean square of the t statistics along the curve"


RULES = tuple(Rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A number as the paper gives it: mean, spread between runs, number of runs."""

    mean: float
    sd: float = 0.0
    """Standard deviation between runs; the stated `spread_bound` if only a mean is published; 0 if exact."""
    n: int = 1
    """Number of runs behind the mean (5 where only a mean is published and nothing else is stated)."""
    tol: float = 0.0
    """Half width of the reading, for a value read off a figure."""
    exact: bool = False
    """The value is derived or known exactly: no spread of its own."""
    bound: float | None = None
    """For an exact value: the sd an honest rerun may show; noise above 1.5 of it buys no tolerance."""

    def __post_init__(self) -> None:
        """Refuse what no rule could use."""
        if not math.isfinite(self.mean) or abs(self.mean) > DIVERGENT:
            raise ValueError(f"a published mean must be finite, got {self.mean}")
        for name, value in (("sd", self.sd), ("tol", self.tol), ("bound", self.bound or 0.0)):
            if not (math.isfinite(value) and 0 <= value <= DIVERGENT):
                raise ValueError(f"published {name} must be finite and >= 0, got {value}")
        if self.n < 1:
            raise ValueError(f"published n must be >= 1, got {self.n}")
        if self.exact and self.sd > 0:
            raise ValueError(f"an exact value has no spread, got sd={self.sd}")

    @classmethod
    def of(cls, samples: Sequence[float] | FloatArray, *, tol: float = 0.0) -> Published:
        """The reference's own samples on the same instance, standing where the paper's would."""
        values = np.asarray(samples, dtype=np.float64)
        if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
            raise ValueError(f"the reference's samples must be one or more finite numbers, got {values}")
        mean, spread = float(values.mean()), float(values.std(ddof=1)) if values.size > 1 else 0.0
        return cls(mean=mean, sd=spread, n=values.size, tol=tol)


def spread_to_sd(kind: str, value: float, n: int) -> float:
    """The standard deviation between runs behind what a paper prints after ±.

    Args:
        kind: `none`, `sd`, `se` (of the mean), `ci95` (half width, Student's t) or `range`
            (half of maximum minus minimum over the runs).
        value: The number after ±.
        n: Number of runs.

    Raises:
        ValueError: An unknown kind, or n < 2 where the conversion needs two runs.
    """
    if kind == "none":
        return 0.0
    if kind == "sd":
        return value
    if n < 2:
        raise ValueError(f"a spread of kind {kind} needs n >= 2, got n={n}")
    if kind == "se":
        return value * math.sqrt(n)
    if kind == "ci95":
        return value * math.sqrt(n) / float(stdtrit(n - 1.0, 0.975))
    if kind == "range":
        return 2.0 * value / _expected_range(n)
    raise ValueError(f"unknown kind of spread: expected none, sd, se, ci95 or range, got {kind!r}")


def _expected_range(n: int) -> float:
    """Expected range of n standard normals (Tippett 1925): the integral of 1 - F^n - (1 - F)^n."""
    x = np.linspace(-9.0, 9.0, 3601)
    below = ndtr(x)
    return float(np.trapezoid(1.0 - below**n - (1.0 - below) ** n, x))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one claim's measurements say, with everything its explanation needs.

    Every number is finite; `None` stands where there is no number (a diverged mean, an unknown spread).
    """

    verdict: Verdict
    score: float
    """In [0, 1]."""
    rule: Rule
    runs: int
    """Seed slots behind the estimate (of the smaller side, where a claim has two)."""
    estimate: float | None
    """Mean over the runs; of an ordering the difference higher - lower, of an improvement its probability."""
    spread: float | None
    """Standard deviation between runs as measured (of the difference, where there are two sides)."""
    standard_error: float | None
    """Of the difference to the target, after the cap on the spread and with all its terms."""
    degrees: float | None
    """Welch-Satterthwaite degrees of freedom."""
    confidence: float
    """C of a number (the true difference lies within the margin), c of an ordering (the sign is right)."""
    low: float | None
    """Lower end of estimate -+ t(.975) standard errors; it contains the target if both agree."""
    high: float | None
    target: float | None = None
    """What the estimate is compared with; for an ordering 0, for an improvement 1/2."""
    margin: float | None = None
    difference: float | None = None
    """Estimate minus target."""
    diverged: int = 0
    """How many of the values were infinite."""
    higher: float | None = None
    """Mean of the side claimed to be higher."""
    lower: float | None = None
    more_seeds: int | None = None
    """If inconclusive: how many further seeds would settle it, were mean and spread to stay; None if none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """`Finding` for many rows at once: every field an array of the rows' shape.

    Where `diverged` is positive, the fields that `Finding` leaves out are 0.
    """

    verdict: npt.NDArray[np.int8]
    """Codes into `VERDICTS`."""
    score: FloatArray
    rule: npt.NDArray[np.int8]
    """Codes into `RULES`."""
    runs: int
    estimate: FloatArray
    spread: FloatArray
    standard_error: FloatArray
    degrees: FloatArray
    confidence: FloatArray
    diverged: IntArray
    target: float
    margin: float | None = None
    higher: FloatArray | None = None
    lower: FloatArray | None = None

    def one(self, *, more_seeds: int | None = None) -> Finding:
        """The finding of the only row.

        Raises:
            ValueError: There is not exactly one row.
        """
        if self.score.size != 1:
            raise ValueError(f"expected one row, got shape {self.score.shape}")
        row = {f.name: _item(getattr(self, f.name)) for f in fields(self)}
        rule = RULES[int(row["rule"] or 0)]
        unknown = row["diverged"] or rule is Rule.UNKNOWN_SPREAD
        se = None if unknown else row["standard_error"]
        estimate = None if row["diverged"] else row["estimate"]
        half = None if se is None else float(stdtrit(max(row["degrees"] or 1.0, 1e-3), 0.975)) * se
        return Finding(
            verdict=VERDICTS[int(row["verdict"] or 0)],
            score=float(row["score"] or 0.0),
            rule=rule,
            runs=self.runs,
            estimate=_finite(estimate),
            spread=None if unknown else _finite(row["spread"]),
            standard_error=_finite(se),
            degrees=None if unknown else _finite(row["degrees"]),
            confidence=float(row["confidence"] or 0.0),
            low=None if half is None or estimate is None else _finite(estimate - half),
            high=None if half is None or estimate is None else _finite(estimate + half),
            target=_finite(self.target),
            margin=self.margin,
            difference=None if estimate is None else _finite(estimate - self.target),
            diverged=int(row["diverged"] or 0),
            higher=None if row["diverged"] else row["higher"],
            lower=None if row["diverged"] else row["lower"],
            more_seeds=more_seeds,
        )


def _item(value: object) -> float | None:
    if value is None:
        return None
    return float(np.asarray(value, dtype=np.float64).reshape(-1)[0])


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

"""The paper's total: the weighted score, its coverage, and its interval over the seed slots."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from harness.scoring.finding import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value with its standard error and its 95 % limits."""

    value: float
    standard_error: float | None
    """None where nothing is known of it: a single seed slot."""
    low: float
    """Two-sided: printed."""
    high: float
    lower: float
    """One-sided 95 %: PASS needs it at or above the pass mark."""
    upper: float
    """One-sided 95 %: FAIL needs it below the pass mark."""


def total(scores: npt.ArrayLike, weights: npt.ArrayLike, *, valid: npt.ArrayLike | None = None) -> FloatArray:
    """Weighted mean of the leaves' scores; a missing claim scores 0 and stays in the denominator.

    Args:
        scores: Shape [..., leaves], in [0, 1].
        weights: Shape [leaves], at least one positive.
        valid: Shape [leaves]; an invalid leaf (a fault of the harness) leaves the denominator. With no valid
            leaf the total is 0, and `coverage` is 0 too.

    Returns:
        Shape [...].
    """
    share = _shares(weights) * (1.0 if valid is None else np.asarray(valid, dtype=np.float64))
    known = float(share.sum())
    values = np.asarray(scores, dtype=np.float64)
    if values.shape[-1:] != share.shape:
        raise ValueError(f"{values.shape[-1:]} scores for {share.shape} weights")
    if not (np.isfinite(values) & (values >= 0) & (values <= 1)).all():
        raise ValueError("scores must lie in [0, 1]")
    return np.asarray((values @ share / known).clip(0.0, 1.0) if known > 0 else np.zeros(values.shape[:-1]))


def coverage(weights: npt.ArrayLike, valid: npt.ArrayLike) -> float:
    """The share of the weight whose leaves are valid."""
    usable = np.asarray(valid, dtype=np.bool_)
    return 1.0 if usable.all() else float(_shares(weights)[usable].sum())


def _shares(weights: npt.ArrayLike) -> FloatArray:
    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 1 or not (np.isfinite(values) & (values >= 0)).all() or values.sum() <= 0:
        raise ValueError(f"weights must be >= 0, finite, and not all 0, got {values}")
    return np.asarray(values / values.sum())


def jackknife(leave_one_out: npt.ArrayLike, value: float, *, stochastic: bool = True) -> Interval:
    """Student's t interval of a total from its delete-one-seed jackknife (Efron & Stein 1981, Tukey 1958).

    Args:
        leave_one_out: Shape [slots]; entry j is the total with seed slot j deleted from all claims together.
            Deterministic claims keep their only run throughout, and so enter no term.
        value: The total with all slots.
        stochastic: False if every claim is deterministic: the interval has no width. Otherwise fewer than two
            slots say nothing of the spread, and the interval is all of [0, 1].
    """
    totals = np.asarray(leave_one_out, dtype=np.float64)
    rows = jackknife_rows(totals.reshape(1, -1), np.asarray([value]), stochastic=stochastic)
    return Interval(
        value=float(value),
        standard_error=float(rows.standard_error[0]) if totals.size > 1 or not stochastic else None,
        low=float(rows.low[0]),
        high=float(rows.high[0]),
        lower=float(rows.lower[0]),
        upper=float(rows.upper[0]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """`Interval` over rows, shape [rows] each."""

    value: FloatArray
    standard_error: FloatArray
    low: FloatArray
    high: FloatArray
    lower: FloatArray
    upper: FloatArray


def jackknife_rows(leave_one_out: FloatArray, value: FloatArray, *, stochastic: bool = True) -> Intervals:
    """`jackknife` over rows: `leave_one_out` of shape [rows, slots], `value` of shape [rows]."""
    slots = leave_one_out.shape[-1]
    if not (np.isfinite(leave_one_out).all() and np.isfinite(value).all()):
        raise ValueError("totals must be finite")
    if slots < 2 or not stochastic:
        se = np.zeros_like(value)
        low, high = (np.zeros_like(value), np.ones_like(value)) if stochastic else (value, value)
        return Intervals(value=value, standard_error=se, low=low, high=high, lower=low, upper=high)
    se = math.sqrt(slots - 1.0) * leave_one_out.std(axis=-1)
    two, one = float(stdtrit(slots - 1.0, 0.975)), float(stdtrit(slots - 1.0, 0.95))
    return Intervals(
        value=value,
        standard_error=se,
        low=(value - two * se).clip(0.0, 1.0),
        high=(value + two * se).clip(0.0, 1.0),
        lower=(value - one * se).clip(0.0, 1.0),
        upper=(value + one * se).clip(0.0, 1.0),
    )


def leave_one_out(samples: npt.ArrayLike, *, axis: int = -1) -> FloatArray:
    """Samples with each slot deleted in turn.

    Args:
        samples: At least two slots along `axis`.
        axis: The axis of the slots.

    Returns:
        A new axis of length slots before `axis`, which has one slot less: [..., slots] gives
        [..., slots, slots - 1].
    """
    values = np.asarray(samples, dtype=np.float64)
    axis %= values.ndim
    slots = values.shape[axis]
    kept = np.array([[i for i in range(slots) if i != j] for j in range(slots)]).reshape(slots, slots - 1)
    return np.take(values, kept, axis=axis)

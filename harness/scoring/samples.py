"""Rows of samples, and what every rule needs of them: summaries and degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.scoring.finding import DIVERGENT, INCONCLUSIVE, RULES, FloatArray, IntArray, Rule

ZERO = 1e-12
"""A spread or a difference of at most this share of the scale is rounding, and counts as none."""
MOST_SEEDS = 1000
"""Nobody is told to run more seeds than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Mean and spread of rows of samples; rows that diverged hold zeros."""

    mean: FloatArray
    sd: FloatArray
    """Standard deviation between runs; 0 for a single run."""
    runs: int
    diverged: IntArray
    """Infinite values a row."""


def summarize(samples: npt.ArrayLike) -> Summary:
    """Mean, spread and divergence of samples of shape [..., runs].

    Raises:
        ValueError: No runs, or a NaN: a metric that is not a number is the caller's fault to report.
    """
    values = as_samples(samples)
    diverged = np.count_nonzero(np.abs(values) > DIVERGENT, axis=-1).astype(np.int64)
    finite = np.where(diverged[..., None] > 0, 0.0, values)
    runs = values.shape[-1]
    sd = finite.std(axis=-1, ddof=1) if runs > 1 else np.zeros(values.shape[:-1])
    return Summary(mean=finite.mean(axis=-1), sd=sd, runs=runs, diverged=diverged)


def as_samples(samples: npt.ArrayLike) -> FloatArray:
    """Samples as an array [..., runs] of float64, without NaN.

    Raises:
        ValueError: No runs, or a NaN.
    """
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"samples: expected shape [..., runs] with at least one run, got shape {values.shape}")
    if np.isnan(values).any():
        raise ValueError(f"samples: NaN at index {tuple(int(i) for i in np.argwhere(np.isnan(values))[0])}")
    return values


def as_row(samples: npt.ArrayLike) -> FloatArray:
    """Samples [runs] of one claim as an array [1, runs].

    Raises:
        ValueError: Another shape.
    """
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"samples: expected shape [runs], got shape {values.shape}")
    return values[None]


def first_settled(verdicts: npt.NDArray[np.int8]) -> int | None:
    """How many seeds further the first verdict that is not inconclusive lies."""
    settled = np.flatnonzero(verdicts.reshape(-1) != INCONCLUSIVE)
    return int(settled[0]) + 1 if settled.size else None


def override(
    usual: tuple[npt.NDArray[np.int8], FloatArray, FloatArray],
    *cases: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike, Rule],
) -> tuple[npt.NDArray[np.int8], FloatArray, FloatArray, npt.NDArray[np.int8]]:
    """Lay the degenerate cases over the usual rule, later ones over earlier ones.

    A case is (where, verdict, score and confidence, rule).
    """
    verdict, score, confidence = usual
    rule = np.zeros(score.shape, dtype=np.int8)
    for where, code, value, name in cases:
        verdict = np.where(where, code, verdict).astype(np.int8)
        score, confidence = np.where(where, value, score), np.where(where, value, confidence)
        rule = np.where(where, RULES.index(name), rule).astype(np.int8)
    return verdict, score, confidence, rule


def welch_degrees(sd_a: FloatArray, n_a: IntArray, sd_b: FloatArray, n_b: IntArray) -> FloatArray:
    """Welch-Satterthwaite degrees of freedom; 1 where neither side has a spread."""
    unit = np.maximum(sd_a, sd_b)
    safe = np.where(unit > 0, unit, 1.0)
    a, b = (sd_a / safe) ** 2 / n_a, (sd_b / safe) ** 2 / n_b
    below = a**2 / np.maximum(n_a - 1, 1) + b**2 / np.maximum(n_b - 1, 1)
    return np.where(unit > 0, (a + b) ** 2 / np.where(below > 0, below, 1.0), 1.0)

"""Comparing participants over papers: paired intervals, a hierarchical bootstrap, the best of k attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.scoring.student import quantile

if TYPE_CHECKING:
    from harness.scoring.finding import FloatArray  # it brings scipy with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A difference between two participants with its 95 % interval."""

    difference: float
    low: float | None
    """None where one paper cannot show a spread."""
    high: float | None
    papers: int


def paired_interval(one: npt.ArrayLike, two: npt.ArrayLike, *, size: float = 0.95) -> Comparison:
    """Student's t interval of the mean difference between two participants' scores, paired by paper.

    Args:
        one: Shape [papers]: a mean score a paper.
        two: Shape [papers], the same papers in the same order.
        size: Nominal coverage.

    Raises:
        ValueError: Different papers, none, or scores that are not finite.
    """
    a, b = np.asarray(one, dtype=np.float64), np.asarray(two, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or a.size == 0:
        raise ValueError(f"expected the same papers on both sides, got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("scores must be finite")
    gaps = a - b
    difference = float(gaps.mean())
    if gaps.size < 2:
        return Comparison(difference=difference, low=None, high=None, papers=1)
    half = float(quantile(0.5 + size / 2, gaps.size - 1) * gaps.std(ddof=1) / np.sqrt(gaps.size))
    return Comparison(difference=difference, low=difference - half, high=difference + half, papers=gaps.size)


def hierarchical_bootstrap(
    one: Sequence[npt.ArrayLike],
    two: Sequence[npt.ArrayLike],
    *,
    rng: np.random.Generator,
    repetitions: int = 10_000,
    size: float = 0.95,
) -> Comparison:
    """Percentile interval of the mean difference, resampling papers and, within them, each side's attempts.

    Args:
        one: For each paper the scores of this participant's attempts, at least one.
        two: The same of the other, the same papers in the same order.
        rng: Where the resamples come from.
        repetitions: How many.
        size: Nominal coverage.

    Raises:
        ValueError: Different papers, none, or a paper without attempts.
    """
    if len(one) != len(two) or not one:
        raise ValueError(f"expected the same papers on both sides, got {len(one)} and {len(two)}")
    papers = rng.integers(len(one), size=(repetitions, len(one)))
    gaps = _attempt_means(one, papers, rng) - _attempt_means(two, papers, rng)
    low, high = np.percentile(gaps.mean(axis=1), [50 - 50 * size, 50 + 50 * size])
    difference = np.mean([np.asarray(a).mean() - np.asarray(b).mean() for a, b in zip(one, two, strict=True)])
    return Comparison(difference=float(difference), low=float(low), high=float(high), papers=len(one))


def _attempt_means(
    attempts: Sequence[npt.ArrayLike], papers: npt.NDArray[np.int64], rng: np.random.Generator
) -> FloatArray:
    """Mean of resampled attempts, for every drawn paper: the shape of `papers`."""
    means = np.empty(papers.shape)
    for paper, scores in enumerate(attempts):
        values = np.asarray(scores, dtype=np.float64)
        if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
            raise ValueError(f"paper {paper}: expected one or more finite scores, got {values}")
        drawn = papers == paper
        picks = rng.integers(values.size, size=(int(drawn.sum()), values.size))
        means[drawn] = values[picks].mean(axis=1)
    return means


def best_at_k(scores: npt.ArrayLike, k: int) -> float:
    """Expected best of k attempts, unbiased from n of them: sum_i C(i-1, k-1) x_(i) / C(n, k).

    The mean over all subsets of k; Chen et al. 2021 use its 0/1 case as pass@k.

    Args:
        scores: Shape [attempts].
        k: At most half the attempts, else its variance is not worth printing; 1 always.

    Raises:
        ValueError: k < 1, or k > attempts / 2 and not 1, or no attempts.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    n = ordered.size
    if ordered.ndim != 1 or n == 0 or not np.isfinite(ordered).all():
        raise ValueError("expected one or more finite scores")
    if k < 1 or (k > 1 and 2 * k > n):
        raise ValueError(f"best@k needs 1 <= k <= attempts / 2, got k={k} of {n} attempts")
    # The largest weighs k / n, and C(i-2, k-1) / C(i-1, k-1) = (i-k) / (i-1) leads from each to the next smaller one.
    places = np.arange(n, k, -1)
    shares = k / n * np.cumprod(np.concatenate([[1.0], (places - k) / (places - 1)]))
    return float(shares @ ordered[: k - 2 if k > 1 else None : -1])

"""Stratified bootstrap intervals of aggregates, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.scoring.aggregates import iqm, probability_of_improvement, win_table
from harness.scoring.finding import FloatArray

Indices = npt.NDArray[np.integer]

CHUNK = 1 << 21
"""Resampled values held at once: 16 MiB, whatever the number of repetitions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """An aggregate with its percentile interval; arrays where the aggregate is one (a profile)."""

    value: FloatArray
    low: FloatArray
    high: FloatArray


def resamples(shape: tuple[int, int], *, repetitions: int, rng: np.random.Generator) -> Iterator[Indices]:
    """Run indices drawn with replacement, independently for each task, in chunks [chunk, runs, tasks]."""
    runs, tasks = shape
    chunk = max(1, CHUNK // (runs * tasks))
    dtype = np.uint8 if runs <= 256 else np.int64
    for done in range(0, repetitions, chunk):
        yield rng.integers(runs, size=(min(chunk, repetitions - done), runs, tasks), dtype=dtype)


def interval(
    scores: npt.ArrayLike,
    aggregate: Callable[[FloatArray], FloatArray] = iqm,
    *,
    indices: Iterable[Indices],
    size: float = 0.95,
) -> Estimate:
    """An aggregate of scores [runs, tasks] with the percentile interval of its stratified bootstrap.

    Args:
        scores: Shape [runs, tasks].
        aggregate: From [..., runs, tasks] to [...] or [..., k].
        indices: Chunks [chunk, runs, tasks] of run indices, usually from `resamples`.
        size: Nominal coverage.
    """
    values = np.asarray(scores, dtype=np.float64)
    columns = np.arange(values.shape[1])
    replicates = np.concatenate([aggregate(values[chunk, columns]) for chunk in indices])
    return _estimate(aggregate(values), replicates, size)


def improvement_interval(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    indices: Iterable[tuple[Indices, Indices]],
    size: float = 0.95,
) -> Estimate:
    """Probability of improvement of x over y, both [runs, tasks], with its percentile interval.

    Each replicate counts how often every run was drawn on each task, and weighs the wins with the counts.

    Args:
        x: Shape [runs, tasks].
        y: Shape [runs, tasks], the same tasks.
        indices: Pairs of chunks of run indices, of x and of y, usually from `paired_resamples`.
        size: Nominal coverage.
    """
    one, two = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    wins = win_table(one, two)
    replicates = np.concatenate([_improvements(wins, chunk_x, chunk_y) for chunk_x, chunk_y in indices])
    return _estimate(np.asarray(probability_of_improvement(one, two)), replicates, size)


def paired_resamples(
    x: tuple[int, int], y: tuple[int, int], *, repetitions: int, rng: np.random.Generator
) -> Iterator[tuple[Indices, Indices]]:
    """Independent run indices of two sides, in chunks of equal length."""
    tasks = x[1]
    chunk = max(1, CHUNK // (tasks * (x[0] + y[0])))
    for done in range(0, repetitions, chunk):
        count = min(chunk, repetitions - done)
        yield (
            rng.integers(x[0], size=(count, *x)),
            rng.integers(y[0], size=(count, *y)),
        )


def _improvements(wins: FloatArray, chunk_x: Indices, chunk_y: Indices) -> FloatArray:
    tasks, runs_x, runs_y = wins.shape
    drawn_x, drawn_y = _counts(chunk_x, runs_x), _counts(chunk_y, runs_y)
    totals = np.einsum("tcj,tcj->c", drawn_x @ wins, drawn_y)
    return np.asarray(totals / (tasks * runs_x * runs_y))


def _counts(chunk: Indices, runs: int) -> FloatArray:
    """How often each run was drawn on each task: [tasks, chunk, runs]."""
    count, _, tasks = chunk.shape
    cells = (np.arange(tasks) * count + np.arange(count)[:, None])[:, None, :] * runs
    flat = np.bincount((chunk + cells).ravel(), minlength=tasks * count * runs)
    return flat.reshape(tasks, count, runs).astype(np.float64)


def _estimate(value: FloatArray, replicates: FloatArray, size: float) -> Estimate:
    tail = 50.0 * (1.0 - size)
    low, high = np.percentile(replicates, [tail, 100.0 - tail], axis=0)
    return Estimate(value=np.asarray(value), low=low, high=high)

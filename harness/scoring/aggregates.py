"""Aggregates of score matrices [runs, tasks]: IQM, mean, median, optimality gap, profile, improvement.

Definitions as in Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice". Every aggregate
takes matrices with any leading axes, [..., runs, tasks], and gives [...]: a bootstrap is an aggregate of
many matrices.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.scoring.finding import FloatArray


def mean(scores: FloatArray) -> FloatArray:
    """Mean over runs and tasks."""
    return np.asarray(scores.mean(axis=(-2, -1)))


def median(scores: FloatArray) -> FloatArray:
    """Median over tasks of the mean over runs."""
    return np.asarray(np.median(scores.mean(axis=-2), axis=-1))


def iqm(scores: FloatArray) -> FloatArray:
    """Interquartile mean: the mean of runs and tasks together without the lowest and highest quarter."""
    values = scores.reshape(*scores.shape[:-2], -1)
    count = values.shape[-1]
    cut = count // 4
    if cut == 0:
        return np.asarray(values.mean(axis=-1))
    ordered = np.sort(values, axis=-1)
    return np.asarray(ordered[..., cut : count - cut].mean(axis=-1))


def optimality_gap(scores: FloatArray, *, gamma: float = 1.0) -> FloatArray:
    """How far scores, none counted above gamma, fall short of it on average."""
    return np.asarray(gamma - np.minimum(scores, gamma).mean(axis=(-2, -1)))


def performance_profile(scores: FloatArray, taus: npt.ArrayLike) -> FloatArray:
    """Share of runs and tasks with a score above each tau; shape [..., taus]."""
    levels = np.asarray(taus, dtype=np.float64)
    order = np.argsort(levels)
    passed = np.searchsorted(levels[order], scores, side="left")
    passed = passed.reshape(-1, scores.shape[-2] * scores.shape[-1])
    rows, bins = np.arange(len(passed))[:, None], levels.size + 1
    counts = np.bincount((passed + rows * bins).ravel(), minlength=len(passed) * bins).reshape(-1, bins)
    above = np.empty((len(passed), levels.size))
    above[:, order] = counts[:, :0:-1].cumsum(axis=-1)[:, ::-1]
    return np.asarray((above / passed.shape[-1]).reshape(*scores.shape[:-2], levels.size))


def probability_of_improvement(x: FloatArray, y: FloatArray) -> float:
    """P(X > Y) of [runs, tasks] matrices over the same tasks, ties one half, averaged over tasks."""
    return float(win_table(x, y).mean())


def win_table(x: FloatArray, y: FloatArray) -> FloatArray:
    """1 where run i of x beats run j of y on a task, 1/2 where they tie: [tasks, runs of x, runs of y]."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"expected [runs, tasks] twice with the same tasks, got {x.shape} and {y.shape}")
    one, two = x.T[:, :, None], y.T[:, None, :]
    return np.asarray(0.5 * ((one > two).astype(np.float64) + (one >= two)))

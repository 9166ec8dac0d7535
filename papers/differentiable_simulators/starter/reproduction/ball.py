"""The ball and the wall: to be written. The brief defines the throw, every estimator and every output."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def descend(instance: Mapping[str, Any], *, method: str, seed: int) -> NDArray[np.float64]:
    """Experiment `ball_descent`.

    Args:
        instance: The world, the start, the step, the numbers of updates, trials and samples, as the brief lists them.
        method: "fobg", "zobg", "aobg" or "aobg_unconstrained".
        seed: Seeds everything that is random.

    Returns:
        The angle before the first update and after each one, shape (trials, updates + 1).
    """
    raise NotImplementedError


def estimates(instance: Mapping[str, Any], *, seed: int) -> dict[str, NDArray[np.float64]]:
    """Experiment `ball_estimates`: `first`, `zeroth` and `plain` (no baseline), each of shape (angles, samples)."""
    raise NotImplementedError


def interpolation(instance: Mapping[str, Any], *, seed: int) -> dict[str, NDArray[np.float64]]:
    """Experiment `interpolation`: batched gradients `first`, `zeroth`, `combined`, each of shape (angles, batches)."""
    raise NotImplementedError


def one_batch(instance: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Experiment `one_batch`, system `ball`: `costs` (N,), `first` (N, 1) and `zeroth` (N, 1) on given noise."""
    raise NotImplementedError

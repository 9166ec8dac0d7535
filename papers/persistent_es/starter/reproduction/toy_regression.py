"""Toy regression: to be written. The brief defines the problem, every method and every output."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def train(
    instance: Mapping[str, Any], *, method: str, unroll_length: int, sigma: float, updates: int, seed: int
) -> NDArray[np.float64]:
    """Experiment `toy_regression`.

    Args:
        instance: The problem's constants, as the brief lists them.
        method: "pes", "es" or "tbptt".
        unroll_length: Steps of gradient descent per unroll.
        sigma: Standard deviation of the perturbations; 0 where the method has none.
        updates: Outer updates; a multiple of 100.
        seed: Seeds everything that is random.

    Returns:
        theta before the first update and after every (updates / 100)-th one, shape (101, 2).
    """
    raise NotImplementedError


def consecutive_updates(instance: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Experiment `toy_update`: PES estimates in a row, across the end of an episode, theta fixed.

    Returns:
        `gradients`, shape (estimates, 2); `points` and `accumulators` after the last estimate, both (2, N).
    """
    raise NotImplementedError

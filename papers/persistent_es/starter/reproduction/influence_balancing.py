"""Influence balancing: to be written. The brief defines the problem, every method and every output."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def train(instance: Mapping[str, Any], *, method: str, unroll_length: int, seed: int) -> NDArray[np.float64]:
    """Experiment `influence_balancing`.

    Args:
        instance: The problem's constants, as the brief lists them.
        method: "pes", "es", "tbptt" or "rtrl".
        unroll_length: Steps per unroll.
        seed: Seeds everything that is random.

    Returns:
        theta before the first update and after each one, shape (updates + 1,).
    """
    raise NotImplementedError


def exact_gradient(instance: Mapping[str, Any], *, unroll_length: int) -> float:
    """Experiment `exact_gradient`: the derivative of the last loss through the last `unroll_length` steps."""
    raise NotImplementedError


def estimator_mean(instance: Mapping[str, Any], *, method: str, unroll_length: int, seed: int) -> NDArray[np.float64]:
    """Experiment `estimator_mean`: the gradient estimate of each unroll, theta fixed, shape (updates,)."""
    raise NotImplementedError


def one_update(instance: Mapping[str, Any], *, method: str) -> dict[str, NDArray[np.float64]]:
    """Experiment `influence_update`: one estimate from given particles and given noise.

    Args:
        instance: The constants and the arrays, as the brief lists them.
        method: "pes" or "es".

    Returns:
        `gradient`, shape (1,); `states`, shape (N, n) for "pes" and (1, n) for "es"; `accumulators`, shape (N,)
        for "pes" and one zero for "es".
    """
    raise NotImplementedError

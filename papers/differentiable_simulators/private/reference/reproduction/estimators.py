"""The three gradient estimators, and how the third one weighs the other two.

Definitions 2.3 to 2.5 and 4.1, lemma 4.4 and appendix C.4 of the paper. Per-sample estimates have shape (..., N, d),
any number of batches of N samples, d parameters.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def zeroth_order(costs: Array, baseline: Array | float, noise: Array, sigma: float) -> Array:
    """Per-sample zeroth-order estimates (definition 2.3 with a baseline), in the shape of the noise, (..., N, d)."""
    return (costs - baseline)[..., None] * noise / sigma**2


def variance(estimates: Array) -> Array:
    """Empirical variance of per-sample estimates (definition 2.5), summed over parameters, shape (...)."""
    return estimates.var(axis=-2, ddof=1).sum(axis=-1)


def confidence(zeroth: Array, delta: float) -> Array:
    """Empirical Bernstein bound on the error of the mean of the zeroth-order estimates (appendix C.4), shape (...)."""
    samples, dimension = zeroth.shape[-2:]
    second_moment = (zeroth**2).sum(axis=-1).mean(axis=-1)
    centred = zeroth - zeroth.mean(axis=-2, keepdims=True)
    largest = np.sqrt((centred**2).sum(axis=-1)).max(axis=-1)
    log = np.log((dimension + 1) / delta)
    return np.sqrt(2.0 * second_moment * log / samples) + 2.0 * largest * log / (3.0 * samples)


def ratio(above: Array, below: Array) -> Array:
    """A quotient that is `above` itself where `below` is 0: both are then 0, or alpha does not use it."""
    return above / np.where(below > 0.0, below, 1.0)


def interpolate(first: Array, zeroth: Array, gamma: Array | float, delta: float) -> tuple[Array, Array, Array]:
    """The alpha-order estimate (definition 4.1) with the robust weight (lemma 4.4).

    Args:
        first: Per-sample first-order estimates, shape (..., N, d).
        zeroth: Per-sample zeroth-order estimates from other noise, shape (..., N, d).
        gamma: The error that is tolerated, a number or shape (...).
        delta: The chance with which the confidence bound may fail.

    Returns:
        The weights and the confidence bounds, both of shape (...), and the estimates, shape (..., d).
    """
    first_mean, zeroth_mean = first.mean(axis=-2), zeroth.mean(axis=-2)
    first_variance, zeroth_variance = variance(first), variance(zeroth)
    epsilon = confidence(zeroth, delta)
    difference = np.sqrt(((first_mean - zeroth_mean) ** 2).sum(axis=-1))
    unconstrained = ratio(zeroth_variance, first_variance + zeroth_variance)
    slack = gamma - epsilon
    alpha = np.where(unconstrained * difference <= slack, unconstrained, ratio(slack, difference))
    alpha = np.where(epsilon > gamma, 0.0, alpha)
    combined = alpha[..., None] * first_mean + (1.0 - alpha[..., None]) * zeroth_mean
    return alpha, epsilon, combined


def alpha(instance: Mapping[str, Any]) -> dict[str, Array]:
    """The experiment `alpha`: interpolate given per-sample estimates, one gamma for each batch."""
    first = np.asarray(instance["first"], dtype=np.float64)
    zeroth = np.asarray(instance["zeroth"], dtype=np.float64)
    gamma = np.asarray(instance["gamma"], dtype=np.float64)
    weights, epsilon, combined = interpolate(first, zeroth, gamma, instance["delta"])
    return {"alpha": weights, "epsilon": epsilon, "combined": combined}

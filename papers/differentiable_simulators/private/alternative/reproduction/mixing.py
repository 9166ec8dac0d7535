"""From per-sample estimates of both orders, shape (..., N, d), to batched gradients, shape (..., d)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """Interpolated gradients, the weight of the first order in them, and the bound on the zeroth order's error."""

    gradient: Array
    alpha: Array
    epsilon: Array


def interpolate(first: Array, zeroth: Array, gamma: ArrayLike, delta: float) -> Mixture:
    """Weigh by empirical variance, but move no further than `gamma` less the confidence bound from the zeroth order."""
    trusted, epsilon = variance_weight(first, zeroth), confidence_bound(zeroth, delta)
    distance = np.linalg.norm(first.mean(axis=-2) - zeroth.mean(axis=-2), axis=-1)
    slack = gamma - epsilon
    too_far = trusted * distance > slack
    limited = np.divide(slack, distance, out=np.zeros_like(distance), where=too_far & (distance > 0.0))
    alpha = np.where(slack < 0.0, 0.0, np.where(too_far, limited, trusted))
    return Mixture(mix(alpha, first, zeroth), alpha, epsilon)


def interpolate_by_variance(first: Array, zeroth: Array) -> Array:
    """The unconstrained interpolation."""
    return mix(variance_weight(first, zeroth), first, zeroth)


def mix(weight: Array, first: Array, zeroth: Array) -> Array:
    """The batched first-order gradients with that weight, the zeroth-order ones with the rest."""
    share = weight[..., None]
    return share * first.mean(axis=-2) + (1.0 - share) * zeroth.mean(axis=-2)


def variance_weight(first: Array, zeroth: Array) -> Array:
    """The first order's weight that would minimise the variance, were empirical variances true; 0 if both are 0."""
    ours, theirs = empirical_variance(first), empirical_variance(zeroth)
    both = ours + theirs
    return np.divide(theirs, both, out=np.zeros_like(both), where=both > 0.0)


def empirical_variance(samples: Array) -> Array:
    """Summed over the axes of parameter space."""
    return samples.var(axis=-2, ddof=1).sum(axis=-1)


def confidence_bound(zeroth: Array, delta: float) -> Array:
    """Bernstein's bound on the error of the zeroth-order mean; it fails with chance `delta`."""
    count, dimension = zeroth.shape[-2:]
    log_term = np.log((dimension + 1) / delta)
    second_moment = np.square(zeroth).sum(axis=-1).mean(axis=-1)
    radius = np.linalg.norm(zeroth - zeroth.mean(axis=-2, keepdims=True), axis=-1).max(axis=-1)
    return np.sqrt(2.0 * second_moment * log_term / count) + 2.0 * radius * log_term / (3.0 * count)

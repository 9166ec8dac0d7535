"""Per-sample gradient estimates of a smoothed cost E[cost(theta + w)], w from N(0, sigma^2 I), for any cost.

Noise has shape (..., d), where theta broadcasts against it; estimates have the shape of the noise.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reproduction.systems import Cost

Array = NDArray[np.float64]

IMAGINARY_STEP = 1e-100
"""So small that its square vanishes beside any real part: complex steps have no truncation error."""


def derivative(cost: Cost, points: Array) -> Array:
    """The gradient of the branch that each point falls in, by one complex step along each axis at once."""
    directions = 1j * IMAGINARY_STEP * np.eye(points.shape[-1])
    return np.imag(cost(points[..., None, :] + directions)) / IMAGINARY_STEP


def first_order(cost: Cost, theta: ArrayLike, noise: Array) -> Array:
    """Reparametrisation: the cost's own derivative at the disturbed parameters."""
    return derivative(cost, theta + noise)


def zeroth_order(cost: Cost, theta: ArrayLike, noise: Array, sigma: float, *, baseline: bool = True) -> Array:
    """REINFORCE: the cost at the disturbed parameters, less that without noise, times the score of the noise."""
    rewards = cost(theta + noise)
    if baseline:
        rewards = rewards - cost(theta + np.zeros_like(noise[..., :1, :]))
    return rewards[..., None] * noise / sigma**2

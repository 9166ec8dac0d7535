"""A Gaussian process over gaits: what return is to be expected, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from reproduction.plan import Array
from reproduction.space import Space

JITTER = 1e-8
PRIOR_LENGTH, PRIOR_NOISE = np.log(0.4), np.log(0.05)
"""Before anything is seen: log length scales in widths of the cube, and the log of noise over signal variance."""
SPREADS = (0.7, 1.5)
"""How far these logarithms may reasonably be off."""


@dataclass(frozen=True)
class Surrogate:
    """The posterior given returns; lengths are those of the kernel, centre and scale those of the returns."""

    space: Space
    units: Array
    lengths: Array
    factor: Array
    weights: Array
    centre: float
    scale: float

    def expected(self, units: Array) -> Array:
        """The expected return at points of the cube."""
        return self.centre + self._across(units) @ self.weights

    def imagined(self, units: Array, count: int, rng: np.random.Generator) -> Array:
        """So many functions drawn from the posterior, at points of the cube; (count, points)."""
        across = self._across(units)
        known = solve_triangular(self.factor, across.T, lower=True)
        left = _kernel(self.space, units, units, self.lengths) - known.T @ known
        root = cholesky(left + 1e-6 * np.eye(len(units)), lower=True)
        return self.expected(units) + self.scale * rng.standard_normal((count, len(units))) @ root.T

    def _across(self, units: Array) -> Array:
        return _kernel(self.space, units, self.units, self.lengths)


def fit(space: Space, units: Array, returns: Array) -> Surrogate:
    """The posterior with the length scales and the noise that are likeliest a posteriori."""
    centre = float(returns.mean())
    guess = np.append(np.full(space.dimension, PRIOR_LENGTH), PRIOR_NOISE)
    bounds = [(value - 2.5, value + 2.5) for value in guess]
    best = minimize(_surprise, guess, (space, units, returns - centre, guess), method="L-BFGS-B", bounds=bounds).x
    factor, weights, scale = _condition(best, space, units, returns - centre)
    return Surrogate(space, units, np.exp(best[:-1]), factor, weights, centre, scale)


def _kernel(space: Space, first: Array, second: Array, lengths: Array) -> Array:
    """Matern's of smoothness 5/2, with variance 1."""
    distance = np.sqrt(5.0) * cdist(space.embed(first, lengths), space.embed(second, lengths))
    return (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)


def _condition(logs: Array, space: Space, units: Array, returns: Array) -> tuple[Array, Array, float]:
    """The covariance's Cholesky factor, the weights of the returns, and the likeliest scale of the signal."""
    noise = np.exp(logs[-1]) + JITTER
    covariance = _kernel(space, units, units, np.exp(logs[:-1])) + noise * np.eye(len(units))
    factor = cholesky(covariance, lower=True)
    weights = cho_solve((factor, True), returns)
    return factor, weights, float(np.sqrt(returns @ weights / len(returns)))


def _surprise(logs: Array, space: Space, units: Array, returns: Array, guess: Array) -> float:
    """Minus the log of the posterior density, with the scale of the signal profiled out."""
    factor, _, scale = _condition(logs, space, units, returns)
    off = (logs - guess) / np.append(np.full(len(logs) - 1, SPREADS[0]), SPREADS[1])
    return float(len(returns) * np.log(scale + 1e-12) + np.log(np.diag(factor)).sum() + 0.5 * off @ off)

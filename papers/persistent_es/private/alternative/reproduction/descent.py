"""Outer optimisation: a rule turns a gradient into a change of theta."""

from collections.abc import Callable

import numpy as np

from reproduction.estimators import Estimator
from reproduction.problems import Array

Rule = Callable[[Array], Array]


def plain(learning_rate: float) -> Rule:
    return lambda gradient: -learning_rate * gradient


def adam(learning_rate: float, beta_1: float, beta_2: float, epsilon: float = 1e-8) -> Rule:
    mean = square = 0.0
    decay_1 = decay_2 = 1.0

    def change(gradient: Array) -> Array:
        nonlocal mean, square, decay_1, decay_2
        mean = beta_1 * mean + (1.0 - beta_1) * gradient
        square = beta_2 * square + (1.0 - beta_2) * gradient**2
        decay_1, decay_2 = decay_1 * beta_1, decay_2 * beta_2
        return -learning_rate * (mean / (1.0 - decay_1)) / (np.sqrt(square / (1.0 - decay_2)) + epsilon)

    return change


def descend(estimator: Estimator, rule: Rule, theta: Array, updates: int) -> Array:
    """Theta before the first update and after each one, one row each."""
    path = np.empty((updates + 1, theta.size))
    path[0] = theta
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(updates):
            path[k + 1] = path[k] + rule(estimator(path[k]))
    return path

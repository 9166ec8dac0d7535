"""How the outputs of Persistent Evolution Strategies are measured; shown to participants."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Outputs = Mapping[str, Any]
Instance = Mapping[str, Any]
Parameters = Mapping[str, Any]

EVALUATION_STEPS = 500
EARLY = 600
LAST_ESTIMATES = 30
LAST_CHECKPOINTS = 11


def _dynamics(instance: Instance) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The matrix A and the signs of the recurrence s' = A s + theta * signs."""
    signs = np.asarray(instance["signs"], dtype=np.float64)
    size = signs.size
    return np.diag(np.full(size, instance["decay"])) + np.diag(np.full(size - 1, instance["coupling"]), 1), signs


def _loss(theta: float, instance: Instance) -> float:
    """0.5 (s[0] - 1)^2 after 500 steps from the start state at a fixed theta; infinite where theta is not finite."""
    if not np.isfinite(theta):
        return float("inf")
    matrix, signs = _dynamics(instance)
    state = np.full(signs.size, float(instance["start"]))
    for _ in range(EVALUATION_STEPS):
        state = matrix @ state + theta * signs
    with np.errstate(over="ignore"):
        return float(0.5 * (state[0] - 1.0) ** 2)


def loss_at_final_theta(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The long-horizon loss at the last theta, evaluated by the harness; infinite if the run diverged."""
    return _loss(float(outputs["theta"][-1]), instance)


def log10_loss(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Its decimal logarithm, kept within [-30, 30]; a run that diverged counts as 30."""
    return float(np.log10(np.clip(loss_at_final_theta(outputs, instance, parameters), 1e-30, 1e30)))


def loss_over_start(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The long-horizon loss at the last theta divided by that at the theta the instance starts from."""
    return loss_at_final_theta(outputs, instance, parameters) / _loss(float(instance["theta"]), instance)


def final_theta(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The last theta, infinite if it is not finite."""
    theta = float(outputs["theta"][-1])
    return theta if np.isfinite(theta) else float("inf")


def distance_to_optimum(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Distance of the last theta from 1 / [(I - A)^-1 signs]_0, where the fixed point of s[0] is 1."""
    matrix, signs = _dynamics(instance)
    optimum = 1.0 / float(np.linalg.solve(np.eye(signs.size) - matrix, signs)[0])
    distance = abs(float(outputs["theta"][-1]) - optimum)
    return distance if np.isfinite(distance) else float("inf")


def largest_theta(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The largest absolute theta of the run, infinite if any is not finite."""
    largest = float(np.max(np.abs(outputs["theta"])))
    return largest if np.isfinite(largest) else float("inf")


def early_theta(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The mean of the first 600 thetas: how the run moves, not only where it ends."""
    mean = float(np.mean(outputs["theta"][:EARLY]))
    return mean if np.isfinite(mean) else float("inf")


def gradient(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The gradient as the submission computed it."""
    return float(outputs["gradient"][0])


def mean_estimate(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The mean of the last 30 gradient estimates of a run with theta fixed."""
    return float(np.mean(outputs["estimates"][-LAST_ESTIMATES:]))


def meta_objective(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Sum of losses over a whole episode, averaged over the last 11 of the 101 recorded thetas.

    The surface is ragged, so that a single theta says little; the harness runs the episodes itself, without noise.
    """
    first, last = np.exp(np.asarray(outputs["theta"])[-LAST_CHECKPOINTS:].T)
    horizon, target = instance["horizon"], instance["target"]
    x, y = (np.full(first.shape, float(value)) for value in instance["start"])
    total = np.zeros(first.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(horizon):
            rate = first * (1.0 - t / horizon) + last * (t / horizon)
            bump = np.exp(-5.0 * x**2)
            slope_x = x / np.sqrt(x**2 + 5.0) - 10.0 * x * np.sin(y) ** 2 * bump
            slope_y = np.sin(2.0 * y) * bump + 0.25 * np.sign(y - target)
            x, y = x - rate * slope_x, y - rate * slope_y
            wave = np.sin(y) ** 2 * np.exp(-5.0 * x**2)
            total += np.sqrt(x**2 + 5.0) - np.sqrt(5.0) + wave + 0.25 * np.abs(y - target)
    mean = float(total.mean())
    return mean if np.isfinite(mean) else float("inf")

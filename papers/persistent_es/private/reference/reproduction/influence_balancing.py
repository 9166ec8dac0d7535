"""Influence balancing: a linear recurrence whose parameter helps at first and hurts in the long run.

One scalar theta enters every coordinate of a linear recurrence, with a sign per coordinate. The state is never reset,
so the gradient of the last step's loss reaches back through every earlier step (paper, section 5 and its appendix).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def dynamics(instance: Mapping[str, Any]) -> tuple[Array, Array]:
    """The matrix A, shape (n, n), and the signs, shape (n,), of s' = A s + theta * signs."""
    signs = np.asarray(instance["signs"], dtype=np.float64)
    matrix = np.diag(np.full(signs.size, instance["decay"]))
    matrix += np.diag(np.full(signs.size - 1, instance["coupling"]), 1)
    return matrix, signs


def start_state(instance: Mapping[str, Any], particles: int) -> Array:
    """The state s_0 of every particle, shape (particles, n)."""
    return np.full((particles, len(instance["signs"])), float(instance["start"]))


def unroll(states: Array, thetas: Array, matrix: Array, signs: Array, *, steps: int) -> tuple[Array, Array]:
    """Advance particles by `steps`; the loss 0.5 (s[0] - 1)^2 counts at the last step only.

    Returns:
        Losses, shape (particles,), and the new states, shape (particles, n).
    """
    drive = thetas[:, None] * signs
    for _ in range(steps):
        states = states @ matrix.T + drive
    losses = 0.5 * (states[:, 0] - 1.0) ** 2
    return losses, states


def antithetic(normals: Array, sigma: float) -> Array:
    """Pairs of opposite perturbations, shape (2 pairs,): all positive ones first (section 4, variance reduction)."""
    return np.concatenate([sigma * normals, -sigma * normals])


def es_estimate(
    theta: float, state: Array, perturbations: Array, matrix: Array, signs: Array, *, sigma: float, steps: int
) -> tuple[float, Array]:
    """Truncated ES (equation 3): all perturbations start from one state, which then follows the mean theta.

    Returns:
        The gradient estimate and the new mean state, shape (n,).
    """
    shared = np.broadcast_to(state, (perturbations.size, state.size))
    losses, _ = unroll(shared, theta + perturbations, matrix, signs, steps=steps)
    gradient = losses @ perturbations / (perturbations.size * sigma**2)
    _, moved = unroll(state[None, :], np.array([theta]), matrix, signs, steps=steps)
    return float(gradient), moved[0]


def pes_estimate(
    theta: float,
    states: Array,
    accumulators: Array,
    perturbations: Array,
    matrix: Array,
    signs: Array,
    *,
    sigma: float,
    steps: int,
) -> tuple[float, Array, Array]:
    """PES (algorithm 2): each particle keeps its own state and the sum of every perturbation it has seen.

    Returns:
        The gradient estimate, the new states, shape (particles, n), and the new accumulators, shape (particles,).
    """
    losses, states = unroll(states, theta + perturbations, matrix, signs, steps=steps)
    accumulators = accumulators + perturbations
    gradient = losses @ accumulators / (perturbations.size * sigma**2)
    return float(gradient), states, accumulators


def estimates(
    instance: Mapping[str, Any], *, method: str, unroll_length: int, seed: int, rate: float
) -> tuple[Array, Array]:
    """Run ES or PES for `updates` unrolls, moving theta by `-rate` times each estimate.

    Returns:
        All thetas, shape (updates + 1,), and all gradient estimates, shape (updates,).
    """
    rng = np.random.default_rng(seed)
    matrix, signs = dynamics(instance)
    sigma, particles, updates = instance["sigma"], instance["particles"], instance["updates"]
    states, accumulators = start_state(instance, particles), np.zeros(particles)
    mean_state = start_state(instance, 1)[0]
    thetas, gradients = np.full(updates + 1, float(instance["theta"])), np.zeros(updates)
    for i in range(updates):
        perturbations = antithetic(rng.standard_normal(particles // 2), sigma)
        if method == "pes":
            gradients[i], states, accumulators = pes_estimate(
                thetas[i], states, accumulators, perturbations, matrix, signs, sigma=sigma, steps=unroll_length
            )
        else:
            gradients[i], mean_state = es_estimate(
                thetas[i], mean_state, perturbations, matrix, signs, sigma=sigma, steps=unroll_length
            )
        thetas[i + 1] = thetas[i] - rate * gradients[i]
    return thetas, gradients


def unrolled_jacobian(matrix: Array, signs: Array, steps: int) -> tuple[Array, Array]:
    """A^K and u_K = sum_{j<K} A^j signs: K steps of the recurrence are s' = A^K s + theta u_K, and ds'/dtheta = u_K."""
    power, jacobian = np.eye(signs.size), np.zeros(signs.size)
    for _ in range(steps):
        power, jacobian = matrix @ power, matrix @ jacobian + signs
    return power, jacobian


def train_tbptt(instance: Mapping[str, Any], *, unroll_length: int) -> Array:
    """Truncated backpropagation: each unroll's start state counts as a constant. All thetas, shape (updates + 1,)."""
    power, jacobian = unrolled_jacobian(*dynamics(instance), unroll_length)
    state = start_state(instance, 1)[0]
    thetas = np.full(instance["updates"] + 1, float(instance["theta"]))
    for i in range(instance["updates"]):
        state = power @ state + thetas[i] * jacobian
        gradient = (state[0] - 1.0) * jacobian[0]
        thetas[i + 1] = thetas[i] - instance["learning_rate"] * gradient
    return thetas


def train_rtrl(instance: Mapping[str, Any]) -> Array:
    """Real-time recurrent learning: ds/dtheta is carried from step to step. All thetas, shape (updates + 1,)."""
    matrix, signs = dynamics(instance)
    state, jacobian = start_state(instance, 1)[0], np.zeros(signs.size)
    thetas = np.full(instance["updates"] + 1, float(instance["theta"]))
    for i in range(instance["updates"]):
        state = matrix @ state + thetas[i] * signs
        jacobian = matrix @ jacobian + signs
        gradient = (state[0] - 1.0) * jacobian[0]
        thetas[i + 1] = thetas[i] - instance["learning_rate"] * gradient
    return thetas


def train(instance: Mapping[str, Any], *, method: str, unroll_length: int, seed: int) -> Array:
    """The experiment `influence_balancing`: all thetas, shape (updates + 1,); divergence may end in infinities."""
    with np.errstate(over="ignore", invalid="ignore"):
        if method == "rtrl":
            return train_rtrl(instance)
        if method == "tbptt":
            return train_tbptt(instance, unroll_length=unroll_length)
        rate = instance["learning_rate"]
        return estimates(instance, method=method, unroll_length=unroll_length, seed=seed, rate=rate)[0]


def exact_gradient(instance: Mapping[str, Any], *, unroll_length: int) -> float:
    """The experiment `exact_gradient`: settle at theta, then differentiate through the last `unroll_length` steps."""
    matrix, signs = dynamics(instance)
    theta = float(instance["theta"])
    _, settled = unroll(start_state(instance, 1), np.array([theta]), matrix, signs, steps=instance["settle"])
    power, jacobian = unrolled_jacobian(matrix, signs, unroll_length)
    state = power @ settled[0] + theta * jacobian
    return float((state[0] - 1.0) * jacobian[0])


def estimator_mean(instance: Mapping[str, Any], *, method: str, unroll_length: int, seed: int) -> Array:
    """The experiment `estimator_mean`: every gradient estimate at a theta that stays put, shape (updates,)."""
    return estimates(instance, method=method, unroll_length=unroll_length, seed=seed, rate=0.0)[1]


def one_update(instance: Mapping[str, Any], *, method: str) -> dict[str, Array]:
    """The experiment `influence_update`: one estimate from given states, accumulators and normals; theta stays put."""
    matrix, signs = dynamics(instance)
    theta, sigma, steps = float(instance["theta"]), instance["sigma"], instance["steps"]
    perturbations = antithetic(np.asarray(instance["normals"], dtype=np.float64), sigma)
    states = np.asarray(instance["states"], dtype=np.float64)
    accumulators = np.asarray(instance["accumulators"], dtype=np.float64)
    if method == "pes":
        gradient, states, accumulators = pes_estimate(
            theta, states, accumulators, perturbations, matrix, signs, sigma=sigma, steps=steps
        )
    else:
        gradient, mean_state = es_estimate(
            theta,
            np.asarray(instance["mean_state"], dtype=np.float64),
            perturbations,
            matrix,
            signs,
            sigma=sigma,
            steps=steps,
        )
        states, accumulators = mean_state[None, :], np.zeros(1)
    return {"gradient": np.array([gradient]), "states": states, "accumulators": accumulators}

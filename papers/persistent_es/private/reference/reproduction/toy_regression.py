"""Toy regression: meta-learn the two ends of a learning-rate schedule for gradient descent on a bumpy surface.

An episode is `horizon` steps of gradient descent from a fixed start; the meta-objective is the sum of the losses after
each step (paper, section 5 and its appendix). Short unrolls see only the bumps next to the start.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ADAM_EPSILON = 1e-8
CHECKPOINTS = 100


def surface(x: Array, y: Array, target: float) -> Array:
    """f(x, y) = sqrt(x^2 + 5) - sqrt(5) + sin(y)^2 exp(-5 x^2) + 0.25 |y - target|, in the shape of x."""
    square = x * x
    wave = np.sin(y) ** 2 * np.exp(-5.0 * square)
    loss: Array = np.sqrt(square + 5.0) - math.sqrt(5.0) + wave + 0.25 * np.abs(y - target)
    return loss


def descent(x: Array, y: Array, target: float) -> tuple[Array, Array]:
    """The two partial derivatives of the surface, each in the shape of x."""
    square = x * x
    bump = np.exp(-5.0 * square)
    wave = np.sin(y) ** 2 * bump
    return x * (1.0 / np.sqrt(square + 5.0) - 10.0 * wave), np.sin(y + y) * bump + np.copysign(0.25, y - target)


def unroll(points: Array, thetas: Array, *, clock: int, steps: int, horizon: int, target: float) -> tuple[Array, Array]:
    """Advance particles by `steps` of gradient descent, from step `clock` of the episode.

    Args:
        points: Shape (2, particles).
        thetas: Logarithms of the first and the last learning rate, shape (2, particles).
        clock: Steps of the episode already taken.
        steps: Steps to take.
        horizon: Steps in an episode; the rate at step t is exp(theta_0) (1 - t/horizon) + exp(theta_1) t/horizon.
        target: Where the surface is lowest in y.

    Returns:
        The sum of the losses after each step, shape (particles,), and the new points, shape (2, particles).
    """
    first, last = np.exp(thetas)
    share = np.arange(clock, clock + steps)[:, None] / horizon
    rates = (1.0 - share) * first + share * last
    path = np.empty((2, steps, points.shape[1]))
    x, y = points
    for k in range(steps):
        slope_x, slope_y = descent(x, y, target)
        x = np.subtract(x, rates[k] * slope_x, out=path[0, k])
        y = np.subtract(y, rates[k] * slope_y, out=path[1, k])
    losses = surface(path[0], path[1], target)
    return losses.sum(axis=0), path[:, -1].copy()


def start_points(instance: Mapping[str, Any], particles: int) -> Array:
    """The episode's start for every particle, shape (2, particles)."""
    return np.repeat(np.asarray(instance["start"], dtype=np.float64)[:, None], particles, axis=1)


def antithetic(normals: Array, sigma: float) -> Array:
    """Pairs of opposite perturbations, shape (2, 2 pairs): all positive ones first."""
    return np.concatenate([sigma * normals, -sigma * normals], axis=1)


def pes_estimate(
    instance: Mapping[str, Any],
    theta: Array,
    points: Array,
    accumulators: Array,
    perturbations: Array,
    *,
    clock: int,
    steps: int,
    sigma: float,
) -> tuple[Array, Array, Array, int]:
    """PES (algorithm 2) on episodes of `horizon` steps.

    Returns:
        The gradient estimate, shape (2,), the new points and accumulators, both (2, particles), and the new clock.
    """
    horizon, target = instance["horizon"], instance["target"]
    particles = perturbations.shape[1]
    losses, points = unroll(
        points, theta[:, None] + perturbations, clock=clock, steps=steps, horizon=horizon, target=target
    )
    accumulators = accumulators + perturbations
    gradient = accumulators @ losses / (particles * sigma**2)
    clock += steps
    if clock >= horizon:  # the episode ends: what was perturbed in it no longer matters
        clock = 0
        points = start_points(instance, particles)
        accumulators = np.zeros_like(accumulators)
    return gradient, points, accumulators, clock


def es_estimate(
    instance: Mapping[str, Any],
    theta: Array,
    point: Array,
    perturbations: Array,
    *,
    clock: int,
    steps: int,
    sigma: float,
) -> tuple[Array, Array, int]:
    """Truncated ES (equation 3): all perturbations start from one point, which then follows the mean theta.

    Returns:
        The gradient estimate, shape (2,), the new mean point, shape (2, 1), and the new clock.
    """
    horizon, target = instance["horizon"], instance["target"]
    particles = perturbations.shape[1]
    thetas = theta[:, None] + np.concatenate([perturbations, np.zeros((2, 1))], axis=1)  # the last one is the mean
    shared = np.repeat(point, particles + 1, axis=1)
    losses, points = unroll(shared, thetas, clock=clock, steps=steps, horizon=horizon, target=target)
    gradient = perturbations @ losses[:particles] / (particles * sigma**2)
    clock += steps
    if clock >= horizon:
        return gradient, start_points(instance, 1), 0
    return gradient, points[:, particles:], clock


def tbptt_gradient(
    instance: Mapping[str, Any], theta: Array, point: tuple[float, float], *, clock: int, steps: int
) -> tuple[Array, tuple[float, float], int]:
    """The derivative of one unroll's loss with its start as a constant, by forward differentiation.

    Returns:
        The gradient, shape (2,), the new point and the new clock.
    """
    horizon, target = instance["horizon"], instance["target"]
    ends = (math.exp(theta[0]), math.exp(theta[1]))
    x, y = point
    dx, dy, gradient = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
    for t in range(clock, clock + steps):
        share = (1.0 - t / horizon, t / horizon)
        rate = ends[0] * share[0] + ends[1] * share[1]
        slope_x, slope_y = slopes(x, y, target)
        xx, xy, yy = curvatures(x, y)
        for k in range(2):
            push = ends[k] * share[k]
            dx[k], dy[k] = (
                dx[k] - rate * (xx * dx[k] + xy * dy[k]) - push * slope_x,
                dy[k] - rate * (xy * dx[k] + yy * dy[k]) - push * slope_y,
            )
        x, y = x - rate * slope_x, y - rate * slope_y
        after_x, after_y = slopes(x, y, target)
        for k in range(2):
            gradient[k] += after_x * dx[k] + after_y * dy[k]
    clock += steps
    if clock >= horizon:
        x, y = instance["start"]
        clock = 0
    return np.array(gradient), (x, y), clock


def slopes(x: float, y: float, target: float) -> tuple[float, float]:
    """The first derivatives of the surface at one point."""
    bump = math.exp(-5.0 * x * x)
    sine = math.sin(y)
    slope_x = x / math.sqrt(x * x + 5.0) - 10.0 * x * sine * sine * bump
    return slope_x, math.sin(2.0 * y) * bump + math.copysign(0.25, y - target)


def curvatures(x: float, y: float) -> tuple[float, float, float]:
    """The second derivatives (xx, xy, yy) of the surface at one point."""
    bump = math.exp(-5.0 * x * x)
    sine = math.sin(y)
    xx = 5.0 / (x * x + 5.0) ** 1.5 - 10.0 * sine * sine * bump * (1.0 - 10.0 * x * x)
    return xx, -10.0 * x * math.sin(2.0 * y) * bump, 2.0 * math.cos(2.0 * y) * bump


def train(
    instance: Mapping[str, Any], *, method: str, unroll_length: int, sigma: float, updates: int, seed: int
) -> Array:
    """The experiment `toy_regression`: theta at 101 equally spaced moments of training, shape (101, 2)."""
    rng = np.random.default_rng(seed)
    particles, clock = instance["particles"], 0
    theta = np.asarray(instance["theta"], dtype=np.float64)
    first_moment, second_moment = np.zeros(2), np.zeros(2)
    points, accumulators = start_points(instance, particles), np.zeros((2, particles))
    mean_point, float_point = (
        start_points(instance, 1),
        (float(instance["start"][0]), float(instance["start"][1])),
    )
    kept = [theta]
    for i in range(1, updates + 1):
        if method == "tbptt":
            gradient, float_point, clock = tbptt_gradient(
                instance, theta, float_point, clock=clock, steps=unroll_length
            )
        else:
            perturbations = antithetic(rng.standard_normal((2, particles // 2)), sigma)
            if method == "pes":
                gradient, points, accumulators, clock = pes_estimate(
                    instance,
                    theta,
                    points,
                    accumulators,
                    perturbations,
                    clock=clock,
                    steps=unroll_length,
                    sigma=sigma,
                )
            else:
                gradient, mean_point, clock = es_estimate(
                    instance, theta, mean_point, perturbations, clock=clock, steps=unroll_length, sigma=sigma
                )
        first_moment = instance["beta_1"] * first_moment + (1.0 - instance["beta_1"]) * gradient
        second_moment = instance["beta_2"] * second_moment + (1.0 - instance["beta_2"]) * gradient**2
        direction = first_moment / (1.0 - instance["beta_1"] ** i)
        scale = np.sqrt(second_moment / (1.0 - instance["beta_2"] ** i)) + ADAM_EPSILON
        theta = theta - instance["learning_rate"] * direction / scale
        if i % (updates // CHECKPOINTS) == 0:
            kept.append(theta)
    return np.array(kept)


def consecutive_updates(instance: Mapping[str, Any]) -> dict[str, Array]:
    """The experiment `toy_update`: PES estimates in a row from given particles and normals."""
    theta = np.asarray(instance["theta"], dtype=np.float64)
    points = np.asarray(instance["points"], dtype=np.float64)
    accumulators = np.asarray(instance["accumulators"], dtype=np.float64)
    clock, gradients = instance["clock"], []
    for normals in np.asarray(instance["normals"], dtype=np.float64):
        gradient, points, accumulators, clock = pes_estimate(
            instance,
            theta,
            points,
            accumulators,
            antithetic(normals, instance["sigma"]),
            clock=clock,
            steps=instance["steps"],
            sigma=instance["sigma"],
        )
        gradients.append(gradient)
    return {"gradients": np.array(gradients), "points": points, "accumulators": accumulators}

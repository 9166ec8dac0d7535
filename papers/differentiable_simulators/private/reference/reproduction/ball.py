"""A ball thrown at a wall: the farther it gets, the better; a ball that hits the wall drops at its foot.

The launch angle theta is the only parameter; Gaussian noise is added to it (the paper's figures 1.B, 3 and 7).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reproduction.estimators import interpolate, zeroth_order

Array = NDArray[np.float64]


def throw(angles: Array, world: Mapping[str, Any]) -> tuple[Array, Array]:
    """Costs -x^2 of throws and their derivatives with respect to the angle, both in the shape of the angles.

    The derivative is that of the branch taken: none for a ball that drops at the foot of the wall.
    """
    reach = world["speed"] ** 2 / world["gravity"]
    landing = reach * np.sin(2.0 * angles)
    height = world["wall"] * np.tan(angles) - world["wall"] ** 2 / (2.0 * reach * np.cos(angles) ** 2)
    hits = (landing > world["wall"]) & (height <= world["height"])
    distance = np.where(hits, world["wall"], landing)
    slope = np.where(hits, 0.0, 2.0 * reach * np.cos(2.0 * angles))
    return -(distance**2), -2.0 * distance * slope


def first_estimates(world: Mapping[str, Any], theta: Array, noise: Array) -> Array:
    """Per-sample first-order estimates, shape (..., N, 1), at angles of shape (..., 1) with noise of shape (..., N)."""
    return throw(theta + noise, world)[1][..., None]


def zeroth_estimates(world: Mapping[str, Any], theta: Array, noise: Array, *, baseline: bool = True) -> Array:
    """Per-sample zeroth-order estimates, shape (..., N, 1); the baseline is the cost of the throw without noise."""
    costs = throw(theta + noise, world)[0]
    subtracted = throw(theta, world)[0] if baseline else 0.0
    return zeroth_order(costs, subtracted, noise[..., None], world["sigma"])


def batch_gradients(
    world: Mapping[str, Any], theta: Array, rng: np.random.Generator, *, method: str, samples: int
) -> Array:
    """One batched gradient for each angle, shape (trials,); interpolation draws fresh noise for each of its parts."""
    angles, sigma = theta[:, None], world["sigma"]
    noise = rng.normal(0.0, sigma, (theta.size, samples))
    if method == "fobg":
        return first_estimates(world, angles, noise).mean(axis=(1, 2))
    if method == "zobg":
        return zeroth_estimates(world, angles, noise).mean(axis=(1, 2))
    first = first_estimates(world, angles, noise)
    noise = rng.normal(0.0, sigma, (theta.size, samples))
    zeroth = zeroth_estimates(world, angles, noise)
    gamma = world["gamma"] if method == "aobg" else np.inf
    return interpolate(first, zeroth, gamma, world["delta"])[2][:, 0]


def descend(instance: Mapping[str, Any], *, method: str, seed: int) -> Array:
    """The experiment `ball_descent`: gradient descent by fixed steps, all angles, shape (trials, updates + 1)."""
    rng = np.random.default_rng(seed)
    theta = np.full((instance["trials"], instance["updates"] + 1), float(instance["theta"]))
    for i in range(instance["updates"]):
        gradients = batch_gradients(instance, theta[:, i], rng, method=method, samples=instance["samples"])
        theta[:, i + 1] = theta[:, i] - instance["step"] * gradients
    return theta


def estimates(instance: Mapping[str, Any], *, seed: int) -> dict[str, Array]:
    """The experiment `ball_estimates`: per-sample estimates at fixed angles, each array (angles, samples)."""
    rng = np.random.default_rng(seed)
    angles = np.array(instance["thetas"], dtype=np.float64)[:, None]
    noise = rng.normal(0.0, instance["sigma"], (angles.size, instance["samples"]))
    zeroth = zeroth_estimates(instance, angles, noise)
    plain = zeroth_estimates(instance, angles, noise, baseline=False)
    first = first_estimates(instance, angles, noise)
    return {"first": first[..., 0], "zeroth": zeroth[..., 0], "plain": plain[..., 0]}


def interpolation(instance: Mapping[str, Any], *, seed: int) -> dict[str, Array]:
    """The experiment `interpolation`: many batched gradients of all three kinds, each array (angles, batches)."""
    rng = np.random.default_rng(seed)
    angles = np.array(instance["thetas"], dtype=np.float64)[:, None, None]
    shape = (angles.size, instance["batches"], instance["samples"])
    first = first_estimates(instance, angles, rng.normal(0.0, instance["sigma"], shape))
    zeroth = zeroth_estimates(instance, angles, rng.normal(0.0, instance["sigma"], shape))
    combined = interpolate(first, zeroth, instance["gamma"], instance["delta"])[2]
    return {"first": first.mean(axis=(2, 3)), "zeroth": zeroth.mean(axis=(2, 3)), "combined": combined[..., 0]}


def one_batch(instance: Mapping[str, Any]) -> dict[str, Array]:
    """The experiment `one_batch` for the ball: costs and both kinds of per-sample estimates on given noise."""
    world, noise = instance["ball"], np.asarray(instance["ball_noise"], dtype=np.float64)
    angle = np.array([float(world["theta"])])
    return {
        "costs": throw(angle + noise, world)[0],
        "first": first_estimates(world, angle, noise),
        "zeroth": zeroth_estimates(world, angle, noise),
    }

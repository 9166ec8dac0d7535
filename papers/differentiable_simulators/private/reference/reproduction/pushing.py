"""Pushing a block with another one through a spring: as it gets stiffer, first-order gradients get worse.

A small system of the kind of the paper's example 3.8 and figure 5; every force of the open loop is a parameter.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reproduction.estimators import zeroth_order

Array = NDArray[np.float64]


def simulate(forces: Array, world: Mapping[str, Any], stiffness: float) -> tuple[Array, Array, Array]:
    """Semi-implicit Euler: first the velocities by the forces at the old positions, then the positions.

    Args:
        forces: On the pusher, shape (N, H).
        world: `mass` of either block, `damping`, `time_step`, `gap` between the blocks at the start.
        stiffness: Of the spring that acts while the pusher is past the block's face.

    Returns:
        Costs, shape (N,), positions of the block after each step, and whether the spring acted, both (H, N).
    """
    mass, damping, dt = world["mass"], world["damping"], world["time_step"]
    samples, horizon = forces.shape
    pusher, block = np.zeros(samples), np.full(samples, float(world["gap"]))
    pusher_speed, block_speed = np.zeros(samples), np.zeros(samples)
    positions, touching = np.zeros((horizon, samples)), np.zeros((horizon, samples), dtype=bool)
    for h in range(horizon):
        touching[h] = pusher > block
        spring = np.where(touching[h], stiffness * (pusher - block), 0.0)
        pusher_speed = pusher_speed + dt * (forces[:, h] - spring - damping * pusher_speed) / mass
        block_speed = block_speed + dt * (spring - damping * block_speed) / mass
        pusher, block = pusher + dt * pusher_speed, block + dt * block_speed
        positions[h] = block
    return dt * ((positions - world["goal"]) ** 2).sum(axis=0), positions, touching


def adjoint(positions: Array, touching: Array, world: Mapping[str, Any], stiffness: float) -> Array:
    """The derivative of the cost with respect to every force, by going backwards in time, shape (N, H)."""
    mass, damping, dt = world["mass"], world["damping"], world["time_step"]
    horizon, samples = positions.shape
    gradient = np.zeros((samples, horizon))
    pusher, block = np.zeros(samples), np.zeros(samples)
    pusher_speed, block_speed = np.zeros(samples), np.zeros(samples)
    for h in reversed(range(horizon)):
        block = block + 2.0 * dt * (positions[h] - world["goal"])
        pusher_speed, block_speed = pusher_speed + dt * pusher, block_speed + dt * block
        gradient[:, h] = dt * pusher_speed / mass
        push = np.where(touching[h], dt * stiffness / mass, 0.0) * (block_speed - pusher_speed)
        pusher, block = pusher + push, block - push
        keep = 1.0 - dt * damping / mass
        pusher_speed, block_speed = keep * pusher_speed, keep * block_speed
    return gradient


def both_estimates(
    world: Mapping[str, Any], noise: Array, *, sigma: float, stiffness: float
) -> tuple[Array, Array, Array]:
    """Costs (N,), first-order and zeroth-order per-sample estimates, both (N, H); every planned force is `force`."""
    planned = np.full((1, noise.shape[1]), float(world["force"]))
    costs, positions, touching = simulate(planned + noise, world, stiffness)
    baseline = simulate(planned, world, stiffness)[0]
    first = adjoint(positions, touching, world, stiffness)
    return costs, first, zeroth_order(costs, baseline, noise, sigma)


def estimates(instance: Mapping[str, Any], *, spring: str, seed: int) -> dict[str, Array]:
    """The experiment `pushing_estimates`: per-sample estimates of both orders, each array (samples, horizon)."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.0, instance["sigma"], (instance["samples"], instance["horizon"]))
    _, first, zeroth = both_estimates(instance, noise, sigma=instance["sigma"], stiffness=instance[spring])
    return {"first": first, "zeroth": zeroth}


def one_batch(instance: Mapping[str, Any]) -> dict[str, Array]:
    """The experiment `one_batch` for the pusher: costs and both kinds of per-sample estimates on given noise."""
    world, noise = instance["pushing"], np.asarray(instance["pushing_noise"], dtype=np.float64)
    costs, first, zeroth = both_estimates(world, noise, sigma=world["sigma"], stiffness=world["stiffness"])
    return {"costs": costs, "first": first, "zeroth": zeroth}

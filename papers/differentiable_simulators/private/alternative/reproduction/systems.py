"""The three systems as costs of a point in parameter space.

Every cost takes points of shape (..., d) and returns (...). Points may be complex: branches are chosen by real parts,
and within a branch the cost is analytic, which is all that complex-step differentiation asks for.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[Any]
Cost = Callable[[Points], NDArray[Any]]
Constants = Mapping[str, Any]


def ball(world: Constants) -> Cost:
    """Minus the squared distance of a throw; d = 1, the angle."""
    wall, reach = world["wall"], world["speed"] ** 2 / world["gravity"]

    def height_at_wall(angle: NDArray[np.float64]) -> NDArray[np.float64]:
        return wall * np.tan(angle) - wall**2 / (2.0 * reach * np.cos(angle) ** 2)

    def cost(points: Points) -> NDArray[Any]:
        angle = points[..., 0]
        landing = reach * np.sin(2.0 * angle)
        dropped = (landing.real > wall) & (height_at_wall(angle.real) <= world["height"])
        return -np.square(np.where(dropped, wall, landing))

    return cost


def hard_step() -> Cost:
    """1 from 0 on, else 0; d = 1."""

    def cost(points: Points) -> NDArray[Any]:
        return np.where(points[..., 0].real >= 0.0, 1.0, 0.0)

    return cost


def ramp(width: float) -> Cost:
    """The hard step with its jump spread evenly over `width`; d = 1."""

    def cost(points: Points) -> NDArray[Any]:
        t = points[..., 0]
        inside = np.abs(t.real) <= width / 2.0
        return np.where(inside, t / width + 0.5, np.where(t.real > 0.0, 1.0, 0.0))

    return cost


def pushing(world: Constants, stiffness: float) -> Cost:
    """Squared distance of the pushed block from its goal, integrated over time; d forces, one for each step."""
    mass, damping, dt = world["mass"], world["damping"], world["time_step"]
    gap, goal = world["gap"], world["goal"]

    def cost(points: Points) -> NDArray[Any]:
        pusher = np.zeros_like(points[..., 0])
        block = np.full_like(pusher, gap)
        pusher_speed, block_speed = np.zeros_like(pusher), np.zeros_like(pusher)
        total = np.zeros_like(pusher)
        for force in np.moveaxis(points, -1, 0):
            overlap = pusher - block
            spring = np.where(overlap.real > 0.0, stiffness * overlap, 0.0)
            pusher_speed = pusher_speed + dt * (force - spring - damping * pusher_speed) / mass
            block_speed = block_speed + dt * (spring - damping * block_speed) / mass
            pusher = pusher + dt * pusher_speed
            block = block + dt * block_speed
            total = total + np.square(block - goal)
        return dt * total

    return cost

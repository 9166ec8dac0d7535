"""The two inner problems. Both advance a batch of states (one per row) under a batch of thetas (one per row)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
COMPLEX_STEP = 1e-30


class Problem(Protocol):
    """An unrolled computation; `horizon` is the length of an episode, infinite where there are none."""

    horizon: float

    def unroll(self, states: Array, thetas: Array, clock: int, steps: int) -> tuple[Array, Array]:
        """Run `steps` steps from step `clock` of the episode; returns the new states and each row's loss."""
        ...


@dataclass(frozen=True, eq=False)
class Chain:
    """Influence balancing: s' = A s + theta signs, with loss 0.5 (s[0] - 1)^2 at an unroll's last step."""

    step: Array  # [[A, signs], [0, 1]], which acts on (s, theta)
    horizon: float = np.inf

    @classmethod
    def of(cls, instance: Mapping[str, Any]) -> "Chain":
        size = len(instance["signs"])
        step = np.zeros((size + 1, size + 1))
        step[:size, :size] = instance["decay"] * np.eye(size) + instance["coupling"] * np.eye(size, k=1)
        step[:size, size] = instance["signs"]
        step[size, size] = 1.0
        return cls(step)

    @lru_cache  # noqa: B019
    def transition(self, steps: int) -> tuple[Array, Array]:
        """M and d such that `steps` steps are s -> M s + theta d."""
        power = np.linalg.matrix_power(self.step, steps)
        return power[:-1, :-1], power[:-1, -1]

    def unroll(self, states: Array, thetas: Array, clock: int, steps: int) -> tuple[Array, Array]:
        matrix, drift = self.transition(steps)
        states = states @ matrix.T + thetas * drift
        return states, 0.5 * (states[:, 0] - 1.0) ** 2


@dataclass(frozen=True)
class Toy:
    """Toy regression: gradient descent on f with an interpolated rate; the loss is the sum of f after each step."""

    target: float
    horizon: int

    @classmethod
    def of(cls, instance: Mapping[str, Any]) -> "Toy":
        return cls(instance["target"], instance["horizon"])

    def value(self, x: Array, y: Array) -> Array:
        distance = (y - self.target) * self._side(y)
        return np.sqrt(x**2 + 5.0) - np.sqrt(5.0) + np.sin(y) ** 2 * np.exp(-5.0 * x**2) + 0.25 * distance

    def slope(self, x: Array, y: Array) -> tuple[Array, Array]:
        sine, bump = np.sin(y), np.exp(-5.0 * x**2)
        along_x = x / np.sqrt(x**2 + 5.0) - 10.0 * x * sine**2 * bump
        along_y = 2.0 * sine * np.cos(y) * bump + 0.25 * self._side(y)
        return along_x, along_y

    def unroll(self, states: Array, thetas: Array, clock: int, steps: int) -> tuple[Array, Array]:
        x, y = states.T
        first, last = np.exp(thetas).T
        losses: Array = np.zeros_like(first)
        for progress in np.arange(clock, clock + steps) / self.horizon:
            rate = first + (last - first) * progress
            along_x, along_y = self.slope(x, y)
            x, y = x - rate * along_x, y - rate * along_y
            losses = losses + self.value(x, y)
        return np.stack([x, y], axis=1), losses

    def derivative(self, state: Array, theta: Array, clock: int, steps: int) -> tuple[Array, Array]:
        """The new state and the loss's exact derivative, by a complex step along each entry of theta."""
        thetas = theta + 1j * COMPLEX_STEP * np.eye(theta.size)
        states, losses = self.unroll(np.tile(state, (theta.size, 1)), thetas, clock, steps)
        return states[0].real, losses.imag / COMPLEX_STEP

    def _side(self, y: Array) -> Array:
        return np.sign(y.real - self.target)

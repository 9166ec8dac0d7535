"""Where gaits are searched: a unit cube with one axis for every number that is free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reproduction.plan import Array

AMPLITUDES = (0.3, 1.5)
FREQUENCIES = (0.3, 1.5)


@dataclass(frozen=True)
class Space:
    """The cube's axes are amplitude, phase if it is free, and one frequency or two; the phase's ends meet."""

    shifted: bool
    separate: bool

    @property
    def dimension(self) -> int:
        """How many numbers are free."""
        return 2 + self.shifted + self.separate

    def gaits(self, units: Array) -> Array:
        """Rows of (amplitude, phase, swing, stance) from points of the cube."""
        low, high = AMPLITUDES
        slow, fast = FREQUENCIES
        amplitude = low + (high - low) * units[:, 0]
        phase = units[:, 1] if self.shifted else np.zeros(len(units))
        frequencies = np.clip(slow * (fast / slow) ** units[:, 1 + self.shifted :], slow, fast)
        return np.column_stack([amplitude, phase, frequencies[:, 0], frequencies[:, -1]])

    def scattered(self, count: int, rng: np.random.Generator) -> Array:
        """A Latin hypercube: every axis is covered evenly."""
        cells = rng.permuted(np.tile(np.arange(count), (self.dimension, 1)), axis=1).T
        return (cells + rng.random(cells.shape)) / count

    def near(self, units: Array, width: float, rng: np.random.Generator) -> Array:
        """Points of the cube about others."""
        moved = units + width * rng.standard_normal(units.shape)
        inside = np.clip(moved, 0.0, 1.0)
        if self.shifted:
            inside[:, 1] = moved[:, 1] % 1.0
        return inside

    def embed(self, units: Array, lengths: Array) -> Array:
        """Points in which Euclidean distance is likeness; each axis has its length scale, the phase is a circle."""
        if not self.shifted:
            return units / lengths
        turn = 2 * np.pi * units[:, 1:2]
        circle = np.hstack([np.cos(turn), np.sin(turn)]) / (2 * np.pi * lengths[1])
        return np.hstack([np.delete(units, 1, axis=1) / np.delete(lengths, 1), circle])

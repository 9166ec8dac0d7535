"""What the joints shall do, and how hard the motors pull towards it.

The oscillators sense nothing, so where the joints should be is known for the whole episode before it begins: a gait
is unrolled into a plan, an array over steps, and the controller follows it row by row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

PERIOD = 0.04
"""Seconds between two commands."""


@dataclass(frozen=True)
class Gait:
    """Constants of the oscillators, one a joint in the last axis; leading axes hold gaits side by side."""

    amplitudes: Array
    offsets: Array
    phases: Array
    swing: Array
    stance: Array

    @classmethod
    def from_lists(cls, values: Mapping[str, Any]) -> Gait:
        """One gait with any number of joints."""
        names = ("amplitudes", "offsets", "phases", "swing", "stance")
        return cls(*(np.asarray(values[name], dtype=float) for name in names))

    @classmethod
    def of_swimmer(cls, numbers: ArrayLike) -> Gait:
        """Gaits of two joints from rows of (amplitude, second phase, swing, stance)."""
        amplitude, phase, swing, stance = np.moveaxis(np.asarray(numbers, dtype=float)[..., None], -2, 0)
        none, both = np.zeros_like(phase), np.ones(2)
        return cls(amplitude * both, none * both, np.concatenate([none, phase], axis=-1), swing, stance)


@dataclass(frozen=True)
class Plan:
    """A gait unrolled: phases after every step and desired positions of every step, steps in the first axis."""

    theta: Array
    desired: Array


def unroll(gait: Gait, steps: int) -> Plan:
    """The plan of a gait; a joint's phase runs at the swing frequency where its sine is positive, else at stance."""
    shift = 2 * np.pi * gait.phases
    swing, stance = (PERIOD * 2 * np.pi * frequency for frequency in (gait.swing, gait.stance))
    theta = np.zeros((steps + 1, *shift.shape))
    wave = np.empty((steps, *shift.shape))
    for step in range(steps):
        wave[step] = np.sin(theta[step] + shift)
        theta[step + 1] = theta[step] + np.where(wave[step] > 0.0, swing, stance)
    return Plan(theta=theta[1:], desired=gait.amplitudes * wave + gait.offsets)


def pull(desired: Array, positions: Array, velocities: Array, gains: Mapping[str, float]) -> Array:
    """Torques of the proportional-derivative controller, clipped to what the motors take."""
    return np.clip(gains["kp"] * (desired - positions) - gains["kd"] * velocities, -1.0, 1.0)

"""The open-loop policy: one phase oscillator a joint, followed by a proportional-derivative controller."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reproduction.swimmer import CONTROL_PERIOD, FIRST_JOINT

Floats = NDArray[np.float64]
TURN = 2.0 * math.pi


class Oscillators:
    """Desired positions a sin(theta + phi) + b; theta moves at one rate where the sine is positive, else at another.

    Attributes:
        theta: The phase of each oscillator, in radians, without its shift phi.
        desired: The desired positions that the last torques followed.
    """

    def __init__(self, gait: Mapping[str, Any], gains: Mapping[str, float]) -> None:
        self.theta = [0.0] * len(gait["phases"])
        self.desired = list(self.theta)
        self._shape = [
            (float(amplitude), float(offset), TURN * float(phase))
            for amplitude, offset, phase in zip(gait["amplitudes"], gait["offsets"], gait["phases"], strict=True)
        ]
        self._swing, self._stance = TURN * gait["swing"], TURN * gait["stance"]
        self._kp, self._kd = gains["kp"], gains["kd"]

    def torques(self, positions: Sequence[float], velocities: Sequence[float]) -> list[float]:
        """What the controller asks of each motor, within [-1, 1]; then the oscillators move on by one period."""
        found = []
        for joint, (amplitude, offset, shift) in enumerate(self._shape):
            wave = math.sin(self.theta[joint] + shift)
            self.desired[joint] = amplitude * wave + offset
            torque = self._kp * (self.desired[joint] - positions[joint]) - self._kd * velocities[joint]
            found.append(-1.0 if torque < -1.0 else 1.0 if torque > 1.0 else torque)
            self.theta[joint] += CONTROL_PERIOD * (self._swing if wave > 0.0 else self._stance)
        return found

    def act(self, positions: list[float], velocities: list[float]) -> list[float]:
        """The same, from all coordinates of the swimmer: the motor joints are the last ones."""
        return self.torques(positions[FIRST_JOINT:], velocities[FIRST_JOINT:])


def both_joints(amplitude: float, phase: float, swing: float, stance: float) -> dict[str, Any]:
    """A gait of the swimmer: one amplitude, no offsets, the second joint shifted against the first."""
    return {
        "amplitudes": [amplitude] * 2,
        "offsets": [0.0, 0.0],
        "phases": [0.0, phase],
        "swing": swing,
        "stance": stance,
    }


def oscillators(instance: Mapping[str, Any]) -> dict[str, Floats]:
    """The experiment `oscillators`: phases, desired positions and torques of any number of joints, step by step."""
    policy = Oscillators(instance["gait"], instance["gains"])
    theta, desired, torques = [], [], []
    for positions, velocities in zip(instance["positions"], instance["velocities"], strict=True):
        torques.append(policy.torques(positions, velocities))
        theta.append(list(policy.theta))
        desired.append(list(policy.desired))
    return {"theta": np.array(theta), "desired": np.array(desired), "torques": np.array(torques)}

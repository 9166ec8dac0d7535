"""Given gaits on known Swimmers: the controls, the faults of sensors, the pushes, and a single voyage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reproduction.fleet import ANGLES, SPEEDS, Steering, Voyage, schedule, swim
from reproduction.plan import Array, Gait, pull, unroll

PUBLISHED = (1.0, 0.95, 0.62, 0.62)

Sensors = Callable[[Array], Array]
"""From true observations to what is sensed."""


def gaits(instance: Mapping[str, Any], *, frequency: float, phase: float, seed: int) -> dict[str, Array]:
    """Experiment `gaits`; nothing is random in it."""
    gait = Gait.of_swimmer((1.0, phase, frequency, frequency))
    return _by_start(_swim(instance, gait, instance["starts"]))


def robustness(instance: Mapping[str, Any], *, feedback: str, disturbance: str, seed: int) -> dict[str, Array]:
    """Experiment `robustness`."""
    sensed = _sensors(disturbance, instance["sigma"], np.random.default_rng(seed))
    read = {"observations": sensed, "joints": _true}[feedback]
    pushes = instance["pushes"] if disturbance == "pushes" else ()
    return _by_start(_swim(instance, Gait.of_swimmer(PUBLISHED), instance["starts"], read, pushes))


def rollout(instance: Mapping[str, Any], *, seed: int) -> dict[str, Array]:
    """Experiment `rollout`; nothing is random in it."""
    voyage = _swim(instance, Gait.from_lists(instance["gait"]), [instance["start"]])
    return {"observations": voyage.observations[:, 0], "rewards": voyage.rewards[:, 0]}


def _true(observations: Array) -> Array:
    return observations


def _sensors(disturbance: str, sigma: float, rng: np.random.Generator) -> Sensors:
    faulty: dict[str, Sensors] = {
        "noise": lambda observations: observations + sigma * rng.standard_normal(observations.shape),
        "zeros": np.zeros_like,
    }
    return faulty.get(disturbance, _true)


def _swim(instance: Mapping[str, Any], gait: Gait, starts: Any, read: Sensors = _true, pushes: Any = ()) -> Voyage:
    steps = instance["steps"]
    steer = _follow(unroll(gait, steps).desired, instance["gains"], read)
    return swim(instance["dynamics"], starts, steer, schedule(pushes, steps))


def _follow(desired: Array, gains: Mapping[str, float], read: Sensors) -> Steering:
    def steer(step: int, observations: Array) -> Array:
        seen = read(observations)
        return pull(desired[step], seen[:, ANGLES], seen[:, SPEEDS], gains)

    return steer


def _by_start(voyage: Voyage) -> dict[str, Array]:
    return {"torques": voyage.torques.swapaxes(0, 1)}

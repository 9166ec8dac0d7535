"""Given gaits on the swimmer: the published one and its controls, faults and pushes, and a short rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reproduction.oscillators import Oscillators, both_joints
from reproduction.swimmer import FIRST_JOINT, Act, build, episode, rewards

Floats = NDArray[np.float64]


def gaits(instance: Mapping[str, Any], *, frequency: float, phase: float) -> Floats:
    """The experiment `gaits`: the torques of one episode from every start, shape (starts, steps, 2)."""
    model = build(instance["dynamics"])
    gait = both_joints(1.0, phase, frequency, frequency)
    return np.stack([
        episode(model, start, Oscillators(gait, instance["gains"]).act, steps=instance["steps"])[0]
        for start in np.asarray(instance["starts"])
    ])  # fmt: skip


def robustness(instance: Mapping[str, Any], *, feedback: str, disturbance: str, seed: int) -> Floats:
    """The experiment `robustness`: the published gait under a fault of the sensors or under pushes."""
    model, rng = build(instance["dynamics"]), np.random.default_rng(seed)
    pushes = instance["pushes"] if disturbance == "pushes" else ()
    episodes = []
    for start in np.asarray(instance["starts"]):
        act = Oscillators(both_joints(1.0, 0.95, 0.62, 0.62), instance["gains"]).act
        if feedback == "observations":
            act = blurred(act, disturbance, instance["sigma"], rng)
        episodes.append(episode(model, start, act, steps=instance["steps"], pushes=pushes)[0])
    return np.stack(episodes)


def blurred(act: Act, disturbance: str, sigma: float, rng: np.random.Generator) -> Act:
    """The same controller, reading the joints from faulty observations."""

    def faulty(values: list[float]) -> list[float]:
        if disturbance == "zeros":
            return [0.0] * len(values)
        if disturbance == "noise":
            return [value + sigma * float(rng.standard_normal()) for value in values]
        return values

    return lambda positions, velocities: act(faulty(positions), faulty(velocities))


def rollout(instance: Mapping[str, Any]) -> dict[str, Floats]:
    """The experiment `rollout`: observations after every step, and rewards, of any gait on any dynamics."""
    model = build(instance["dynamics"])
    act = Oscillators(instance["gait"], instance["gains"]).act
    torques, states = episode(model, np.asarray(instance["start"]), act, steps=instance["steps"])
    found = rewards(torques, states, instance["dynamics"]["direction"])
    return {"observations": states[:, FIRST_JOINT - 1 :], "rewards": found}

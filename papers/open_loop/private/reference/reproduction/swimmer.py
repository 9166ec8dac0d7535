"""The Swimmer of Gymnasium, with its dynamics changed as an instance says, and one episode of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Act = Callable[[list[float], list[float]], list[float]]
"""From the positions of all five coordinates and their velocities to the torques of both motors."""

FRAME_SKIP = 4
CONTROL_PERIOD = 0.04
CONTROL_COST = 1e-4
FIRST_JOINT = 3
"""Coordinates: x, y, heading, then the two motor joints."""


def build(dynamics: Mapping[str, Any]) -> mujoco.MjModel:
    """Gymnasium's swimmer.xml with other motors, water, links and joints."""
    package = importlib.util.find_spec("gymnasium")
    assert package is not None
    assert package.origin is not None
    model = mujoco.MjModel.from_xml_path(str(Path(package.origin).parent / "envs/mujoco/assets/swimmer.xml"))
    model.actuator_gear[:, 0] = dynamics["gear"]
    model.opt.density, model.opt.viscosity = dynamics["density"], dynamics["viscosity"]
    model.dof_damping[FIRST_JOINT:] = dynamics["damping"]
    for link, scale in enumerate(dynamics["masses"], start=1):
        model.body_mass[link] *= scale
        model.body_inertia[link] *= scale
    if dynamics["mirrored"]:
        model.jnt_axis[FIRST_JOINT - 1 + dynamics["mirrored"]] *= -1.0
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def episode(
    model: mujoco.MjModel,
    start: Sequence[float] | Floats,
    act: Act,
    *,
    steps: int,
    pushes: Sequence[Mapping[str, Any]] = (),
) -> tuple[Floats, Floats]:
    """Act for `steps` periods of control.

    Returns:
        Torques, shape (steps, 2), and states (positions, then velocities), shape (steps + 1, 10).
    """
    data = mujoco.MjData(model)
    positions, velocities, control = data.qpos, data.qvel, data.ctrl  # views, which mj_step keeps up to date
    positions[:], velocities[:] = start[:5], start[5:]
    mujoco.mj_forward(model, data)
    torques, states = [], [[*positions.tolist(), *velocities.tolist()]]
    for step in range(steps):
        torques.append(act(states[-1][:5], states[-1][5:]))
        control[:] = torques[-1]
        data.xfrc_applied[:] = 0.0
        for push in pushes:
            if push["from"] <= step < push["until"]:
                data.xfrc_applied[push["link"] + 1, 1] = push["force"]
        mujoco.mj_step(model, data, FRAME_SKIP)
        states.append([*positions.tolist(), *velocities.tolist()])
    return np.array(torques), np.array(states)


def rewards(torques: Floats, states: Floats, direction: float) -> Floats:
    """Speed of the first coordinate in the wanted direction, less the cost of control; shape (steps,)."""
    speed = np.diff(states[:, 0]) / CONTROL_PERIOD
    return direction * speed - CONTROL_COST * np.square(torques).sum(axis=1)

"""A fleet of Swimmers on the same dynamics, which swim side by side, each from a start of its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from reproduction.plan import PERIOD, Array

SUBSTEPS = 4
CONTROL_COST = 1e-4
LINKS = 3
SENSED = slice(2, 10)
"""Of a state, which is positions and velocities, an observation is all but x and y."""
ANGLES, SPEEDS = slice(1, 3), slice(6, 8)
"""Where the two joints stand in an observation."""

Steering = Callable[[int, Array], Array]
"""The torques, (swimmers, 2), from the step and the observations, (swimmers, 8)."""


@dataclass(frozen=True)
class Voyage:
    """What happened: observations before and after every step, torques and rewards; steps first, then swimmers."""

    observations: Array
    torques: Array
    rewards: Array


def build(dynamics: Mapping[str, Any]) -> mujoco.MjModel:
    """Gymnasium's Swimmer with other constants."""
    package = Path(importlib.util.find_spec("gymnasium").origin).parent
    model = mujoco.MjModel.from_xml_path(str(package / "envs" / "mujoco" / "assets" / "swimmer.xml"))
    scale = np.asarray(dynamics["masses"], dtype=float)
    model.actuator_gear[:, 0] = dynamics["gear"]
    model.opt.density = dynamics["density"]
    model.opt.viscosity = dynamics["viscosity"]
    model.dof_damping[3:] = dynamics["damping"]
    model.body_mass[1:] *= scale
    model.body_inertia[1:] *= scale[:, None]
    if dynamics["mirrored"]:
        model.jnt_axis[2 + dynamics["mirrored"]] *= -1
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def schedule(pushes: Sequence[Mapping[str, Any]], steps: int) -> Array:
    """The force along y on every link at every step, (steps, links)."""
    forces = np.zeros((steps, LINKS))
    for push in pushes:
        forces[push["from"] : push["until"], push["link"]] = push["force"]
    return forces


def swim(dynamics: Mapping[str, Any], starts: Any, steer: Steering, forces: Array) -> Voyage:
    """Let a Swimmer go from every start, as many steps as there are rows of forces."""
    model = build(dynamics)
    bodies = [_launch(model, np.asarray(start, dtype=float)) for start in starts]
    states, torques = [_states(bodies)], []
    for step, force in enumerate(forces):
        torques.append(steer(step, states[-1][:, SENSED]))
        for body, torque in zip(bodies, torques[-1], strict=True):
            body.ctrl[:] = torque
            body.xfrc_applied[1:, 1] = force
            mujoco.mj_step(model, body, SUBSTEPS)
        states.append(_states(bodies))
    path, played = np.array(states), np.array(torques)
    speed = dynamics["direction"] * np.diff(path[..., 0], axis=0) / PERIOD
    return Voyage(path[..., SENSED], played, speed - CONTROL_COST * np.square(played).sum(axis=-1))


def _launch(model: mujoco.MjModel, start: Array) -> mujoco.MjData:
    body = mujoco.MjData(model)
    body.qpos[:], body.qvel[:] = np.split(start, 2)
    mujoco.mj_forward(model, body)
    return body


def _states(bodies: Sequence[mujoco.MjData]) -> Array:
    return np.array([np.concatenate([body.qpos, body.qvel]) for body in bodies])

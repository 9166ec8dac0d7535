"""Held-out instances: other water, motors, links and mountings of the Swimmer, and fresh inputs for single checks.

Every draw on which an answer could hang on luck is rejected by simulating known gaits: with the published gait the
Swimmer must swim forward from every start and backward with its phases swapped (near equal phases it may go either
way), pushes must cost something, and on the variants for searching the published gait must be of little use. Nor may
rounding decide: some Swimmers, after a thousand steps, are a hundredth of a return away if they begin 1e-12 elsewhere.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

PERIOD = 0.04
PUBLISHED = {"amplitudes": [1.0, 1.0], "offsets": [0.0, 0.0], "phases": [0.0, 0.95], "swing": 0.62, "stance": 0.62}
STRANGE = ((0, -1), (1, 1), (2, 1), (1, -1), (2, -1))
"""Mounting (which joint turns the other way round, 0 for none) and direction of the variants for searching."""
SLOW = PUBLISHED | {"swing": 0.31, "stance": 0.31}
NUDGE, CALM = 1e-12, 1e-3
"""Starts moved by the first may move a mean return by this share at most: rounding must not decide a leaf."""
MOST_DRAWS = 200


def draw(experiment: str, rng: np.random.Generator) -> dict[str, Any]:
    """One instance that is decisive; arrays are `numpy.ndarray`, all else is JSON.

    Raises:
        ValueError: The experiment has no held-out instances, or no draw was accepted.
    """
    makers = {
        "gaits": (_gaits, _swims),
        "robustness": (_robustness, _is_pushed_aside),
        "search": (_search, _is_strange),
        "oscillators": (_oscillators, _switches_clearly),
        "rollout": (_rollout, _switches_clearly),
    }
    if experiment not in makers:
        raise ValueError(f"no held-out instances for {experiment!r}, only for {', '.join(makers)}")
    make, decisive = makers[experiment]
    for _ in range(MOST_DRAWS):
        instance = make(rng)
        if decisive(instance):
            return instance
    raise ValueError(f"none of {MOST_DRAWS} draws for {experiment!r} was accepted")


def _dynamics(rng: np.random.Generator, *, mirrored: int = 0, direction: int = 1) -> dict[str, Any]:
    """A Swimmer that still swims well, each of its constants clearly apart from Gymnasium's."""
    return {
        "gear": _apart(rng, (90.0, 130.0), (170.0, 220.0)),
        "density": _apart(rng, (2500.0, 3500.0), (4500.0, 6000.0)),
        "viscosity": round(float(rng.uniform(0.3, 2.0)), 2),
        "damping": round(float(rng.uniform(1.0, 5.0)), 2),
        "masses": [_apart(rng, (0.7, 0.9), (1.15, 1.6)) for _ in range(3)],
        "mirrored": mirrored,
        "direction": direction,
    }


def _apart(rng: np.random.Generator, below: tuple[float, float], above: tuple[float, float]) -> float:
    """A number on either side of the usual one, never close to it."""
    return round(float(rng.uniform(*(below if rng.random() < 0.5 else above))), 2)


def _gains(rng: np.random.Generator) -> dict[str, float]:
    return {"kp": round(float(rng.uniform(8.0, 12.0)), 2), "kd": round(float(rng.uniform(0.3, 0.8)), 3)}


def _starts(rng: np.random.Generator, count: int) -> Any:
    return rng.uniform(-0.1, 0.1, (count, 10))


def _gaits(rng: np.random.Generator) -> dict[str, Any]:
    return {"dynamics": _dynamics(rng), "gains": _gains(rng), "starts": _starts(rng, 3), "steps": 1000}


def _swims(instance: dict[str, Any]) -> bool:
    """With the published gait forward from every start, with its phases swapped backward, whatever is rounded."""
    forward = _returns(instance, PUBLISHED, steps=300)
    backward = _returns(instance, PUBLISHED | {"phases": [0.0, 0.05]}, steps=300)
    return min(forward) > 40.0 and max(backward) < -40.0 and all(_is_calm(instance, gait) for gait in (PUBLISHED, SLOW))


def _is_calm(instance: dict[str, Any], gait: Mapping[str, Any], pushes: Sequence[Mapping[str, Any]] = ()) -> bool:
    moved = instance | {"starts": instance["starts"] + NUDGE}
    here, there = (np.mean(_returns(one, gait, steps=one["steps"], pushes=pushes)) for one in (instance, moved))
    return bool(abs(there - here) < CALM * abs(here))


def _robustness(rng: np.random.Generator) -> dict[str, Any]:
    turn = float(rng.choice([-1.0, 1.0]))
    firsts = [int(rng.integers(40, 80)) + 140 * number for number in range(3)]
    pushes = [
        {"link": link, "from": first, "until": first + 15, "force": round(side * float(rng.uniform(500.0, 700.0)), 1)}
        for link, first, side in zip((0, 2, 0), firsts, (turn, -turn, turn), strict=True)
    ]
    return _gaits(rng) | {"steps": 500, "sigma": round(float(rng.uniform(0.45, 0.6)), 3), "pushes": pushes}


def _is_pushed_aside(instance: dict[str, Any]) -> bool:
    """Pushes take 12 to 60 per cent of the published gait's return, and being blind to them changes it, too."""
    if not _swims(instance):
        return False
    calm = np.mean(_returns(instance, PUBLISHED, steps=500))
    pushed = np.mean(_returns(instance, PUBLISHED, steps=500, pushes=instance["pushes"]))
    blind = np.mean(_returns(instance, PUBLISHED, steps=500, pushes=instance["pushes"], blind=True))
    costly = 0.4 * calm < pushed < 0.88 * calm and abs(blind - pushed) > 0.06 * pushed
    return bool(costly) and _is_calm(instance, PUBLISHED, instance["pushes"])


def _search(rng: np.random.Generator) -> dict[str, Any]:
    mirrored, direction = STRANGE[int(rng.integers(len(STRANGE)))]
    dynamics = _dynamics(rng, mirrored=mirrored, direction=direction)
    return {"served": {"dynamics": dynamics}, "gains": _gains(rng), "steps": 200, "episodes": 96}


def _is_strange(instance: dict[str, Any]) -> bool:
    """A gait that fits swims well from every start; the published one earns less than 40 per cent of its return.

    What fits follows by symmetry: swimming backward turns the phase shift round, a mirrored joint adds half a turn.
    """
    dynamics = instance["served"]["dynamics"]
    instance = instance | {"dynamics": dynamics, "starts": np.random.default_rng(0).uniform(-0.1, 0.1, (3, 10))}
    turned = [dynamics["direction"] * shift + 0.5 * (dynamics["mirrored"] > 0) for shift in (-0.15, -0.08)]
    fitting = [
        _returns(instance, PUBLISHED | {"phases": [0.0, phase], "swing": rate, "stance": rate}, steps=200)
        for phase in turned
        for rate in (0.45, 0.65, 0.85)
    ]
    best = max(min(returns) for returns in fitting)
    return best > 36.0 and max(_returns(instance, PUBLISHED, steps=200)) < 0.4 * best


def _gait(rng: np.random.Generator, joints: int) -> dict[str, Any]:
    """Any gait: other amplitudes, offsets and phases for each joint, swing and stance apart."""
    swing, stance = rng.permutation([rng.uniform(0.4, 0.7), rng.uniform(1.0, 1.6)])
    return {
        "amplitudes": [round(float(value), 3) for value in rng.uniform(0.5, 1.3, joints)],
        "offsets": [round(float(value), 3) for value in rng.uniform(0.1, 0.4, joints)],
        "phases": [round(float(value), 3) for value in rng.uniform(0.05, 0.95, joints)],
        "swing": round(float(swing), 3),
        "stance": round(float(stance), 3),
    }


def _oscillators(rng: np.random.Generator) -> dict[str, Any]:
    joints, steps = int(rng.integers(3, 7)), 120
    return {
        "gait": _gait(rng, joints),
        "gains": {"kp": round(float(rng.uniform(0.8, 1.5)), 3), "kd": round(float(rng.uniform(0.2, 0.5)), 3)},
        "positions": rng.normal(0.0, 0.5, (steps, joints)),
        "velocities": rng.normal(0.0, 1.0, (steps, joints)),
    }


def _switches_clearly(instance: dict[str, Any]) -> bool:
    """No sine comes so close to zero that rounding could choose between swing and stance."""
    steps = instance["steps"] if "steps" in instance else len(instance["positions"])
    return _closest_switch(instance["gait"], steps) > 1e-4


def _closest_switch(gait: Mapping[str, Any], steps: int) -> float:
    shift, closest = 2 * np.pi * np.array(gait["phases"]), np.inf
    theta = np.zeros(len(shift))
    for _ in range(steps):
        wave = np.sin(theta + shift)
        closest = min(closest, float(np.abs(wave).min()))
        theta += PERIOD * 2 * np.pi * np.where(wave > 0, gait["swing"], gait["stance"])
    return closest


def _rollout(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "dynamics": _dynamics(rng, mirrored=int(rng.integers(1, 3)), direction=-1),
        "gains": _gains(rng),
        "gait": _gait(rng, 2),
        "start": rng.uniform(-0.1, 0.1, 10),
        "steps": 60,
    }


def _returns(
    instance: Mapping[str, Any],
    gait: Mapping[str, Any],
    *,
    steps: int,
    pushes: Sequence[Mapping[str, Any]] = (),
    blind: bool = False,
) -> list[float]:
    """The return of a gait from every start of an instance."""
    model = _model(instance["dynamics"])
    return [_return(model, instance, gait, start, steps, pushes, blind) for start in instance["starts"]]


def _model(dynamics: Mapping[str, Any]) -> mujoco.MjModel:
    package = importlib.util.find_spec("gymnasium")
    assert package is not None
    assert package.origin is not None
    model = mujoco.MjModel.from_xml_path(str(Path(package.origin).parent / "envs/mujoco/assets/swimmer.xml"))
    model.actuator_gear[:, 0], model.dof_damping[3:] = dynamics["gear"], dynamics["damping"]
    model.opt.density, model.opt.viscosity = dynamics["density"], dynamics["viscosity"]
    model.body_mass[1:] *= dynamics["masses"]
    model.body_inertia[1:] *= np.array(dynamics["masses"])[:, None]
    if dynamics["mirrored"]:
        model.jnt_axis[2 + dynamics["mirrored"]] *= -1.0
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def _return(
    model: mujoco.MjModel,
    instance: Mapping[str, Any],
    gait: Mapping[str, Any],
    start: Any,
    steps: int,
    pushes: Sequence[Mapping[str, Any]],
    blind: bool,
) -> float:
    """The return of one episode; swing and stance frequencies are equal here, so the phase is a matter of time.

    A blind controller follows a twin that nobody pushes.
    """
    data, gains = mujoco.MjData(model), instance["gains"]
    twin = mujoco.MjData(model) if blind else data
    for body in (data, twin):
        body.qpos[:], body.qvel[:] = start[:5], start[5:]
    first, cost = float(data.qpos[0]), 0.0
    for step in range(steps):
        for joint in (0, 1):
            wave = math.sin(2 * math.pi * (gait["swing"] * PERIOD * step + gait["phases"][joint]))
            error = gait["amplitudes"][joint] * wave - twin.qpos[3 + joint]
            torque = min(1.0, max(-1.0, gains["kp"] * error - gains["kd"] * twin.qvel[3 + joint]))
            data.ctrl[joint] = twin.ctrl[joint] = torque
            cost += 1e-4 * torque**2
        data.xfrc_applied[:] = 0.0
        for push in pushes:
            if push["from"] <= step < push["until"]:
                data.xfrc_applied[push["link"] + 1, 1] = push["force"]
        mujoco.mj_step(model, data, 4)
        if blind:
            mujoco.mj_step(model, twin, 4)
    return instance["dynamics"]["direction"] * (float(data.qpos[0]) - first) / PERIOD - cost

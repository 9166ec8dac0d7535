"""How the outputs of the open-loop baseline are measured; shown to participants.

Every return is the harness's own: it steps MuJoCo with the torques or the gait that was handed in, or reads its own log
of the episodes of a search.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Outputs = Mapping[str, Any]
Instance = Mapping[str, Any]
Parameters = Mapping[str, Any]
Metered = Mapping[str, Any]

FRAME_SKIP = 4
PERIOD = 0.04
CONTROL_COST = 1e-4
LARGEST_TORQUE = 1e3
LONG = 1000
PUBLISHED = (1.0, 0.95, 0.62, 0.62)
"""The published gait of the swimmer: amplitude, phase of the second joint, swing and stance frequency."""
LOWEST, HIGHEST = (0.3, 0.0, 0.3, 0.3), (1.5, 1.0, 1.5, 1.5)
"""The box in which the search takes place."""
EVALUATION_STARTS = np.random.default_rng(20240810).uniform(-0.1, 0.1, (6, 10))
CHECKED = 6
"""So many episodes of a search's history are run again."""

_MODELS: dict[str, Any] = {}
_RETURNS: dict[tuple[Any, ...], Any] = {}


def mean_return(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The mean over starts of the return of the torques handed in; raises where their shape or size is absurd."""
    torques, starts = outputs["torques"], np.asarray(instance["starts"], dtype=float)
    expected = (len(starts), instance["steps"], 2)
    if torques.shape != expected:
        raise ValueError(f"expected torques of shape {expected}, got {torques.shape}")
    if np.abs(torques).max() > LARGEST_TORQUE:
        raise ValueError(f"expected torques within [-1, 1], got one beyond {LARGEST_TORQUE:g}")
    pushes = instance["pushes"] if parameters.get("disturbance") == "pushes" else []
    found = [_replay(instance["dynamics"], *episode, pushes) for episode in zip(starts, torques, strict=True)]
    return float(np.mean(found))


def search_return(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The return of the chosen gait in episodes as long as those of the search; mean over EVALUATION_STARTS."""
    _history(outputs, instance)
    return _evaluate(outputs["chosen"], instance, steps=instance["steps"])


def long_return(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The return of the chosen gait in episodes of 1000 steps; mean over EVALUATION_STARTS."""
    _history(outputs, instance)
    return _evaluate(outputs["chosen"], instance, steps=LONG)


def gain_over_published(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """`search_return` less what the published gait earns on the same dynamics from the same starts."""
    published = _evaluate(PUBLISHED, instance, steps=instance["steps"])
    return search_return(outputs, instance, parameters) - published


def history_error(outputs: Outputs, instance: Instance, parameters: Parameters, metered: Metered) -> float:
    """Largest difference between the returns handed in and those that the harness metered, episode by episode.

    Each episode that stands on one side alone counts 1. Six of the others, the first and the last among them, are run
    again from their seeds with the gaits that are said to have been tried, and have to give the metered return, too.
    """
    tried, returns = _history(outputs, instance)
    _expect_whole_episodes(metered, instance)
    own, both = metered["return"], min(len(metered["return"]), len(returns))
    rows = np.linspace(0, both - 1, min(both, CHECKED)).astype(int)
    again = [_gait_return(instance, tried[row], _start(metered["seed"][row]), instance["steps"]) for row in rows]
    alone = abs(len(own) - len(returns))
    return float(max([alone, *np.abs(own[:both] - returns[:both]), *np.abs(own[rows] - again)]))


def free_parameters(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """How many parameters were searched: the dimension of the space that the tried gaits span."""
    tried, _ = _history(outputs, instance)
    return float(np.linalg.matrix_rank(tried - tried.mean(axis=0), tol=1e-6))


def _history(outputs: Outputs, instance: Instance) -> tuple[Any, Any]:
    """What was tried and with what return; raises where it cannot be the history of this search."""
    tried, returns = outputs["tried"], outputs["returns"]
    if not 1 <= len(tried) == len(returns) <= instance["episodes"]:
        most = instance["episodes"]
        raise ValueError(f"expected 1 to {most} gaits and a return for each, got {len(tried)} and {len(returns)}")
    for gait in (*tried, outputs["chosen"]):
        if np.any(gait < np.array(LOWEST) - 1e-9) or np.any(gait > np.array(HIGHEST) + 1e-9):
            raise ValueError(f"expected gaits between {LOWEST} and {HIGHEST}, got {gait}")
    return tried, returns


def _expect_whole_episodes(metered: Metered, instance: Instance) -> None:
    for length, seed in zip(metered["length"], metered["seed"], strict=True):
        if length != instance["steps"]:
            raise ValueError(f"expected episodes of {instance['steps']} steps, the harness metered one of {length}")
        if seed < 0:
            raise ValueError("expected every episode to begin with reset(seed=...), one began without a seed")


def _start(seed: int) -> Any:
    """Where the environment begins an episode with a seed, as Gymnasium's Swimmer-v5 does."""
    return np.random.default_rng(int(seed)).uniform(-0.1, 0.1, 10)


def _evaluate(gait: Any, instance: Instance, *, steps: int) -> float:
    return float(np.mean([_gait_return(instance, gait, start, steps) for start in EVALUATION_STARTS]))


def _gait_return(instance: Instance, gait: Any, start: Any, steps: int) -> float:
    """The return of a gait's first steps; metrics ask for the same gait again, also for fewer steps, so it is kept."""
    dynamics, gains = instance.get("served", instance)["dynamics"], instance["gains"]
    key = (_named(dynamics), _named(gains), *map(float, gait), *map(float, start))
    if len(_RETURNS.get(key, ())) < steps:
        if len(_RETURNS) > 10_000:
            _RETURNS.clear()
        _RETURNS[key] = _swim(dynamics, start, _Oscillators(gait, gains), steps)
    return float(_RETURNS[key][steps - 1])


class _Oscillators:
    """The policy of the brief for the swimmer: both amplitudes equal, no offsets, the first joint's phase zero.

    Torques are rounded to float32, as the environment takes them: some Swimmers make of a rounding a tenth of a return.
    """

    def __init__(self, gait: Any, gains: Mapping[str, float]) -> None:
        self._amplitude, phase, swing, stance = map(float, gait)
        self._shifts = (0.0, 2 * math.pi * phase)
        self._rates = (2 * math.pi * stance, 2 * math.pi * swing)
        self._gains = gains["kp"], gains["kd"]
        self._theta = [0.0, 0.0]

    def __call__(self, step: int, positions: list[float], velocities: list[float]) -> list[float]:
        (kp, kd), torques = self._gains, []
        for joint in (0, 1):
            wave = math.sin(self._theta[joint] + self._shifts[joint])
            torque = kp * (self._amplitude * wave - positions[3 + joint]) - kd * velocities[3 + joint]
            torques.append(float(np.float32(min(1.0, max(-1.0, torque)))))
            self._theta[joint] += PERIOD * self._rates[wave > 0.0]
        return torques


def _replay(dynamics: Mapping[str, Any], start: Any, torques: Any, pushes: Any) -> float:
    played = torques.tolist()
    return _swim(dynamics, start, lambda step, positions, velocities: played[step], len(played), pushes)[-1]


def _swim(dynamics: Mapping[str, Any], start: Any, policy: Any, steps: int, pushes: Any = ()) -> Any:
    """The return after each step: speed of x in the wanted direction less the cost of control, summed so far."""
    import mujoco

    model = _model(dynamics)
    data = mujoco.MjData(model)
    positions, velocities, control = data.qpos, data.qvel, data.ctrl
    positions[:], velocities[:] = start[:5], start[5:]
    mujoco.mj_forward(model, data)
    first, cost, returns = float(positions[0]), 0.0, []
    for step in range(steps):
        torques = policy(step, positions.tolist(), velocities.tolist())
        control[:] = torques
        cost += CONTROL_COST * (torques[0] ** 2 + torques[1] ** 2)
        data.xfrc_applied[:] = 0.0
        for push in pushes:
            if push["from"] <= step < push["until"]:
                data.xfrc_applied[push["link"] + 1, 1] = push["force"]
        mujoco.mj_step(model, data, FRAME_SKIP)
        returns.append(dynamics["direction"] * (float(positions[0]) - first) / PERIOD - cost)
    if not math.isfinite(returns[-1]):
        raise ValueError("the simulation diverged")
    return np.array(returns)


def _named(values: Mapping[str, Any]) -> str:
    """A text that is the same for the same constants, to keep models and returns by."""
    return repr(sorted(values.items()))


def _model(dynamics: Mapping[str, Any]) -> Any:
    """Gymnasium's swimmer.xml with the dynamics of an instance; the recipe of the brief."""
    import importlib.util
    from pathlib import Path

    import mujoco

    key = _named(dynamics)
    if key not in _MODELS:
        if len(_MODELS) > 100:
            _MODELS.clear()
        package = importlib.util.find_spec("gymnasium")
        if package is None or package.origin is None:
            raise RuntimeError("Gymnasium is not installed beside Reproof")
        model = mujoco.MjModel.from_xml_path(str(Path(package.origin).parent / "envs/mujoco/assets/swimmer.xml"))
        model.actuator_gear[:, 0] = dynamics["gear"]
        model.opt.density, model.opt.viscosity = dynamics["density"], dynamics["viscosity"]
        model.dof_damping[3:] = dynamics["damping"]
        for link, scale in enumerate(dynamics["masses"], start=1):
            model.body_mass[link] *= scale
            model.body_inertia[link] *= scale
        if dynamics["mirrored"]:
            model.jnt_axis[2 + dynamics["mirrored"]] *= -1.0
        mujoco.mj_setConst(model, mujoco.MjData(model))
        _MODELS[key] = model
    return _MODELS[key]

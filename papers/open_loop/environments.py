"""The Swimmer that `search` steps: the harness owns it in the clean room, and elsewhere it is made in process, here."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco.swimmer_v5 import SwimmerEnv
from gymnasium.vector import SyncVectorEnv

ID, EPISODE = "reproof/Swimmer-v0", 200
"""Its name, and the actions that an episode lasts."""


class Swimmer(SwimmerEnv):
    """Gymnasium's `Swimmer-v5` on other dynamics: its spaces, its starts for the same seeds, and no infos on a step."""

    def __init__(
        self,
        dynamics: Mapping[str, Any] | None = None,
        *,
        phase: str = "training",
        render_mode: str | None = None,
    ) -> None:
        """Build it.

        Args:
            dynamics: As the brief lists them; None: those of `Swimmer-v5`.
            phase: The gateway knows "training" alone here.
            render_mode: As for `Swimmer-v5`; the gateway renders nothing.
        """
        if phase != "training":
            raise ValueError(f"phase: expected 'training', got {phase!r}")
        super().__init__(render_mode=render_mode)
        self._direction = 1 if dynamics is None else dynamics["direction"]
        if dynamics is not None:
            change(self.model, dynamics)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act for one period of control; the action is float32, as the space says."""
        data = self.data
        before = data.qpos[0]
        data.ctrl[:] = np.asarray(action, dtype=np.float32)
        mujoco.mj_step(self.model, data, self.frame_skip)
        speed = (data.qpos[0] - before) / self.dt
        reward = float(self._direction * speed - self.control_cost(data.ctrl))
        if self.render_mode == "human":
            self.render()
        return self._get_obs(), reward, False, False, {}


def change(model: mujoco.MjModel, dynamics: Mapping[str, Any]) -> None:
    """Give a compiled model other motors, water, links and joints, as the brief says."""
    model.actuator_gear[:, 0] = dynamics["gear"]
    model.opt.density, model.opt.viscosity = dynamics["density"], dynamics["viscosity"]
    model.dof_damping[3:] = dynamics["damping"]
    for link, scale in enumerate(dynamics["masses"], start=1):
        model.body_mass[link] *= scale
        model.body_inertia[link] *= scale
    if dynamics["mirrored"]:
        model.jnt_axis[2 + dynamics["mirrored"]] *= -1.0
    mujoco.mj_setConst(model, mujoco.MjData(model))


def several(num_envs: int = 1, *, autoreset_mode: str = "NextStep", **keywords: Any) -> SyncVectorEnv:
    """What `gymnasium.make_vec` makes in process."""
    return SyncVectorEnv([functools.partial(gymnasium.make, ID, **keywords)] * num_envs, autoreset_mode=autoreset_mode)


if ID not in gymnasium.registry:  # in the clean room the harness has registered its own
    gymnasium.register(ID, entry_point=Swimmer, vector_entry_point=several, max_episode_steps=EPISODE)

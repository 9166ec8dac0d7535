"""The oscillators and the controller alone, on joint states that are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reproduction.plan import Array, Gait, pull, unroll


def oscillators(instance: Mapping[str, Any], *, seed: int) -> dict[str, Array]:
    """Experiment `oscillators`; nothing is random in it."""
    positions, velocities = (np.asarray(instance[name], dtype=float) for name in ("positions", "velocities"))
    plan = unroll(Gait.from_lists(instance["gait"]), len(positions))
    torques = pull(plan.desired, positions, velocities, instance["gains"])
    return {"theta": plan.theta, "desired": plan.desired, "torques": torques}

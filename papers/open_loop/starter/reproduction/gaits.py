"""Given gaits on the Swimmer: to be written. The brief defines the model, the policy and every output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def gaits(instance: Mapping[str, Any], *, frequency: float, phase: float) -> NDArray[np.float64]:
    """Experiment `gaits`.

    Args:
        instance: `dynamics`, `gains`, `starts`, `steps`, as the brief lists them.
        frequency: Of both oscillators in swing and stance, in Hz.
        phase: Of the second joint, in cycles.

    Returns:
        The torques of one episode from every start, shape (starts, steps, 2).
    """
    raise NotImplementedError("gaits is yours to write; BRIEF.md defines it")


def robustness(instance: Mapping[str, Any], *, feedback: str, disturbance: str, seed: int) -> NDArray[np.float64]:
    """Experiment `robustness`.

    Args:
        instance: As for `gaits`, and `sigma` and `pushes`.
        feedback: "joints" or "observations": what the proportional-derivative controller reads.
        disturbance: "none", "noise", "zeros" or "pushes".
        seed: Seeds the noise.

    Returns:
        The torques of one episode from every start, shape (starts, steps, 2).
    """
    raise NotImplementedError("robustness is yours to write; BRIEF.md defines it")


def rollout(instance: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Experiment `rollout`: any gait on any dynamics from a given start.

    Returns:
        `observations`, shape (steps + 1, 8), before the first and after every step; `rewards`, shape (steps,).
    """
    raise NotImplementedError("rollout is yours to write; BRIEF.md defines it")

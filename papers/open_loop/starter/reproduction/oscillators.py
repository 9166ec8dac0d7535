"""The oscillators: to be written. The brief defines them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def oscillators(instance: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Experiment `oscillators`: step by step, with any number of joints, whose states the instance gives.

    Returns:
        `theta` after every step, `desired` and `torques` of every step, each of shape (steps, joints).
    """
    raise NotImplementedError("oscillators is yours to write; BRIEF.md defines it")

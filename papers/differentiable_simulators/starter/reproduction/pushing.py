"""Pushing a block with a spring: to be written. The brief defines the system and every output."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def estimates(instance: Mapping[str, Any], *, spring: str, seed: int) -> dict[str, NDArray[np.float64]]:
    """Experiment `pushing_estimates`: `first` and `zeroth`, each of shape (samples, horizon).

    Args:
        instance: The constants, as the brief lists them.
        spring: "soft" or "stiff", the key of the instance that holds the stiffness.
        seed: Seeds everything that is random.
    """
    raise NotImplementedError


def one_batch(instance: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Experiment `one_batch`, system `pushing`: `costs` (N,), `first` and `zeroth`, both (N, H), on given noise."""
    raise NotImplementedError

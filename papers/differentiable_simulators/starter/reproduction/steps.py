"""Steps, hard and relaxed: to be written. The brief defines them and every output."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def estimates(instance: Mapping[str, Any], *, kind: str, seed: int) -> dict[str, NDArray[np.float64]]:
    """Experiment `step_estimates`: `first` and `zeroth`, each of shape (batches, samples).

    Args:
        instance: The constants, as the brief lists them.
        kind: "hard" or "ramp".
        seed: Seeds everything that is random.
    """
    raise NotImplementedError


def one_batch(instance: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Experiment `one_batch`, system `step`: `costs` (N,), `first` (N, 1) and `zeroth` (N, 1) on given noise."""
    raise NotImplementedError


def closed_forms(instance: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Experiment `closed_forms`: `ramp` (4,), `hard` (1,), `rare` (3,) and `lemma`, one number for each of `biases`."""
    raise NotImplementedError

"""The interpolation of both orders: to be written. The brief defines it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def alpha(instance: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Experiment `alpha`: `alpha` (M,), `epsilon` (M,) and `combined` (M, d) for M batches of given estimates."""
    raise NotImplementedError

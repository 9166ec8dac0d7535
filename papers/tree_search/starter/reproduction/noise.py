"""Experiment `noise`: how near to the optimum each version stays when leaf values are noisy."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def noise(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Iterate on five grids with noisy leaf values, for every (h, m) pair of the instance.

    Args:
        instance: `rewards` (5, 100), `size`, `discount`, `pairs` [[h, m], ...], `amplitude` of the noise,
            `iterations`, `burn_in`, `record_every`.
        parameters: `version`: "contracting" or "naive".
        seed: Of the random initial values and of the noise.

    Returns:
        `values` (P, 20, 5, 100) float64: for each pair the recorded value functions, in the order of iterations.
    """
    raise NotImplementedError("noise is yours to write; BRIEF.md defines it")

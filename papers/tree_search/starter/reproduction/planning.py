"""Experiment `planning`: how many iterations each version needs."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def planning(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Plan on five grids with one version and every (h, m) pair of the instance.

    Args:
        instance: `rewards` (5, 100): reward of leaving each cell, row by row; `size` (cells a side), `discount`,
            `pairs` [[h, m], ...], `accuracy`, `record_every`, `most_iterations`.
        parameters: `version`: "contracting" or "naive".
        seed: Of the random initial values.

    Returns:
        `values` (R, 5, 100) float64: recorded value functions, pair after pair, in the order of `pairs`.
        `rows` (P,) int64: how many rows of `values` belong to each pair; they sum to R.
        `queries` (P,) int64: simulator queries on one grid, over all iterations that were run for the pair.
    """
    raise NotImplementedError("planning is yours to write; BRIEF.md defines it")

"""Experiment `options`: a few updates of HRM's options and controller from given values."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def options(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Learn from given steps of one episode in which the choices are given too; nothing is random here.

    Args:
        instance: `machines`, `task`, `discount`, `learning_rate`, `options` (edges, cells, 4), `controller` (a row:
            cells by options of that row), and `steps` [[choice or null, cell, action, cell after, events], ...].
        parameters: Empty.
        seed: Not used.

    Returns:
        `edges` (edges, 3) int64: machine, state, state; `options` (edges, cells, 4) float64; `controller` (N,)
        float64, all rows flattened one after the other.
    """
    raise NotImplementedError("options is yours to write; BRIEF.md defines it")

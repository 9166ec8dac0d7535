"""Experiment `update`: a few updates of Q-learning, CRM and their shaped versions from given values."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def update(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Learn from given steps of one episode; nothing is random here.

    Args:
        instance: `machines`, `task` (number of the machine that pays), `values` (rows, cells, 4), `discount`,
            `learning_rate`, and `steps` [[cell, action, cell after, events], ...].
        parameters: `learner`: "ql", "ql_rs", "crm" or "crm_rs".
        seed: Not used.

    Returns:
        `values` (rows, cells, 4) float64, after the last step.
    """
    raise NotImplementedError("update is yours to write; BRIEF.md defines it")

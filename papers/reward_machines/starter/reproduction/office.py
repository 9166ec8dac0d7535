"""Experiments `multi` and `single`: learning in the office world."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def learn(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Learn for `steps` steps in `gymnasium.make("reproof/Office-v0")`, then walk each task greedily once.

    Args:
        instance: `machines`, `steps`, `window`, `discount`, `learning_rate`, `epsilon`, `initial_value`.
        parameters: `learner`: "ql", "ql_rs", "crm", "crm_rs" or "hrm".
        seed: Of everything random.

    Returns:
        `returns` float64 and `lengths` int64, of every training episode that came to its end, in order.
    """
    raise NotImplementedError("learn is yours to write; BRIEF.md defines it")

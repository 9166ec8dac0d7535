"""Experiments `machine` and `experiences`: reward machines by themselves, and what they might have seen."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def machine(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Let a machine take given steps, and find its shaping potentials; nothing is random here.

    Args:
        instance: `machine` (`states`, `transitions`), `events` (a list of names a step), `discount`.
        parameters: Empty.
        seed: Not used.

    Returns:
        `states` (steps,) int64 and `rewards` (steps,) float64, after and of each step; `potentials` (states,) float64.
    """
    raise NotImplementedError("machine is yours to write; BRIEF.md defines it")


def experiences(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """List the counterfactual experiences of given steps; nothing is random here.

    Args:
        instance: `machines`, `steps` [[cell, action, cell after, events], ...] of one episode, `discount`.
        parameters: Empty.
        seed: Not used.

    Returns:
        `experiences` (N, 7) float64: step, machine, state, reward, shaped reward, next state, done.
    """
    raise NotImplementedError("experiences is yours to write; BRIEF.md defines it")

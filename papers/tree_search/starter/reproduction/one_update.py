"""Experiment `one_update`: a single iteration of both versions on a small Markov decision process."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def one_update(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Do one iteration of each version, without and with noise; nothing is random here.

    Args:
        instance: `transitions` (A, S, S), `rewards` (A, S), `discount`, `depth` h, `steps` m, `values` (S,),
            `noise` (S,); each array a nested list or a numpy array.
        parameters: Empty.
        seed: Not used.

    Returns:
        `lookahead` (S,) float64, `greedy` (S,) int64, and (S,) float64 each: `contracting`, `naive`,
        `noisy_contracting`, `noisy_naive`.
    """
    raise NotImplementedError("one_update is yours to write; BRIEF.md defines it")

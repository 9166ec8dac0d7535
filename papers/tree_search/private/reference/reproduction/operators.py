"""Bellman operators, the h-greedy policy, and one iteration of both versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Model = Callable[[Floats], Floats]
"""From values (..., S) to action values (..., A, S): r + gamma E[v(next)]."""


def tabular(transitions: Any, rewards: Any, *, discount: float) -> Model:
    """A Markov decision process given by transitions (A, S, S) and rewards (A, S)."""
    chances, gains = np.asarray(transitions, dtype=np.float64), np.asarray(rewards, dtype=np.float64)
    return lambda values: gains + discount * (chances @ values)


def neighbours(size: int) -> Ints:
    """Successors (A, S) on a grid: stay, up, down, left, right; a wall keeps the agent where it is."""
    rows, columns = np.divmod(np.arange(size * size), size)
    moves = np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])
    ahead: Ints = np.clip(rows + moves[:, :1], 0, size - 1) * size + np.clip(columns + moves[:, 1:], 0, size - 1)
    return ahead


def grids(rewards: Floats, size: int, *, discount: float) -> Model:
    """Several grids (G, S) at once; the reward belongs to the cell that is left, whatever the action."""
    successors = neighbours(size)
    gains = np.repeat(rewards[:, None, :], len(successors), axis=1)
    return lambda values: gains + discount * np.take(values, successors, axis=1)


def lookahead(model: Model, values: Floats, *, depth: int) -> Floats:
    """T^(h-1) v: what a tree of depth h knows about the states one step below its root."""
    for _ in range(depth - 1):
        values = model(values).max(axis=-2)
    return values


def greedy(model: Model, values: Floats) -> Ints:
    """The greedy policy (..., S); greedy with respect to T^(h-1) v is h-greedy with respect to v."""
    best: Ints = model(values).argmax(axis=-2)
    return best


def evaluate(model: Model, values: Floats, *, policy: Ints, steps: int) -> Floats:
    """(T^pi)^m v: the m-step return of a policy."""
    for _ in range(steps):
        values = np.take_along_axis(model(values), policy[..., None, :], axis=-2)[..., 0, :]
    return values


def update(
    model: Model, values: Floats, *, version: str, depth: int, steps: int, noise: Floats | float = 0.0
) -> Floats:
    """One iteration: (T^pi)^m T^(h-1) v if contracting, (T^pi)^m v if naive, with pi h-greedy.

    Args:
        model: Of the decision process.
        values: v, (..., S).
        version: "contracting" or "naive".
        depth: h.
        steps: m.
        noise: Added to the leaves, which both the tree and the return then see.
    """
    leaves = values + noise
    tree = lookahead(model, leaves, depth=depth)
    policy = greedy(model, tree)
    start = tree if version == "contracting" else leaves
    return evaluate(model, start, policy=policy, steps=steps)

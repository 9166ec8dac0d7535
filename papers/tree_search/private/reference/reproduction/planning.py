"""Experiment `planning`: both versions run until they are within the accuracy of the optimal values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from reproduction.operators import Floats, evaluate, greedy, grids, neighbours, update

ACTIONS = 5


def planning(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Every (h, m) pair on all grids at once, each pair from the same random initial values."""
    rewards = np.asarray(instance["rewards"], dtype=np.float64)
    initial = np.random.default_rng(seed).standard_normal(rewards.shape)
    optimum = optimal_values(rewards, instance["size"], discount=instance["discount"])
    recorded, queries = [], []
    for depth, steps in instance["pairs"]:
        rows, iterations = iterate(
            instance,
            parameters["version"],
            depth=depth,
            steps=steps,
            rewards=rewards,
            values=initial,
            optimum=optimum,
        )
        recorded.append(rows)
        queries.append(iterations * queries_an_iteration(rewards.shape[1], depth=depth, steps=steps))
    return {
        "values": np.concatenate(recorded),
        "rows": np.array([len(rows) for rows in recorded], dtype=np.int64),
        "queries": np.array(queries, dtype=np.int64),
    }


def iterate(
    instance: dict[str, Any],
    version: str,
    *,
    depth: int,
    steps: int,
    rewards: Floats,
    values: Floats,
    optimum: Floats,
) -> tuple[Floats, int]:
    """The recorded value functions (rows, G, S) of one pair, and how many iterations were run."""
    model = grids(rewards, instance["size"], discount=instance["discount"])
    recorded = [values]
    for iteration in range(1, instance["most_iterations"] + 1):
        values = update(model, values, version=version, depth=depth, steps=steps)
        if iteration % instance["record_every"] == 0:
            recorded.append(values)
            if np.abs(recorded[-1] - optimum).max() < instance["accuracy"]:
                break
    return np.stack(recorded), iteration


def queries_an_iteration(states: int, *, depth: int, steps: int) -> int:
    """Simulator queries on one grid with memory: the tree's levels, then the return beyond its first step."""
    return states * ACTIONS * depth + states * (steps - 1)


def optimal_values(rewards: Floats, size: int, *, discount: float) -> Floats:
    """v* (G, S) by policy iteration with exact evaluation (Howard 1960)."""
    model, successors = grids(rewards, size, discount=discount), neighbours(size)
    states = np.arange(rewards.shape[1])
    values = evaluate(model, np.zeros_like(rewards), policy=np.zeros(rewards.shape, dtype=np.int64), steps=1)
    while True:
        policy = greedy(model, values)
        chain = np.zeros((*rewards.shape, len(states)))
        np.put_along_axis(chain, successors[policy, states][..., None], 1.0, axis=-1)
        solution = np.linalg.solve(np.eye(len(states)) - discount * chain, rewards[..., None])
        better = np.asarray(solution[..., 0], dtype=np.float64)
        if np.abs(better - values).max() < 1e-12 / (1 - discount):
            return better
        values = better

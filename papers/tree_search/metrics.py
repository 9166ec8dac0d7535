"""What is measured: the optimal values are computed here, and every error and count follows from recorded values."""

import math
from functools import lru_cache
from typing import Any

import numpy as np

NEVER = 10_000
"""Stands for the iterations of a pair whose record does not reach the accuracy."""


def iterations_h10_m1(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Iterations to the accuracy at h = 10, m = 1; mean over the grids."""
    return _iterations(outputs, instance, pair=(10, 1))


def iterations_h5_m5(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Iterations to the accuracy at h = 5, m = 5; mean over the grids."""
    return _iterations(outputs, instance, pair=(5, 5))


def iterations_h3_m3(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Iterations to the accuracy at h = 3, m = 3; mean over the grids."""
    return _iterations(outputs, instance, pair=(3, 3))


def iterations_h10_m10(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Iterations to the accuracy at h = 10, m = 10; mean over the grids."""
    return _iterations(outputs, instance, pair=(10, 10))


def iterations_h1_m10(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Iterations to the accuracy at h = 1, m = 10; mean over the grids."""
    return _iterations(outputs, instance, pair=(1, 10))


def gain_from_depth(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Iterations at h = 1 over iterations at h = 10, both with m = 1 and each a mean over the grids.

    NEVER where a record of either ends before the accuracy.
    """
    tracks = _tracks(outputs, instance)
    shallow, deep = (_crossings(tracks[depth, 1], instance) for depth in (1, 10))
    if max(shallow.max(), deep.max()) >= NEVER:
        return float(NEVER)
    return float(shallow.mean() / deep.mean())


def iterations_by_m(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> Any:
    """Points (m, iterations to the accuracy), one for each (h, m) pair whatever its h; means over the grids."""
    tracks = _tracks(outputs, instance).items()
    return np.array([(steps, _crossings(error, instance).mean()) for (_, steps), error in tracks])


def law_departure(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Largest relative departure of the iterations from N / (h + m - 1), over all pairs; means over the grids.

    N is how many times the discount fits between the first recorded error and the accuracy.
    """
    worst = 0.0
    for (depth, steps), error in _tracks(outputs, instance).items():
        expected = float(_needed_factors(error, instance).mean()) / (depth + steps - 1)
        worst = max(worst, abs(float(_crossings(error, instance).mean()) - expected) / expected)
    return worst


def slowest_decay(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Largest factor on an error in one iteration, divided by discount^h, over all pairs, grids and recorded rows.

    The factor is the geometric mean over the iterations between two rows; at most 1 if the version contracts.
    """
    worst = 0.0
    for (depth, _), error in _tracks(outputs, instance).items():
        if len(error) < 2:
            return float(NEVER)
        factors = (error[1:] / np.maximum(error[:-1], 1e-12)) ** (1 / instance["record_every"])
        worst = max(worst, float(factors.max()) / instance["discount"] ** depth)
    return worst


def spread_at_start(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Standard deviation of the first recorded values over all cells of all grids, first pair."""
    first = outputs["values"][:1]
    return float(first.std()) if first.size else 0.0


def queries_an_iteration(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Reported queries at h = 10, m = 3, divided by the iterations that were recorded."""
    return _queries_an_iteration(outputs, instance, pair=(10, 3))


def cost_of_depth(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Queries until the accuracy at h = 10 over those at h = 1, both with m = 1."""
    shallow, deep = (_queries_an_iteration(outputs, instance, pair=(depth, 1)) for depth in (1, 10))
    return float(deep) / max(shallow, 1.0) / gain_from_depth(outputs, instance, parameters)


def noisy_error_h10_m1(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Distance to the optimum under noise at h = 10, m = 1; mean over recorded iterations and grids."""
    return _noisy_error(outputs, instance, pair=(10, 1))


def noisy_error_h5_m5(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Distance to the optimum under noise at h = 5, m = 5; mean over recorded iterations and grids."""
    return _noisy_error(outputs, instance, pair=(5, 5))


def naive_distance_ratio(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Distance to the optimum after one naive iteration over the distance before it."""
    return _distance_ratio(outputs["naive"], instance)


def contracting_distance_ratio(outputs: dict[str, Any], instance: dict[str, Any], parameters: dict[str, Any]) -> float:
    """Distance to the optimum after one contracting iteration over the distance before it."""
    return _distance_ratio(outputs["contracting"], instance)


def _tracks(outputs: dict[str, Any], instance: dict[str, Any]) -> dict[tuple[int, int], Any]:
    """Errors, the largest absolute difference from the optimal values: by pair (h, m), an array (rows, G).

    Where `rows` does not fit the pairs and the values, every record counts as empty.
    """
    values, rows, pairs = outputs["values"], outputs["rows"], instance["pairs"]
    errors = np.minimum(np.abs(values - _grid_optimum(instance)).max(axis=-1), 1e12)
    fits = len(rows) == len(pairs) and rows.min() >= 1 and rows.sum() == len(values)
    ends = np.cumsum(rows if fits else np.zeros(len(pairs), int))
    starts = [0, *ends[:-1]]
    return {(h, m): errors[a:b] for (h, m), a, b in zip(pairs, starts, ends, strict=True)}


def _iterations(outputs: dict[str, Any], instance: dict[str, Any], *, pair: tuple[int, int]) -> float:
    """First iteration within the accuracy for one pair; mean over the grids."""
    return float(_crossings(_tracks(outputs, instance)[pair], instance).mean())


def _crossings(error: Any, instance: dict[str, Any]) -> Any:
    """First iteration within the accuracy, by grid (G,); NEVER where the record (rows, G) ends before it.

    Between the two recorded rows around it the error is taken to fall geometrically, as it does near the end.
    """
    counts = np.full(error.shape[1], float(NEVER))
    for grid, track in enumerate(error.T):
        below = np.flatnonzero(track < instance["accuracy"])
        if len(below) and below[0] > 0:
            before, after = track[below[0] - 1], max(track[below[0]], 1e-15)
            share = math.log(before / instance["accuracy"]) / math.log(before / after)
            counts[grid] = math.ceil(instance["record_every"] * (below[0] - 1 + share) - 1e-6)
    return counts


def _needed_factors(error: Any, instance: dict[str, Any]) -> Any:
    """How many times the discount fits between the first recorded error and the accuracy, by grid (G,)."""
    if len(error) == 0:
        return np.ones(error.shape[1])
    ratio = np.maximum(error[0] / instance["accuracy"], 1e-300)
    return np.maximum(np.log(ratio) / -math.log(instance["discount"]), 1.0)


def _queries_an_iteration(outputs: dict[str, Any], instance: dict[str, Any], *, pair: tuple[int, int]) -> float:
    """Reported queries of one pair over the iterations that its rows stand for."""
    place = _place(instance, pair)
    iterations = (int(outputs["rows"][place]) - 1) * int(instance["record_every"])
    return float(outputs["queries"][place]) / max(iterations, 1)


def _place(instance: dict[str, Any], pair: tuple[int, int]) -> int:
    """Where a pair stands in the instance."""
    return [tuple(item) for item in instance["pairs"]].index(pair)


def _noisy_error(outputs: dict[str, Any], instance: dict[str, Any], *, pair: tuple[int, int]) -> float:
    values = outputs["values"][_place(instance, pair)]
    return float(np.abs(values - _grid_optimum(instance)).max(axis=-1).mean())


def _distance_ratio(after: Any, instance: dict[str, Any]) -> float:
    transitions, rewards = np.asarray(instance["transitions"], float), np.asarray(instance["rewards"], float)
    optimum = _optimum(transitions, rewards, instance["discount"])
    before = np.abs(np.asarray(instance["values"], float) - optimum).max()
    return float(np.abs(after - optimum).max() / before)


def _grid_optimum(instance: dict[str, Any]) -> Any:
    """Optimal values of every grid (G, S)."""
    return _solved(instance["size"], instance["discount"], np.asarray(instance["rewards"], float).tobytes())


@lru_cache(maxsize=16)
def _solved(size: int, discount: float, rewards: bytes) -> Any:
    """The same from bytes: many metrics of many runs need the optimum of few instances."""
    states = np.arange(size * size)
    row, column = states // size, states % size
    targets = [states]
    for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        targets.append(np.clip(row + down, 0, size - 1) * size + np.clip(column + right, 0, size - 1))
    transitions = np.zeros((len(targets), len(states), len(states)))
    for action, target in enumerate(targets):
        transitions[action, states, target] = 1.0
    grids = np.frombuffer(rewards).reshape(-1, len(states))
    return np.stack([_optimum(transitions, gains[None], discount) for gains in grids])


def _optimum(transitions: Any, rewards: Any, discount: float) -> Any:
    """Optimal values (S,) by policy iteration with exact evaluation; transitions (A, S, S), rewards (A or 1, S)."""
    states = np.arange(transitions.shape[1])
    gains = np.broadcast_to(rewards, transitions.shape[:2])
    values = gains.max(axis=0) / (1 - discount)
    while True:
        policy = (gains + discount * (transitions @ values)).argmax(axis=0)
        chain = np.eye(len(states)) - discount * transitions[policy, states]
        better = np.linalg.solve(chain, gains[policy, states])
        if np.abs(better - values).max() < 1e-11 / (1 - discount):
            return better
        values = better

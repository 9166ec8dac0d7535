"""The three experiments, each from an instance, its parameters and a seed to named arrays."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from scipy import sparse

from reproduction.gridworlds import side_by_side
from reproduction.process import Process, Vector
from reproduction.search import TreeSearch, iterates

Named = dict[str, Any]


def planning(instance: Named, parameters: Named, seed: int) -> Named:
    """Plan on all grids with every (h, m) pair until all are accurate; keep every so-many-th iterate."""
    process, shape = _grids(instance)
    start = _start(process, seed)
    optimum = process.optimum().reshape(shape)
    every, most = instance["record_every"], instance["most_iterations"]

    def accurate(values: Vector) -> bool:
        return bool(np.abs(values.reshape(shape) - optimum).max() < instance["accuracy"])

    def records(depth: int, steps: int) -> Vector:
        update = TreeSearch(process, depth, steps).version(parameters["version"])
        recorded = islice(iterates(update, start), 0, most + 1, every)
        return np.stack(list(_through_first(accurate, recorded)))

    pairs = instance["pairs"]
    tracks = [records(depth, steps) for depth, steps in pairs]
    rows = np.array([len(track) for track in tracks], dtype=np.int64)
    an_iteration = [queries(shape[1], process.actions, depth, steps) for depth, steps in pairs]
    return {
        "values": np.concatenate(tracks).reshape(-1, *shape),
        "rows": rows,
        "queries": every * (rows - 1) * np.array(an_iteration, dtype=np.int64),
    }


def noise(instance: Named, parameters: Named, seed: int) -> Named:
    """Iterate with every (h, m) pair from disturbed leaf values; keep iterates after the burn-in."""
    process, shape = _grids(instance)
    start = _start(process, seed)
    every, amplitude = instance["record_every"], instance["amplitude"]
    first = (instance["burn_in"] // every + 1) * every

    def records(depth: int, steps: int) -> Vector:
        update = TreeSearch(process, depth, steps).version(parameters["version"])
        generator = _generator(seed, "noise")

        def disturbed(values: Vector) -> Vector:
            return update(values + generator.uniform(-amplitude, amplitude, values.shape))

        kept = islice(iterates(disturbed, start), first, instance["iterations"] + 1, every)
        return np.stack(list(kept)).reshape(-1, *shape)

    return {"values": np.stack([records(depth, steps) for depth, steps in instance["pairs"]])}


def one_update(instance: Named, parameters: Named, seed: int) -> Named:
    """One iteration of both versions from given values, without and with noise on them."""
    transitions = [sparse.csr_array(np.asarray(matrix, dtype=float)) for matrix in instance["transitions"]]
    process = Process.from_actions(transitions, np.asarray(instance["rewards"], dtype=float), instance["discount"])
    search = TreeSearch(process, instance["depth"], instance["steps"])
    values = np.asarray(instance["values"], dtype=float)
    noisy = values + np.asarray(instance["noise"], dtype=float)
    return {
        "lookahead": search.lookahead(values),
        "greedy": search.policy(values),
        "contracting": search.contracting(values),
        "naive": search.naive(values),
        "noisy_contracting": search.contracting(noisy),
        "noisy_naive": search.naive(noisy),
    }


EXPERIMENTS: dict[str, Callable[[Named, Named, int], Named]] = {
    "planning": planning,
    "noise": noise,
    "one_update": one_update,
}


def queries(states: int, actions: int, depth: int, steps: int) -> int:
    """Simulator queries of one iteration: each level of the tree, then the return after its first step."""
    return states * actions * depth + states * (steps - 1)


def _grids(instance: Named) -> tuple[Process, tuple[int, int]]:
    """All grids as one process, and the shape (grids, cells) of its values."""
    process = side_by_side(instance["rewards"], instance["size"], instance["discount"])
    return process, np.shape(instance["rewards"])


def _start(process: Process, seed: int) -> Vector:
    return _generator(seed, "start").standard_normal(process.states)


def _generator(seed: int, purpose: str) -> np.random.Generator:
    """Independent streams of random numbers for independent purposes."""
    return np.random.default_rng([seed, *purpose.encode()])


def _through_first(is_last: Callable[[Vector], bool], items: Iterable[Vector]) -> Iterator[Vector]:
    """The items up to and including the first that is the last one."""
    for item in items:
        yield item
        if is_last(item):
            return

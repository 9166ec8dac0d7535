"""Held-out instances: fresh grids with another discount, and fresh stochastic decision processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Model = Callable[[Floats], Floats]

SIZE, GRIDS = 10, 5
ALWAYS_ASKED = [[10, 1], [5, 5], [3, 3]]
"""The (h, m) pairs that claims on held-out grids name; two more are drawn."""
MOST_DRAWS = 10_000


def draw(experiment: str, rng: np.random.Generator) -> dict[str, Any]:
    """One instance that is not degenerate.

    Args:
        experiment: `planning` or `one_update`.
        rng: Fresh for each attempt.

    Raises:
        ValueError: The experiment has no held-out instances, or no draw was accepted.
    """
    makers = {"planning": (_grids, _grids_are_decisive), "one_update": (_process, _process_is_decisive)}
    if experiment not in makers:
        raise ValueError(f"no held-out instances for {experiment!r}, only for {', '.join(makers)}")
    make, decisive = makers[experiment]
    for _ in range(MOST_DRAWS):
        instance = make(rng)
        if decisive(instance):
            return instance
    raise ValueError(f"none of {MOST_DRAWS} draws for {experiment!r} was accepted")


def _grids(rng: np.random.Generator) -> dict[str, Any]:
    """Five grids as in the pinned task, a discount around the pinned one, and the pairs in random order."""
    rewards = rng.uniform(-0.1, 0.1, (GRIDS, SIZE * SIZE))
    rewards[np.arange(GRIDS), rng.integers(SIZE * SIZE, size=GRIDS)] = 1.0
    others = [[depth, steps] for depth in (2, 4, 6, 8) for steps in (1, 2, 4, 6)]
    pairs = ALWAYS_ASKED + [others[index] for index in rng.choice(len(others), size=2, replace=False)]
    return {
        "rewards": rewards,
        "size": SIZE,
        "discount": round(float(rng.uniform(0.96, 0.98)), 4),
        "pairs": [pairs[index] for index in rng.permutation(len(pairs))],
        "accuracy": 1e-7,
        "record_every": 10,
        "most_iterations": 3000,
    }


def _grids_are_decisive(instance: dict[str, Any]) -> bool:
    """No cell has two ways that are equally good to 1e-6: otherwise rounding could choose the policy."""
    rewards, discount = instance["rewards"], instance["discount"]
    padded = np.full((GRIDS, SIZE + 2, SIZE + 2), -np.inf)
    inner = padded[:, 1:-1, 1:-1]
    inner[:] = 0.0
    while True:
        ways = np.stack([inner, padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]])
        values = rewards.reshape(inner.shape) + discount * ways.max(axis=0)
        if np.abs(values - inner).max() < 1e-10:
            ranked = np.sort(ways, axis=0)
            return bool((ranked[-1] - ranked[-2]).min() > 1e-6)
        inner[:] = values


def _process(rng: np.random.Generator) -> dict[str, Any]:
    """A process of 6 to 12 states and 3 actions, each leading to up to three states."""
    states, actions = int(rng.integers(6, 13)), 3
    transitions = np.zeros((actions, states, states))
    for row in transitions.reshape(-1, states):
        row[rng.choice(states, size=3, replace=False)] = rng.dirichlet(np.ones(3))
    return {
        "transitions": transitions,
        "rewards": rng.uniform(-1.0, 1.0, (actions, states)),
        "discount": round(float(rng.uniform(0.85, 0.97)), 3),
        "depth": int(rng.integers(3, 6)),
        "steps": int(rng.integers(2, 5)),
        "values": rng.normal(0.0, 10.0, states),
        "noise": rng.uniform(-3.0, 3.0, states),
    }


def _process_is_decisive(instance: dict[str, Any]) -> bool:
    """Every known mistake changes the outcome by 0.02 or more, and no greedy choice is close to a tie."""
    model = _model(instance)
    values, noise = instance["values"], instance["noise"]
    asked = {"depth": instance["depth"], "steps": instance["steps"]}
    for leaves in (values, values + noise):
        ranked = np.sort(model(_tree(model, leaves, depth=asked["depth"])), axis=0)
        if (ranked[-1] - ranked[-2]).min() < 1e-3:
            return False
    for tree in (True, False):
        right = _outcome(model, values, **asked, tree=tree)
        noisy = _outcome(model, values + noise, **asked, tree=tree)
        wrong = [_outcome(model, values, **{**asked, "tree": tree, **change}) for change in _mistakes(asked, tree=tree)]
        if not all(_apart(right, other) for other in wrong):
            return False
        if not (_apart(noisy, right) and _apart(noisy, right + noise)):
            return False
    return True


def _mistakes(asked: dict[str, int], *, tree: bool) -> list[dict[str, Any]]:
    """What a wrong iteration does differently, one change each."""
    depth, steps = asked["depth"], asked["steps"]
    lengths = [{"depth": depth - 1}, {"depth": depth + 1}, {"steps": steps - 1}, {"steps": steps + 1}]
    return [*lengths, {"tree": not tree}, {"policy_depth": depth - 1}]


def _apart(outcome: Floats, other: Floats) -> bool:
    return bool(np.abs(outcome - other).max() >= 0.02)


def _model(instance: dict[str, Any]) -> Model:
    """Action values (A, S) from values (S,)."""
    return lambda values: instance["rewards"] + instance["discount"] * (instance["transitions"] @ values)


def _tree(model: Model, values: Floats, *, depth: int) -> Floats:
    for _ in range(depth - 1):
        values = model(values).max(axis=0)
    return values


def _outcome(
    model: Model, values: Floats, *, depth: int, steps: int, tree: bool, policy_depth: int | None = None
) -> Floats:
    """One iteration, backed up from the tree or from the leaves; its policy greedy at another depth if one is given."""
    policy = model(_tree(model, values, depth=policy_depth or depth)).argmax(axis=0)
    result = _tree(model, values, depth=depth) if tree else values
    for _ in range(steps):
        result = model(result)[policy, np.arange(len(policy))]
    return result

"""Learning in the office world, step by step under the harness's count, and walking greedily afterwards."""

from __future__ import annotations

import random
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from reproduction.hierarchy import Hierarchy
from reproduction.learning import QLearner

ID = "reproof/Office-v0"


def learn(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """The experiments `multi` and `single`: returns and lengths of the episodes that ended while learning."""
    rng = random.Random(seed)
    env = gymnasium.make(ID)
    learner = make_learner(instance, parameters["learner"], int(env.observation_space.n))
    episodes: list[tuple[float, int]] = []
    left = instance["steps"]
    while left > 0:
        gained, length, ended = episode(env, learner, rng, instance["epsilon"], left)
        left -= length
        if ended:
            episodes.append((gained, length))
    env.close()
    walk_greedily(learner, rng, len(instance["machines"]))
    return {
        "returns": np.array([gained for gained, _ in episodes]),
        "lengths": np.array([length for _, length in episodes], dtype=np.int64),
    }


def make_learner(instance: dict[str, Any], name: str, cells: int) -> QLearner | Hierarchy:
    """The learner of a case."""
    return Hierarchy(instance, cells) if name == "hrm" else QLearner(instance, name, cells)


def episode(
    env: gymnasium.Env[int, int], learner: QLearner | Hierarchy, rng: random.Random, epsilon: float, most: int
) -> tuple[float, int, bool]:
    """Learn through an episode, or until no step is left; return, length, and whether it came to its end."""
    start, info = env.reset()
    learner.begin(info["task"])
    cell = int(start)
    gained, length, ended = 0.0, 0, False
    while not ended and length < most:
        action = learner.act(cell, rng, epsilon)
        seen, reward, terminated, truncated, info = env.step(action)
        after = int(seen)
        learner.learn(cell, action, after, tuple(info.get("events", ())))
        cell, gained, length, ended = after, gained + reward, length + 1, terminated or truncated
    return gained, length, ended


def walk_greedily(learner: QLearner | Hierarchy, rng: random.Random, tasks: int) -> None:
    """One greedy episode of every task in the evaluation stream, where the harness keeps count."""
    env = gymnasium.make(ID, phase="evaluation")
    for _ in range(tasks):
        cell, info = env.reset()
        learner.begin(info["task"])
        ended = False
        while not ended:
            cell, _, terminated, truncated, info = env.step(learner.act(cell, rng, 0.0))
            learner.follow(tuple(info.get("events", ())))
            ended = terminated or truncated
    env.close()

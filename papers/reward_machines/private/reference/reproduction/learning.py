"""Q-learning on the cross product of cell and machine state, with counterfactual experiences (CRM) and shaping (RS)."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reproduction.machines import Counterfactuals, Machine

Table = list[list[list[float]]]
"""By row (machine and state), cell and action."""


class QLearner:
    """Tabular Q-learning, CRM and their shaped versions; updates as in the authors' rl_agents/qlearning @3116c2f."""

    def __init__(self, instance: dict[str, Any], learner: str, cells: int, table: Table | None = None) -> None:
        """Begin with optimistic values, or with given ones."""
        self._gamma, self._rate = instance["discount"], instance["learning_rate"]
        machines = [Machine(machine) for machine in instance["machines"]]
        self._seen = Counterfactuals(machines, discount=self._gamma, shaped=learner.endswith("_rs"))
        self._counterfactual = learner.startswith("crm")
        optimism = instance.get("initial_value", 0.0)
        self.table = table or [[[optimism] * 4 for _ in range(cells)] for _ in range(self._seen.rows)]

    def begin(self, task: int) -> None:
        """Stand at the beginning of an episode."""
        self._task, self._state, self._row = task, 0, self._seen.row(task, 0)
        self._before: tuple[str, ...] | None = None

    def act(self, cell: int, rng: random.Random, epsilon: float) -> int:
        """An epsilon-greedy action, ties broken at random."""
        if rng.random() < epsilon:
            return rng.randrange(4)
        return best(self.table[self._row][cell], rng)

    def learn(self, cell: int, action: int, after: int, events: tuple[str, ...]) -> None:
        """Update the values by a step, and follow the machine."""
        own = self._seen.one(self._task, self._state, events)
        experiences = self._seen.all(self._before, events) if self._counterfactual else [own]
        for _, _, row, reward, _, next_row, done, _ in experiences:
            values = self.table[row][cell]
            target = reward if done else reward + self._gamma * max(self.table[next_row][after])
            values[action] += self._rate * (target - values[action])
        self.follow(events)

    def follow(self, events: tuple[str, ...]) -> None:
        """Let the machine take its step."""
        own = self._seen.one(self._task, self._state, events)
        self._state, self._row, self._before = own.next_state, own.next_row, events


def best(values: list[float], rng: random.Random) -> int:
    """An index of the largest value."""
    most = max(values)
    return rng.choice([index for index, value in enumerate(values) if value == most])


def update(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """The experiment `update`: the values after a few given steps."""
    table = np.asarray(instance["values"], dtype=float)
    learner = QLearner(instance, parameters["learner"], table.shape[1], table.tolist())
    learner.begin(instance["task"])
    for cell, action, after, events in instance["steps"]:
        learner.learn(cell, action, after, tuple(events))
    return {"values": np.array(learner.table)}

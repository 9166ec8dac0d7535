"""HRM: an option for every edge of a reward machine, and a controller that chooses among them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reproduction.learning import best
from reproduction.machines import Counterfactuals, Machine

REACHED = 1.0
"""Paid to an option, beyond the machine's own reward, for the transition that it is for."""


class Hierarchy:
    """Options that all learn from every step, and a controller that learns when an option ends."""

    def __init__(self, instance: dict[str, Any], cells: int) -> None:
        """Begin with optimistic values."""
        self._gamma, self._rate = instance["discount"], instance["learning_rate"]
        self._machines = [Machine(machine) for machine in instance["machines"]]
        self._seen = Counterfactuals(self._machines, discount=self._gamma, shaped=False)
        self.edges = [(number, u, v) for number, own in enumerate(self._machines) for u, v in own.edges()]
        self._open = [
            [index for index, (number, u, _) in enumerate(self.edges) if self._seen.row(number, u) == row]
            for row in range(self._seen.rows)
        ]
        self._known: dict[tuple[tuple[str, ...] | None, tuple[str, ...]], list[tuple[int, float, bool]]] = {}
        optimism = instance.get("initial_value", 0.0)
        self.options = [[[optimism] * 4 for _ in range(cells)] for _ in self.edges]
        self.controller = [[[optimism] * len(self._open[row]) for _ in range(cells)] for row in range(self._seen.rows)]

    def begin(self, task: int) -> None:
        """Stand at the beginning of an episode, with no option chosen."""
        self._task, self._state, self._row = task, 0, self._seen.row(task, 0)
        self._before: tuple[str, ...] | None = None
        self._chosen: int | None = None

    def act(self, cell: int, rng: random.Random, epsilon: float) -> int:
        """Choose an option if there is none, then an action of it, both epsilon-greedily."""
        if self._chosen is None:
            values = self.controller[self._row][cell]
            self.choose(cell, rng.randrange(len(values)) if rng.random() < epsilon else best(values, rng))
        if rng.random() < epsilon:
            return rng.randrange(4)
        return best(self.options[self._open[self._row][self._chosen]][cell], rng)

    def choose(self, cell: int, number: int) -> None:
        """Begin an option: the `number`-th of those of the current state."""
        self._chosen, self._from = number, cell
        self._gained, self._weight = 0.0, 1.0

    def learn(self, cell: int, action: int, after: int, events: tuple[str, ...]) -> None:
        """Update all options by a step, and the controller if its option has ended; follow the machine."""
        self._learn_options(cell, action, after, events)
        own = self._seen.one(self._task, self._state, events)
        self._gained += self._weight * own.reward
        self._weight *= self._gamma
        if own.next_state != self._state:
            ahead = 0.0 if own.done else max(self.controller[own.next_row][after])
            values = self.controller[self._row][self._from]
            values[self._chosen] += self._rate * (self._gained + self._weight * ahead - values[self._chosen])
        self.follow(events)

    def follow(self, events: tuple[str, ...]) -> None:
        """Let the machine take its step; an option ends when it changes state."""
        own = self._seen.one(self._task, self._state, events)
        if own.next_state != self._state:
            self._chosen = None
        self._state, self._row, self._before = own.next_state, own.next_row, events

    def _learn_options(self, cell: int, action: int, after: int, events: tuple[str, ...]) -> None:
        for index, reward, ended in self._lessons(self._before, events):
            target = reward if ended else reward + self._gamma * max(self.options[index][after])
            values = self.options[index][cell]
            values[action] += self._rate * (target - values[action])

    def _lessons(self, before: tuple[str, ...] | None, events: tuple[str, ...]) -> list[tuple[int, float, bool]]:
        """Which options learn from a step: their numbers, what they are paid, and whether they end; remembered."""
        found = self._known.get((before, events))
        if found is None:
            possible = {one.row: one for one in self._seen.all(before, events)}
            found = self._known[before, events] = [
                (index, one.reward + (REACHED if one.next_state == v and not one.fell else 0.0), one.next_state != u)
                for index, (number, u, v) in enumerate(self.edges)
                if (one := possible.get(self._seen.row(number, u))) is not None
            ]
        return found


def options(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """The experiment `options`: values of options and controller after given steps with given choices."""
    values = np.asarray(instance["options"], dtype=float)
    learner = Hierarchy(instance, values.shape[1])
    learner.options = values.tolist()
    learner.controller = [np.asarray(rows, dtype=float).tolist() for rows in instance["controller"]]
    learner.begin(instance["task"])
    for choice, cell, action, after, events in instance["steps"]:
        if choice is not None:
            learner.choose(cell, choice)
        learner.learn(cell, action, after, tuple(events))
    return {
        "edges": np.array(learner.edges, dtype=np.int64),
        "options": np.array(learner.options),
        "controller": np.concatenate([np.ravel(rows) for rows in learner.controller]),
    }

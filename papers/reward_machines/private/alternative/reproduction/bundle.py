"""All reward machines of a run laid end to end, so that one event set moves every row at once.

A row is a machine with one of its states. END is -1: arrays that are indexed by a following row carry one more entry
at their back, which stands for the end and holds 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

END = -1

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Edge:
    """A transition between rows."""

    source: int
    needed: frozenset[str]
    banned: frozenset[str]
    target: int
    reward: float

    def fires(self, events: frozenset[str]) -> bool:
        """Whether the formula holds."""
        return self.needed <= events and not self.banned & events


@dataclass(frozen=True)
class Reaction:
    """What each row does on one set of events."""

    after: Ints
    reward: Floats
    fell: Mask

    @cached_property
    def reached(self) -> Mask:
        """The rows into which some row was taken."""
        mask = np.zeros(len(self.after), dtype=bool)
        mask[self.after[self.after != END]] = True
        return mask


class Bundle:
    """Several machines as one table of edges over rows."""

    def __init__(self, machines: Sequence[Mapping[str, Any]]) -> None:
        sizes = [machine["states"] for machine in machines]
        self.rows = sum(sizes)
        self.first = np.cumsum([0, *sizes[:-1]])
        self.machine = np.repeat(np.arange(len(sizes)), sizes)
        self.state = np.arange(self.rows) - self.first[self.machine]
        self.edges = [
            _edge(first, transition)
            for first, machine in zip(self.first, machines, strict=True)
            for transition in machine["transitions"]
        ]
        self._reactions: dict[frozenset[str], Reaction] = {}

    def react(self, events: Iterable[str]) -> Reaction:
        """How all rows answer to these events."""
        key = frozenset(events)
        if key not in self._reactions:
            self._reactions[key] = self._react(key)
        return self._reactions[key]

    def states(self, rows: Ints) -> Ints:
        """The machine states of rows, END for END."""
        return np.append(self.state, END)[rows]

    def exits(self) -> list[tuple[int, int]]:
        """The different pairs of rows that edges join, loops left out, in the order of the edges."""
        return list(dict.fromkeys((edge.source, edge.target) for edge in self.edges if edge.source != edge.target))

    def _react(self, events: frozenset[str]) -> Reaction:
        after, reward = np.full(self.rows, END), np.zeros(self.rows)
        fell = np.ones(self.rows, dtype=bool)
        for edge in self.edges:
            if edge.fires(events):
                after[edge.source], reward[edge.source], fell[edge.source] = edge.target, edge.reward, False
        return Reaction(after, reward, fell)


def _edge(first: int, transition: Sequence[Any]) -> Edge:
    source, formula, target, reward = transition
    literals = [literal.strip() for literal in formula.split("&")]
    return Edge(
        source=int(first + source),
        needed=frozenset(literal for literal in literals if not literal.startswith("!")),
        banned=frozenset(literal[1:].strip() for literal in literals if literal.startswith("!")),
        target=END if target == END else int(first + target),
        reward=float(reward),
    )

"""Operations on tables of values: backing up and choosing."""

from typing import NamedTuple

import numpy as np

from reproduction.bundle import Floats, Ints


class Move(NamedTuple):
    """One step in the office."""

    cell: int
    action: int
    there: int


class Rates(NamedTuple):
    """How values are learned."""

    discount: float
    learning_rate: float


def with_end(values: Floats) -> Floats:
    """A copy with one more layer of zeros at the back, which END indexes."""
    return np.concatenate([values, np.zeros_like(values[:1])])


def back_up(table: Floats, at: Ints, after: Ints, reward: Floats, move: Move, rates: Rates) -> None:
    """Q-learning of layers `at` of a table (layers and the end, cells, actions), one after the other.

    The order matters only where a layer may look at an entry that another has just changed, which needs a step that
    stays in its cell; all others are done at once.
    """
    if move.cell == move.there:
        for k in range(len(at)):
            _back_up_at_once(table, at[k : k + 1], after[k : k + 1], reward[k : k + 1], move, rates)
    else:
        _back_up_at_once(table, at, after, reward, move, rates)


def _back_up_at_once(table: Floats, at: Ints, after: Ints, reward: Floats, move: Move, rates: Rates) -> None:
    target = reward + rates.discount * table[after, move.there].max(axis=1)
    old = table[at, move.cell, move.action]
    table[at, move.cell, move.action] = old + rates.learning_rate * (target - old)


def choose(values: Floats, epsilon: float, generator: np.random.Generator) -> int:
    """Epsilon-greedy, ties at random."""
    if generator.random() < epsilon:
        return int(generator.integers(len(values)))
    best = np.flatnonzero(values == values.max())
    return int(best[generator.integers(len(best))]) if len(best) > 1 else int(best[0])

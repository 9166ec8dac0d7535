"""Potentials of the rows, by policy iteration on the machines alone."""

import numpy as np

from reproduction.bundle import Bundle, Floats, Ints, Reaction

BETTER = 1e-12


def potentials(bundle: Bundle, discount: float) -> Floats:
    """Phi of each row, and 0 of the end as the last entry."""
    source = np.array([edge.source for edge in bundle.edges])
    target = np.array([edge.target for edge in bundle.edges])
    reward = np.array([edge.reward for edge in bundle.edges])
    taken = np.array([np.flatnonzero(source == row)[0] for row in range(bundle.rows)])
    while True:
        value = _evaluate(target[taken], reward[taken], discount)
        worth = reward + discount * value[target]
        better = _improve(source, worth, taken)
        if np.array_equal(better, taken):
            return -value
        taken = better


def shaped(reaction: Reaction, phi: Floats, discount: float) -> Floats:
    """The rewards of a reaction with the difference of potentials added."""
    return reaction.reward + discount * phi[reaction.after] - phi[:-1]


def _evaluate(after: Ints, reward: Floats, discount: float) -> Floats:
    """Values of rows that always take the same edge, and 0 of the end."""
    rows = len(after)
    follows = np.eye(rows + 1)[after, :-1]
    return np.append(np.linalg.solve(np.eye(rows) - discount * follows, reward), 0.0)


def _improve(source: Ints, worth: Floats, taken: Ints) -> Ints:
    """The best edge of each row; the present one is kept unless another is better."""
    better = taken.copy()
    for edge, row in enumerate(source):
        if worth[edge] > worth[better[row]] + BETTER:
            better[row] = edge
    return better

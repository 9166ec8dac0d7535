"""Several grids, planned on independently, as the blocks of a single process."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from reproduction.process import Process


def side_by_side(rewards: Sequence[Sequence[float]], size: int, discount: float) -> Process:
    """The disjoint union of grids with rewards (grids, cells); state g * cells + c is cell c of grid g."""
    by_cell = np.asarray(rewards, dtype=float)
    grids = sparse.eye_array(len(by_cell))
    moves = [sparse.kron(grids, move) for move in _moves(size)]
    return Process.from_actions(moves, np.tile(by_cell.ravel(), (len(moves), 1)), discount)


def _moves(size: int) -> list[sparse.sparray]:
    """Transition matrices of up, down, left, right and stay on one grid, cells numbered row by row."""
    still, back, forth = sparse.eye_array(size), _along_a_line(size, -1), _along_a_line(size, 1)
    by_row_and_column = [(back, still), (forth, still), (still, back), (still, forth), (still, still)]
    return [sparse.kron(rows, columns) for rows, columns in by_row_and_column]


def _along_a_line(size: int, step: int) -> sparse.sparray:
    """Transition matrix of a step on a line of cells with a wall at either end."""
    cells = np.arange(size)
    return sparse.csr_array((np.ones(size), (cells, np.clip(cells + step, 0, size - 1))), shape=(size, size))

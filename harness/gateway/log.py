"""The episode log: one row an episode, written by the server alone, read by metrics as `metered`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError

STREAMS = ("training", "evaluation")
ABANDONED, TERMINATED, TRUNCATED = 0, 1, 2
OUTCOMES = ("abandoned", "terminated", "truncated")
"""How an episode ended; one that was both terminated and truncated is terminated."""
UNSEEDED = -1
"""Stands for the seed of an episode that went on with its environment's generator."""
ROW = np.dtype(
    [
        ("environment", "u2"),
        ("stream", "u1"),
        ("outcome", "u1"),
        ("index", "u4"),
        ("episode", "u4"),
        ("length", "u4"),
        ("seed", "i8"),
        ("return", "f8"),
        ("steps", "u8"),
        ("time", "f8"),
    ]
)
_KEPT = 1024


class EpisodeLog:
    """Rows on their way to a file; what is kept in memory does not grow with them."""

    def __init__(self, path: Path) -> None:
        """Begin a new file."""
        self._file = path.open("xb")
        self._rows = np.zeros(_KEPT, dtype=ROW)
        self._count = 0
        self._lost: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.flush()
        self._file.close()

    def add(self, *row: float) -> None:
        """Add a row, its values in the order of `ROW`."""
        self._rows[self._count] = row
        self._count += 1
        if self._count == _KEPT:
            self.flush()

    def flush(self) -> None:
        """Write what is still in memory.

        Raises:
            OSError: It cannot be written, or something before it could not: such a log never ends well.
        """
        if self._lost is not None:
            raise self._lost
        try:
            self._file.write(self._rows[: self._count].tobytes())
            self._file.flush()
        except OSError as error:
            self._lost = error
            raise
        self._count = 0


def tabulate(raw: Path, table: Path) -> None:
    """Turn the server's file into a `.npy` table; a row that was cut off when the server died is left out."""
    data = raw.read_bytes()
    np.save(table, np.frombuffer(data, dtype=ROW, count=len(data) // ROW.itemsize), allow_pickle=False)


def read_metered(path: Path, environments: Sequence[str]) -> Mapping[str, NDArray[Any]]:
    """The log as metrics see it, one array a column.

    Args:
        path: The table.
        environments: The ids that were served, in the order of paper.yaml.

    Returns:
        `environment` (ids), `stream` ("training" or "evaluation"), `outcome` ("terminated", "truncated" or
        "abandoned"), `index` (which of the environments that were opened, from 0), `episode` (number within its
        stream, from 0), `length` (steps), `seed` (-1: none of its own), `return` (sum of rewards), `steps` (of its
        stream when it ended, its own among them) and `time` (seconds since the server began).

    Raises:
        RecordError: It is not what was kept.
    """
    try:
        rows = np.load(path, allow_pickle=False)
        names = {"environment": environments, "stream": STREAMS, "outcome": OUTCOMES}
        plain = {name: rows[name].copy() for name in ROW.names or ()}
        return plain | {name: np.array(words)[rows[name]] for name, words in names.items()}
    except (OSError, ValueError, IndexError) as error:
        raise RecordError("this episode log is damaged", where=path, got=error) from None

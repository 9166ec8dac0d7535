"""How the values of a space lie in memory, one row an environment; and whether a value belongs to its space.

This file is laid into the clean room as well, where `harness` is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces import Space
from numpy.typing import NDArray

from .wire import aligned

SERVED = (
    spaces.Discrete,
    spaces.Box,
    spaces.MultiDiscrete,
    spaces.MultiBinary,
    spaces.Text,
    spaces.Dict,
    spaces.Tuple,
)


def cells(rows: Any) -> Any:
    """The values of a plain array, one by one and as Python's own, in a fraction of the time that numpy takes."""
    return memoryview(rows)


class Leaf:
    """The values of a space that is one array."""

    def __init__(self, space: Any, rows: NDArray[Any]) -> None:
        """Keep the rows, a view of memory with one row an environment."""
        self.space, self.rows = space, rows

    def put(self, row: int, value: Any) -> None:
        """Write the value of one environment."""
        self.rows[row] = value

    def get(self, row: int) -> Any:
        """The value of one environment, as a copy."""
        return self.rows[row].copy()

    def put_all(self, values: Any) -> None:
        """Write the values of all environments, batched as Gymnasium batches them."""
        self.rows[...] = values

    def get_all(self) -> Any:
        """The values of all environments, batched, as a copy."""
        return self.rows.copy()

    def strangers(self) -> str | None:
        """What is wrong with the values, if anything is."""
        return None


class Numbers(Leaf):
    """Values between a lower and an upper limit, both included."""

    def __init__(self, space: Any, rows: NDArray[Any], low: Any, high: Any) -> None:
        """Keep the limits, which may be arrays."""
        super().__init__(space, rows)
        self._low, self._high = low, high

    def strangers(self) -> str | None:
        """The first value outside the limits; what is not a number is outside of any."""
        inside = (self.rows >= self._low) & (self.rows <= self._high)
        if inside.all():
            return None
        return f"expected a value of {self.space}, got {self.rows[np.unravel_index(inside.argmin(), inside.shape)]}"


class Choice(Numbers):
    """One of so many integers; its cells are reached without numpy, which would take longer than the rest of a step."""

    def __init__(self, space: Any, rows: NDArray[Any], low: int, high: int) -> None:
        """Keep the cells, one an environment."""
        super().__init__(space, rows, low, high)
        self._cells = cells(rows)

    def put(self, row: int, value: Any) -> None:
        """Write the integer of one environment."""
        self._cells[row] = value

    def get(self, row: int) -> Any:
        """The integer."""
        return self._cells[row]

    def strangers(self) -> str | None:
        """The first integer that is none of the choices; one environment is the common case, and takes a short cut."""
        if len(self._cells) == 1 and self._low <= self._cells[0] <= self._high:
            return None
        return super().strangers()


class Letters:
    """Texts, as code points after their length."""

    def __init__(self, space: spaces.Text, rows: NDArray[np.uint32]) -> None:
        """Keep the rows."""
        self.space, self.rows = space, rows

    def put(self, row: int, value: str) -> None:
        """Write the text of one environment."""
        self.rows[row, 0] = len(value)
        self.rows[row, 1 : 1 + len(value)] = [ord(letter) for letter in value]

    def get(self, row: int) -> str:
        """The text of one environment."""
        return "".join(map(chr, self.rows[row, 1 : 1 + int(self.rows[row, 0])].tolist()))

    def put_all(self, values: Any) -> None:
        """Write a text an environment."""
        for row, value in enumerate(values):
            self.put(row, value)

    def get_all(self) -> tuple[str, ...]:
        """A text an environment."""
        return tuple(self.get(row) for row in range(len(self.rows)))

    def strangers(self) -> str | None:
        """What is wrong with a length or a letter."""
        known = {ord(letter) for letter in self.space.character_set}
        for row in self.rows:
            length = int(row[0])
            if not self.space.min_length <= length <= self.space.max_length:
                return f"expected a text of {self.space}, got {length} letters"
            if not known.issuperset(row[1 : 1 + length].tolist()):
                return f"expected a text of {self.space}, got a letter outside of it"
        return None


class Branch:
    """The values of a space made of spaces, by key or by place."""

    def __init__(self, parts: dict[Any, Any], make: Callable[[dict[Any, Any]], Any]) -> None:
        """Keep the parts, and how values of theirs become one."""
        self._parts, self._make = parts, make

    def put(self, row: int, value: Any) -> None:
        """Write the value of one environment."""
        for key, part in self._parts.items():
            part.put(row, value[key])

    def get(self, row: int) -> Any:
        """The value of one environment."""
        return self._make({key: part.get(row) for key, part in self._parts.items()})

    def put_all(self, values: Any) -> None:
        """Write the values of all environments."""
        for key, part in self._parts.items():
            part.put_all(values[key])

    def get_all(self) -> Any:
        """The values of all environments."""
        return self._make({key: part.get_all() for key, part in self._parts.items()})

    def strangers(self) -> str | None:
        """What is wrong with the first part in which something is."""
        found = ((key, part.strangers()) for key, part in self._parts.items())
        return next((f"{key}: {wrong}" for key, wrong in found if wrong), None)


Values = Leaf | Letters | Branch


def refusal(space: Space[Any]) -> str | None:
    """Why a space cannot be served, if it cannot."""
    if type(space) not in SERVED:
        return f"expected one of {', '.join(kind.__name__ for kind in SERVED)}, got {type(space).__name__}"
    return next((wrong for _, below in _below(space) if (wrong := refusal(below))), None)


def _below(space: Any) -> list[tuple[Any, Space[Any]]]:
    if isinstance(space, spaces.Dict):
        return list(space.spaces.items())
    return list(enumerate(space.spaces)) if isinstance(space, spaces.Tuple) else []


def lay(space: Any, memory: memoryview, offset: int, count: int) -> Values:
    """Find the values of a space in a memory, one row an environment.

    Args:
        space: One that is served.
        memory: Shared or private.
        offset: Where they begin, in bytes.
        count: How many environments.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = {}
        for key, below in _below(space):
            parts[key] = lay(below, memory, offset, count)
            offset = extent(below, offset, count)
        return Branch(parts, dict if isinstance(space, spaces.Dict) else lambda values: tuple(values.values()))
    kind, shape = _array(space)
    size = count * math.prod(shape)
    rows = np.frombuffer(memory, dtype=kind, count=size, offset=aligned(offset)).reshape(count, *shape)
    return _leaf(space, rows)


def extent(space: Any, offset: int, count: int) -> int:
    """Where the values of a space end that begin at an offset."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        for _, below in _below(space):
            offset = extent(below, offset, count)
        return offset
    kind, shape = _array(space)
    return aligned(aligned(offset) + count * math.prod(shape) * kind.itemsize)


def _array(space: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if isinstance(space, spaces.Text):
        return np.dtype(np.uint32), (space.max_length + 1,)
    return np.dtype(space.dtype), tuple(space.shape)


def _leaf(space: Any, rows: NDArray[Any]) -> Leaf | Letters:
    if isinstance(space, spaces.Text):
        return Letters(space, rows)
    if isinstance(space, spaces.Discrete):
        return Choice(space, rows, int(space.start), int(space.start + space.n - 1))
    if isinstance(space, spaces.Box):
        return Numbers(space, rows, space.low, space.high)
    if isinstance(space, spaces.MultiDiscrete):
        return Numbers(space, rows, space.start, space.start + space.nvec - 1)
    return Numbers(space, rows, 0, 1)

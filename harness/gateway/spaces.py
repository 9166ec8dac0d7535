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


_FEW = 32
"""Values that are looked at one by one sooner than numpy has begun."""


class Stranger(Exception):
    """A value that does not belong to its space."""


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

    def take(self, row: int) -> Any:
        """The value of one environment, read once and then checked: somebody may go on writing it.

        Raises:
            Stranger: It does not belong to the space.
        """
        return self.get(row)


class Numbers(Leaf):
    """Values between a lower and an upper limit, both included."""

    def __init__(self, space: Any, rows: NDArray[Any], low: Any, high: Any) -> None:
        """Keep the limits, which may be arrays."""
        super().__init__(space, rows)
        self._low, self._high = np.broadcast_to(low, rows.shape[1:]), np.broadcast_to(high, rows.shape[1:])
        self._few = self._low.size <= _FEW
        self._limits = self._low.ravel().tolist(), self._high.ravel().tolist()

    def take(self, row: int) -> Any:
        """The value of one environment; what is not a number is outside of any limits."""
        value = self.get(row)
        if self._few:
            inside = all(map(_between, *self._limits, value.ravel().tolist()))
        else:
            inside = bool(((value >= self._low) & (value <= self._high)).all())
        if not inside:
            raise Stranger(np.array2string(value, threshold=_FEW))
        return value


def _between(low: Any, high: Any, value: Any) -> bool:
    return bool(low <= value <= high)


class Choice(Leaf):
    """One of so many integers; its cells are reached without numpy, which would take longer than the rest of a step."""

    def __init__(self, space: spaces.Discrete, rows: NDArray[Any]) -> None:
        """Keep the cells, one an environment."""
        super().__init__(space, rows)
        self._low, self._high = int(space.start), int(space.start + space.n - 1)
        self._cells = cells(rows)

    def put(self, row: int, value: Any) -> None:
        """Write the integer of one environment."""
        self._cells[row] = value

    def get(self, row: int) -> Any:
        """The integer."""
        return self._cells[row]

    def take(self, row: int) -> Any:
        """The integer, if it is one of the choices."""
        value = self._cells[row]
        if self._low <= value <= self._high:
            return value
        raise Stranger(str(value))


class Letters:
    """Texts, as code points after their length."""

    def __init__(self, space: spaces.Text, rows: NDArray[np.uint32]) -> None:
        """Keep the rows."""
        self.space, self.rows = space, rows
        self._known = {ord(letter) for letter in space.character_set}

    def put(self, row: int, value: str) -> None:
        """Write the text of one environment."""
        self.rows[row, 0] = len(value)
        self.rows[row, 1 : 1 + len(value)] = [ord(letter) for letter in value]

    def get(self, row: int) -> str:
        """The text of one environment."""
        return self._text(self.rows[row].tolist())

    def take(self, row: int) -> str:
        """The text of one environment, if its length and letters are those of the space."""
        codes = self.rows[row].tolist()
        if not self.space.min_length <= codes[0] <= self.space.max_length:
            raise Stranger(f"{codes[0]} letters")
        if not self._known.issuperset(codes[1 : 1 + codes[0]]):
            raise Stranger("a letter outside of it")
        return self._text(codes)

    @staticmethod
    def _text(codes: list[int]) -> str:
        return "".join(map(chr, codes[1 : 1 + codes[0]]))

    def put_all(self, values: Any) -> None:
        """Write a text an environment."""
        for row, value in enumerate(values):
            self.put(row, value)

    def get_all(self) -> tuple[str, ...]:
        """A text an environment."""
        return tuple(self.get(row) for row in range(len(self.rows)))


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

    def take(self, row: int) -> Any:
        """The value of one environment, if every part belongs to its space."""
        return self._make({key: self._part(key, part, row) for key, part in self._parts.items()})

    @staticmethod
    def _part(key: Any, part: Any, row: int) -> Any:
        try:
            return part.take(row)
        except Stranger as stranger:
            raise Stranger(f"{key}: {stranger}") from None


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
        return Choice(space, rows)
    if isinstance(space, spaces.Box):
        return Numbers(space, rows, space.low, space.high)
    if isinstance(space, spaces.MultiDiscrete):
        return Numbers(space, rows, space.start, space.start + space.nvec - 1)
    return Numbers(space, rows, 0, 1)

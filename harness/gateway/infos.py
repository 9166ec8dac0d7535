"""How infos travel: those of plain numbers and arrays as bytes in a layout both sides know, all others pickled.

Pickling a dozen of numpy's numbers takes longer than many an environment's step. This file is laid into the clean room
as well, where `harness` is not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Info = dict[str, Any]
Mark = Any
"""What has to be alike for two values to be laid out alike: a type, or an array's (type of element, shape)."""
Signature = tuple[tuple[str, ...], tuple[Mark, ...]]
MOST_LAYOUTS = 64
"""Kept of one channel; an environment with more kinds of infos has the rest pickled."""
_CODES: dict[type, str] = {
    float: "d", int: "q", bool: "?", np.bool_: "?", np.float64: "d", np.float32: "f",
    np.int64: "q", np.int32: "i", np.int16: "h", np.int8: "b", np.uint64: "Q", np.uint32: "I", np.uint16: "H",
    np.uint8: "B",
}  # fmt: skip
_BATCHED = tuple(kind for kind in _CODES if kind is not np.bool_)
"""Scalars that Gymnasium's vector environments put into an array of their own type; others go into one of objects."""


def signature(info: Info) -> Signature | None:
    """The keys and marks of infos; None: some value is neither a plain number nor an array of them."""
    marks = tuple(map(_mark, info.values()))
    return None if None in marks or not all(type(key) is str for key in info) else (tuple(info), marks)


def _mark(value: Any) -> Mark | None:
    if type(value) is np.ndarray:
        return None if value.dtype.hasobject else (value.dtype, value.shape)
    return type(value) if type(value) in _CODES else None


class Layout:
    """How infos with certain keys and kinds of values lie in memory, one row an environment."""

    def __init__(self, keys: tuple[str, ...], marks: tuple[Mark, ...]) -> None:
        """Prepare for both directions."""
        self.keys, self.marks = keys, marks
        self._types = tuple(np.ndarray if type(mark) is tuple else mark for mark in marks)
        self._arrays = [(at, mark) for at, mark in enumerate(marks) if type(mark) is tuple]
        self._row = struct.Struct("=" + "".join(map(_code, marks)))
        self._table = np.dtype([(str(at), *_column(mark)) for at, mark in enumerate(marks)])
        self._makers = [(at, maker) for at, mark in enumerate(marks) if (maker := _maker(mark)) is not None]
        self.batches = all(type(mark) is tuple or mark in _BATCHED for mark in marks) and not any(map(_special, keys))

    @property
    def size(self) -> int:
        """Bytes of a row."""
        return self._row.size

    def fits(self, info: Info) -> bool:
        """Whether these infos are laid out so."""
        values = tuple(info.values())
        return (
            tuple(map(type, values)) == self._types
            and tuple(info) == self.keys
            and all((values[at].dtype, values[at].shape) == mark for at, mark in self._arrays)
        )

    def put(self, memory: memoryview, row: int, info: Info) -> None:
        """Write the infos of one environment.

        Raises:
            struct.error: An integer has more than 64 bits.
        """
        values = list(info.values())
        for at, _ in self._arrays:
            values[at] = values[at].tobytes()
        self._row.pack_into(memory, row * self._row.size, *values)

    def get(self, memory: memoryview) -> Info:
        """The infos of a single environment."""
        values = list(self._row.unpack_from(memory))
        for at, maker in self._makers:
            values[at] = maker(values[at])
        return dict(zip(self.keys, values, strict=True))

    def get_all(self, memory: memoryview, count: int) -> Info:
        """The infos of several, as Gymnasium's vector environments give them."""
        rows = np.frombuffer(memory, dtype=self._table, count=count)
        infos: Info = {}
        for at, key in enumerate(self.keys):
            infos[key] = rows[str(at)].copy()
            infos[f"_{key}"] = np.ones(count, dtype=np.bool_)
        return infos


def _special(key: str) -> bool:
    """Whether Gymnasium's vector environments do something of their own with a key, or might mistake it for a mask."""
    return key == "final_obs" or key.startswith("_")


def _code(mark: Mark) -> str:
    if type(mark) is tuple:
        return f"{mark[0].itemsize * int(np.prod(mark[1]))}s"
    return _CODES[mark]


def _column(mark: Mark) -> tuple[Any, ...]:
    return mark if type(mark) is tuple else (np.dtype(mark),)


def _maker(mark: Mark) -> Callable[[Any], Any] | None:
    """What turns an unpacked value into its own type; None: it has it."""
    if type(mark) is tuple:
        kind, shape = mark
        return lambda data: np.frombuffer(data, dtype=kind).reshape(shape).copy()
    return None if mark in (float, int, bool) else mark


class Layouts:
    """The layouts that a channel has used, numbered from 1; both of its ends keep them alike."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: list[Layout] = []

    def __getitem__(self, number: int) -> Layout:
        return self._known[number - 1]

    def find(self, infos: Sequence[Info]) -> tuple[int, Layout | None]:
        """The layout of all these infos, and its number."""
        for number, layout in enumerate(self._known, 1):
            if layout.fits(infos[0]):
                return (number, layout) if all(map(layout.fits, infos[1:])) else (0, None)
        return 0, None

    def learn(self, info: Info) -> Signature | None:
        """Keep the layout of infos that were not known; gives what the other side has to keep as well."""
        found = signature(info) if info and self.find((info,))[1] is None else None
        return found if self.keep(found) else None

    def keep(self, found: Signature | None) -> bool:
        """Keep a layout, if there is one and room for it."""
        if found is None or len(self._known) == MOST_LAYOUTS:
            return False
        self._known.append(Layout(*found))
        return True

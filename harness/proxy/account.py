"""The account of one attempt's use of models: what was spent, kept where a killed harness finds it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from harness.proxy.access import Fault, Spent
from harness.proxy.exchange import Exchange
from harness.proxy.prices import Price
from harness.record.files import private_file, read_slip

SPENT = "spent.json"
"""Beside the journal."""
_MOST_WAITS = 10_000
_LIBC = ctypes.CDLL(None)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


class Account:
    """What was spent, added up and written after each exchange."""

    def __init__(self, prices: Mapping[str, Price | None], path: Path) -> None:
        """Go on where an earlier process has left it; what ended that one does not end this."""
        self.path, self._prices = path, prices
        self._staged = path.with_name(f".{path.name}.new")
        priced = all(price is not None for price in prices.values())
        before = read_slip(path, Spent) if path.exists() else Spent(dollars=0.0 if priced else None)
        self.spent = msgspec.structs.replace(before, final=None, fault="none")
        self._write()

    def price(self, model: str) -> Price | None:
        """What a model costs."""
        return self._prices.get(model)

    def add(self, exchange: Exchange, *, sent: bool) -> None:
        """Add an exchange; `sent`: it reached the provider."""
        spent, dollars = self.spent, exchange.dollars
        self._change(
            requests=spent.requests + sent,
            refused=spent.refused + (not sent),
            tokens=spent.tokens + exchange.tokens,
            dollars=None if spent.dollars is None else spent.dollars + (dollars or 0.0),
            estimated=spent.estimated + exchange.estimated,
        )

    def wait(self, since: float, until: float) -> None:
        """Add a stretch in which a request waited for the provider, in seconds since 1970."""
        waits = tuple(_merged([*self.spent.waits, (since, until)])[-_MOST_WAITS:])
        self._change(waits=waits, waited=self.spent.waited + _length(waits) - _length(self.spent.waits))

    def finish(self, why: str, fault: Fault) -> None:
        """Nothing more is answered; the first reason stays."""
        if self.spent.final is None:
            self._change(final=why, fault=fault)

    def _change(self, **changes: object) -> None:
        self.spent = msgspec.structs.replace(self.spent, **changes)
        self._write()

    def _write(self) -> None:
        """Atomically, but not forced onto the disk: it has to outlive processes, not the machine."""
        self._staged.unlink(missing_ok=True)
        handle = private_file(self._staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            text = msgspec.json.encode(self.spent)
            while text:  # a disk that fills up takes a part first, and says so only then
                text = text[os.write(handle, text) :]
        finally:
            os.close(handle)
        if not _exchanged(self._staged, self.path):
            self._staged.replace(self.path)


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two files, in a thirtieth of a millisecond, where ext4 forces one that is replaced onto the disk, in four.

    Returns:
        False if there is no other, or the file system cannot.
    """
    renameat2 = getattr(_LIBC, "renameat2", None)
    here, there = os.fsencode(one), os.fsencode(other)
    return renameat2 is not None and renameat2(_AT_FDCWD, here, _AT_FDCWD, there, _RENAME_EXCHANGE) == 0


def _merged(stretches: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for since, until in sorted(stretches):
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(until, merged[-1][1]))
        else:
            merged.append((since, until))
    return merged


def _length(stretches: Iterable[tuple[float, float]]) -> float:
    return sum(until - since for since, until in stretches)

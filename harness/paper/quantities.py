"""Quantities as people write them in a config: `60 s`, `8 h`, `1 GiB`; kept as seconds and bytes."""

from __future__ import annotations

import math
import re
from typing import Any

_DURATION_UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "kB": 10**3, "MB": 10**6, "GB": 10**9}
LONGEST = 100 * 365.25 * 86400.0
"""Seconds that anything may take: a moment so far away still has a date."""
_THOUSANDS = re.compile(r"\d{1,3}( \d{3})*")
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def _parse(value: Any, units: dict[str, Any], example: str) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"expected a quantity like {example!r} (units: {', '.join(units)})")
    return float(match[1]) * units[match[2]]


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no double can hold
        return False


def seconds(value: Any) -> float:
    """A duration in seconds, from a number of seconds or a text like `1.5 h`.

    Raises:
        ValueError: The text is not a number followed by a known unit.

    >>> seconds("1.5 h")
    5400.0
    """
    found = _parse(value, _DURATION_UNITS, "60 s")
    if not _is_finite(found) or abs(found) > LONGEST:
        raise ValueError("expected a number of seconds within a hundred years")
    return float(found)


def size(value: Any) -> int:
    """A size in bytes, from a number of bytes or a text like `256 MiB`.

    Raises:
        ValueError: The text is not a number followed by a known unit.

    >>> size("1 KiB")
    1024
    """
    found = _parse(value, _SIZE_UNITS, "256 MiB")
    if not _is_finite(found):
        raise ValueError("expected a finite number of bytes")
    return int(found)


def count(value: Any) -> Any:
    """A number of things, from an integer or a text with its thousands apart.

    >>> count("200 000")
    200000
    """
    return int(value.replace(" ", "")) if isinstance(value, str) and _THOUSANDS.fullmatch(value) else value


def show_seconds(value: float) -> str:
    """A duration for people: the largest unit that leaves at least one.

    >>> show_seconds(28800), show_seconds(0.25), show_seconds(-90)
    ('8 h', '250 ms', '-1.5 min')
    """
    if value < 0:
        return f"-{show_seconds(-value)}"
    unit = max((u for u, s in _DURATION_UNITS.items() if value >= s), key=_DURATION_UNITS.__getitem__, default="ms")
    return f"{value / _DURATION_UNITS[unit]:.4g} {unit}"


def show_size(value: float) -> str:
    """A size for people, in binary units.

    >>> show_size(2**30)
    '1 GiB'
    """
    binary = {unit: scale for unit, scale in _SIZE_UNITS.items() if unit == "B" or unit.endswith("iB")}
    unit = max((u for u, s in binary.items() if value >= s), key=binary.__getitem__, default="B")
    return f"{value / binary[unit]:.4g} {unit}"

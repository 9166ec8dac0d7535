"""What agents and models sent, made fit to be kept: texts that are Unicode, numbers that are JSON, nothing endless."""

from __future__ import annotations

import math
from typing import Any

MOST_TEXT = 1 << 20
"""Characters of one text."""
MOST_NAME = 200
"""Characters of a name, an identifier or a key."""
MOST_DEPTH = 24
MOST_ITEMS = 10_000
"""Entries of one object or list."""
_LARGEST = 2**63
_NOTE = 60
"""Characters that saying what was left out takes."""


def tame_text(value: object, most: int = MOST_TEXT) -> str:
    r"""A text as UTF-8 can hold it, shortened in its middle where it is too long; nothing for what is no text.

    >>> tame_text("lone \ud800 half"), tame_text(None), tame_text("a" * 100, 20)
    ('lone ? half', '', 'aaaaaaaaaaaaaa[… 80 characters left out …]aaaaaa')
    """
    if not isinstance(value, str):
        return ""
    text = shortened(value, most)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def shortened(text: str, most: int) -> str:
    """The beginning and the end of a text that is longer than `most` characters, and how many are missing between.

    What was shortened before is not shortened again.

    >>> shortened("0123456789" * 10, 6)
    '0123[… 94 characters left out …]89'
    """
    if len(text) <= most + _NOTE:
        return text
    tail = most // 3
    return f"{text[: most - tail]}[… {len(text) - most:,} characters left out …]{text[len(text) - tail :]}"


def tame_name(value: object) -> str:
    """A name, as short as names are."""
    return tame_text(value, MOST_NAME)


def tame_value(value: object, depth: int = MOST_DEPTH) -> Any:
    """A JSON value without what JSON, or a reader of it, could not bear.

    >>> tame_value({"a": [float("nan"), 2**70, {"b": {"c": 1}}]}, 3)
    {'a': ['nan', 'a number of 71 bits', 'left out: nested too deep']}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_LARGEST <= value < _LARGEST else f"a number of {value.bit_length()} bits"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return tame_text(value)
    if not isinstance(value, dict | list):
        return f"left out: {type(value).__name__}"
    if depth <= 1:
        return "left out: nested too deep"
    return _tame_all(value, depth - 1)


def _tame_all(value: dict[Any, Any] | list[Any], depth: int) -> Any:
    left = max(0, len(value) - MOST_ITEMS)
    if isinstance(value, list):
        items = [tame_value(item, depth) for item in value[:MOST_ITEMS]]
        return [*items, f"{left} more left out"] if left else items
    pairs = zip(range(MOST_ITEMS), value.items(), strict=False)
    kept = {tame_name(str(key)): tame_value(item, depth) for _, (key, item) in pairs}
    return {**kept, "…": f"{left} more left out"} if left else kept

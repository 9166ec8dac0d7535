"""Text that a stranger wrote, made fit to be shown: what controls a terminal is visible, what is endless is cut."""

from __future__ import annotations

import re
from collections.abc import Callable

_SUSPECT = re.compile("[^\n\t -~\xa1-\xac\xae-\u0377]")
"""Characters that may have to be made visible."""


def plain(text: str, *, also: str = "") -> str:
    r"""A text with every control character but the newline and the tab (and what is let through) made visible.

    >>> plain("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    if text.isprintable():  # nearly every text is, and pages have thousands
        return text
    return _SUSPECT.sub(lambda found: _visible(found[0], also), text)


def _visible(c: str, also: str) -> str:
    return c if c.isprintable() or c in also else c.encode("unicode_escape").decode()


def brief(value: object, most: int, *, through: Callable[[str], str] = str) -> str:
    """A value as a plain text of at most `most` characters, and some more to say that it goes on.

    Args:
        value: What is told of.
        most: Characters.
        through: What the text is sent through; it is given a few times as many characters, for it may shorten them.

    >>> brief("a" * 100, 5), brief(16**9999, 50)
    ('aaaaa… (100 characters)', 'a number of 39997 bits')
    """
    if isinstance(value, int) and value.bit_length() > 4 * most:  # Python writes out no number of thousands of digits
        return f"a number of {value.bit_length()} bits"
    text = str(value)
    told = through(text[: 4 * most])
    return plain(told) if len(told) <= most else f"{plain(told[:most])}… ({len(text)} characters)"

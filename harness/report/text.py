"""Text for a terminal: what a participant wrote is shown, never obeyed."""

from __future__ import annotations


def plain(text: str, *, also: str = "") -> str:
    r"""A text with every control character but the newline and the tab (and what is let through) made visible.

    >>> plain("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return "".join(c if c.isprintable() or c in "\n\t" + also else c.encode("unicode_escape").decode() for c in text)

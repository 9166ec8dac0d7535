"""Text for a terminal: what a participant wrote is shown, never obeyed."""

from __future__ import annotations


def plain(text: str) -> str:
    r"""A text with every control character but the newline and the tab made visible.

    >>> plain("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)

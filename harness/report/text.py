"""Text for a terminal, and for a spreadsheet: what a participant wrote is shown, never obeyed."""

from __future__ import annotations

import re
import unicodedata

from harness.errors import plain as plain

_PILED = re.compile("[^\x00-\u02ff]{9,}")
"""Where so many characters follow one another that may be marks, they are looked at."""
_MOST_MARKS = 8
_FORMULA = "=+-@＝＋－＠"


def inline(text: str) -> str:
    r"""A text that cannot leave its line.

    >>> inline("eve\nworking time 0 s")
    'eve\\nworking time 0 s'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def bearable(text: str) -> str:
    r"""A text in which no letter bears more marks than any script has: a pile of them is one letter of any size.

    >>> len(bearable("Z" + 3000 * "\u0301"))
    9
    """
    if text.isascii():
        return text
    return _PILED.sub(_lowered, text)


def _lowered(found: re.Match[str]) -> str:
    kept, marks = [], 0
    for c in found[0]:
        marks = marks + 1 if unicodedata.category(c).startswith("M") else 0
        if marks <= _MOST_MARKS:
            kept.append(c)
    return "".join(kept)


def inert(text: str) -> str:
    r"""A text that no spreadsheet takes for a formula, in half or full width, and no terminal for a command.

    >>> inert("=cmd()"), inert(" \t=1"), inert("\x1b[2J")
    ("'=cmd()", "' \t=1", '\\x1b[2J')
    """
    text = plain(text)
    begins = text.lstrip()[:1]
    return f"'{text}" if text[:1] == "\t" or (begins and begins in _FORMULA) else text

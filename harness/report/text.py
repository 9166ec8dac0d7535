"""Text for a terminal, and for a spreadsheet: what a participant wrote is shown, never obeyed."""

from __future__ import annotations

from harness.errors import plain as plain

_FORMULA = "=+-@＝＋－＠"


def inline(text: str) -> str:
    r"""A text that cannot leave its line.

    >>> inline("eve\nworking time 0 s")
    'eve\\nworking time 0 s'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def inert(text: str) -> str:
    r"""A text that no spreadsheet takes for a formula, in half or full width, and no terminal for a command.

    >>> inert("=cmd()"), inert(" \t=1"), inert("\x1b[2J")
    ("'=cmd()", "' \t=1", '\\x1b[2J')
    """
    text = plain(text)
    begins = text.lstrip()[:1]
    return f"'{text}" if text[:1] == "\t" or (begins and begins in _FORMULA) else text

"""Text for a terminal, and for a spreadsheet: what a participant wrote is shown, never obeyed."""

from __future__ import annotations

import re
import unicodedata

import click

from harness.errors import plain as plain

_PILED = re.compile("[^\x00-\u02ff]{9,}")
"""Where so many characters follow one another that may be marks, they are looked at."""
_MOST_MARKS = 8
_SUSPECT = re.compile(r"[^\n -~]")
"""What may be no plain character; of JSON's white space only the newline is used."""
_FORMULA = "=+-@＝＋－＠"


def inline(text: str) -> str:
    r"""A text that cannot leave its line.

    >>> inline("eve\nworking time 0 s")
    'eve\\nworking time 0 s'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def echo(text: str, *, sign: str = "", err: bool = False, nl: bool = True) -> None:
    """Print a text that no terminal takes for a command, whatever is in it; `sign` is ours, and may be coloured."""
    click.echo(f"{sign}{plain(text)}", err=err, nl=nl)


def echo_json(text: str, *, err: bool = False) -> None:
    """Print JSON; what a terminal would obey is written as JSON escapes it, so that it still says the same."""
    click.echo(_SUSPECT.sub(lambda found: found[0] if found[0].isprintable() else _escaped(found[0]), text), err=err)


def _escaped(c: str) -> str:
    units = c.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


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

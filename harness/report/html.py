"""Pages that people open in a browser: one file each, every text escaped, nothing loaded from outside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.report.elsewhere import MARK
from harness.report.text import bearable, plain
from harness.trajectory.tame import shortened

_LONGEST = 4000
"""Characters of one text: a browser takes half a minute to lay out a page of words of a megabyte."""
TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, facts: Mapping[str, Any], *, script: str | None = None) -> str:
    """A page from its template.

    Its content policy names the one style sheet and the one script by their hashes and forbids everything else, so
    that a text which slipped through unescaped could still load, run and send nothing.

    Args:
        template: A file in templates/ that extends base.html.
        facts: What the template shows; every text in it is escaped.
        script: A file in templates/ that the page runs.
    """
    style, code = _text("style.css"), _text(script) if script else ""
    policy = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _source(style),
        "script-src": _source(code) if code else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return (
        _environment()
        .get_template(template)
        .render(
            facts,
            mark_of_ours=Markup(MARK),
            policy="; ".join(f"{name} {value}" for name, value in policy.items()),
            style=Markup(style),
            script=Markup(code),
        )
    )


def picture(svg: str) -> Markup:
    """An SVG picture as the source of an <img>: a browser runs nothing in it and loads nothing for it."""
    return Markup("data:image/svg+xml;base64,") + base64.b64encode(svg.encode()).decode()


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def _shown(value: object) -> object:
    """What a text is before it is escaped: nothing in it is invisible, too tall, or longer than anybody reads."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return plain(bearable(shortened(value, _LONGEST)))


@cache
def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

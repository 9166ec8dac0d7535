"""Which fields of a request are let through, in each format."""

from __future__ import annotations

from typing import Any

from harness.proxy import anthropic, gemini, openai
from harness.proxy.exchange import Format
from harness.proxy.rules import Rule

_RULES: dict[Format, Rule] = {
    "chat": openai.CHAT,
    "responses": openai.RESPONSES,
    "messages": anthropic.MESSAGES,
    "generate": gemini.GENERATE,
}


_ELEMENTS: dict[Format, dict[str, Rule]] = {
    "chat": {"messages": openai.MESSAGE, "tools": openai.CHAT_TOOL},
    "responses": {"input": openai.ITEM, "tools": openai.TOOL},
    "messages": {"messages": anthropic.MESSAGE, "tools": anthropic.tool},
    "generate": {"contents": gemini.CONTENT, "tools": gemini.TOOL},
}
"""The lists that a request repeats, and the rule of an element of each."""
LISTS: dict[Format, tuple[str, ...]] = {format: tuple(rules) for format, rules in _ELEMENTS.items()}


def element(format: Format, name: str) -> Rule:
    """The rule of an element of a list."""
    return _ELEMENTS[format][name]


def cleaned(format: Format, body: dict[str, Any]) -> dict[str, Any]:
    """A body as it may be sent on.

    Raises:
        Refused: Something in it is not let through.
    """
    kept: dict[str, Any] = _RULES[format](body, "")
    return kept

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


def cleaned(format: Format, body: dict[str, Any]) -> dict[str, Any]:
    """A body as it may be sent on.

    Raises:
        Refused: Something in it is not let through.
    """
    kept: dict[str, Any] = _RULES[format](body, "")
    return kept

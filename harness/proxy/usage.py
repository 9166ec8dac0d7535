"""Tokens: as an answer tells them in each format, and as we reckon them where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.proxy.exchange import Format, Tokens

_MOST = 10**10
"""Tokens; whoever tells more is not believed."""
_BYTES_A_TOKEN = 3
"""English has four to five, code about three."""
_FIELD: dict[Format, str] = {"chat": "usage", "responses": "usage", "messages": "usage", "generate": "usageMetadata"}


def told(format: Format, answer: Mapping[str, Any] | None) -> Tokens | None:
    """The tokens that an answer tells; None where it tells none, or nothing that can be believed."""
    usage = (answer or {}).get(_FIELD[format])
    if not isinstance(usage, dict):
        return None
    try:
        return _READERS[format](usage)
    except ValueError:
        return None


def reckoned(sent: int, received: int) -> Tokens:
    """Tokens by the bytes of a request and of an answer."""
    return Tokens(input=-(-sent // _BYTES_A_TOKEN), output=-(-received // _BYTES_A_TOKEN))


def _number(usage: Mapping[str, Any], *path: str, needed: bool = False) -> int:
    """A count at a path, 0 where there is none.

    Raises:
        ValueError: It is no count, or is needed and not there.
    """
    value: Any = usage
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if value is None and not needed:
        return 0
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError(path)
    return value


def _chat(usage: Mapping[str, Any]) -> Tokens:
    return Tokens(
        input=_number(usage, "prompt_tokens", needed=True),
        cached=_number(usage, "prompt_tokens_details", "cached_tokens") or _number(usage, "prompt_cache_hit_tokens"),
        output=_number(usage, "completion_tokens", needed=True),
        reasoning=_number(usage, "completion_tokens_details", "reasoning_tokens"),
    )


def _responses(usage: Mapping[str, Any]) -> Tokens:
    return Tokens(
        input=_number(usage, "input_tokens", needed=True),
        cached=_number(usage, "input_tokens_details", "cached_tokens"),
        output=_number(usage, "output_tokens", needed=True),
        reasoning=_number(usage, "output_tokens_details", "reasoning_tokens"),
    )


def _messages(usage: Mapping[str, Any]) -> Tokens:
    cached, written = _number(usage, "cache_read_input_tokens"), _number(usage, "cache_creation_input_tokens")
    return Tokens(
        input=_number(usage, "input_tokens", needed=True) + cached + written,
        cached=cached,
        written=written,
        lasting=min(written, _number(usage, "cache_creation", "ephemeral_1h_input_tokens")),
        output=_number(usage, "output_tokens", needed=True),
    )


def _generate(usage: Mapping[str, Any]) -> Tokens:
    thought = _number(usage, "thoughtsTokenCount")
    return Tokens(
        input=_number(usage, "promptTokenCount", needed=True) + _number(usage, "toolUsePromptTokenCount"),
        cached=_number(usage, "cachedContentTokenCount"),
        output=_number(usage, "candidatesTokenCount") + thought,
        reasoning=thought,
    )


_READERS = {"chat": _chat, "responses": _responses, "messages": _messages, "generate": _generate}

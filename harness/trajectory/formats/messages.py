"""Anthropic messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.trajectory.piece import Piece, called, entries, function, instructed, items, returned, said, thought


def elements(request: Mapping[str, Any]) -> list[Any]:
    """The instructions, and the messages."""
    told = request.get("system")
    return [*([told] if told else []), *items(request.get("messages"))]


def pieces(element: Any) -> Iterator[Piece]:
    """What one message says, its parts in their order; what is no object is the instructions."""
    message = entries(element)
    role, content = message.get("role"), message.get("content")
    if not isinstance(element, dict) or role == "system":
        yield from instructed(content if message else element)
        return
    agent = role == "assistant"
    if not isinstance(content, list):
        yield from said("agent" if agent else "user", content)
        return
    for block in content:
        yield from _block(entries(block), agent=agent)


def _block(block: Mapping[str, Any], *, agent: bool) -> Iterator[Piece]:
    kind = block.get("type")
    if kind == "tool_use":
        yield called(block.get("id"), block.get("name"), block.get("input"))
    elif kind == "tool_result":
        yield returned(block.get("tool_use_id"), block.get("content"), failed=block.get("is_error"))
    elif kind in ("thinking", "redacted_thinking"):
        yield from thought(block)
    else:
        yield from said("agent" if agent else "user", block)


def answered(answer: Mapping[str, Any]) -> Iterator[Piece]:
    """What the message says."""
    yield from pieces({"role": "assistant", "content": answer.get("content")})


def tools(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The functions."""
    for tool in items(request.get("tools")):
        told = entries(tool)
        yield function(told.get("name"), told.get("description"), told.get("input_schema"))

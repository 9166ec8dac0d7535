"""OpenAI chat completions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.trajectory.atif import Source
from harness.trajectory.piece import Piece, called, entries, function, items, returned, said, thought

SOURCES: dict[object, Source] = {"system": "system", "developer": "system", "assistant": "agent"}


def elements(request: Mapping[str, Any]) -> list[Any]:
    """The messages."""
    return items(request.get("messages"))


def pieces(element: Any) -> Iterator[Piece]:
    """What one message says."""
    message = entries(element)
    role = message.get("role")
    if role in ("tool", "function"):
        yield returned(message.get("tool_call_id"), message.get("content"), name=message.get("name"))
        return
    source = SOURCES.get(role, "user") if isinstance(role, str) else "user"
    if source == "agent":
        yield from thought(message.get("reasoning_content") or message.get("reasoning"))
    yield from said(source, message.get("content") or message.get("refusal"))
    for call in items(message.get("tool_calls")) if source == "agent" else ():
        made = entries(entries(call).get("function"))
        custom = entries(entries(call).get("custom"))
        yield called(entries(call).get("id"), (made or custom).get("name"), made.get("arguments", custom.get("input")))


def answered(answer: Mapping[str, Any]) -> Iterator[Piece]:
    """What the first choice says."""
    for choice in items(answer.get("choices"))[:1]:
        yield from pieces({**entries(entries(choice).get("message")), "role": "assistant"})


def tools(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The functions."""
    for tool in items(request.get("tools")):
        told = entries(entries(tool).get("function"))
        yield function(told.get("name"), told.get("description"), told.get("parameters"))

"""OpenAI responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.trajectory.formats.chat import SOURCES
from harness.trajectory.piece import Piece, called, entries, function, instructed, items, returned, said, thought


def elements(request: Mapping[str, Any]) -> list[Any]:
    """The instructions, and the items of the input."""
    given, told = request.get("input"), request.get("instructions")
    return [
        *([told] if told else []),
        *([{"role": "user", "content": given}] if isinstance(given, str) else items(given)),
    ]


def pieces(element: Any) -> Iterator[Piece]:
    """What one item says; what is no object is the instructions."""
    if not isinstance(element, dict):
        yield from instructed(element)
        return
    item = entries(element)
    kind = item.get("type")
    kind = kind if isinstance(kind, str) else "message"
    id = item.get("call_id") or item.get("id")
    if kind == "reasoning":
        yield from thought(item.get("content") or item.get("summary"))
    elif kind.endswith("_output"):
        yield returned(id, item.get("output"))
    elif kind.endswith("_call"):
        yield called(id, item.get("name") or kind, _first(item, "arguments", "input", "action"))
    else:
        role = item.get("role")
        yield from said(SOURCES.get(role, "user") if isinstance(role, str) else "user", item.get("content"))


def _first(item: Mapping[str, Any], *keys: str) -> object:
    return next((item[key] for key in keys if key in item), None)


def answered(answer: Mapping[str, Any]) -> Iterator[Piece]:
    """What the items of the output say."""
    for item in items(answer.get("output")):
        yield from pieces({"role": "assistant", **entries(item)})


def tools(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The functions, custom ones too."""
    for tool in items(request.get("tools")):
        told = entries(tool)
        yield function(told.get("name") or told.get("type"), told.get("description"), told.get("parameters"))

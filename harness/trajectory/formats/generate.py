"""Gemini generateContent; its calls often have no identifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from harness.trajectory.atif import Source
from harness.trajectory.piece import Piece, called, entries, function, instructed, items, returned, said, thought
from harness.trajectory.tame import tame_value


def elements(request: Mapping[str, Any]) -> list[Any]:
    """The instructions, and the contents."""
    told = entries(request.get("systemInstruction") or request.get("system_instruction")).get("parts")
    return [*([told] if told else []), *items(request.get("contents"))]


def pieces(element: Any) -> Iterator[Piece]:
    """What one content says; texts in a row are one, as a client may have joined them. A list is the instructions."""
    if not isinstance(element, dict):
        yield from instructed(element)
        return
    content = entries(element)
    source: Source = "agent" if content.get("role") == "model" else "user"
    run: list[str] = []
    for part in map(entries, items(content.get("parts"))):
        if isinstance(part.get("text"), str) and part.get("thought") is not True:
            run.append(part["text"])
            continue
        yield from said(source, "".join(run))
        run = []
        yield from _part(part, source)
    yield from said(source, "".join(run))


def _part(part: Mapping[str, Any], source: Source) -> Iterator[Piece]:
    call, response = entries(part.get("functionCall")), entries(part.get("functionResponse"))
    if part.get("thought") is True:
        yield from thought(part.get("text"))
    elif call:
        yield called(call.get("id"), call.get("name"), call.get("args"))
    elif response:
        yield returned(response.get("id"), _response(response.get("response")), name=response.get("name"))
    else:
        yield from said(source, part)


def _response(response: object) -> object:
    """The text in a response, or the response as JSON."""
    told = entries(response)
    if len(told) == 1 and isinstance(only := next(iter(told.values())), str):
        return only
    return msgspec.json.encode(tame_value(response)).decode()


def answered(answer: Mapping[str, Any]) -> Iterator[Piece]:
    """What the first candidate says."""
    for candidate in items(answer.get("candidates"))[:1]:
        yield from pieces({**entries(entries(candidate).get("content")), "role": "model"})


def tools(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The functions."""
    for tool in items(request.get("tools")):
        for told in map(entries, items(entries(tool).get("functionDeclarations"))):
            schema = told.get("parameters") or told.get("parametersJsonSchema")
            yield function(told.get("name"), told.get("description"), schema)

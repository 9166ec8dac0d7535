"""The pieces that every wire format is taken apart into: what was said, thought, called and answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, Protocol

import msgspec

from harness.trajectory.atif import Source
from harness.trajectory.tame import tame_name, tame_text, tame_value

Kind = Literal["text", "thought", "call", "result"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One thing that was said; its texts are tame."""

    kind: Kind
    source: Source
    text: str = ""
    """What was said, thought or came back."""
    id: str = ""
    """Of the call; some formats have none."""
    name: str = ""
    """Of the function."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False
    """Of a result: it says that the call failed."""

    @property
    def mark(self) -> bytes:
        """Equal for what a model said and for what a later request repeats of it, however a client writes it."""
        said = _json(self.arguments) if self.kind == "call" else self.text.strip()
        return _digest(self.kind, self.source, self.name if self.kind == "call" else "", said)

    @property
    def named(self) -> bytes:
        """Equal for calls with the same identifier."""
        return _digest("named", self.id)


class Reader(Protocol):
    """A wire format: where its conversation stands, and what its elements say. It never fails on what it is sent."""

    def elements(self, request: Mapping[str, Any]) -> list[Any]:
        """The conversation of a request, instructions first; shared objects stay the same objects."""
        ...

    def pieces(self, element: Any) -> Iterator[Piece]:
        """What one element says."""
        ...

    def answered(self, answer: Mapping[str, Any]) -> Iterator[Piece]:
        """What the model said."""
        ...

    def tools(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The functions that a model may call, as OpenAI writes them."""
        ...


def items(value: object) -> list[Any]:
    """A list as it is; nothing for what is none."""
    return value if isinstance(value, list) else []


def entries(value: object) -> Mapping[str, Any]:
    """An object as it is; nothing for what is none."""
    return value if isinstance(value, dict) else {}


def said(source: Source, content: object) -> Iterator[Piece]:
    """A text, or a list of parts, as pieces."""
    text = words(content)
    if text:
        yield Piece(kind="text", source=source, text=text)


def instructed(content: object) -> Iterator[Piece]:
    """Instructions, a piece each part: clients change one of them from request to request."""
    for part in content if isinstance(content, list) else [content]:
        yield from said("system", part)


def thought(content: object) -> Iterator[Piece]:
    """A model's reasoning."""
    text = words(content)
    if text:
        yield Piece(kind="thought", source="agent", text=text)


def called(id: object, name: object, arguments: object) -> Piece:
    """A call; arguments that are no object are kept as a text."""
    return Piece(kind="call", source="agent", id=tame_name(id), name=tame_name(name), arguments=_arguments(arguments))


def returned(id: object, content: object, *, name: object = "", failed: object = False) -> Piece:
    """What came back to a call."""
    text = words(content)
    return Piece(kind="result", source="user", id=tame_name(id), name=tame_name(name), text=text, failed=failed is True)


def function(name: object, description: object, parameters: object) -> dict[str, Any]:
    """A function that a model may call."""
    told = {"name": tame_name(name), "description": tame_text(description, 10_000)}
    return {"type": "function", "function": {**told, "parameters": tame_value(entries(parameters), 12)}}


def words(content: object) -> str:
    """The text of a content in any format: a text, or parts with texts; what is no text is named, with its size."""
    if isinstance(content, str):
        return tame_text(content)
    if isinstance(content, dict):
        return tame_text(_part(content))
    return tame_text("\n".join(_parts(items(content))))


def _parts(parts: Iterable[object]) -> Iterator[str]:
    for part in parts:
        text = part if isinstance(part, str) else _part(entries(part))
        if text:
            yield text


def _part(part: Mapping[str, Any]) -> str:
    for key in ("text", "thinking", "refusal"):
        if isinstance(part.get(key), str):
            return str(part[key])
    if not part:
        return ""
    kind = tame_name(part.get("type")) or next(iter(part), "")
    return f"[{tame_name(kind)}, {_size(part):,} characters]"


def _size(value: object, depth: int = 6) -> int:
    """Characters of all texts in a value."""
    if isinstance(value, str):
        return len(value)
    if depth and isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return sum(_size(item, depth - 1) for item in inner)
    return 0


def _arguments(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value) if value.strip() else {}
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return {"arguments": tame_text(value)}
    found = tame_value(value)
    return found if isinstance(found, dict) else {"arguments": found}


def _digest(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()

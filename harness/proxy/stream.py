"""A streamed answer: its events, and the whole answer that they tell, in the shape of one that was not streamed."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from harness.proxy.exchange import Format
from harness.proxy.rules import deep

_LONGEST = 16 << 20
"""Bytes of one event."""
_MOST_PARTS = 4096
"""Parts of one answer: tool calls, blocks, candidates."""


class Events:
    """Cuts a stream of server-sent events into the data of each."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that a chunk completes.

        Raises:
            ValueError: One is too long.
        """
        self._rest += chunk
        if b"\n" not in chunk:  # what has no end yet is looked at once, when that comes
            if len(self._rest) > _LONGEST:
                raise ValueError("an event is too long")
            return []
        *lines, self._rest = self._rest.split(b"\n")
        return [bytes(line[5:].strip()) for line in lines if line.startswith(b"data:")]


class Assembly(Protocol):
    """Puts an answer together."""

    answer: dict[str, Any] | None
    """So far; texts that grow are `_Text`."""
    ended: bool
    """Whether the stream has said that it is whole."""

    def take(self, event: dict[str, Any]) -> None:
        """Take an event in; what cannot be understood is left out."""


class _Chat:
    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = None
        self.ended = False
        self._choices: dict[int, dict[str, Any]] = {}

    def take(self, event: dict[str, Any]) -> None:
        if self.answer is None:
            self.answer = {**event, "object": "chat.completion", "choices": []}
        if isinstance(event.get("usage"), dict):
            self.answer["usage"] = event["usage"]
        for choice in _dicts(event.get("choices")):
            self._merge(choice)

    def _merge(self, choice: dict[str, Any]) -> None:
        assert self.answer is not None
        place = choice.get("index", 0)
        if place not in self._choices and len(self._choices) < _MOST_PARTS:
            self._choices[place] = {"index": place, "message": {"role": "assistant", "content": None}}
            self.answer["choices"] = list(self._choices.values())
        whole = self._choices[place]
        _grow(whole["message"], _dict(choice.get("delta")))
        if choice.get("finish_reason") is not None:
            whole["finish_reason"], self.ended = choice["finish_reason"], True


class _Responses:
    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = None
        self.ended = False
        self._items: list[Any] = []

    def take(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if isinstance(event.get("response"), dict):
            self.answer = event["response"]
            self.ended = kind in ("response.completed", "response.incomplete", "response.failed")
        if kind == "response.output_item.done" and len(self._items) < _MOST_PARTS:
            self._items.append(event.get("item"))
        if self.answer is not None and not self.answer.get("output"):
            self.answer["output"] = self._items


class _Messages:
    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = None
        self.ended = False
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}

    def take(self, event: dict[str, Any]) -> None:
        match event.get("type"):
            case "message_start":
                self.answer = {**_dict(event.get("message")), "content": []}
            case "content_block_start":
                self._begin(event.get("index", 0), _dict(event.get("content_block")))
            case "content_block_delta":
                self._merge(event.get("index", 0), _dict(event.get("delta")))
            case "content_block_stop":
                self._finish(event.get("index", 0))
            case "message_delta":
                self._end(event)
            case "message_stop":
                self.ended = True

    def _begin(self, place: int, block: dict[str, Any]) -> None:
        if self.answer is not None and len(self._blocks) < _MOST_PARTS:
            self._blocks[place] = block
            self.answer["content"] = list(self._blocks.values())

    def _merge(self, place: int, delta: dict[str, Any]) -> None:
        block = self._blocks.get(place, {})
        match delta.pop("type", None):
            case "input_json_delta":
                self._inputs.setdefault(place, []).append(str(delta.get("partial_json", "")))
            case "citations_delta":
                block.setdefault("citations", []).append(delta.get("citation"))
            case _:
                _grow(block, delta)

    def _finish(self, place: int) -> None:
        if place in self._inputs:
            text = "".join(self._inputs.pop(place))
            self._blocks.get(place, {})["input"] = _parsed(text) if text else {}

    def _end(self, event: dict[str, Any]) -> None:
        if self.answer is not None:
            self.answer |= _dict(event.get("delta"))
            usage = self.answer["usage"] = _dict(self.answer.get("usage"))
            usage.update((name, count) for name, count in _dict(event.get("usage")).items() if count is not None)


class _Generate:
    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = None
        self.ended = False
        self._candidates: dict[int, dict[str, Any]] = {}

    def take(self, event: dict[str, Any]) -> None:
        if self.answer is None:
            self.answer = {}
        self.answer.update(event)  # in place: a copy at each event would take quadratic time
        for candidate in _dicts(event.get("candidates")):
            self._merge(candidate)
        self.answer["candidates"] = list(self._candidates.values())

    def _merge(self, candidate: dict[str, Any]) -> None:
        place = candidate.get("index", 0)
        if len(self._candidates) >= _MOST_PARTS:
            return
        whole = self._candidates.setdefault(place, {"content": {"role": "model", "parts": []}})
        for part in _dicts(_dict(candidate.get("content")).get("parts")):
            _add_part(whole["content"]["parts"], part)
        whole |= {name: value for name, value in candidate.items() if name != "content"}
        self.ended = self.ended or "finishReason" in candidate


_ASSEMBLIES: dict[Format, type[Assembly]] = {
    "chat": _Chat,
    "responses": _Responses,
    "messages": _Messages,
    "generate": _Generate,
}


class Telling:
    """What a stream has told so far."""

    def __init__(self, format: Format) -> None:
        """Begin before the first byte."""
        self._events, self._assembly = Events(), _ASSEMBLIES[format]()
        self.failed: dict[str, Any] | None = None
        """An error that was sent in place of the rest."""

    @property
    def answer(self) -> dict[str, Any] | None:
        """The answer so far."""
        found: dict[str, Any] | None = _settled(self._assembly.answer)
        return found

    @property
    def ended(self) -> bool:
        """Whether the stream has said that it is whole."""
        return self._assembly.ended

    def feed(self, chunk: bytes) -> None:
        """Take in what has arrived."""
        for data in self._events.feed(chunk):
            if data == b"[DONE]":
                self._assembly.ended = True
                continue
            event = _parsed_bytes(data)
            if isinstance(event.get("error"), dict):
                self.failed = event["error"]
            else:
                self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        try:
            self._assembly.take(event)
        except (TypeError, AttributeError, KeyError):  # a server that writes nonsense harms the record of it alone
            return


class WithoutUsage:
    """Takes the chunk with the usage out of a stream of chat completions, which the agent has not asked for."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self._rest, self._half = bytearray(), b""

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream is passed on; an event that is not whole waits for its rest."""
        chunk = self._half + chunk
        self._half = b"\r" if chunk.endswith(b"\r") else b""
        looked = max(0, len(self._rest) - 1)
        self._rest += chunk.removesuffix(b"\r").replace(b"\r\n", b"\n")
        if self._rest.find(b"\n\n", looked) < 0:  # what has no end yet is looked at once, when that comes
            return b""
        *events, self._rest = self._rest.split(b"\n\n")
        return b"".join(bytes(event) + b"\n\n" for event in events if not _only_usage(event))

    def end(self) -> bytes:
        """What is left at the end."""
        rest = bytes(self._rest) + self._half
        return b"" if _only_usage(rest) else rest


def _only_usage(event: bytes | bytearray) -> bool:
    if b'"usage"' not in event or not event.startswith(b"data:"):
        return False
    told = _parsed_bytes(bytes(event[5:]))
    return told.get("choices") == [] and isinstance(told.get("usage"), dict)


def _add_part(parts: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Append a part, or lengthen the last, if both are text of the same kind."""
    if parts and set(part) <= {"text", "thought"} and _kind(parts[-1]) == _kind(part):
        there, more = parts[-1].get("text"), part.get("text")
        if isinstance(more, str):
            parts[-1]["text"] = _longer(there if isinstance(there, str | _Text) else "", more)
    elif len(parts) < _MOST_PARTS:
        parts.append(part)


class _Text:
    """A text that grows piece by piece: joined once, since joining at each piece would take quadratic time."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = list(pieces)


def _longer(text: str | _Text, piece: str) -> _Text:
    grown = text if isinstance(text, _Text) else _Text(text)
    grown.pieces.append(piece)
    return grown


def _settled(value: Any) -> Any:
    """A copy of a value in which every text is one."""
    if isinstance(value, _Text):
        return "".join(value.pieces)
    if isinstance(value, dict):
        return {name: _settled(one) for name, one in value.items()}
    return [_settled(one) for one in value] if isinstance(value, list) else value


def _kind(part: dict[str, Any]) -> tuple[bool, object]:
    return set(part) <= {"text", "thought"}, part.get("thought")


def _grow(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    """Lay a delta over what is there: texts are appended, objects merged, lists merged by their index."""
    for name, value in delta.items():
        there = whole.get(name)
        if isinstance(value, str) and isinstance(there, str | _Text) and name not in ("id", "type", "role", "name"):
            whole[name] = _longer(there, value)
        elif isinstance(value, dict) and isinstance(there, dict):
            _grow(there, value)
        elif isinstance(value, list) and name == "tool_calls":
            whole[name] = _calls(there if isinstance(there, list) else [], value)
        elif value is not None or name not in whole:
            whole[name] = value


def _calls(there: list[dict[str, Any]], deltas: list[Any]) -> list[dict[str, Any]]:
    known = {call.get("index"): call for call in there}
    for delta in _dicts(deltas):
        place = delta.get("index", len(there))
        if place not in known and len(there) < _MOST_PARTS:
            known[place] = {"index": place}
            there.append(known[place])
        _grow(known[place], delta)
    return there


def _parsed(text: str) -> Any:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
    return text if deep(found) else found


def _parsed_bytes(data: bytes) -> dict[str, Any]:
    try:
        found = _dict(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {} if deep(found) else found


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []

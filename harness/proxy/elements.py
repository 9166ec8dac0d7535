"""The elements of conversations and lists of tools, each checked once.

A request repeats all that was said before. An element that was let through is known by its bytes, and then costs
nothing more: it is not parsed, checked, written out or hashed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from harness.proxy.exchange import Format, Known
from harness.proxy.fields import element as rule_of
from harness.proxy.refusal import Refused

_MOST_BYTES = 64 << 20
"""Of elements that are remembered; beyond, all are forgotten."""
_IMAGE = 20_000
"""Tokens of a picture, however many bytes it has."""
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LISTED = msgspec.json.Decoder(list[msgspec.Raw])
_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MARKS = ("cache_control",)
"""Fields that wander from one element to the next, and are no part of what is said."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element that is let through."""

    known: Known
    """As the agent sent it."""
    sent: msgspec.Raw
    """As it is sent on."""
    said: bytes
    """Digest of what it says, marks left out."""
    most: int
    """Tokens that it has at most."""


class Elements:
    """Those that were let through before."""

    def __init__(self) -> None:
        """Begin with none."""
        self._seen: dict[tuple[Format, str], dict[bytes, Element]] = {}
        self._size = 0

    def read(self, format: Format, name: str, listed: msgspec.Raw) -> list[Element]:
        """The elements of a list.

        Args:
            format: of the request.
            name: of the field.
            listed: its bytes.

        Raises:
            Refused: One is not let through.
        """
        seen = self._seen.setdefault((format, name), {})
        found = []
        try:
            for place, raw in enumerate(_LISTED.decode(listed)):
                text = bytes(raw)
                element = seen.get(text)
                if element is None:
                    element = seen[text] = _checked(format, name, text, f"{name}[{place}]")
                    self._size += len(text)
                found.append(element)
        except _NO_JSON as error:
            raise Refused(f"{name} is no JSON: {str(error)[:200]}") from None
        if self._size > _MOST_BYTES:
            self._seen.clear()
            self._size = 0
        return found


def _checked(format: Format, name: str, raw: bytes, at: str) -> Element:
    value = msgspec.json.decode(raw)
    kept = rule_of(format, name)(value, at)
    text = msgspec.json.encode(value)
    sent = msgspec.json.encode(kept)
    said = msgspec.json.encode(_unmarked(kept))
    return Element(
        known=Known.of(raw if raw == text else text),
        sent=msgspec.Raw(text if sent == text else sent),
        said=Known.of(said).digest,
        most=_weight(kept, said),
    )


def parts(body: bytes, lists: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, msgspec.Raw]]:
    """A body's fields, and apart from them the lists, unread.

    Raises:
        Refused: It is no JSON object.
    """
    try:
        fields = _FIELDS.decode(body)
        unread = {
            name: fields.pop(name) for name in lists if name in fields and bytes(memoryview(fields[name])[:1]) == b"["
        }
        return {name: msgspec.json.decode(raw) for name, raw in fields.items()}, unread
    except _NO_JSON as error:
        raise Refused(f"the body is no JSON object: {str(error)[:200]}") from None


def _unmarked(value: Any) -> Any:
    """An element without marks."""
    inner = value.get("content") if isinstance(value, dict) else None
    return {**value, "content": [_bare(part) for part in inner]} if isinstance(inner, list) else value


def _bare(part: Any) -> Any:
    return {name: value for name, value in part.items() if name not in _MARKS} if isinstance(part, dict) else part


def _weight(value: Any, text: bytes) -> int:
    """Bytes of an element, pictures as what they may count."""
    if len(text) < _IMAGE or b"image/" not in text:
        return len(text)
    return len(text) - sum(max(length - _IMAGE, 0) for length in _pictures(value))


def _pictures(value: Any) -> list[int]:
    """Bytes of the pictures in a value."""
    if isinstance(value, list):
        return [length for one in value for length in _pictures(one)]
    if not isinstance(value, dict):
        return []
    kind = value.get("mimeType") or value.get("media_type") or ""
    found = value.get("data") or value.get("image_url") or value.get("url")
    if isinstance(found, str) and f"{kind}{found[:64]}".removeprefix("data:").startswith("image/"):
        return [len(found)]
    return _pictures(list(value.values()))

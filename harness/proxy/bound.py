"""How many tokens a prompt has at most, before it is sent.

No token is shorter than a byte, so a body's bytes bound them; that is three to five times too much. But a request
repeats what was sent before, and of that the provider has told how much it is: then only what is new is bounded by its
bytes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.proxy.asking import Asked
from harness.proxy.exchange import CONVERSATION

HIDDEN = 2048
"""Tokens that a provider may add of its own."""
_AROUND = 16
"""Tokens that it may add around an element of the conversation."""
_IMAGE = 20_000
"""Tokens of a picture, however many bytes it has."""
_KNOWN = 4096
"""Conversations that are remembered."""
_MARKS = ("cache_control",)
"""Fields that wander from one element to the next, and are no part of what is said."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What is known of one prompt."""

    most: int
    """Tokens."""
    digest: bytes
    """Of all that bears on it."""


class Bounds:
    """What the provider has told of the prompts that were sent."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._told: OrderedDict[bytes, int] = OrderedDict()

    def of(self, asked: Asked) -> Bound:
        """Tokens that a prompt has at most."""
        head, elements = _apart(asked)
        digests, size, most = [_digest(head)], len(head), None
        for element in elements:
            text = msgspec.json.encode(_unmarked(element))
            digests.append(_digest(digests[-1] + text))
            size += _weight(element, text) + _AROUND
            told = self._told.get(digests[-1])
            if told is not None:
                most, size = told, 0
        return Bound((most or 0) + size + HIDDEN, digests[-1])

    def learn(self, bound: Bound, tokens: int) -> None:
        """Remember how many tokens a prompt had."""
        self._told[bound.digest] = tokens
        while len(self._told) > _KNOWN:
            self._told.popitem(last=False)


def _apart(asked: Asked) -> tuple[bytes, list[Any]]:
    """All that stands beside the conversation, and its elements."""
    name = CONVERSATION[asked.format]
    elements = asked.body.get(name)
    head = {**asked.body, name: None} if isinstance(elements, list) else asked.body
    return msgspec.json.encode(head), elements if isinstance(elements, list) else []


def _unmarked(element: Any) -> Any:
    """An element without marks."""
    parts = element.get("content") if isinstance(element, dict) else None
    if not isinstance(parts, list):
        return element
    return {**element, "content": [_bare(part) for part in parts]}


def _bare(part: Any) -> Any:
    return {name: value for name, value in part.items() if name not in _MARKS} if isinstance(part, dict) else part


def _weight(element: Any, text: bytes) -> int:
    """Bytes of an element, pictures as what they may count."""
    if len(text) < _IMAGE or b"image/" not in text:
        return len(text)
    return len(text) - sum(max(length - _IMAGE, 0) for length in _pictures(element))


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


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).digest()

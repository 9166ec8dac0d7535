"""Exchanges as conversations have them: each element taken apart once, however often requests repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import attrgetter, is_
from typing import Any

from harness.proxy.exchange import Exchange, Format
from harness.trajectory.formats import READERS
from harness.trajectory.piece import Piece

MOST_PIECES = 10_000
"""Of one element."""
_RECENT, _CHANGED = 4, 4
"""Requests that the next one is compared with; elements at the end of a request that the next one may write anew."""
_KEY = attrgetter("key")
_LONG = 40
"""Characters of a text that nobody says twice by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element of a conversation."""

    pieces: tuple[Piece, ...]
    key: bytes
    """Equal for elements that say the same, whatever the client has dressed them in."""
    spoken: tuple[bytes, ...]
    """A mark for each piece, thoughts left out."""
    marks: frozenset[bytes]
    """What an answer is known by when a later request repeats it."""
    named: frozenset[bytes]
    """Those of them that are identifiers of calls."""
    sure: frozenset[bytes]
    """Those of them that two conversations do not share by chance."""

    @property
    def by_agent(self) -> bool:
        """Whether the model is supposed to have said it."""
        return bool(self.pieces) and all(piece.source == "agent" for piece in self.pieces)

    @property
    def by_system(self) -> bool:
        """Whether it is instructions."""
        return bool(self.pieces) and self.pieces[0].source == "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An exchange: what was said before, and what was answered."""

    exchange: Exchange
    opening: tuple[Element, ...]
    """Instructions before the first word; clients change them from request to request."""
    elements: tuple[Element, ...]
    """The conversation after them."""
    keys: tuple[bytes, ...]
    """Of its elements."""
    answer: Element

    @property
    def answered(self) -> bool:
        """Whether a model said anything."""
        return bool(self.answer.pieces)


class Hearing:
    """Takes exchanges apart."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._known: dict[tuple[Format, int], tuple[Any, Element]] = {}
        self._recent: list[tuple[Format, list[Any], tuple[Element, ...]]] = []

    def hear(self, exchange: Exchange) -> Heard:
        """One exchange; what an earlier one had is not looked at again."""
        reader = READERS[exchange.format]
        elements = self._elements(exchange.format, reader.elements(exchange.request))
        start = next((place for place, element in enumerate(elements) if not element.by_system), len(elements))
        return Heard(
            exchange=exchange,
            opening=elements[:start],
            elements=elements[start:],
            keys=tuple(map(_KEY, elements[start:])),
            answer=element_of(list(reader.answered(exchange.answer or {}))),
        )

    def _elements(self, format: Format, sent: list[Any]) -> tuple[Element, ...]:
        """The elements of a request; one by one only those that none of the last requests had at the same place."""
        known: tuple[Element, ...] = ()
        for their_format, theirs, elements in self._recent:
            if their_format == format:
                known = max(known, elements[: _common(sent, theirs)], key=len)
        found = (*known, *(self._element(format, element) for element in sent[len(known) :]))
        self._recent = [*self._recent[1 - _RECENT :], (format, sent, found)]
        return found

    def _element(self, format: Format, element: Any) -> Element:
        """An element; the object is kept with it, so that no other one can get its address."""
        key = (format, id(element))
        if key not in self._known:
            self._known[key] = (element, element_of(list(READERS[format].pieces(element))))
        return self._known[key][1]


def _common(one: list[Any], other: list[Any]) -> int:
    """How many elements at the beginning are the same objects, where all but the last few of the shorter list are."""
    shorter = min(len(one), len(other))
    for count in range(shorter, max(0, shorter - _CHANGED), -1):
        if all(map(is_, one[:count], other)):
            return count
    return 0


def element_of(pieces: Sequence[Piece]) -> Element:
    """Pieces as an element."""
    kept = tuple(pieces[:MOST_PIECES])
    spoken = tuple(piece.mark for piece in kept if piece.kind != "thought")
    calls = frozenset(piece.named for piece in kept if piece.kind == "call" and piece.id)
    texts = {piece.mark for piece in kept if piece.kind == "text" and len(piece.text) >= _LONG}
    return Element(
        pieces=kept,
        key=blake2b(b"".join(spoken), digest_size=16).digest(),
        spoken=spoken,
        marks=frozenset(spoken) | calls,
        named=calls,
        sure=calls | texts,
    )

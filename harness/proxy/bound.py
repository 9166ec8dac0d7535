"""How many tokens a prompt has at most, before it is sent.

No token is shorter than a byte, so a body's bytes bound them; that is three to five times too much. But a request
repeats what was sent before, and of that the provider has told how much it is: then only what is new is bounded by its
bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from harness.proxy.asking import Asked
from harness.proxy.exchange import CONVERSATION, ROOT

HIDDEN = 2048
"""Tokens that a provider may add of its own."""
_AROUND = 16
"""Tokens that it may add around an element of the conversation."""
_KNOWN = 500_000
"""Beginnings that are remembered."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What is known of one prompt."""

    most: int
    """Tokens."""
    path: tuple[bytes, ...]
    """Digests of all that bears on it, in their order."""


class Bounds:
    """What the provider has told of the prompts that were sent: a tree, whose nodes are their beginnings."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._nodes: dict[tuple[int, bytes], int] = {}
        self._told: dict[int, int] = {}

    def of(self, asked: Asked) -> Bound:
        """Tokens that a prompt has at most."""
        name = CONVERSATION[asked.format]
        text = msgspec.json.encode({**asked.body, name: None} if asked.said else asked.body)
        head = hashlib.blake2b(text, digest_size=16).digest()
        size, told, node = len(text), 0, self._nodes.get((ROOT, head))
        for element in asked.said:
            size += element.most + _AROUND
            if node is not None:
                node = self._nodes.get((node, element.said))
                known = None if node is None else self._told.get(node)
                if known is not None:
                    told, size = known, 0
        return Bound(told + size + HIDDEN, (head, *(element.said for element in asked.said)))

    def learn(self, bound: Bound, tokens: int) -> None:
        """Remember how many tokens a prompt had."""
        if len(self._nodes) > _KNOWN:
            self._nodes.clear()
            self._told.clear()
        node = ROOT
        for digest in bound.path:
            node = self._nodes.setdefault((node, digest), len(self._nodes))
        self._told[node] = tokens

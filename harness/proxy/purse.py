"""The budget of tokens and dollars: what a request may cost at most is reserved before it is sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.proxy.exchange import Tokens
from harness.proxy.prices import Price
from harness.proxy.refusal import Refused

LEAST = 16
"""Tokens of an answer; a request that could get fewer is not sent."""
LONGEST = 128_000
"""Tokens of an answer, of a model that is not told to stop earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What was laid aside for one request."""

    input: int
    """Tokens that its prompt has at most."""
    output: int
    """Tokens that its answer may have."""
    dollars: float


class Purse:
    """What is left of a budget, and what of it is laid aside."""

    def __init__(self, *, tokens: int | None, dollars: float | None) -> None:
        """Begin; None: not limited."""
        self._tokens, self._dollars = tokens, dollars
        self._held: dict[int, Reserved] = {}
        self._changed = asyncio.Condition()

    @property
    def limited(self) -> bool:
        """Whether there is a budget at all."""
        return self._tokens is not None or self._dollars is not None

    async def reserve(self, key: int, *, input: int, output: int | None, price: Price | None) -> Reserved:
        """Lay aside what a request may cost at most; waits while others hold what it lacks.

        Args:
            key: of the request.
            input: tokens that its prompt has at most.
            output: tokens that it wants for its answer; None: as many as there are.
            price: of the model.

        Raises:
            Refused: What is left is too little.
        """
        async with self._changed:
            while True:
                room = self._room(input, price)
                wanted = LONGEST if output is None else output
                if room >= wanted or (not self._held and room >= LEAST):
                    return self._hold(key, input, min(wanted, room), price)
                if not self._held:
                    raise Refused(self._said(input), reason="budget")
                await self._changed.wait()

    async def settle(self, key: int, *, tokens: Tokens, dollars: float | None) -> None:
        """Give back what was laid aside, and take what it cost."""
        async with self._changed:
            self._held.pop(key, None)
            if self._tokens is not None:
                self._tokens -= tokens.total
            if self._dollars is not None:
                self._dollars -= dollars or 0.0
            self._changed.notify_all()

    def _hold(self, key: int, input: int, output: int, price: Price | None) -> Reserved:
        dollars = price.most(input, output) if price else 0.0
        self._held[key] = Reserved(input=input, output=output, dollars=dollars)
        return self._held[key]

    def _room(self, input: int, price: Price | None) -> int:
        """Tokens that an answer may have; below 0, if there is no room for the question."""
        room = float("inf")
        if self._tokens is not None:
            room = self._tokens - sum(each.input + each.output for each in self._held.values()) - input
        if self._dollars is not None and price is not None:
            left = self._dollars - sum(each.dollars for each in self._held.values()) - price.most(input, 0)
            dear = price.most(input, 1_000_000) - price.most(input, 0)
            room = min(room, left / dear * 1_000_000 if dear else float("inf") if left >= 0 else -1)
        return int(min(room, 10**12))

    def _said(self, input: int) -> str:
        left = []
        if self._tokens is not None:
            left.append(f"{max(self._tokens, 0)} tokens")
        if self._dollars is not None:
            left.append(f"{max(self._dollars, 0):.4f} dollars")
        return (
            f"the budget is used up: {' and '.join(left)} are left, and this request may take {input} tokens before "
            f"its answer begins. Commit what you have; the attempt ends here."
        )

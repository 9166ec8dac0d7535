"""One request on its way through the proxy, and what it costs in the end."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness.proxy.asking import Asked
from harness.proxy.bound import Bound
from harness.proxy.exchange import Ended, Exchange, Format, Tokens
from harness.proxy.prices import Price
from harness.proxy.purse import Reserved
from harness.proxy.usage import reckoned, told


@dataclass(slots=True)
class Course:
    """One request on its way."""

    number: int
    format: Format
    at: float = field(default_factory=time.time)
    model: str = ""
    request: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""
    """Of the request, until it was read."""
    asked: Asked | None = None
    bound: Bound | None = None
    reserved: Reserved | None = None
    sent: bool = False
    """It may have reached the provider."""
    status: int = 0
    ended: Ended = "refused"
    said: str = ""
    answer: dict[str, Any] | None = None
    received: int = 0
    """Bytes of the answer."""
    partial: bool = False
    """The answer did not say that it was whole, so what it tells may be of its beginning."""
    left: bool = False
    """The agent went before the end, and so did we."""
    waited: float = 0.0
    counted: bool = False
    """Only its tokens were asked for, and nothing is kept."""
    free: bool = False
    """The provider has answered with an error, for which nothing is paid."""

    def exchange(self, price: Price | None) -> Exchange:
        """What is kept of it, now that it has ended."""
        tokens, estimated = self._cost()
        return Exchange(
            number=self.number, at=datetime.datetime.fromtimestamp(self.at, datetime.UTC).isoformat(),
            seconds=time.time() - self.at, waited=self.waited, format=self.format, model=self.model,
            request=self.request, answer=self.answer, status=self.status, ended=self.ended, said=self.said,
            tokens=tokens, dollars=None if price is None else price.cost(tokens), estimated=estimated,
        )  # fmt: skip

    def _cost(self) -> tuple[Tokens, bool]:
        """What it took, and whether that is reckoned.

        What was answered in part costs what is told of it, and its length. Where nothing came, though the provider
        may have worked, it costs what was laid aside.
        """
        if not self.sent or self.free or self.asked is None:
            return Tokens(), False
        tokens = told(self.format, self.answer)
        if tokens is not None and self.ended == "done" and not self.partial:
            return tokens, False
        if tokens is None and self.reserved is not None and (self.answer is None or self.left):
            return Tokens(input=self.reserved.input, output=self.reserved.output), True
        length = len(msgspec.json.encode(self.answer)) if self.answer else self.received
        guess = reckoned(self.asked.size, length)
        if tokens is None:
            return guess, True
        return msgspec.structs.replace(tokens, output=max(tokens.output, guess.output)), True

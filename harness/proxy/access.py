"""What a lab lets an agent reach, and what was spent of it: the records that cross to the proxy's process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.proxy.exchange import Tokens
from harness.proxy.prices import Price, Provider
from harness.record.files import Slip

Fault = Literal["none", "submission", "budget", "harness", "model"]
"""Whose fault it is that nothing more is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a lab lets an agent reach."""

    format: Provider
    """Whose formats the server speaks; `local`: any that speaks OpenAI's."""
    upstream: str
    """URL; requests go to `/v1/...` beneath it."""
    key: str | None = field(default=None, repr=False)
    """Never reaches the agent, a log or a record."""
    models: tuple[str, ...]
    """Names that may be asked for."""
    prices: Path | None = None
    """A table of the lab's; None: genai-prices."""
    tokens: int | None = None
    """Left of the budget; None: not limited."""
    dollars: float | None = None
    """Left of the budget; None: not limited."""
    busy: float = 900.0
    """Seconds in a row that a provider may be busy or away."""
    broken: float = 120.0
    """Seconds in a row that it may answer with errors of its own."""
    journal: int = 1 << 30
    """Bytes that the journal may have."""


class Spent(Slip, frozen=True, kw_only=True):
    """What has been used so far."""

    requests: int = 0
    """That reached the provider."""
    refused: int = 0
    """That did not, because of us."""
    tokens: Tokens = Tokens()
    dollars: float | None = None
    """None: no price is known."""
    estimated: int = 0
    """Of the requests, those whose tokens are reckoned by us."""
    waited: float = 0.0
    """Seconds in which at least one request waited for a provider that was busy or away."""
    waits: tuple[tuple[float, float], ...] = ()
    """Those times: from and to, in seconds since 1970, oldest first, none overlapping."""
    final: str | None = None
    """Why no more is answered."""
    fault: Fault = "none"
    """Whose fault that is."""


class Order(Slip, frozen=True, kw_only=True):
    """What the proxy's process is to do."""

    access: Access
    prices: dict[str, Price | None]
    """Of each model."""
    journal: str

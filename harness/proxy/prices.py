"""What tokens cost: by genai-prices, or by a table of the lab's."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from harness.errors import ConfigError, UsageError
from harness.proxy.exchange import Tokens
from harness.record.files import Slip

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

Provider = Literal["openai", "anthropic", "gemini", "local"]
"""Whose formats a server speaks; `local`: any server that speaks OpenAI's."""
_MILLION = 1_000_000
_PUBLIC: dict[Provider, str] = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}
"""Their names in genai-prices; a local server's tokens have no public price."""


class Rates(Slip, frozen=True, kw_only=True):
    """Dollars for a million tokens."""

    input: float
    output: float
    cached: float | None = None
    """None: as input."""
    written: float | None = None
    """None: as input."""
    lasting: float | None = None
    """Of tokens kept for an hour; None: as those written."""

    def cost(self, tokens: Tokens) -> float:
        """Dollars for these tokens."""
        written = self.input if self.written is None else self.written
        lasting = written if self.lasting is None else self.lasting
        cached = self.input if self.cached is None else self.cached
        plain = max(tokens.input - tokens.cached - tokens.written, 0)
        short = tokens.written - tokens.lasting
        dear = cached * tokens.cached + written * short + lasting * tokens.lasting
        return (self.input * plain + dear + self.output * tokens.output) / _MILLION

    @property
    def dearest_input(self) -> float:
        """The most that a million tokens of a prompt can cost."""
        return max(rate for rate in (self.input, self.cached, self.written, self.lasting) if rate is not None)


class Price(Slip, frozen=True, kw_only=True):
    """What a model costs, which may depend on how long the prompt is."""

    tiers: list[tuple[int, Rates]]
    """For prompts of more than so many tokens, all of them cost so much; the first is for any."""

    def cost(self, tokens: Tokens) -> float:
        """Dollars for an exchange."""
        return [rates for start, rates in self.tiers if tokens.input > start or start == 0][-1].cost(tokens)

    def most(self, input: int, output: int) -> float:
        """The most dollars that an exchange of at most so many tokens can cost."""
        rates = [rates for start, rates in self.tiers if input > start or start == 0]
        return max((each.dearest_input * input + each.output * output) / _MILLION for each in rates)


def price_of(model: str, *, provider: Provider, table: Path | None) -> Price | None:
    """The price of a model; None where nobody knows it.

    Args:
        model: as the provider calls it.
        provider: whose price it is.
        table: of the lab's, which then alone is asked: `{model: {input: 1.25, output: 10, cached: .125}}`, dollars a
            million tokens, YAML or JSON.

    Raises:
        UsageError: The table cannot be read.
    """
    if table is not None:
        rates = read_table(table).get(model)
        return None if rates is None else Price(tiers=[(0, rates)])
    return _public(model, provider)


def read_table(path: Path) -> Mapping[str, Rates]:
    """A lab's table of prices.

    Raises:
        UsageError: It is missing, or no such table.
    """
    import yaml

    shape = "a table such as {gpt-5: {input: 1.25, output: 10, cached: 0.125}}, in dollars a million tokens"
    try:
        table = msgspec.convert(yaml.safe_load(path.read_text()), dict[str, Rates])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise ConfigError("the table of prices cannot be used", where=path, expected=shape, got=str(error)) from None
    for model, rates in table.items():
        told = [rate for rate in msgspec.structs.astuple(rates) if rate is not None]
        if not all(0 <= rate < float("inf") for rate in told):
            raise ConfigError("a price is out of range", where=f"{path} {model}", expected="numbers >= 0", got=told)
    return table


def unpriced(model: str, table: Path | None) -> UsageError:
    """The error for a budget in dollars where no price is known."""
    return UsageError(
        "there is a budget in dollars, but no price is known",
        where=table or "genai-prices",
        expected=f"a price for {model!r}",
        remedy="name a table of prices that has it, {model: {input: 1.25, output: 10}} in dollars a million tokens, "
        "or limit tokens in place of dollars",
    )


def _public(model: str, provider: Provider) -> Price | None:
    """The price by genai-prices, in tiers of how long the prompt is."""
    if provider not in _PUBLIC:
        return None
    from genai_prices import data_snapshot  # a quarter of a second

    try:
        _, found = data_snapshot.get_snapshot().find_provider_model(model, None, _PUBLIC[provider], None)
    except LookupError:
        return None
    prices = _active(found)
    starts = sorted({0, *(start for price in prices for start in _starts(price))})
    tiers = [(start, _dearest(_rates(price, start) for price in prices)) for start in starts]
    return Price(tiers=[(start, rates) for start, rates in tiers if rates is not None]) if tiers[0][1] else None


def _active(model: ModelInfo) -> list[ModelPrice]:
    """The prices that may hold now: one, or all of them where they change with the time of day."""
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    if isinstance(model.prices, ModelPrice):
        return [model.prices]
    if any(isinstance(each.constraint, TimeOfDateConstraint) for each in model.prices):
        return [each.prices for each in model.prices]
    return [model.get_prices(datetime.datetime.now(datetime.UTC))]


def _starts(price: ModelPrice) -> list[int]:
    return [tier.start for value in vars(price).values() for tier in getattr(value, "tiers", ())]


def _rates(price: ModelPrice, start: int) -> Rates | None:
    """The rates for a prompt that is longer than `start`."""
    at: Callable[[str], float | None] = lambda name: _rate(getattr(price, name, None), start)  # noqa: E731
    input, output = at("input_mtok"), at("output_mtok")
    if input is None or output is None:
        return None
    return Rates(
        input=input,
        output=output,
        cached=at("cache_read_mtok"),
        written=at("cache_write_mtok"),
        lasting=at("cache_write_1h_mtok"),
    )


def _rate(value: Any, start: int) -> float | None:
    if value is None or isinstance(value, Decimal):
        return None if value is None else float(value)
    return float([value.base, *(tier.price for tier in value.tiers if tier.start <= start)][-1])


def _dearest(rates: Iterable[Rates | None]) -> Rates | None:
    """Rates of which each is the highest of all."""
    known = [each for each in rates if each is not None]
    if not known:
        return None

    def highest(told: Iterable[float | None]) -> float | None:
        return max((rate for rate in told if rate is not None), default=None)

    return Rates(
        input=max(each.input for each in known),
        output=max(each.output for each in known),
        cached=highest(each.cached for each in known),
        written=highest(each.written for each in known),
        lasting=highest(each.lasting for each in known),
    )

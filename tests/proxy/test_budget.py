"""The budget: reserved before a request is sent, settled after, never overspent, and an end that is understood."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from proxy import conversations, scripted
from proxy.conversations import ANSWERS, FORMATS, MODELS, PROVIDERS

from harness.errors import ConfigError, UsageError
from harness.proxy.exchange import Format, Tokens, exchanges
from harness.proxy.prices import Price, Rates
from harness.proxy.purse import LONGEST, Purse
from harness.proxy.refusal import Refused

PRICE = Price(tiers=[(0, Rates(input=1.0, output=10.0, cached=0.1, written=2.0))])


@pytest.mark.parametrize("format", FORMATS)
def test_the_end_is_an_error_of_that_provider_and_final(tmp_path: Path, format: Format) -> None:
    given = {"format": PROVIDERS[format], "models": (MODELS[format],), "tokens": 2100}
    with (
        scripted.provider(lambda heard, request: ANSWERS[format]) as there,
        scripted.reached(tmp_path, there.url, **given) as proxy,
    ):
        long = conversations.question(format, text="x" * 4000)
        got = scripted.ask(proxy, conversations.path(format), long)
        error = got.json["error"]
        assert "the budget is used up: 2100 tokens are left" in error["message"]
        assert got.status == {"chat": 401, "responses": 400}.get(format, 403)
        assert {"chat": "insufficient_quota", "responses": "insufficient_quota", "messages": "billing_error"}.get(
            format
        ) == error.get("type")
        assert (error.get("status"), error.get("code")) == {
            "generate": ("PERMISSION_DENIED", 403),
            "messages": (None, None),
        }.get(format, (None, "insufficient_quota"))
        spent = proxy.spent()
        assert (spent.fault, spent.requests, spent.refused) == ("budget", 0, 1)
        assert spent.final in error["message"]
        again = scripted.ask(proxy, conversations.path(format), conversations.question(format))
        assert again.json["error"]["message"] == error["message"]
    assert there.heard == []
    assert [each.ended for each in exchanges(proxy.journal)] == ["refused", "refused"]


def test_parallel_requests_cannot_overspend(tmp_path: Path) -> None:
    async def script(heard: scripted.Heard, request: web.BaseRequest) -> dict[str, Any]:
        await asyncio.sleep(0.05)
        limit = heard.body["max_completion_tokens"]
        return scripted.chat_answer(prompt=300, completion=limit)

    async def all(proxy: Any) -> list[scripted.Got]:
        body = {**scripted.CHAT, "max_completion_tokens": 2000}
        return await asyncio.gather(*(scripted.asked(proxy, "/v1/chat/completions", body) for _ in range(12)))

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url, tokens=12_000) as proxy:
        got = asyncio.run(all(proxy))
        spent = proxy.spent()
    assert {each.status for each in got} == {200, 401}
    assert spent.tokens.total <= 12_000
    assert spent.tokens.total > 8_000
    assert spent.final is not None


def test_a_limit_is_set_where_the_agent_gives_none_and_lowered_where_it_gives_too_much(tmp_path: Path) -> None:
    with (
        scripted.provider(lambda heard, request: ANSWERS["messages"]) as there,
        scripted.reached(tmp_path, there.url, format="anthropic", models=(MODELS["messages"],), tokens=20_000) as proxy,
    ):
        body = {**conversations.question("messages"), "max_tokens": 64_000}
        body["thinking"] = {"type": "enabled", "budget_tokens": 63_999}
        assert scripted.ask(proxy, "/v1/messages", body).status == 200
    heard = there.heard[0].body
    assert 16_000 < heard["max_tokens"] < 20_000
    assert heard["thinking"]["budget_tokens"] == heard["max_tokens"] // 2


def test_without_a_budget_nothing_is_set(tmp_path: Path) -> None:
    with (
        scripted.provider(lambda heard, request: scripted.chat_answer()) as there,
        scripted.reached(tmp_path, there.url) as proxy,
    ):
        scripted.ask(proxy, "/v1/chat/completions", scripted.CHAT)
    assert there.heard[0].body == scripted.CHAT


def test_a_limit_of_ours_that_the_provider_finds_too_high_is_halved(tmp_path: Path) -> None:
    def script(heard: scripted.Heard, request: web.BaseRequest) -> Any:
        if heard.body["max_completion_tokens"] > 16_384:
            error = {"error": {"message": "max_tokens is too large", "param": "max_tokens"}}
            return web.json_response(error, status=400)
        return scripted.chat_answer()

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url, tokens=100_000) as proxy:
        assert scripted.ask(proxy, "/v1/chat/completions", scripted.CHAT).status == 200
        assert proxy.spent().requests == 1
    assert len(there.heard) == 4


def test_dollars_end_a_budget_too(tmp_path: Path) -> None:
    table = tmp_path / "prices.yaml"
    table.write_text("gpt-5: {input: 100, output: 1000}\n")
    with (
        scripted.provider(lambda heard, request: scripted.chat_answer(prompt=100, completion=400)) as there,
        scripted.reached(tmp_path, there.url, dollars=1.0, prices=table) as proxy,
    ):
        statuses = [scripted.ask(proxy, "/v1/chat/completions", scripted.CHAT).status for _ in range(4)]
        spent = proxy.spent()
    assert statuses == [200, 200, 401, 401]
    assert spent.dollars == pytest.approx(2 * (100 * 100 + 400 * 1000) / 1e6)
    assert spent.dollars <= 1.0
    assert there.heard[0].body["max_completion_tokens"] < 800


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": ("surprise-1",), "dollars": 1.0}, "no price is known"),
        ({"format": "local", "dollars": 1.0}, "no price is known"),
        ({"upstream": "ftp://x"}, "no address"),
        ({"upstream": "http://example.org"}, "in the clear"),
        ({"models": ()}, "no model"),
        ({"prices": Path("/nowhere")}, "the table of prices cannot be used"),
    ],
)
def test_what_cannot_work_is_said_before_the_start(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with (
        pytest.raises(UsageError, match=said),
        scripted.reached(tmp_path, **{"upstream": "https://example.org", **changes}),
    ):
        pass


@pytest.mark.parametrize("table", ["gpt-5: 3", "gpt-5: {input: -1, output: 2}", "[1]", "gpt-5: {input: 1}", "a: {{"])
def test_a_table_that_is_none_is_refused(tmp_path: Path, table: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(table)
    with (
        pytest.raises(ConfigError, match="price"),
        scripted.reached(tmp_path, "https://example.org", prices=path),
    ):
        pass


def test_a_request_waits_for_what_others_have_laid_aside() -> None:
    async def play() -> list[int]:
        purse = Purse(tokens=10_000, dollars=None)
        first = await purse.reserve(1, input=1000, output=8000, price=None)
        second = asyncio.create_task(purse.reserve(2, input=1000, output=2000, price=None))
        await asyncio.sleep(0.01)
        assert not second.done()
        await purse.settle(1, tokens=Tokens(input=500, output=500), dollars=None)
        return [first.output, (await second).output]

    assert asyncio.run(play()) == [8000, 2000]


def test_alone_it_gets_what_is_left_or_is_refused() -> None:
    async def play() -> None:
        purse = Purse(tokens=10_000, dollars=0.05)
        assert (await purse.reserve(1, input=1000, output=None, price=PRICE)).output == 4800
        await purse.settle(1, tokens=Tokens(input=1000, output=4000), dollars=0.049)
        with pytest.raises(Refused, match=r"5000 tokens and 0\.0010 dollars are left"):
            await purse.reserve(2, input=1000, output=16, price=PRICE)

    asyncio.run(play())
    assert LONGEST > 4800


def test_the_dearest_is_laid_aside_where_it_is_not_known() -> None:
    tiered = Price(tiers=[(0, Rates(input=1.0, output=2.0)), (200_000, Rates(input=5.0, output=9.0, written=6.0))])
    assert tiered.most(100_000, 1000) == pytest.approx((100_000 + 2000) / 1e6)
    assert tiered.most(300_000, 1000) == pytest.approx((6 * 300_000 + 9000) / 1e6)
    assert tiered.cost(Tokens(input=200_000, output=1)) == pytest.approx((200_000 + 2) / 1e6)
    assert tiered.cost(Tokens(input=200_001, output=1)) == pytest.approx((5 * 200_001 + 9) / 1e6)


def test_what_was_sent_before_is_bounded_by_what_the_provider_told_of_it(tmp_path: Path) -> None:
    """60 kB of text count 15 000 tokens: by their bytes alone, the second request would not fit."""
    text = "word " * 12_000
    asked = [{"role": "user", "content": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]}]
    answer = {**ANSWERS["messages"], "usage": {"input_tokens": 15_000, "output_tokens": 10}}
    with (
        scripted.provider(lambda heard, request: answer) as there,
        scripted.reached(tmp_path, there.url, format="anthropic", models=(MODELS["messages"],), tokens=70_000) as proxy,
    ):
        body = {"model": MODELS["messages"], "max_tokens": 1000, "messages": asked}
        assert scripted.ask(proxy, "/v1/messages", body).status == 200
        unmarked = [{"role": "user", "content": [{"type": "text", "text": text}]}]
        said = [{"role": "assistant", "content": "A sum."}, {"role": "user", "content": "Of what?"}]
        assert scripted.ask(proxy, "/v1/messages", {**body, "messages": unmarked + said}).status == 200
        other = [{"role": "user", "content": [{"type": "text", "text": text[1:]}]}]
        assert scripted.ask(proxy, "/v1/messages", {**body, "messages": other}).status == 403


def test_a_picture_does_not_count_by_its_bytes(tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    with (
        scripted.provider(lambda heard, request: scripted.chat_answer()) as there,
        scripted.reached(tmp_path, there.url, tokens=50_000) as proxy,
    ):
        body = {**scripted.CHAT, "messages": [{"role": "user", "content": [picture]}]}
        assert scripted.ask(proxy, "/v1/chat/completions", body).status == 200
    assert there.heard


def test_an_agent_that_leaves_pays_for_what_it_asked(tmp_path: Path) -> None:
    """A stream is read to its end, so that what it cost is known; its end is not the agent's to choose."""
    going = threading.Event()

    def script(heard: scripted.Heard, request: web.BaseRequest) -> Any:
        going.set()
        return scripted.streamed(request, *conversations.EVENTS["chat"], pause=0.05)

    async def leave(proxy: Any) -> None:
        body = conversations.question("chat", streams=True)
        task = asyncio.create_task(scripted.asked(proxy, "/v1/chat/completions", body))
        await asyncio.to_thread(going.wait, 10)
        await asyncio.sleep(0.1)
        task.cancel()

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url) as proxy:
        asyncio.run(leave(proxy))
        until = time.monotonic() + 10
        while proxy.spent().requests == 0 and time.monotonic() < until:
            time.sleep(0.05)
        spent = proxy.spent()
    assert spent.tokens == conversations.TOKENS["chat"]
    assert spent.estimated == 0

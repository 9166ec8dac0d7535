"""A provider that is busy, broken or gone: who waits, how long, and what is told of it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from proxy import conversations, scripted

from harness.proxy.access import Spent
from harness.proxy.account import SPENT, Account
from harness.proxy.exchange import Tokens, exchanges

CHAT = "/v1/chat/completions"


def _error(status: int, **headers: str) -> web.Response:
    return web.json_response({"error": {"message": "not now"}}, status=status, headers=headers)


def test_it_is_asked_again_and_the_wait_is_told(tmp_path: Path) -> None:
    errors = [429, 500, 502, 503, 504, 529]

    def script(heard: scripted.Heard, request: web.BaseRequest) -> Any:
        return _error(errors.pop(), **{"Retry-After": "0.1"}) if errors else scripted.chat_answer()

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url) as proxy:
        got = scripted.ask(proxy, CHAT, scripted.CHAT)
        spent = proxy.spent()
    assert (got.status, got.json) == (200, scripted.chat_answer())
    (exchange,) = exchanges(proxy.journal)
    assert 0.6 <= exchange.waited <= exchange.seconds < 5
    assert exchange.waited == pytest.approx(spent.waited, abs=0.05)
    assert [pytest.approx(spent.waited)] == [until - since for since, until in spent.waits]
    assert (spent.requests, spent.tokens, spent.final) == (1, Tokens(input=20, output=5), None)


def test_a_refused_and_a_reset_connection_are_tried_again(tmp_path: Path) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]

    def play() -> None:
        listening.accept()[0].close()  # reset or closed before an answer
        listening.close()  # then refused
        time.sleep(0.8)
        with socket.create_server(("127.0.0.1", port)) as back:
            connection, _ = back.accept()
            with connection:
                connection.recv(65536)
                body = json.dumps(scripted.chat_answer()).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)

    thread = threading.Thread(target=play)
    thread.start()
    with scripted.reached(tmp_path, f"http://127.0.0.1:{port}") as proxy:
        assert scripted.ask(proxy, CHAT, scripted.CHAT).json == scripted.chat_answer()
        assert 0.4 < proxy.spent().waited < 5
    thread.join()


def test_whoever_is_busy_for_too_long_is_given_up_for_good(tmp_path: Path) -> None:
    with (
        scripted.provider(lambda heard, request: _error(503)) as there,
        scripted.reached(tmp_path, there.url, busy=0.5) as proxy,
    ):
        got = scripted.ask(proxy, CHAT, scripted.CHAT)
        assert got.status == 401
        assert "busy or away for 0 seconds" in got.json["error"]["message"]
        spent = proxy.spent()
        assert spent.fault == "model"
        assert "it answered 503" in spent.final
        before = len(there.heard)
        assert scripted.ask(proxy, CHAT, scripted.CHAT).status == 401
    assert len(there.heard) == before
    assert [each.ended for each in exchanges(proxy.journal)] == ["failed", "refused"]


def test_errors_that_may_be_this_request_s_doing_end_nothing_else(tmp_path: Path) -> None:
    with (
        scripted.provider(lambda heard, request: _error(500)) as there,
        scripted.reached(tmp_path, there.url, broken=0.1) as proxy,
    ):
        got = scripted.ask(proxy, CHAT, scripted.CHAT)
        assert (got.status, got.json) == (500, {"error": {"message": "not now"}})
        assert (proxy.spent().final, proxy.spent().requests) == (None, 1)
    assert there.heard


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "refuses the key"),
        (302, "sends us elsewhere"),
        pytest.param(402, "wants to be paid", marks=pytest.mark.slow),
        pytest.param(403, "refuses access", marks=pytest.mark.slow),
        pytest.param(404, "does not know", marks=pytest.mark.slow),
    ],
)
def test_what_will_not_get_better_is_said_once_and_without_the_key(tmp_path: Path, status: int, said: str) -> None:
    def script(heard: scripted.Heard, request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, text="Incorrect API key: sk-secret", headers={"Location": "/elsewhere"})

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url) as proxy:
        got = scripted.ask(proxy, CHAT, scripted.CHAT)
        assert (got.status, said in got.json["error"]["message"]) == (401, True)
        assert proxy.spent().fault == "model"
    assert len(there.heard) == 1
    assert b"sk-secret" not in got.text
    kept = [path.read_text() for path in proxy.journal.parent.iterdir()]
    assert not any("sk-secret" in text for text in kept)


def test_an_account_that_is_used_up_is_not_waited_for(tmp_path: Path) -> None:
    def script(heard: scripted.Heard, request: web.BaseRequest) -> web.Response:
        return web.json_response({"error": {"code": "insufficient_quota"}}, status=429)

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url) as proxy:
        assert scripted.ask(proxy, CHAT, scripted.CHAT).status == 401
        assert "own account" in proxy.spent().final
    assert len(there.heard) == 1


def test_an_error_of_the_request_passes_as_it_is(tmp_path: Path) -> None:
    error = {"error": {"message": "this model's context is 100 tokens", "code": "context_length_exceeded"}}
    with (
        scripted.provider(lambda heard, request: web.json_response(error, status=400)) as there,
        scripted.reached(tmp_path, there.url, tokens=100_000) as proxy,
    ):
        got = scripted.ask(proxy, CHAT, scripted.CHAT)
        assert (got.status, got.json) == (400, error)
        assert proxy.spent().tokens == Tokens()
    assert len(there.heard) == 1
    (exchange,) = exchanges(proxy.journal)
    assert (exchange.ended, exchange.answer, exchange.said) == ("failed", error, "the provider answered 400")


def test_a_stream_that_has_begun_is_not_asked_again(tmp_path: Path) -> None:
    async def script(heard: scripted.Heard, request: web.BaseRequest) -> web.StreamResponse:
        response = await scripted.streamed(request, *conversations.EVENTS["messages"][:7])
        assert request.transport is not None
        request.transport.abort()
        return response

    given = {"format": "anthropic", "models": (conversations.MODELS["messages"],)}
    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url, **given) as proxy:
        with pytest.raises(Exception, match=r"payload|disconnected|closed|reset"):
            scripted.ask(proxy, "/v1/messages", conversations.question("messages", streams=True))
        until = time.monotonic() + 5
        while proxy.spent().requests == 0 and time.monotonic() < until:
            time.sleep(0.02)
        spent = proxy.spent()
    assert len(there.heard) == 1
    (exchange,) = exchanges(proxy.journal)
    assert (exchange.ended, exchange.estimated) == ("cut", True)
    assert exchange.answer["content"][0]["thinking"] == "Hm. A sum?"
    assert (spent.tokens.input, spent.tokens.cached) == (100, 60)
    assert spent.tokens.output > 1


def test_an_answer_that_breaks_off_costs_what_was_laid_aside(tmp_path: Path) -> None:
    async def script(heard: scripted.Heard, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"id": ')
        assert request.transport is not None
        request.transport.abort()
        return response

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url, tokens=100_000) as proxy:
        body = {**scripted.CHAT, "max_completion_tokens": 1000}
        got = scripted.ask(proxy, CHAT, body)
        spent = proxy.spent()
    assert (got.status, len(there.heard)) == (502, 1)
    assert (spent.tokens.output, spent.estimated) == (1000, 1)
    assert 2000 < spent.tokens.input < 3000


def test_an_answer_that_tells_no_tokens_is_reckoned(tmp_path: Path) -> None:
    answer = scripted.chat_answer("word " * 300)
    answer["usage"] = {"prompt_tokens": -1, "completion_tokens": True}
    with (
        scripted.provider(lambda heard, request: answer) as there,
        scripted.reached(tmp_path, there.url) as proxy,
    ):
        assert scripted.ask(proxy, CHAT, scripted.CHAT).status == 200
        spent = proxy.spent()
    assert there.heard
    assert spent.estimated == 1
    assert 300 < spent.tokens.output < 1000
    assert 10 < spent.tokens.input < 100


def test_waits_at_the_same_time_count_once(tmp_path: Path) -> None:
    account = Account({}, tmp_path / SPENT)
    for since, until in ((0.0, 10.0), (20.0, 30.0), (5.0, 8.0), (9.0, 21.0), (40.0, 41.0)):
        account.wait(since, until)
    assert account.spent.waits == ((0.0, 30.0), (40.0, 41.0))
    assert account.spent.waited == 31.0


def test_a_later_process_goes_on_where_the_first_has_ended(tmp_path: Path) -> None:
    with scripted.provider(lambda heard, request: scripted.chat_answer()) as there:
        for tokens in (2000, 100_000):
            with scripted.reached(tmp_path, there.url, tokens=tokens) as proxy:
                scripted.ask(proxy, CHAT, scripted.CHAT)
    spent: Spent = proxy.spent()
    assert (spent.requests, spent.refused, spent.final) == (1, 1, None)
    assert [each.number for each in exchanges(proxy.journal)] == [0, 1]


def test_the_wait_can_be_seen_while_it_lasts(tmp_path: Path) -> None:
    async def look(proxy: Any) -> float:
        task = asyncio.create_task(scripted.asked(proxy, CHAT, scripted.CHAT))
        until = time.monotonic() + 10
        while proxy.spent().waited < 0.5 and time.monotonic() < until:
            await asyncio.sleep(0.05)
        task.cancel()
        return proxy.spent().waited

    with (
        scripted.provider(lambda heard, request: _error(429, **{"Retry-After": "60"})) as there,
        scripted.reached(tmp_path, there.url) as proxy,
    ):
        assert 0.5 <= asyncio.run(look(proxy)) < 5
    assert len(there.heard) == 1
    (exchange,) = exchanges(proxy.journal)
    assert exchange.ended == "cut"
    assert exchange.tokens == Tokens()
    assert exchange.waited >= 0.5

"""Each format through the real process, streamed and not: what passes, what is counted, what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from proxy import conversations, scripted
from proxy.conversations import ANSWERS, DOLLARS, EVENTS, FORMATS, MODELS, PROVIDERS, TOKENS

from harness.proxy.exchange import Format, exchanges
from harness.proxy.host import Proxy


def _reached(folder: Path, there: scripted.Provider, format: Format, **changes: object):
    given = {"format": PROVIDERS[format], "models": (MODELS[format],), **changes}
    return scripted.reached(folder, there.url, **given)


def _check_kept(proxy: Proxy, format: Format) -> None:
    (exchange,) = exchanges(proxy.journal)
    assert exchange.answer == ANSWERS[format]
    assert (exchange.format, exchange.model, exchange.ended, exchange.status) == (format, MODELS[format], "done", 200)
    assert exchange.tokens == TOKENS[format]
    assert exchange.dollars == pytest.approx(DOLLARS[format])
    assert not exchange.estimated
    spent = proxy.spent()
    assert (spent.requests, spent.tokens, spent.final) == (1, TOKENS[format], None)
    assert spent.dollars == pytest.approx(DOLLARS[format])


@pytest.mark.parametrize("format", FORMATS)
def test_an_answer_passes_and_is_counted(tmp_path: Path, format: Format) -> None:
    with (
        scripted.provider(lambda heard, request: ANSWERS[format]) as there,
        _reached(tmp_path, there, format) as proxy,
    ):
        got = scripted.ask(proxy, conversations.path(format), conversations.question(format))
        assert (got.status, got.json) == (200, ANSWERS[format])
    assert there.heard[0].path == conversations.path(format)
    assert {**conversations.question(format), **there.heard[0].body} == there.heard[0].body
    _check_kept(proxy, format)


@pytest.mark.parametrize("format", FORMATS)
def test_a_stream_passes_untouched_and_is_put_together(tmp_path: Path, format: Format) -> None:
    def script(heard: scripted.Heard, request):
        return scripted.streamed(request, *EVENTS[format])

    with scripted.provider(script) as there, _reached(tmp_path, there, format) as proxy:
        question = conversations.question(format, streams=True)
        if format == "chat":
            question["stream_options"] = {"include_usage": True}
        got = scripted.ask(proxy, conversations.path(format, streams=True), question)
        assert got.status == 200
        assert got.text == scripted.told(*EVENTS[format])
    _check_kept(proxy, format)


def test_usage_that_was_not_asked_for_does_not_reach_the_agent(tmp_path: Path) -> None:
    def script(heard: scripted.Heard, request):
        return scripted.streamed(request, *EVENTS["chat"])

    with scripted.provider(script) as there, _reached(tmp_path, there, "chat") as proxy:
        question = conversations.question("chat", streams=True)
        got = scripted.ask(proxy, conversations.path("chat"), question)
    assert there.heard[0].body["stream_options"] == {"include_usage": True}
    assert got.text == scripted.told(*EVENTS["chat"][:-2], "[DONE]")
    _check_kept(proxy, "chat")

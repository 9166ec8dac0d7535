# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""What a hostile agent asks, and what a hostile provider answers, in all four formats: whole, streamed, cut anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from fuzzing.effort import Effort, within
from fuzzing.material import changed, damaged, values
from hypothesis import strategies as st
from proxy import scripted
from proxy.conversations import ANSWERS, EVENTS, FORMATS, MODELS, PROVIDERS, path, question

from harness.proxy import asking
from harness.proxy.access import Access
from harness.proxy.bound import Bounds
from harness.proxy.elements import Elements
from harness.proxy.exchange import Exchange, Format, Journal, exchanges
from harness.proxy.refusal import Refused
from harness.proxy.stream import Telling, WithoutUsage
from harness.proxy.usage import told
from harness.trajectory.derive import derive
from harness.trajectory.keep import text_of

LINES = [
    b"\n",
    b"\n\n",
    b"\r\n",
    b"\r",
    b"data:",
    b"data: ",
    b"data: [DONE]\n\n",
    b"event: error\n",
    b": c\n",
    b"id: 1\n",
    b"retry: 0\n",
]
MARKS = [
    *LINES,
    b"{",
    b"}",
    b"[" * 500,
    b'"\\ud800"',
    b"9" * 300,
    b"1e999",
    b"NaN",
    b"\xff\xfe",
    b"\\u0000",
    b'"index":',
    b"null",
]
RICH: dict[Format, dict[str, Any]] = {
    "chat": {
        **question("chat", streams=True), "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "stream_options": {"include_usage": False}, "max_tokens": 10, "temperature": 0.5, "stop": ["x"],
    },
    "responses": {**question("responses", streams=True), "instructions": "be", "max_output_tokens": 10, "reasoning": {"effort": "low"}},
    "messages": {
        **question("messages", streams=True), "system": [{"type": "text", "text": "be"}], "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "stop_sequences": ["x"],
    },
    "generate": {
        **question("generate"), "systemInstruction": {"parts": [{"text": "be"}]}, "generationConfig": {"maxOutputTokens": 10},
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}],
    },
}  # fmt: skip


def access(format: Format) -> Access:
    return Access(format=PROVIDERS[format], upstream="http://127.0.0.1:1", key="k", models=(MODELS[format],))


@pytest.mark.parametrize("format", FORMATS)
def test_requests(effort: Effort, format: Format) -> None:
    elements, bounds = Elements(), Bounds()
    whole = json.dumps(RICH[format]).encode()
    to = asking.endpoint("POST", path(format, streams=True).partition("?")[0])
    assert asking.read(whole, to, access(format), elements=elements).streams

    nulls = [json.dumps({**RICH[format], name: None}).encode() for name in RICH[format]]
    shaped = changed(RICH[format]).map(lambda value: json.dumps(value).encode())

    @effort.over(shaped | damaged(whole, marks=MARKS), few=25, cases=nulls)
    def check(body: bytes) -> None:
        asking.lenient(body)
        try:
            with within(5.0):
                asked = asking.read(body, to, access(format), elements=elements)
        except Refused as refused:
            said = json.loads(refused.body(format))
            assert len(refused.said) < 2000  # noqa: PT017 -- being refused is one of two right ends
            assert said
            return
        bounds.of(asked)
        asked.limit(5)
        assert asked.output == 5
        assert json.loads(msgspec.json.encode(asked.body))


def heard(format: Format, stream: bytes, cuts: list[int]) -> tuple[Telling, bytes]:
    telling, strip = Telling(format), WithoutUsage()
    passed = bytearray()
    for at, to in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        telling.feed(stream[at:to])
        passed += strip.feed(stream[at:to])
    passed += strip.end()
    assert len(passed) <= len(stream)
    return telling, bytes(passed)


def kept(format: Format, answer: Any, request: dict[str, Any], folder: Path) -> None:
    """All that is made of an answer: a cost, a line of the journal, a step of the trajectory."""
    told(format, answer)
    file = folder / "exchanges.jsonl"
    file.unlink(missing_ok=True)
    journal = Journal(file, most=1 << 30)
    journal.write(Exchange(number=0, at="2026-11-23T08:00:00Z", seconds=1.0, format=format, model="m", request=request,
                           answer=answer, status=200, ended="done"))  # fmt: skip
    journal.close()
    found = derive(exchanges(file), attempt="a", agent="b", version="c")
    assert found is None or text_of(found).encode()


@pytest.mark.parametrize("format", FORMATS)
def test_streams(effort: Effort, format: Format, tmp_path: Path) -> None:
    events = EVENTS[format]
    whole = scripted.told(*events)

    def wire(told: list[Any]) -> bytes:
        return scripted.told(*told) if isinstance(told, list) else b""

    streams = changed(events).map(wire) | damaged(whole, marks=MARKS) | st.lists(st.sampled_from(events)).map(wire)

    empty = {"candidates": [{"content": {"parts": [{"text": None}, {"text": "x"}, {"text": 5}, {"text": "y"}]}}]}
    odd = [(scripted.told(empty, *events, empty), [])]

    @effort.over(streams, st.lists(st.integers(0, 3000), max_size=5), few=25, cases=odd)
    def check(stream: bytes, cuts: list[int]) -> None:
        with within(5.0):
            whole, passed = heard(format, stream, [])
            cut, alike = heard(format, stream, sorted(min(cut, len(stream)) for cut in cuts))
        assert passed == alike
        assert (cut.answer, cut.ended, cut.failed) == (whole.answer, whole.ended, whole.failed)
        kept(format, whole.answer, RICH[format], tmp_path)


@pytest.mark.parametrize("format", FORMATS)
def test_answers_and_what_is_told_of_them(effort: Effort, format: Format, tmp_path: Path) -> None:
    @effort.over(changed(ANSWERS[format]), changed(RICH[format]), few=25)
    def check(answer: Any, request: Any) -> None:
        with within(5.0):
            body = asking.lenient(json.dumps(answer).encode())
            kept(format, body or None, asking.lenient(json.dumps(request).encode()), tmp_path)


def test_the_whole_proxy(effort: Effort, tmp_path: Path) -> None:
    """One proxy between an agent and a provider that both send what they like; it answers the next one all the same."""
    script: list[bytes] = []

    async def answer(request: web.BaseRequest, stream: bytes) -> web.StreamResponse:
        kind = "text/event-stream" if stream.startswith(b"data") else "application/json"
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        for at in range(0, len(stream), 97):
            await response.write(stream[at : at + 97])
        return response

    def scripts(heard: Any, request: web.BaseRequest) -> Any:
        return answer(request, script.pop()) if script else scripted.chat_answer()

    whole, asks = (
        scripted.told(*EVENTS["chat"]),
        json.dumps({**RICH["chat"], "stream_options": {"include_usage": False}}).encode(),
    )
    streams = damaged(whole, marks=MARKS) | changed(EVENTS["chat"]).map(
        lambda told: scripted.told(*told) if isinstance(told, list) else b""
    )

    with scripted.provider(scripts) as there, scripted.reached(tmp_path, there.url) as proxy:

        @effort.over(
            streams,
            st.just(asks) | damaged(asks, marks=MARKS) | values().map(lambda value: json.dumps(value).encode()),
            few=6,
        )
        def check(stream: bytes, body: bytes) -> None:
            script[:] = [stream]
            try:
                got = scripted.ask(proxy, path("chat"), data=body)
                assert got.status in (200, 400, 403, 404, 413, 422, 429, 499, 502), got
            except aiohttp.ClientPayloadError:
                pass  # the provider's answer broke off, and so does ours
            script.clear()
            assert scripted.ask(proxy, path("chat"), scripted.CHAT).json["id"] == "c1"

    assert "Traceback" not in (tmp_path / "attempt" / "proxy.txt").read_text()


def _keys(event: Callable[[int], dict[str, Any]]) -> list[bytes]:
    return [scripted.told(event(number)) for number in range(20_000)]


SLOW: dict[str, tuple[Format, list[bytes]]] = {
    "carriage returns": ("chat", [b"data: {}" + b"x" * 60 + b"\r"] * 20_000),
    "one event without end": ("chat", [b"data: x" + b"x" * 60 + b"\r\n"] * 20_000),
    "a field more each time": ("generate", _keys(lambda number: {f"k{number}": 1})),
    "a count more each time": (
        "messages",
        [*_keys(lambda number: {"type": "message_delta", "usage": {f"k{number}": 1}})],
    ),
    "a choice more each time": (
        "chat",
        _keys(lambda number: {"choices": [{"index": number, "delta": {"content": "x"}}]}),
    ),
    "a block more each time": ("messages", _keys(lambda number: {"type": "content_block_start", "index": number})),
}


@pytest.mark.parametrize("case", SLOW)
def test_no_stream_takes_quadratic_time(case: str) -> None:
    """A second and a half of pieces that a provider may send one by one; the square of them took minutes."""
    format, chunks = SLOW[case]
    telling, strip = Telling(format), WithoutUsage()
    telling.feed(scripted.told(EVENTS[format][0]))
    with within(4.0):
        for chunk in chunks:
            telling.feed(chunk)
            strip.feed(chunk)
        assert telling.answer is not None

"""A provider that repeats the key in what it answers: nobody but the proxy has it, neither the agent nor a record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from proxy import scripted
from proxy.scripted import CHAT, Heard, chat_answer

from harness.proxy.blot import Blot

KEY = "sk-canary/4f1c+9ab27d60e85b3c1d7a"
FORMS = (KEY, quote(KEY, safe=""), KEY.replace("/", "\\/"))
STREAM = {**CHAT, "stream": True}


def _echo(status: int, text: str, **headers: str) -> web.Response:
    said = json.dumps({"error": {"message": text, "type": "invalid_request_error"}})
    return web.Response(status=status, text=said, content_type="application/json", headers=headers)


def _seen(folder: Path, *more: bytes) -> list[str]:
    """Where the key stands, in any of its forms."""
    found = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found |= {f"answer {number}": text for number, text in enumerate(more)}
    return [name for name, data in found.items() if any(form.encode() in data for form in FORMS)]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
@pytest.mark.parametrize("form", FORMS)
def test_an_error_that_repeats_the_key_is_told_without_it(tmp_path: Path, status: int, form: str) -> None:
    def script(heard: Heard, request: Any) -> Any:
        return _echo(status, f"Incorrect API key provided: {form}. Bearer {form}", **{"x-request-id": KEY})

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url, key=KEY) as proxy:
        got = scripted.ask(proxy, "/v1/chat/completions", CHAT)
    assert there.heard[0].headers["Authorization"] == f"Bearer {KEY}"
    assert b"Incorrect API key provided" in got.text
    assert _seen(tmp_path, got.text, json.dumps(got.headers).encode()) == []


def test_no_piece_of_it_is_left_where_an_error_is_cut(tmp_path: Path) -> None:
    def script(heard: Heard, request: Any) -> Any:
        return web.Response(status=401, text="x" * (500 - len(KEY) // 2) + KEY)

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url, key=KEY) as proxy:
        got = scripted.ask(proxy, "/v1/chat/completions", CHAT)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY[:12].encode() not in got.text + written


def test_an_answer_that_repeats_the_key_is_passed_on_without_it(tmp_path: Path) -> None:
    def script(heard: Heard, request: Any) -> Any:
        return chat_answer(f"your key is {KEY}")

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url, key=KEY) as proxy:
        got = scripted.ask(proxy, "/v1/chat/completions", CHAT)
    assert got.json["choices"][0]["message"]["content"] == "your key is ***"
    assert _seen(tmp_path, got.text) == []


def test_a_stream_that_repeats_it_in_pieces_is_passed_on_without_it(tmp_path: Path) -> None:
    async def script(heard: Heard, request: Any) -> Any:
        event = {"choices": [{"index": 0, "delta": {"content": f"your key is {KEY}, keep it"}}]}
        data = b"data: " + json.dumps(event).encode() + b"\n\ndata: [DONE]\n\n"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for start in range(0, len(data), 7):
            await response.write(data[start : start + 7])
        return response

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url, key=KEY) as proxy:
        got = scripted.ask(proxy, "/v1/chat/completions", STREAM)
    assert b"your key is ***, keep it" in got.text
    assert got.text.endswith(b"data: [DONE]\n\n")
    assert _seen(tmp_path, got.text) == []


def test_a_key_that_is_none_is_an_ordinary_word(tmp_path: Path) -> None:
    """Local servers want any key: `none`, `EMPTY`, `not-needed`. An answer may say so."""
    with (
        scripted.provider(lambda heard, request: chat_answer("not-needed, none")) as there,
        scripted.reached(tmp_path, there.url, key="not-needed") as proxy,
    ):
        got = scripted.ask(proxy, "/v1/chat/completions", CHAT)
    assert got.json["choices"][0]["message"]["content"] == "not-needed, none"


@given(st.lists(st.sampled_from([*FORMS, KEY[:9], KEY[9:], "sk-", "a", "\n"]), max_size=12), st.integers(1, 40))
def test_pieces_come_out_as_the_whole_would(words: list[str], size: int) -> None:
    data = "".join(words).encode()
    whole, pieces = Blot(KEY), Blot(KEY)
    fed = b"".join(pieces.feed(data[start : start + size]) for start in range(0, len(data), size)) + pieces.end()
    assert fed == whole.feed(data) + whole.end()
    assert not any(form.encode() in fed for form in FORMS)

"""A client that floods, stalls, lies or sends garbage: only its own requests suffer, and nothing gets out."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from proxy import conversations, scripted
from watching import soon

from harness.proxy import asking
from harness.proxy.exchange import exchanges
from harness.proxy.host import Proxy, spent
from harness.proxy.server import MOST_CONNECTIONS

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[scripted.Provider, Proxy]]:
    """One proxy for all who do not end it: each must leave it whole for the next."""
    with (
        scripted.provider(lambda heard, request: scripted.chat_answer()) as there,
        scripted.reached(tmp_path_factory.mktemp("hostile"), there.url) as proxy,
    ):
        yield there, proxy


def _send(proxy: Proxy, raw: bytes, *, half: bool = False) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(proxy.socket))
        client.settimeout(5.0)
        client.sendall(raw)
        if half:
            client.shutdown(socket.SHUT_WR)
        got = b""
        with contextlib.suppress(OSError):
            while chunk := client.recv(65536):
                got += chunk
    return got


def _works(there: scripted.Provider, proxy: Proxy) -> None:
    before = len(there.heard)
    assert scripted.ask(proxy, CHAT, scripted.CHAT).status == 200
    assert len(there.heard) == before + 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", CHAT), ("POST", "/v1/completions"), ("POST", "/v1/embeddings"), ("POST", "/v1/files"),
        ("POST", "/v1/batches"), ("POST", "/v1/images/generations"), ("POST", "/v1/assistants"),
        ("POST", "/v1/vector_stores"), ("POST", "/v1/containers"), ("POST", "/v1/conversations"),
        ("POST", "/v1/responses/resp_1/cancel"), ("GET", "/v1/responses/resp_1"), ("POST", "/v1/audio/speech"),
        ("POST", "/v1/responses/compact"), ("POST", "/v1/realtime/sessions"), ("POST", "/v1/fine_tuning/jobs"),
        ("POST", "/v1/messages"), ("POST", "/v1/messages/batches"), ("POST", "/v1beta/models/gpt-5:generateContent"),
        ("POST", "/v1beta/models/gpt-5:embedContent"), ("POST", "/upload/v1beta/files"), ("DELETE", "/v1/models/m"),
        ("POST", "/v1/chat/completions/"), ("POST", "//v1/chat/completions"), ("POST", "/v1/../v1/files"),
        ("POST", "/v1/chat/completions%2f..%2ffiles"), ("CONNECT", "/v1/chat/completions"), ("PUT", "/"),
        ("GET", "http://example.org/"),
    ],
)  # fmt: skip
def test_no_other_endpoint_is_reached(shared: tuple[scripted.Provider, Proxy], method: str, path: str) -> None:
    there, proxy = shared
    before = len(there.heard)
    body = json.dumps(scripted.CHAT).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    got = _send(proxy, head.encode() + body)
    assert got.split(b" ")[1] in (b"400", b"404"), got
    assert len(there.heard) == before


def test_another_model_is_refused_and_ours_are_listed(shared: tuple[scripted.Provider, Proxy]) -> None:
    there, proxy = shared
    before = len(there.heard)
    got = scripted.ask(proxy, CHAT, {**scripted.CHAT, "model": "gpt-5-pro"})
    assert got.status == 400
    assert got.json["error"]["message"] == "Reproof: the model 'gpt-5-pro' is not allowed here; allowed: gpt-5"
    assert [each["id"] for each in scripted.ask(proxy, "/v1/models").json["data"]] == [scripted.MODEL]
    assert len(there.heard) == before


def test_only_our_headers_go_on_and_only_listed_ones_come_back(tmp_path: Path) -> None:
    from aiohttp import web

    def script(heard: scripted.Heard, request: web.BaseRequest) -> web.Response:
        given = {"Set-Cookie": "a=b", "X-Request-Id": "r1", "Location": "/x", "Openai-Organization": "lab"}
        return web.json_response(scripted.chat_answer(), headers=given)

    theirs = {
        "Authorization": "Bearer mine", "Cookie": "a=b", "Host": "evil.example", "X-Forwarded-For": "1.2.3.4",
        "OpenAI-Organization": "org-1", "OpenAI-Beta": "assistants=v2", "Proxy-Authorization": "x", "Expect": "x",
    }  # fmt: skip
    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url) as proxy:
        for _ in range(2):
            got = scripted.ask(proxy, CHAT + "?api-version=1", scripted.CHAT, headers=theirs)
    heard = there.heard[1]
    assert heard.path == CHAT
    assert set(heard.headers) == {
        "Host", "Content-Type", "Accept", "Accept-Encoding", "User-Agent", "Authorization", "Content-Length",
    }  # fmt: skip
    assert heard.headers["Authorization"] == "Bearer sk-secret"
    assert heard.headers["Host"] == there.url.removeprefix("http://")
    back = {name.lower() for name in got.headers}
    assert back == {"content-type", "x-request-id", "content-length", "date", "server"}


def test_of_anthropic_s_betas_only_forms_go_on(tmp_path: Path) -> None:
    given = {"format": "anthropic", "models": (conversations.MODELS["messages"],)}
    betas = "claude-code-20250219,files-api-2025-04-14,mcp-client-2025-11-20,code-execution-2025-08-25,x\ty"
    theirs = {"anthropic-beta": betas + ",interleaved-thinking-2025-05-14", "anthropic-version": "2023-06-01 x"}
    with (
        scripted.provider(lambda heard, request: conversations.ANSWERS["messages"]) as there,
        scripted.reached(tmp_path, there.url, **given) as proxy,
    ):
        scripted.ask(proxy, "/v1/messages?beta=true", conversations.question("messages"), headers=theirs)
        counted = scripted.ask(proxy, "/v1/messages/count_tokens", conversations.question("messages"))
    (heard,) = there.heard
    assert heard.headers["anthropic-beta"] == "claude-code-20250219,interleaved-thinking-2025-05-14"
    assert heard.headers["anthropic-version"] == "2023-06-01"
    assert heard.headers["x-api-key"] == "sk-secret"
    assert "Authorization" not in heard.headers
    assert 10 < counted.json["input_tokens"] < 100


def test_the_environment_s_proxies_and_passwords_are_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with (
        scripted.provider(lambda heard, request: scripted.chat_answer()) as there,
        scripted.reached(tmp_path, there.url, key=None) as proxy,
    ):
        _works(there, proxy)
    assert "Authorization" not in there.heard[0].headers


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00" * 100_000,
        b"GET",
        b"POST /v1/chat/completions HTTP/1.1\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(50_000)) + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
    ],
)
def test_garbage_harms_nobody(shared: tuple[scripted.Provider, Proxy], raw: bytes) -> None:
    there, proxy = shared
    before = len(there.heard)
    with contextlib.suppress(OSError):
        got = _send(proxy, raw, half=True)
        assert b" 200 " not in got.split(b"\r\n")[0]
    assert len(there.heard) == before
    _works(there, proxy)


BODIES = [
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"{" * 100,
    b"[" * 1_000_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b'{"model": "gpt-5", "messages": "x"}',
    b'{"model": 5, "messages": []}',
    b'{"model": ["gpt-5"], "messages": []}',
    b'{"model": "gpt-5", "messages": [1]}',
    b'{"model": "gpt-5", "messages": [{"role": {}}]}',
    b'{"model": "gpt-5", "messages": [], "temperature": NaN}',
    b'{"model": "gpt-5", "messages": [], "temperature": 1e999}',
    b'{"model": "gpt-5", "messages": [], "max_tokens": 1e3}',
    b'{"model": "gpt-5", "messages": [{"role": "user", "content": "\xff"}]}',
    b'{"model": "gpt-5", "messages": [{"role": "user", "content": "\\ud800"}]}',
    b'{"model": "gpt-5", "messages": [], "stream": 1}',
    b'{"model": "\\u001b[2J<b>", "messages": []}',
    b"\xef\xbb\xbf{}",
    b'{"model": "gpt-5"} {}',
]


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_none_is_refused(shared: tuple[scripted.Provider, Proxy], body: bytes) -> None:
    there, proxy = shared
    before = len(there.heard)
    got = scripted.ask(proxy, CHAT, data=body, headers={"Content-Type": "application/json"})
    assert (got.status, len(there.heard)) == (400, before)
    assert got.json["error"]["message"].startswith("Reproof: ")
    assert len(got.text) < 1000
    assert b"\x1b" not in got.text


def test_a_body_that_is_too_long_packed_or_crowded_is_refused(shared: tuple[scripted.Provider, Proxy]) -> None:
    there, proxy = shared
    before = len(there.heard)
    long = scripted.ask(proxy, CHAT, data=io.BytesIO(b"x" * (asking.MOST_BYTES + 1)))
    assert "longer than" in long.json["error"]["message"]
    packed = scripted.ask(proxy, CHAT, data=b"x", headers={"Content-Encoding": "gzip"})
    assert "packed" in packed.json["error"]["message"]
    assert len(there.heard) == before
    many = b'{"model": "gpt-5", "messages": [' + b"{}," * 1_500_000 + b"{}]}"
    crowded = scripted.ask(proxy, CHAT, data=io.BytesIO(many))
    assert "too crowded" in crowded.json["error"]["message"]
    assert len(there.heard) == before


def test_a_name_that_stands_there_twice_is_what_we_have_read(shared: tuple[scripted.Provider, Proxy]) -> None:
    there, proxy = shared
    body = b'{"model": "gpt-5-pro", "n": 5, "messages": [], "model": "gpt-5", "n": 1}'
    assert scripted.ask(proxy, CHAT, data=body).status == 200
    assert there.heard[-1].body == {"model": "gpt-5", "n": 1, "messages": []}


async def _flood(proxy: Proxy, body: bytes, count: int) -> list[int]:
    async def one() -> int:
        return (await scripted.asked(proxy, CHAT, data=io.BytesIO(body))).status

    return await asyncio.gather(*(one() for _ in range(count)))


@pytest.mark.slow
def test_large_bodies_at_the_same_time_do_not_fill_the_memory(shared: tuple[scripted.Provider, Proxy]) -> None:
    there, proxy = shared
    said = [{"role": "user", "content": "x" * 30_000_000}]
    body = json.dumps({**scripted.CHAT, "messages": said, "n": 2}).encode()
    assert set(asyncio.run(_flood(proxy, body, 16))) == {400}
    status = Path(f"/proc/{proxy.pid}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 350_000
    _works(there, proxy)


def _crowd(proxy: Proxy, count: int) -> list[socket.socket]:
    """Connections that have sent half a head."""
    held: list[socket.socket] = []
    until = time.monotonic() + 20
    while len(held) < count and time.monotonic() < until:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(1)
        try:
            client.connect(str(proxy.socket))
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
            held.append(client)
        except BlockingIOError:  # its queue is full for now
            client.close()
            time.sleep(0.002)
        except OSError:
            held.append(client)
    return held


def test_more_connections_than_it_holds_leave_room_again(shared: tuple[scripted.Provider, Proxy]) -> None:
    there, proxy = shared
    held = _crowd(proxy, 2 * MOST_CONNECTIONS)
    soon(lambda: False, within=0.2)
    used = len(list(Path(f"/proc/{proxy.pid}/fd").iterdir()))
    for client in held:
        client.close()
    assert MOST_CONNECTIONS // 2 < used < MOST_CONNECTIONS + 50

    def answers() -> bool:
        with contextlib.suppress(OSError, aiohttp.ClientError):
            return scripted.ask(proxy, CHAT, scripted.CHAT).status == 200
        return False

    assert soon(answers)
    _works(there, proxy)
    resident = int(Path(f"/proc/{proxy.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert resident < 400 << 20


def test_an_answer_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import web

    async def script(heard: scripted.Heard, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(80):
                await response.write(b" " * (1 << 20))
        return response

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url) as proxy:
        got = scripted.ask(proxy, CHAT, scripted.CHAT)
        assert (got.status, "longer than" in got.json["error"]["message"]) == (502, True)
    assert there.heard


def test_a_full_journal_is_the_end(tmp_path: Path) -> None:
    with (
        scripted.provider(lambda heard, request: scripted.chat_answer()) as there,
        scripted.reached(tmp_path, there.url, journal=20_000) as proxy,
    ):
        body = {**scripted.CHAT, "messages": [{"role": "user", "content": "x" * 30_000}]}
        assert scripted.ask(proxy, CHAT, body).status == 200
        got = scripted.ask(proxy, CHAT, scripted.CHAT)
        assert "the journal is full" in got.json["error"]["message"]
        assert proxy.spent().fault == "submission"
    assert len(there.heard) == 1


def test_nobody_else_reaches_the_socket_and_all_files_are_private(tmp_path: Path) -> None:
    with (
        scripted.provider(lambda heard, request: scripted.chat_answer()) as there,
        scripted.reached(tmp_path, there.url) as proxy,
    ):
        assert stat.S_IMODE(proxy.socket.stat().st_mode) == 0o600
        _works(there, proxy)
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in proxy.journal.parent.iterdir()} == {0}
        pid = proxy.pid
        for name in ("cmdline", "environ"):
            assert b"sk-secret" not in Path(f"/proc/{pid}/{name}").read_bytes()
    assert not proxy.socket.exists()
    assert not Path(f"/proc/{pid}").exists()


KILLED = """
import os, signal, sys, pathlib
sys.path[:0] = [{tests!r}, {root!r}]
from proxy import scripted
folder = pathlib.Path(sys.argv[1])
with scripted.provider(lambda heard, request: scripted.chat_answer()) as there:
    with scripted.reached(folder, there.url) as proxy:
        scripted.ask(proxy, "/v1/chat/completions", scripted.CHAT)
        print("asked", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_dies_with_the_harness_and_the_usage_stays(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    program = KILLED.format(tests=str(root / "tests"), root=str(root))
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (-9, b"asked\n"), done.stderr
    journal = tmp_path / "attempt" / "exchanges.jsonl"
    assert soon(lambda: not _holders(journal))
    assert spent(journal).tokens.total == 25
    assert [each.ended for each in exchanges(journal)] == ["done"]


def _holders(path: Path) -> list[str]:
    held = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if link.readlink() == path:
                held.append(str(link))
    return held


def test_what_is_under_way_at_the_end_is_kept(tmp_path: Path) -> None:
    async def script(heard: scripted.Heard, request: Any) -> Any:
        await asyncio.sleep(30)

    async def play(proxy: Proxy, there: scripted.Provider) -> None:
        task = asyncio.create_task(scripted.asked(proxy, CHAT, {**scripted.CHAT, "max_completion_tokens": 50}))
        while not there.heard:
            await asyncio.sleep(0.02)
        task.cancel()

    with scripted.provider(script) as there, scripted.reached(tmp_path, there.url, tokens=10_000) as proxy:
        asyncio.run(play(proxy, there))
    (exchange,) = exchanges(proxy.journal)
    assert (exchange.ended, exchange.said, exchange.estimated) == ("cut", "the attempt ended", True)
    assert proxy.spent().tokens.output == 50

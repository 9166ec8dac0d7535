"""A scripted provider on loopback, in a thread of its own, and a client's side of the proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from harness.proxy.host import Access, Proxy, proxying

Script = Callable[["Heard", web.BaseRequest], Any]
MODEL = "gpt-5"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "What is a return?"}]}


@dataclass
class Heard:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    number: int


@dataclass
class Provider:
    url: str
    heard: list[Heard] = field(default_factory=list)


@contextlib.contextmanager
def provider(script: Script) -> Iterator[Provider]:
    """A server whose answers a function gives: a dict, or a web.StreamResponse that it made itself."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    here = Provider(f"http://127.0.0.1:{listening.getsockname()[1]}")
    loop = asyncio.new_event_loop()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        text = await request.read()
        heard = Heard(request.path_qs, dict(request.headers), json.loads(text or b"null"), len(here.heard))
        here.heard.append(heard)
        answer = script(heard, request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

    async def begin() -> tuple[web.Server[Any], asyncio.Server]:
        server = web.Server(handle, access_log=None)
        return server, await loop.create_server(server, sock=listening)

    server, accepting = loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield here
    finally:

        async def end() -> None:
            accepting.close()
            await server.shutdown(0.1)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextlib.contextmanager
def reached(folder: Path, upstream: str, **changes: Any) -> Iterator[Proxy]:
    """A proxy before that provider."""
    wanted = {"format": "openai", "upstream": upstream, "key": "sk-secret", "models": (MODEL,), **changes}
    with proxying(Access(**wanted), socket=folder / "s", journal=folder / "attempt" / "exchanges.jsonl") as proxy:
        yield proxy


@dataclass
class Got:
    status: int
    headers: dict[str, str]
    text: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.text)


async def asked(proxy: Proxy, path: str, body: Any = None, **more: Any) -> Got:
    """Ask once, over the Unix socket."""
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(proxy.socket))) as session:
        method = "GET" if body is None and "data" not in more else "POST"
        async with session.request(method, f"http://proxy{path}", json=body, **more) as answer:
            return Got(answer.status, dict(answer.headers), await answer.read())


def ask(proxy: Proxy, path: str, body: Any = None, **more: Any) -> Got:
    """Ask once, and wait."""
    return asyncio.run(asked(proxy, path, body, **more))


def chat_answer(text: str = "A sum.", *, prompt: int = 20, completion: int = 5) -> dict[str, Any]:
    return {
        "id": "c1", "object": "chat.completion", "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }  # fmt: skip


async def streamed(request: web.BaseRequest, *events: Any, pause: float = 0.0) -> web.StreamResponse:
    """Send events, each on its own."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in events:
        await response.write(told(event))
        await asyncio.sleep(pause)
    return response


def told(*events: Any) -> bytes:
    """Events as they go over the wire."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {text}\n\n" for text in texts).encode()

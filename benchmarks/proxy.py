"""What the proxy adds to a request and to the gap between streamed tokens, beside a direct connection and a relay.

Run `python benchmarks/proxy.py [--json] [--repetitions N]`. One client asks the same provider, on loopback, directly,
through a relay of a few lines made of the same library (aiohttp), through the proxy's Unix socket, and through the
forwarder that stands before it in a sandbox. They take turns; differences are medians over paired rounds. The proxy
checks every field, reserves from a budget of tokens and dollars, and keeps every exchange.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from statistics import median

from benchmarks.measuring import Row, Runs, in_turn, options, report
from harness.proxy import forward
from harness.proxy.host import Access, proxying

MODEL = "gpt-5"
SIZES = (20_000, 100_000)
REQUESTS = 10
"""In a round."""
TOKENS, GAP = 100, 0.01
"""Of a streamed answer, and seconds between two."""
MOST_ADDED = 2.0
"""Milliseconds."""
PROVIDER = """
import asyncio, json, sys, time

usage = {"prompt_tokens": 5000, "completion_tokens": 50, "total_tokens": 5050}
message = {"role": "assistant", "content": "word " * 50}
answer = json.dumps({"id": "c", "object": "chat.completion", "model": "gpt-5",
                     "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}).encode()
ok = b"HTTP/1.1 200 OK\\r\\n"
whole = ok + b"Content-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(answer) + answer
begin = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\\r\\n")[0]
            body = await reader.readexactly(int(length))
            if b'"stream":true' not in body.replace(b" ", b"")[-4000:] and b'"stream":true' not in body[:200]:
                writer.write(whole)
                continue
            writer.write(begin)
            for number in range(int(sys.argv[1])):
                await asyncio.sleep(float(sys.argv[2]))
                delta = {"content": f"{time.perf_counter()} "}
                put(writer, {"id": "c", "object": "chat.completion.chunk", "model": "gpt-5",
                             "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            put(writer, {"id": "c", "choices": [], "usage": usage})
            writer.write(b"e\\r\\ndata: [DONE]\\n\\n\\r\\n0\\r\\n\\r\\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

def put(writer, event):
    text = b"data: " + json.dumps(event).encode() + b"\\n\\n"
    writer.write(b"%x\\r\\n%s\\r\\n" % (len(text), text))

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 24)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
RELAY = """
import asyncio, sys
import aiohttp
from aiohttp import web

async def main():
    session = aiohttp.ClientSession(auto_decompress=False)

    async def handle(request):
        url = f"http://127.0.0.1:{sys.argv[1]}{request.path}"
        async with session.post(url, data=await request.read(), headers={"Content-Type": "application/json"}) as answer:
            if answer.content_type != "text/event-stream":
                return web.Response(body=await answer.read(), content_type=answer.content_type)
            response = web.StreamResponse(headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response

    server = await asyncio.get_running_loop().create_server(web.Server(handle, access_log=None), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


class Client:
    """One connection that is kept, over plain sockets, so that the client costs little."""

    def __init__(self, to: int | Path) -> None:
        """Connect to a port of loopback, or to a Unix socket."""
        if isinstance(to, int):
            self._line = socket.create_connection(("127.0.0.1", to))
            self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self._line = socket.socket(socket.AF_UNIX)
            self._line.connect(str(to))
        self._file = self._line.makefile("rb")
        self._count = 0

    def ask(self, size: int) -> None:
        """Ask once, with a conversation of about so many bytes whose last message is new."""
        self._send(size)
        head = self._head()
        body = self._file.read(head["content-length"])
        if b"word word" not in body:
            raise RuntimeError(body[:1000].decode(errors="replace"))

    def stream(self) -> tuple[list[float], list[float]]:
        """Ask for a stream; returns the gaps between its tokens, and how late each came, in seconds."""
        self._send(2000, stream=True)
        self._head()
        came, late = [], []
        while (size := int(self._file.readline(), 16)) > 0:
            text, now = self._file.read(size), time.perf_counter()
            self._file.readline()
            for event in text.split(b"\n\n"):
                if b'"content"' in event:
                    came.append(now)
                    late.append(now - float(json.loads(event[5:])["choices"][0]["delta"]["content"]))
        self._file.readline()
        return [after - before for before, after in pairwise(came)], late

    def _send(self, size: int, *, stream: bool = False) -> None:
        self._count += 1
        text = "word " * 200
        said = [{"role": "user", "content": f"{place} {text}"} for place in range(size // 1050)]
        said.append({"role": "user", "content": f"{self._count} {time.time()}"})
        asked = {"model": MODEL, "stream": stream, "messages": said}
        body = json.dumps(asked, separators=(",", ":")).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        self._line.sendall(head.encode() + body)

    def _head(self) -> dict[str, int]:
        found = {}
        while line := self._file.readline().strip():
            if line.lower().startswith(b"content-length"):
                found["content-length"] = int(line.split(b":")[1])
        return found


@contextmanager
def started(*words: str) -> Iterator[int]:
    """A program that says its port."""
    with subprocess.Popen([sys.executable, "-c", *words], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield int(child.stdout.readline())
        finally:
            child.kill()


@contextmanager
def forwarded(to: Path) -> Iterator[int]:
    """The forwarder, as it stands in a sandbox."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    words = [sys.executable, "-I", forward.__file__, str(port), str(to), "sh", "-c", "echo on; read line"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield port
        assert child.stdin is not None
        child.stdin.close()


@contextmanager
def clients() -> Iterator[dict[str, Client]]:
    """One client a way."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(started(PROVIDER, str(TOKENS), str(GAP)))
        relay = stack.enter_context(started(RELAY, str(port)))
        access = Access(
            format="openai", upstream=f"http://127.0.0.1:{port}", models=(MODEL,), tokens=10**10, dollars=1e6
        )
        proxy = stack.enter_context(proxying(access, socket=folder / "s", journal=folder / "exchanges.jsonl"))
        front = stack.enter_context(forwarded(proxy.socket))
        yield {
            "direct": Client(port),
            "plain relay": Client(relay),
            "proxy": Client(proxy.socket),
            "forwarder and proxy": Client(front),
        }


def requests(ways: dict[str, Client], repetitions: int) -> Iterator[Row]:
    """What is added to a request."""
    for size in SIZES:
        runs = in_turn({name: partial(_ask, client, size) for name, client in ways.items()}, repetitions)
        for name in list(ways)[1:]:
            yield _added(f"{size // 1000} kB request, added by the {name}", runs, name, goal=name != "plain relay")


def _ask(client: Client, size: int) -> None:
    for _ in range(REQUESTS):
        client.ask(size)


def _added(name: str, runs: Runs, way: str, *, goal: bool) -> Row:
    added, whole = runs.difference(way, "direct") / REQUESTS * 1e3, runs.median("direct") / REQUESTS * 1e3
    return Row(
        name=name, measured=added, unit="ms", peer="direct, whole", peer_measured=whole,
        goal=f"< {MOST_ADDED:g} ms" if goal else None, met=added < MOST_ADDED if goal else None,
        least=(runs.least(way) - runs.least("direct")) / REQUESTS * 1e3,
        peer_least=runs.least("direct") / REQUESTS * 1e3,
    )  # fmt: skip


def streams(ways: dict[str, Client], repetitions: int) -> Iterator[Row]:
    """What is added to the gap between tokens, and to the time that each takes."""
    gaps: dict[str, list[float]] = {name: [] for name in ways}
    late: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, client in ways.items():
            found = client.stream()
            gaps[name].append(median(found[0]))
            late[name].append(median(found[1]))
    for name in list(ways)[1:]:
        added = median(a - b for a, b in zip(gaps[name], gaps["direct"], strict=True)) * 1e3
        goal = name != "plain relay"
        yield Row(
            name=f"gap between streamed tokens, added by the {name}", measured=added, unit="ms",
            peer="direct, whole", peer_measured=median(gaps["direct"]) * 1e3,
            goal="< 0.1 ms" if goal else None, met=added < 0.1 if goal else None,
            note=f"each comes {(median(late[name]) - median(late['direct'])) * 1e3:.2f} ms later",
        )  # fmt: skip


def main() -> int:
    """Measure, and print."""
    chosen = options(__doc__, repetitions=40).parse_args()
    with clients() as ways:
        rows = [*requests(ways, chosen.repetitions), *streams(ways, max(chosen.repetitions // 8, 1))]
    return report(rows, versions={"aiohttp": version("aiohttp")}, as_json=chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())

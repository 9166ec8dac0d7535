"""The proxy's process.

Started by host.py as `python -m harness.proxy.server`, with its order as a line on standard input, whose end is its
own. It says `ready` on standard output once it listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec
from aiohttp import web

from harness.proxy.access import Order
from harness.proxy.account import SPENT, Account
from harness.proxy.answering import Server
from harness.proxy.exchange import Journal
from harness.proxy.upstream import connected

MOST_CONNECTIONS = 256
"""Of the agent; whoever opens more finds them closed."""
_ENDS_WITHIN = 5.0
"""Seconds for what is under way to be charged and kept."""
_PR_SET_PDEATHSIG = 1


_BATCH = 16
"""Connections that are accepted at once, before those are counted."""


class _Turned(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def serve(order: Order, listening: socket.socket) -> None:
    """Serve until standard input ends."""
    journal, access = Path(order.journal), order.access
    account, kept = Account(order.prices, journal.with_name(SPENT)), Journal(journal, most=access.journal)
    async with connected() as session:
        answering = Server(access, kept, account, session)
        server = web.Server(answering.handle, access_log=None, read_bufsize=1 << 18)

        def arrived() -> asyncio.BaseProtocol:
            return _Turned() if len(server.connections) >= MOST_CONNECTIONS else server()

        accepting = await asyncio.get_running_loop().create_unix_server(arrived, sock=listening, backlog=_BATCH)
        print("ready", flush=True)
        await _end_of_input()
        accepting.close()
        await answering.stop(_ENDS_WITHIN)
        await server.shutdown(1.0)
    kept.close()


async def _end_of_input() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass


def _first_line() -> Order:
    """The order, without reading on: what follows is the end of standard input."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            raise SystemExit("the order did not come")
        line += piece
    return msgspec.json.decode(line, type=Order, dec_hook=lambda kind, value: kind(value))


def main() -> None:
    """Serve one attempt."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.umask(0o077)
    order = _first_line()
    with contextlib.closing(socket.socket(fileno=int(sys.argv[1]))) as listening:
        asyncio.run(serve(order, listening))


if __name__ == "__main__":
    main()

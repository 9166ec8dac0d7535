"""Forwards a port of the sandbox's own loopback to the proxy's Unix socket, then becomes the agent's command.

Laid into the sandbox and run there, by nothing but the standard library:

    python -I forward.py PORT SOCKET COMMAND [ARGUMENT...]

listens on 127.0.0.1:PORT, leaves the forwarding to a child that dies with it, and becomes COMMAND: same process, same
exit status. It ends with 97 if the port cannot be had, and with 127 if there is no such command.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import sys

_CHUNK = 1 << 16
"""Bytes read at once, and at most held for each direction of a connection."""
_MOST = 128
"""Connections at once; others wait to be accepted."""
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


class Side:
    """One end of a connection, and what is still to be written to it."""

    def __init__(self, end: socket.socket) -> None:
        """Begin with nothing to write."""
        self.end, self.other, self.held = end, self, b""
        self.over = False
        """Nothing more is to be read from it."""

    def wants(self) -> int:
        """What to watch it for: it is read only while the other side has taken all that came before."""
        reading = 0 if self.over or self.other.held else selectors.EVENT_READ
        return reading | (selectors.EVENT_WRITE if self.held else 0)

    def read(self) -> None:
        """Take what has come, and pass it on at once as far as that goes."""
        data = self.end.recv(_CHUNK)
        if not data:
            self.over = True
        self.other.held = data
        self.other.write()

    def write(self) -> None:
        """Write what is held; where nothing more will come, say so."""
        if self.held:
            with contextlib.suppress(BlockingIOError):
                self.held = self.held[self.end.send(self.held) :]
        if not self.held and self.other.over:
            with contextlib.suppress(OSError):
                self.end.shutdown(socket.SHUT_WR)


class Forwarder:
    """All connections of one port."""

    def __init__(self, port: socket.socket, to: str) -> None:
        """Begin with none."""
        self._port, self._to, self._open = port, to, 0
        self._watched = selectors.DefaultSelector()
        self._watched.register(port, selectors.EVENT_READ)

    def run(self) -> None:
        """Forward until the end of the process."""
        while True:
            for key, ready in self._watched.select():
                if key.data is None:
                    self._accept()
                elif key.fileobj.fileno() >= 0:  # type: ignore[union-attr] # may be closed by its other end just now
                    self._turn(key.data, ready)

    def _accept(self) -> None:
        near, _ = self._port.accept()
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(self._to)
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            near.close()
            far.close()
            return
        sides = Side(near), Side(far)
        sides[0].other, sides[1].other = sides[1], sides[0]
        for side in sides:
            side.end.setblocking(False)
            self._watched.register(side.end, selectors.EVENT_READ, side)
        self._count(1)

    def _turn(self, side: Side, ready: int) -> None:
        try:
            if ready & selectors.EVENT_WRITE:
                side.write()
            if ready & selectors.EVENT_READ and side.wants() & selectors.EVENT_READ:
                side.read()
        except OSError:
            self._close(side)
            return
        if side.over and side.other.over and not side.held and not side.other.held:
            self._close(side)
            return
        for each in (side, side.other):
            self._watch(each)

    def _watch(self, side: Side) -> None:
        wanted, known = side.wants(), side.end in self._watched.get_map()
        if wanted and known:
            self._watched.modify(side.end, wanted, side)
        elif wanted:
            self._watched.register(side.end, wanted, side)
        elif known:
            self._watched.unregister(side.end)

    def _close(self, side: Side) -> None:
        for each in (side, side.other):
            if each.end in self._watched.get_map():
                self._watched.unregister(each.end)
            each.end.close()
        self._count(-1)

    def _count(self, more: int) -> None:
        """Accept only while there is room."""
        full, self._open = self._open >= _MOST, self._open + more
        if self._open >= _MOST and not full:
            self._watched.unregister(self._port)
        elif self._open < _MOST and full:
            self._watched.register(self._port, selectors.EVENT_READ)


def main() -> None:
    """Listen, fork, become the command."""
    number, to, *command = sys.argv[1:]
    try:
        port = socket.create_server(("127.0.0.1", int(number)), backlog=_MOST)
    except OSError as error:
        print(f"forward: 127.0.0.1:{number}: {os.strerror(error.errno or 0)}", file=sys.stderr)
        raise SystemExit(97) from None
    parent = os.getpid()
    if os.fork() == 0:
        _serve(port, to, parent)
    port.close()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"forward: {command[0]}: {error.strerror}", file=sys.stderr)
        raise SystemExit(127) from None


def _serve(port: socket.socket, to: str, parent: int) -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NAME, b"forward")
    if os.getppid() != parent:
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for handle in range(3):
        os.dup2(nothing, handle)
    os.setsid()
    try:
        Forwarder(port, to).run()
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()

"""The forwarder, alone and inside the real clean room: what goes in comes out, and it dies with its command."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from watching import alive, soon

from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Job, Limits, Mount, SandboxSettings
from harness.proxy import forward

PROGRAM = Path(forward.__file__)
LAID, LINE = "/reproof/laid", "/reproof/line"
LIMITS = Limits(cpu=20, wall=60, memory=1 << 30, processes=32, disk=16 << 20)


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


@contextlib.contextmanager
def _echoing(path: Path) -> Iterator[None]:
    with socketserver.ThreadingUnixStreamServer(str(path), _Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            yield
        finally:
            server.shutdown()


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "line"
    folder.mkdir()
    with _echoing(folder / "s"):
        yield folder / "s"


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _command(port: int, to: Path, *command: str) -> list[str]:
    return [sys.executable, "-I", str(PROGRAM), str(port), str(to), *command]


ASKING = """
import socket, sys, threading
port, size, count = map(int, sys.argv[1:])
def play(number):
    client = socket.create_connection(("127.0.0.1", port))
    text = bytes([number]) * size
    threading.Thread(target=lambda: (client.sendall(text), client.shutdown(socket.SHUT_WR))).start()
    got = bytearray()
    while piece := client.recv(65536):
        got += piece
    assert got == text, (number, len(got))
threads = [threading.Thread(target=play, args=(number,)) for number in range(count)]
for each in threads: each.start()
for each in threads: each.join()
print("whole")
"""


@pytest.mark.parametrize(("size", "count"), [(0, 5), (1, 5), (3_000_000, 20)])
def test_what_goes_in_comes_out(echo: Path, size: int, count: int) -> None:
    port = _free()
    command = _command(port, echo, sys.executable, "-c", ASKING, str(port), str(size), str(count))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")


def test_it_becomes_the_command_and_leaves_nothing_behind(echo: Path) -> None:
    port = _free()
    done = subprocess.run(_command(port, echo, "sh", "-c", "exit 7"), timeout=30)
    assert done.returncode == 7
    assert soon(lambda: not alive(f"forward.py\0{port}"))
    killed = subprocess.run(_command(port, echo, "sh", "-c", "kill -9 $$"), timeout=30)
    assert killed.returncode == -9
    assert soon(lambda: not alive(f"forward.py\0{port}"))


def test_what_it_cannot_do_is_said(echo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(_command(port, echo, "true"), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (97, f"forward: 127.0.0.1:{port}: Address already in use\n")
    done = subprocess.run(_command(_free(), echo, "/nowhere"), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (127, "forward: /nowhere: No such file or directory\n")


def test_a_proxy_that_is_gone_closes_the_connection(tmp_path: Path) -> None:
    port = _free()
    asks = f"import socket; c = socket.create_connection(('127.0.0.1', {port})); print(c.recv(1))"
    command = _command(port, tmp_path / "nobody", sys.executable, "-c", asks)
    assert subprocess.run(command, capture_output=True, text=True, timeout=30).stdout == "b''\n"


MANY = """
import socket, sys
held = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(200)]
for client in held[100:]: client.close()
client = held[5]
client.sendall(b"still here")
print(client.recv(100).decode())
"""


def test_more_connections_than_it_holds_wait(echo: Path) -> None:
    port = _free()
    command = _command(port, echo, sys.executable, "-c", MANY, str(port))
    assert subprocess.run(command, capture_output=True, text=True, timeout=30).stdout == "still here\n"


def test_inside_the_clean_room_nothing_but_the_proxy_is_reached(tmp_path: Path, echo: Path) -> None:
    laid = tmp_path / "laid"
    laid.mkdir()
    echo.chmod(0o666)
    (laid / "forward.py").write_bytes(PROGRAM.read_bytes())
    tries = """
import socket
client = socket.create_connection(("127.0.0.1", 8080))
client.sendall(b"hello")
print(client.recv(100).decode())
for address in (("10.0.0.1", 80), ("1.1.1.1", 53)):
    try:
        socket.create_connection(address, timeout=2)
        print("out")
    except OSError as error:
        print(type(error).__name__)
"""
    job = Job(
        command=(sys.executable, "-I", f"{LAID}/forward.py", "8080", f"{LINE}/s", sys.executable, "-c", tries),
        mounts=(Mount(source=laid, target=LAID), Mount(source=echo.parent, target=LINE)),
        limits=LIMITS,
    )
    done = open_sandbox(SandboxSettings()).run(job)
    assert (done.exit, done.log.split()) == (0, ["hello", "OSError", "OSError"]), done.log

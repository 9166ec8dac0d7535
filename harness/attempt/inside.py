"""The command `reproof` as an agent finds it in its quarters: a client of the broker outside, which does the verb.

This file is laid into the quarters by itself, so it stands on the standard library alone. It sends one line of JSON,
`{"words": [...], "folder": "..."}`, and gets frames back: a letter (`o` standard output, `e` standard error, `x` exit
status in ASCII), four bytes of length, big endian, and so many bytes. A byte `i` sent to it is an interrupt.
"""

import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path

SOCKET = "REPROOF_BROKER"
"""Environment variable: where the broker listens."""
_NOBODY = 69
"""Exit status where no broker answers."""


def _exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = line.recv(size - len(data))
        if not piece:
            raise ConnectionError("the broker hung up")
        data += piece
    return data


def _heard(line: socket.socket) -> int:
    """Write what comes to where it belongs, until the exit status comes."""
    ways = {b"o": sys.stdout.buffer, b"e": sys.stderr.buffer}
    while True:
        kind, size = struct.unpack(">cI", _exactly(line, 5))
        data = _exactly(line, size)
        if kind == b"x":
            return int(data)
        ways[kind].write(data)
        ways[kind].flush()


def main() -> int:
    """Have the broker do what the words say; the exit status is the verb's own."""
    words = [os.fsencode(word).decode("utf-8", "replace") for word in sys.argv[1:]]
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(os.environ.get(SOCKET, "/reproof/lines/broker.sock"))
            signal.signal(signal.SIGINT, lambda number, frame: line.send(b"i"))
            line.sendall(json.dumps({"words": words, "folder": str(Path.cwd())}).encode() + b"\n")
            return _heard(line)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read the output has gone
            return 128 + signal.SIGPIPE
        except (OSError, ValueError) as error:
            print(f"reproof: the harness does not answer: {error}", file=sys.stderr)
            return _NOBODY


if __name__ == "__main__":
    sys.exit(main())

"""What runs in the clean room for a guest: does what is asked over an open socket, one thread a request.

It is mounted there by itself, so it imports nothing of ours; nobody outside believes what it answers.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

OUTPUT = 16 * 2**20
"""Bytes of each of a command's two streams that are answered; the rest is cut off."""
_GRACE = 2.0


def main(descriptor: int) -> None:
    """Answer until the other side hangs up."""
    line = socket.socket(fileno=descriptor)
    line.set_inheritable(False)
    source, lock = line.makefile("rb"), threading.Lock()
    while header := source.readline():
        request = json.loads(header)
        content = source.read(request.pop("bytes", 0))
        threading.Thread(target=_serve, args=(line, lock, request, content), daemon=True).start()


def _serve(line: socket.socket, lock: threading.Lock, request: dict[str, Any], content: bytes) -> None:
    try:
        told, answer = _DOINGS[request["do"]](request, content)
    except BaseException as error:
        told, answer = {"error": type(error).__name__, "said": str(error)[:2000]}, b""
    head = json.dumps({"id": request["id"], "bytes": len(answer), **told}).encode() + b"\n"
    with lock:
        line.sendall(head + answer)


def _execute(request: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """Run words; its streams go to files, so that what it leaves in the background keeps nobody waiting."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(content)
        given.seek(0)
        process = subprocess.Popen(
            request["words"],
            cwd=request["folder"],
            env={**os.environ, **request["environment"]},
            stdin=given,
            stdout=out,
            stderr=err,
            pass_fds=_lent(),
            start_new_session=True,
        )
        late = False
        try:
            process.wait(request["seconds"])
        except subprocess.TimeoutExpired:
            late = True
            _end(process)
        first, second = _head(out), _head(err)
    return {"code": process.returncode, "late": late, "out": len(first)}, first + second


def _lent() -> tuple[int, ...]:
    """The open files that commands are to inherit: of the environments beside the room."""
    lent = []
    for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):  # the one that looks is gone by now
            if number > 2 and os.get_inheritable(number):
                lent.append(number)
    return tuple(lent)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            return


def _head(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read(OUTPUT)


def _put(request: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """Unpack files into a folder; each takes the place of what had its name."""
    folder = Path(request["path"])
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    return {}, b""


def _get(request: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """Pack a file, or all plain files beneath a folder, up to so many bytes."""
    path, left = Path(request["path"]), int(request["most"])
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, file in _plain(path):
            left -= file.stat().st_size
            if left < 0:
                raise OverflowError(f"{path} holds more than {request['most']} bytes")
            archive.add(file, arcname=name, recursive=False)
    return {"folder": path.is_dir()}, packed.getvalue()


def _plain(path: Path) -> list[tuple[str, Path]]:
    if not path.exists():
        raise FileNotFoundError(path)
    if path.is_file():
        return [(path.name, path.resolve())]
    below = ((str(one.relative_to(path)), one) for one in sorted(path.rglob("*")))
    return [(name, one) for name, one in below if one.is_file() and not one.is_symlink()]


_DOINGS = {"execute": _execute, "put": _put, "get": _get}

if __name__ == "__main__":
    main(int(sys.argv[1]))

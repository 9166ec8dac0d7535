"""MLflow's UI on a store: where it answers, the command that serves it, and its life as our child."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessFault, UsageError, masked
from harness.record.away import settings_of_mlflow
from harness.record.entry import default_uri, is_database
from harness.record.files import Store
from harness.record.views import ATTEMPTS
from harness.scratch import scratch

HOST, PORT = "127.0.0.1", 5000
_TRIES = 100
_GRACE = 10.0
"""Seconds a server has to end by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A UI that is to be opened."""

    uri: str
    url: str
    command: tuple[str, ...]
    """Serves it; empty where a server is there already. The store stands in the environment: it may hold a password."""

    def lines(self) -> Iterator[str]:
        """How to find what one looks for."""
        if self.command:
            yield f"command: MLFLOW_BACKEND_STORE_URI={shlex.quote(masked(self.uri))} {shlex.join(self.command)}"
        yield f"an experiment's description links its views; to see its attempts alone, search for  {ATTEMPTS}"


def interface(store: Store, *, uri: str | None, port: int | None) -> Interface:
    """The UI of a store.

    Args:
        store: The records, inside which the default store lies.
        uri: Another store.
        port: Where it shall answer; None: 5000, or the next that is free.

    Raises:
        UsageError: There is no store yet, or the port is taken.
    """
    uri = uri or default_uri(store)
    if not is_database(uri):
        return Interface(uri=uri, url=uri, command=())
    file = Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None
    if file is not None and file.exists() and not file.is_absolute():  # it is served from another folder
        uri = uri.replace(str(file), str(file.absolute()), 1)
    if file is not None and not file.exists():
        remedy = "an attempt makes it: reproof attempt paper=tree_search participant=reference; or, from the records "
        remedy += f"of one: reproof track --all --results {store.root}"
        raise UsageError("there is no MLflow store yet", where=file, remedy=remedy)
    chosen = _free(port)
    command = (sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(chosen), "--workers", "1")
    return Interface(uri=uri, url=f"http://{HOST}:{chosen}", command=command)


def _free(port: int | None) -> int:
    """The port that was asked for, or the first free one from the usual on.

    Raises:
        UsageError: It is taken.
    """
    for candidate in [port] if port else range(PORT, PORT + _TRIES):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, candidate))
            except OSError:
                continue
        return candidate
    remedy = "leave --port out, and a free one is chosen" if port else "say --port with a free one"
    raise UsageError("the port is taken", where=f"{HOST}:{port or PORT}", remedy=remedy)


def serve(found: Interface) -> None:
    """Serve a UI until it is interrupted; nothing of it is left behind.

    Raises:
        HarnessFault: It ended by itself.
    """
    settings_of_mlflow()
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": found.uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with scratch("mlflow") as empty:
        # what lies in the current folder may be anybody's: nothing of it is imported or read, by workers neither
        safe = {**environment, "PYTHONSAFEPATH": "1"}
        # its own group, so that an interrupt meets us alone and its workers end with it
        child = subprocess.Popen(found.command, env=safe, cwd=empty, start_new_session=True)
        _until_interrupted(child, found)


def _until_interrupted(child: subprocess.Popen[bytes], found: Interface) -> None:
    ends = (signal.SIGTERM, signal.SIGHUP)  # as Ctrl-C does
    before = [signal.signal(kind, signal.default_int_handler) for kind in ends]
    try:
        code = child.wait()
    except KeyboardInterrupt:
        return
    finally:
        for kind, handler in zip(ends, before, strict=True):
            signal.signal(kind, handler)
        _end(child)
    raise HarnessFault("MLflow's UI ended by itself", where=found.url, got=f"exit code {code}")


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and all that it started."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, kind)
            child.wait(_GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue

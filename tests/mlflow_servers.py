"""A real `mlflow server`, and a real cluster of PostgreSQL, for as long as a test needs them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))[-1:]
SECRET = "a-long-password-of-nobody"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Serving:
    """A server that runs, with its workers in one group of processes."""

    url: str
    group: int

    def send(self, sign: signal.Signals) -> None:
        """Kill, stop or continue all of it."""
        os.killpg(self.group, sign)


@contextlib.contextmanager
def server(folder: Path, *words: str, **environment: str) -> Iterator[str]:
    """An `mlflow server`, and its address; nothing of it survives."""
    with serving(folder, *words, **environment) as found:
        yield found.url


@contextlib.contextmanager
def serving(folder: Path, *words: str, port: int | None = None, **environment: str) -> Iterator[Serving]:
    """An `mlflow server` that may be killed; nothing of it survives."""
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--artifacts-destination", str(folder / "artifacts"), *words]  # fmt: skip
    more = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **environment}
    with (folder / "server.log").open("w") as log:
        child = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **more}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _answers(f"http://127.0.0.1:{port}", child, folder / "server.log")
        yield Serving(f"http://127.0.0.1:{port}", child.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGCONT)
            os.killpg(child.pid, signal.SIGTERM)
            child.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _answers(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert child.poll() is None, log.read_text()[-3000:]
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=2):
            return
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


def in_ci() -> bool:
    return any(os.environ.get(name) for name in ("CI", "REPROOF_CI", "REPROOF_CI_BOUNDED"))


@contextlib.contextmanager
def a_cluster() -> Iterator[str]:
    """A cluster of PostgreSQL with passwords, of a user who is not root, on a free port."""
    as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if not POSTGRES or (as_postgres and shutil.which("runuser") is None):
        reason = "PostgreSQL is missing: apt-get install postgresql"
        pytest.fail(reason) if in_ci() else pytest.skip(reason)
    folder = Path("/tmp") / f"reproof-postgres-{os.getpid()}"
    folder.mkdir(mode=0o755)
    if as_postgres:
        shutil.chown(folder, "postgres")
    binaries, port = POSTGRES[0].parent, free_port()

    def run(*words: object) -> None:
        done = subprocess.run([*as_postgres, *map(str, words)], cwd="/", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        subprocess.run([*as_postgres, "sh", "-c", f"printf %s {SECRET} > {folder}/password"], cwd="/", check=True)
        run(binaries / "initdb", "-D", folder / "data", "-A", "scram-sha-256", "--pwfile", folder / "password", "-N",
            "-U", "postgres")  # fmt: skip
        listen = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run(binaries / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", listen, "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}"
        finally:
            run(binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def create(postgres: str, name: str) -> str:
    """A database in the cluster, and its URI without the password."""
    host, port = postgres.partition("@")[2].split(":")
    command = [POSTGRES[0].with_name("createdb"), "-h", host, "-p", port, "-U", "postgres", name]
    subprocess.run(command, env={**os.environ, "PGPASSWORD": SECRET}, check=True, timeout=60)
    return f"{postgres}/{name}"

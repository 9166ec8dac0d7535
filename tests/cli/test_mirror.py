"""`reproof track --all`, `reproof mlflow`, and attempts whose mirror is late."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from watching import alive, soon

from harness.scoring.score import Score

pytestmark = pytest.mark.slow  # each verb is a process, and MLflow takes seconds to import
Cli = Callable[..., subprocess.CompletedProcess[str]]
Attempted = tuple[Any, Score]
AWAY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


@pytest.fixture
def results(lean_finished: Attempted, tmp_path: Path) -> Path:
    """A results folder with one scored attempt, of which tests may make what they like."""
    copied = tmp_path / "results"
    shutil.copytree(
        lean_finished[0].store.root, copied, symlinks=True, ignore=shutil.ignore_patterns("mlflow", "locks")
    )
    for folder in (copied / "attempts").iterdir():
        if folder.name != lean_finished[0].attempt.id:
            shutil.rmtree(folder)
    return copied


@pytest.fixture
def a_store(tmp_path: Path) -> str:
    """The URI of a file that stands for a database."""
    (tmp_path / "mlflow.db").touch()
    return f"sqlite:///{tmp_path}/mlflow.db"


def begun_with(results: Path, name: str, uri: str) -> None:
    """Let an attempt have been begun with another tracking URI."""
    path = results / "attempts" / name / "attempt.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tracking_uri": uri}))


def test_no_store_says_what_makes_one(cli: Cli, tmp_path: Path) -> None:
    done = cli("mlflow", "--results", tmp_path / "none")
    assert done.returncode == 2
    assert "there is no MLflow store yet" in done.stderr
    assert "reproof attempt" in done.stderr
    assert "reproof track --all" in done.stderr
    assert not (tmp_path / "none").exists(), "to look makes nothing"


def test_the_address_and_the_command_are_printed_and_nothing_is_started(cli: Cli, a_store: str) -> None:
    found = json.loads(cli("mlflow", "--uri", a_store, "--port", "5987", "--json").stdout)
    assert found.keys() == {"uri", "url", "command"}
    assert (found["uri"], found["url"]) == (a_store, "http://127.0.0.1:5987")
    assert found["command"][1:4] == ["-m", "mlflow", "server"]
    assert found["command"][found["command"].index("--host") + 1] == "127.0.0.1"
    said = cli("mlflow", "--uri", a_store, "--print").stdout
    assert "http://127.0.0.1:" in said
    assert "MLFLOW_BACKEND_STORE_URI=" in said


def test_a_password_is_never_printed(cli: Cli) -> None:
    secret = "postgresql://ada:hunter2@127.0.0.1:9/runs"
    for words in (["--print"], ["--json"]):
        done = cli("mlflow", "--uri", secret, *words)
        assert done.returncode == 0, done.stderr
        assert "hunter2" not in done.stdout + done.stderr
        assert "ada:***@" in done.stdout
    done = cli(
        "attempt", "paper=lean", "participant=reference", "tracking=server", f"tracking.uri='{secret}'", "results=r"
    )
    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr
    assert "PGPASSWORD" in done.stderr
    wrong = cli("attempt", "paper=lean", f"tracking.uri='{secret}'", "tracking.nothing=1")
    assert wrong.returncode == 2
    assert "hunter2" not in wrong.stdout + wrong.stderr


def test_a_port_that_is_taken_is_not_fought_for(cli: Cli, a_store: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = cli("mlflow", "--uri", a_store, "--port", port)
        assert done.returncode == 2
        assert "the port is taken" in done.stderr
        assert "leave --port out" in done.stderr


def test_a_server_that_is_there_is_only_named(cli: Cli) -> None:
    found = json.loads(cli("mlflow", "--uri", "http://lab:5000", "--json").stdout)
    assert found == {"uri": "http://lab:5000", "url": "http://lab:5000", "command": None}


def test_a_late_mirror_spoils_neither_score_nor_json(cli: Cli, results: Path, lean_finished: Attempted) -> None:
    name, score = lean_finished[0].attempt.id, lean_finished[1]
    begun_with(results, name, "http://127.0.0.1:9")
    done = cli("rerun", name, "--results", results, "--json", **AWAY)
    assert done.returncode == 75
    assert json.loads(done.stdout)["score"]["value"] == score.score.value
    *told, last = done.stderr.splitlines()
    assert json.loads(last)["error"] == "MirrorFault"
    assert any(f"reproof track {name} --results {results}" in line for line in told)


@pytest.mark.slow
def test_all_are_mirrored_and_a_broken_one_stops_nobody(cli: Cli, results: Path, lean_finished: Attempted) -> None:
    good = results / "attempts" / lean_finished[0].attempt.id
    broken, unscored = (good.with_name(f"2026-{word}") for word in ("broken", "unscored"))
    for folder in (broken, unscored):
        shutil.copytree(good, folder)
        record = (folder / "attempt.json").read_text()
        (folder / "attempt.json").write_text(record.replace(good.name, folder.name))
    (broken / "submissions/001/measurements.json").write_text("{")
    shutil.rmtree(unscored / "submissions")
    done = cli("track", "--all", "--results", results, "--json")
    assert done.returncode == 6, done.stderr
    found = json.loads(done.stdout)
    assert [one["attempt"] for one in found["mirrored"]] == [good.name]
    assert found["not_scored"] == [unscored.name]
    assert [(one["attempt"], one["error"]) for one in found["failed"]] == [(broken.name, "RecordError")]
    again = json.loads(cli("track", good.name, "--results", results, "--json").stdout)
    assert (again["added"], again["stale"]) == (0, 0)
    away = cli("track", "--all", "--results", results, "--uri", "http://127.0.0.1:9", **AWAY)
    assert away.returncode == 75


def test_all_and_one_exclude_each_other(cli: Cli, tmp_path: Path) -> None:
    done = cli("track", "--all", "some-attempt", "--results", tmp_path)
    assert done.returncode == 2
    assert "exclude each other" in done.stderr
    nobody = cli("track", "--all", "--results", tmp_path / "nowhere", "--json")
    assert nobody.returncode == 0
    assert json.loads(nobody.stdout) == {"mirrored": [], "not_scored": [], "failed": []}
    assert "no attempts here" in nobody.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_ui_answers_and_leaves_nothing_behind(
    environment: dict[str, str], tmp_path: Path, a_store: str, sign: signal.Signals
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["mlflow", "--uri", a_store, "--port", str(port)]
    program = [sys.executable, "-c", "from harness.cli.start import main; main()", *words]
    streams: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    child = subprocess.Popen(program, env=environment, cwd=tmp_path, **streams)

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return True
        except OSError:
            return False

    try:
        assert soon(answers, within=90)
        os.kill(child.pid, sign)
        said, _ = child.communicate(timeout=40)
    finally:
        child.kill()
    assert child.returncode == 0, said
    assert "Traceback" not in said
    assert f"http://127.0.0.1:{port}" in said
    assert soon(lambda: not alive(f"--port\0{port}"))

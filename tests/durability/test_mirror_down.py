"""A mirror that is down, hangs, answers nonsense, is locked, damaged or gone: late, in bounded time, and made whole."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow_servers import SECRET, a_cluster, create, free_port, serving
from small_disk import small_disk

from harness.errors import MirrorFault
from harness.record import apart, away
from harness.record.entry import default_database
from harness.record.files import Store
from harness.record.tracking import Mirror
from harness.report.mirror import entries, track
from harness.scoring.score import Score

pytestmark = pytest.mark.filterwarnings("ignore")
Attempted = tuple[Any, Score]
IsWhole = Callable[[str], None]
Cli = Callable[..., subprocess.CompletedProcess[str]]
SHORT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test can wait for."""
    for name, value in SHORT.items():
        monkeypatch.setenv(name, value)


class Answers(BaseHTTPRequestHandler):
    """A server that has something else to say than MLflow's."""

    def do_POST(self) -> None:
        self.server.say(self)  # type: ignore[attr-defined]

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def saying(say: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The address of a server that answers like this."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        server.say = say  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def busy(request: BaseHTTPRequestHandler) -> None:
    """Come back in an hour."""
    request.send_response(503)
    request.send_header("Retry-After", "3600")
    request.send_header("Content-Length", "0")
    request.end_headers()


def broken(request: BaseHTTPRequestHandler) -> None:
    request.send_response(500)
    request.end_headers()
    request.wfile.write(b"<html>Traceback (most recent call last)</html>")


def garbage(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b"\x00\xff nothing that MLflow says")


def drips(request: BaseHTTPRequestHandler) -> None:
    """Answer byte by byte, each within every limit that a client has."""
    with contextlib.suppress(OSError):
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        while True:
            request.wfile.write(b" ")
            time.sleep(0.2)


def held_up(road: Any, uri: str, **more: Any) -> tuple[float, MirrorFault]:
    """How long mirroring holds somebody up before it is given up, in seconds, and what is said then."""
    before, began = (road.records / "score.json").read_bytes(), time.monotonic()
    with pytest.raises(MirrorFault) as caught:
        track(road, uri=uri, apart=True, **more)
    seconds = time.monotonic() - began
    assert (road.records / "score.json").read_bytes() == before
    assert "reproof track" in str(caught.value)
    assert "records are whole" in str(caught.value)
    assert "Traceback (most" not in str(caught.value).replace("<html>Traceback (most", "")
    return seconds, caught.value


def shown(uri: str, paper: str) -> list[str]:
    """Everything of every run but what MLflow draws by chance or reads off its clock, one text a run."""
    from mlflow import MlflowClient

    client, found = MlflowClient(tracking_uri=uri), []
    experiment = client.get_experiment_by_name(f"reproof/{paper}")
    for run in client.search_runs([experiment.experiment_id], max_results=1000):
        tags = {key: value for key, value in run.data.tags.items() if key != "mlflow.parentRunId"}
        history = {
            name: sorted({(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)})
            for name in run.data.metrics
        }
        used = sorted((one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs)
        files = sorted(item.path for item in client.list_artifacts(run.info.run_id))
        told = [run.info.run_name, run.info.status, tags, run.data.params, history, used, files]
        found.append(json.dumps(told, sort_keys=True))
    return sorted(found)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store that MLflow has set up, and that holds nothing."""
    store = Store(tmp_path_factory.mktemp("database"))
    Mirror(store, uri=None, prefix="")
    return default_database(store)


@pytest.fixture(scope="module")
def undisturbed(lean_finished: Attempted, empty: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a mirror shows that nothing has happened to."""
    uri = f"sqlite:///{shutil.copy(empty, tmp_path_factory.mktemp('undisturbed') / 'm.db')}"
    track(lean_finished[0], uri=uri)
    return shown(uri, lean_finished[0].paper.id)


@pytest.fixture
def is_whole(lean_finished: Attempted, undisturbed: list[str]) -> IsWhole:
    """Mirroring again completes what is there, each run once, as if nothing had happened."""

    def look(uri: str) -> None:
        road = lean_finished[0]
        track(road, uri=uri)
        done = track(road, uri=uri)
        assert done is not None
        assert (done.added, done.stale) == (0, 0)
        assert shown(uri, road.paper.id) == undisturbed

    return look


@pytest.mark.slow
def test_a_call_that_comes_late_takes_nothing_away(lean_finished: Attempted, tmp_path: Path, empty: Path) -> None:
    """A server that was stopped goes on with what it was asked, which somebody else has done by then."""
    from mlflow import MlflowClient

    road, uri = lean_finished[0], f"sqlite:///{shutil.copy(empty, tmp_path / 'm.db')}"
    track(road, uri=uri)
    client, whole = MlflowClient(tracking_uri=uri), shown(uri, road.paper.id)
    experiment = client.get_experiment_by_name(f"reproof/{road.paper.id}").experiment_id
    before = {run.info.run_id for run in client.search_runs([experiment])}
    for run in client.search_runs([experiment]):
        client.create_run(experiment, start_time=run.info.start_time + 1, tags=run.data.tags)  # found before the other
    done = track(road, uri=uri)
    assert done is not None
    assert (done.added, done.stale) == (0, 0)
    assert {run.info.run_id for run in client.search_runs([experiment])} == before
    assert shown(uri, road.paper.id) == whole


@pytest.mark.slow
def test_a_store_that_answers_byte_by_byte_is_given_up_when_patience_ends(
    lean_finished: Attempted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own limits are for one read each: they never end this."""
    monkeypatch.setattr(apart, "GRACE", 0.5)
    monkeypatch.setattr(apart, "_SOON", 0.5)
    told: list[str] = []
    with saying(drips) as url:
        seconds, fault = held_up(replace(lean_finished[0], tell=told.append), url, patience=3.0)
    assert "no end within 3 s" in str(fault.got)
    assert fault.where == url
    assert 3 < seconds < 30
    assert told == [f"waiting for MLflow's store, {url}; it is given up in 3 s"]


@pytest.mark.slow
def test_a_store_that_gives_no_sign_is_given_up(lean_finished: Attempted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "STALLED", 6.0)
    with saying(drips) as url:
        assert "no sign for 6 s" in str(held_up(lean_finished[0], url)[1].got)


@pytest.mark.slow
@pytest.mark.parametrize("say", [busy, broken, garbage])
def test_a_store_that_has_other_things_to_say_is_late(
    lean_finished: Attempted, say: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    with saying(say) as url:
        seconds, fault = held_up(lean_finished[0], url)
    assert seconds < 60, "an hour was asked for"
    assert fault.where == url


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("after", [3])
def test_a_server_that_dies_or_hangs_in_the_midst(
    lean_finished: Attempted, tmp_path: Path, is_whole: IsWhole, sign: signal.Signals, after: int
) -> None:
    port, backend = free_port(), ["--backend-store-uri", f"sqlite:///{tmp_path}/m.db"]
    with serving(tmp_path, *backend, port=port) as server:

        def strike(done: int, total: int, label: str) -> None:
            if done == after:
                server.send(sign)

        seconds, fault = held_up(replace(lean_finished[0], progress=strike), server.url)
        assert seconds < 60, "of MLflow's own limits, which are short here, and its import"
        assert fault.where == server.url
        if sign == signal.SIGSTOP:
            server.send(signal.SIGCONT)
            is_whole(server.url)
    if sign == signal.SIGKILL:
        with serving(tmp_path, *backend, port=port) as server:
            is_whole(server.url)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_attempt_whose_server_dies_ends_as_it_would_have(
    cli: Cli, environment: dict[str, str], tmp_path: Path
) -> None:
    port, backend = free_port(), ["--backend-store-uri", f"sqlite:///{tmp_path}/m.db"]
    results = tmp_path / "results"
    with serving(tmp_path, *backend, port=port) as server:
        killer = threading.Thread(target=_kill_once_rerun, args=(results, server))
        killer.start()
        words = ["paper=lean", "participant=reference", "tracking=server", f"tracking.uri={server.url}"]
        done = cli("attempt", *words, f"results={results}", "--json", **SHORT)
        killer.join()
    [name] = Store(results).attempts()
    assert done.returncode == 75, done.stderr
    score = json.loads(done.stdout)
    assert (score["verdict"], score["score"]["value"]) == ("PASS", 1.0)
    assert f"reproof track {name} --results {results}" in done.stderr
    assert "Traceback" not in done.stderr
    with serving(tmp_path, *backend, port=port) as server:
        assert cli("track", name, "--results", results).returncode == 0
        found = shown(server.url, "lean")
    assert len(found) == len(set(found)) > 5
    assert {json.loads(text)[1] for text in found} == {"FINISHED"}


def _kill_once_rerun(results: Path, server: Any) -> None:
    end = time.monotonic() + 60
    while not list(results.glob("runs/*/*/run.json")) and time.monotonic() < end:
        time.sleep(0.01)
    server.send(signal.SIGKILL)


def lock(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


@pytest.mark.slow
def test_a_database_that_stays_locked(lean_finished: Attempted, tmp_path: Path, empty: Path, is_whole: IsWhole) -> None:
    file = Path(shutil.copy(empty, tmp_path / "m.db"))
    with closing(lock(file)):
        seconds, fault = held_up(lean_finished[0], f"sqlite:///{file}")
    assert f"another process holds it for more than {away.LOCKED_FOR:.0f} s" in str(fault.remedy)
    assert away.LOCKED_FOR <= seconds < 3 * away.LOCKED_FOR
    is_whole(f"sqlite:///{file}")


@pytest.mark.slow
@pytest.mark.parametrize("after", [3])
def test_a_database_that_is_locked_in_the_midst(
    lean_finished: Attempted, tmp_path: Path, empty: Path, is_whole: IsWhole, after: int
) -> None:
    """Here in one process, so that the lock comes between two of the mirror's calls."""
    file, road, held = Path(shutil.copy(empty, tmp_path / "m.db")), lean_finished[0], list[Any]()
    calls = iter(range(1, 1000))

    def sign() -> None:
        if next(calls) == after:
            held.append(lock(file))

    parent, children = entries(road)
    began = time.monotonic()
    with pytest.raises(MirrorFault, match="locked"):
        Mirror(road.store, uri=f"sqlite:///{file}", prefix="reproof/", sign=sign).attempt(
            road.paper.id, road.attempt.id, parent, children
        )
    assert time.monotonic() - began < 60
    held[0].close()
    is_whole(f"sqlite:///{file}")


def corrupt(file: Path) -> None:
    file.write_bytes(b"no database at all" * 1000)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:70_000])


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "helps"), [(corrupt, "aside"), (cut, "aside"), (newer, "aside"), (folder, "track")])
def test_a_database_that_is_damaged_or_of_another_version(
    lean_finished: Attempted, tmp_path: Path, empty: Path, is_whole: IsWhole, spoil: Callable[[Path], None], helps: str
) -> None:
    file = Path(shutil.copy(empty, tmp_path / "m.db"))
    spoil(file)
    seconds, fault = held_up(lean_finished[0], f"sqlite:///{file}")
    assert seconds < 60
    assert helps in str(fault.remedy)
    file.rename(tmp_path / "aside")
    is_whole(f"sqlite:///{file}")


@pytest.mark.slow
def test_a_database_on_a_disk_that_is_full_or_read_only(
    lean_finished: Attempted, tmp_path: Path, empty: Path, is_whole: IsWhole
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        file = Path(shutil.copy(empty, disk.path / "m.db"))
        disk.leave(8192)
        assert "make room" in str(held_up(lean_finished[0], f"sqlite:///{file}")[1].remedy)
        disk.free()
        disk.read_only()
        assert "read" in str(held_up(lean_finished[0], f"sqlite:///{file}")[1].got).lower()
        disk.free()
        is_whole(f"sqlite:///{file}")


@pytest.mark.slow
def test_a_database_whose_folder_was_removed_is_made_again(lean_finished: Attempted, tmp_path: Path) -> None:
    file = tmp_path / "gone" / "m.db"
    for _ in range(2):
        done = track(lean_finished[0], uri=f"sqlite:///{file}", apart=True)
        assert done is not None
        assert done.added == done.runs > 5
        with closing(sqlite3.connect(file)) as made:
            assert made.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'").fetchone() == (done.runs + 1,)
        shutil.rmtree(file.parent)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_postgresql_that_locks_stops_or_dies(
    lean_finished: Attempted, is_whole: IsWhole, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr(apart, "STALLED", 12.0)
    monkeypatch.setenv("PGPASSWORD", SECRET)
    with a_cluster() as cluster:
        uri = create(cluster, "runs")
        is_whole(uri)
        other = create(cluster, "others")
        Mirror(lean_finished[0].store, uri=other, prefix="reproof/")
        with psycopg.connect(other) as connection:
            connection.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
            assert "no sign for 12 s" in str(held_up(lean_finished[0], other)[1].got)
        is_whole(other)

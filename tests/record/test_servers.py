"""The mirror behind `mlflow server`: on SQLite, and on PostgreSQL with authentication; both are real."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow_servers import SECRET, a_cluster, create, server

from harness.errors import MirrorFault
from harness.report.mirror import track
from harness.scoring.score import Score

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
Attempted = tuple[Any, Score]


def mirrored_twice(road: Any, uri: str) -> list[Any]:
    """Mirror an attempt twice; the runs that are there, of which none is there twice."""
    from mlflow import MlflowClient

    first = track(road, uri=uri)
    assert first is not None
    assert first.added == first.runs > 10
    again = track(road, uri=uri)
    assert again is not None
    assert (again.run, again.added, again.stale) == (first.run, 0, 0)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("reproof/tiny")
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    assert len(found) == first.runs + 1
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {item.path for item in client.list_artifacts(first.run)} == {"score.json", "measurements.json", "runs.json"}
    curves = [run for run in found if "trace" in run.data.metrics]
    history = client.get_metric_history(curves[0].info.run_id, "trace")
    assert sorted(point.step for point in history) == [1, 2, 3, 4]
    query = "tags.\"reproof.verdict\" = 'PASS' and dataset.context = 'held_out'"
    assert [run.info.run_id for run in client.search_runs([experiment.experiment_id], query)] == [first.run]
    return list(found)


def test_a_server_on_sqlite(finished: Attempted, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with server(tmp_path, "--backend-store-uri", f"sqlite:///{tmp_path}/m.db") as url:
        mirrored_twice(finished[0], url)
    assert "View run" not in capfd.readouterr().out, "standard output is for JSON"


def test_a_server_that_hangs_is_given_up_in_bounded_time(finished: Attempted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        began = time.monotonic()
        with pytest.raises(MirrorFault, match="reproof track"):
            track(finished[0], uri=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        assert time.monotonic() - began < 60


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with a_cluster() as uri:
        yield uri


def test_a_server_on_postgresql_with_authentication(
    postgres: str, finished: Attempted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, users = create(postgres, "runs"), create(postgres, "users")
    config = tmp_path / "auth.ini"
    config.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = {users}\nadmin_username = admin\nadmin_password = {SECRET}\n"
    )
    secrets = {"PGPASSWORD": SECRET, "MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": SECRET}
    with server(tmp_path, "--backend-store-uri", runs, "--app-name", "basic-auth", **secrets) as url:
        with pytest.raises(MirrorFault, match="MLFLOW_TRACKING_USERNAME"):
            track(finished[0], uri=url)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a-wrong-one-for-everybody")
        with pytest.raises(MirrorFault, match="MLFLOW_TRACKING_USERNAME") as caught:
            track(finished[0], uri=url)
        assert "a-wrong-one" not in json.dumps(caught.value.as_dict())
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
        mirrored_twice(finished[0], url)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
        _reader(url)
        with pytest.raises(MirrorFault, match="permission"):
            track(finished[0], uri=url)


def _reader(url: str) -> None:
    """Somebody who may look, and not write."""
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/users/create",
        data=json.dumps({"username": "reader", "password": SECRET}).encode(),
        headers={"Content-Type": "application/json"},
    )
    manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
    manager.add_password(None, url, "admin", SECRET, is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    try:
        opener.open(request, timeout=30).close()
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error


def test_postgresql_without_a_server(postgres: str, finished: Attempted, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = create(postgres, "bare")
    monkeypatch.setenv("PGPASSWORD", "a-wrong-one-for-everybody")
    with pytest.raises(MirrorFault, match="PGPASSWORD"):
        track(finished[0], uri=uri)
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert len(mirrored_twice(finished[0], uri)) > 10
    wrong = uri.replace("postgres@", f"postgres:{SECRET}x@")
    with pytest.raises(MirrorFault) as caught:
        track(finished[0], uri=wrong)
    assert SECRET not in str(caught.value)

# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""The MLflow mirror: what a person sees there, twice nothing, several processes at once, and a store that is away."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessFault
from harness.record.files import Store
from harness.record.tracking import KEY_TAG, NO_MIRROR, Entry, Mirror, default_uri
from harness.report.mirror import track
from harness.road import resume
from harness.scoring.score import Score

pytestmark = pytest.mark.filterwarnings("ignore")
Attempted = tuple[Any, Score]
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def client(store: Store) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=default_uri(store))


def entry(name: str = "run", **more: Any) -> Entry:
    usual = {"name": name, "status": "FINISHED", "started": NOW, "ended": NOW + timedelta(seconds=2)}
    return Entry(**{**usual, **more})


def runs(store: Store, experiment: str) -> list[Any]:
    found = client(store).get_experiment_by_name(experiment)
    assert found is not None
    return list(client(store).search_runs([found.experiment_id], max_results=1000))


@pytest.fixture(scope="module")
def tracked(finished: Attempted) -> Attempted:
    track(finished[0], uri=default_uri(finished[0].store))
    return finished


def test_an_experiment_a_paper_a_parent_an_attempt_a_child_a_run(tracked: Attempted) -> None:
    road, result = tracked
    found = runs(road.store, "reproof/tiny")
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    children = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(children) == len(found) - 1 == result.usage["rerun"].runs + result.usage["reference"].runs - 3
    parent = parents[0]
    assert parent.data.metrics["score"] == result.score.value
    assert parent.data.metrics["leaf/one_update"] == 1.0
    assert parent.data.metrics["measured/exact_published"] == 0.78125
    assert parent.data.params["paper"] == "tiny"
    tags = parent.data.tags
    assert tags["reproof.verdict"] == "PASS"
    assert tags["reproof.participant_kind"] == "reference"
    assert tags["reproof.commit"] == result.commit
    assert tags["reproof.paper_version"] == result.paper_version
    assert "python=" in tags["reproof.runtime"]
    assert "numpy=" in tags["reproof.runtime"]
    artifacts = {item.path for item in client(road.store).list_artifacts(parent.info.run_id)}
    assert artifacts >= {"score.json", "measurements.json"}


def test_a_child_shows_parameters_trust_outputs_and_log(tracked: Attempted) -> None:
    road, _ = tracked
    children = [run for run in runs(road.store, "reproof/tiny") if "mlflow.parentRunId" in run.data.tags]
    walk = next(run for run in children if run.info.run_name == "walk method=noisy step=1.0 pinned 1 slot 1")
    assert walk.info.status == "FINISHED"
    assert walk.data.params["experiment"] == "walk"
    assert walk.data.params["method"] == "noisy"
    assert walk.data.params["slot"] == "1"
    assert walk.data.metrics["mean_position"] == pytest.approx(1.5625, rel=0.05)
    assert walk.data.metrics["used/cpu_s"] > 0
    assert set(walk.data.tags["reproof.trust"].split(",")) == {"recomputed", "reported"}
    mlflow = client(road.store)
    assert {item.path for item in mlflow.list_artifacts(walk.info.run_id)} == {"log.txt", "run.json", "outputs"}
    assert {item.path for item in mlflow.list_artifacts(walk.info.run_id, "outputs")} == {
        "outputs/position.npy",
        "outputs/report.json",
    }
    history = mlflow.get_metric_history(walk.info.run_id, "trace")
    assert [point.step for point in sorted(history, key=lambda p: p.step)] == [1, 2, 3, 4]


def test_held_out_answers_stay_out_of_names_and_parameters(tracked: Attempted) -> None:
    road, _ = tracked
    units = [run for run in runs(road.store, "reproof/tiny") if run.data.tags.get("reproof.instance") == "held_out"]
    assert units
    for run in units:
        assert "goal" not in run.data.params
        assert len(run.data.tags["reproof.instance_digest"]) == 16


def test_tracking_twice_doubles_nothing(tracked: Attempted) -> None:
    road, _ = tracked

    def shown() -> dict[str, tuple[int, str]]:
        mlflow = client(road.store)
        return {
            run.info.run_id: (len(mlflow.get_metric_history(run.info.run_id, "score")), run.info.status)
            for run in runs(road.store, "reproof/tiny")
        }

    before = shown()
    again = resume(road.attempt.id, road.store.root, tell=lambda text: None)
    track(again, uri=default_uri(again.store))
    assert shown() == before


def test_no_mirror_makes_nothing(lean_finished: Attempted) -> None:
    road, _ = lean_finished
    track(road, uri=NO_MIRROR)
    assert not (road.store.root / "mlflow").exists()


def test_what_changed_is_brought_up_to_date(tmp_path: Path) -> None:
    """More slots were filled, a margin changed: the second mirroring is of another score."""
    store = Store(tmp_path)
    mirror = Mirror(store, uri=None, prefix="")
    first = entry("attempt", params={"paper": "p"}, metrics=(("score", 0.0, 0),), tags={"verdict": "UNDECIDED"})
    mirror.attempt("p", "a", first, [])
    mirror.attempt(
        "p",
        "a",
        entry("attempt", params={"paper": "p"}, metrics=(("score", 1.0, 0),), tags={"verdict": "PASS"}),
        [],
    )
    (run,) = runs(store, "p")
    assert run.data.tags["verdict"] == "PASS"
    assert run.data.metrics["score"] == 1.0


def test_a_run_that_failed_by_our_fault_is_replaced_when_it_was_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    mirror = Mirror(store, uri=None, prefix="")
    mirror.attempt(
        "p", "a", entry("attempt"), [entry("walk", status="FAILED", tags={KEY_TAG: "k", "reproof.status": "fault"})]
    )
    mirror.attempt("p", "a", entry("attempt"), [entry("walk", tags={KEY_TAG: "k", "reproof.status": "completed"})])
    children = [run for run in runs(store, "p") if run.data.tags.get(KEY_TAG) == "k"]
    assert [run.info.status for run in children] == ["FINISHED"]
    assert children[0].data.tags["reproof.status"] == "completed"


def test_many_metrics_long_texts_and_infinities(tmp_path: Path) -> None:
    store = Store(tmp_path)
    metrics = (*(("curve", float(n), n) for n in range(2500)), ("up", math.inf, 0), ("down", -math.inf, 0))
    long = entry("é" * 300, params={"long": "x" * 20_000}, tags={"long": "y" * 20_000}, metrics=metrics)
    Mirror(store, uri=None, prefix="q/").attempt("p", "a", long, [])
    (run,) = runs(store, "q/p")
    assert run.data.metrics["curve"] == 2499
    assert run.data.metrics["up"] > 1e300


@pytest.mark.parametrize("point", [math.inf, -math.inf, 1e300, 0.25])
def test_a_curve_over_strange_points_is_mirrored(lean_finished: Attempted, tmp_path: Path, point: float) -> None:
    from harness.pipeline import Rerun, units_of
    from harness.record.store import read
    from harness.report.mirror import _metrics
    from harness.rerun.engine import known_records
    from harness.rerun.measure import Measurement

    road, _ = lean_finished
    unit = units_of(road, read(road.records / "rerun.json", Rerun))[0]
    record = known_records([unit], road.store)[unit.key]
    curve = Measurement(
        author="submission", metric="trace", trust="recomputed", experiment="walk", parameters={}, which="pinned", index=0,
        slot=1, deterministic=False, value=[[point, 1.0], [point, 2.0]], problem=None, fault=False, run=unit.key,
    )  # fmt: skip
    made = entry(metrics=tuple(_metrics(record, [curve])))
    Mirror(Store(tmp_path), uri=None, prefix="").attempt("p", "a", made, [])


CODE = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from harness.record.files import Store
from harness.record.tracking import Entry, Mirror
now = datetime.now(UTC)
made = Entry(name=sys.argv[2], status="FINISHED", started=now, ended=now)
Mirror(Store(Path(sys.argv[1])), uri=None, prefix="").attempt("p", sys.argv[2], made, [made])
"""


@pytest.mark.slow
def test_three_processes_share_a_fresh_store(tmp_path: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", CODE, str(tmp_path), f"a{n}"], stderr=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    for process in started:
        _, err = process.communicate(timeout=110)
        assert process.returncode == 0, err[-2000:]
    assert len(runs(Store(tmp_path), "p")) == 6


@pytest.mark.parametrize("uri", ["sqlite:////proc/none/mlflow.db", "http://127.0.0.1:9"])
def test_a_store_that_is_away_is_our_fault_with_a_remedy(
    lean_finished: Attempted, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    road, _ = lean_finished
    before = (road.records / "score.json").read_bytes()
    with pytest.raises(HarnessFault) as caught:
        track(road, uri=uri)
    assert "reproof track" in str(caught.value)
    assert "records are whole" in str(caught.value)
    assert (road.records / "score.json").read_bytes() == before

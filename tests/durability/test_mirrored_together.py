"""Eight harness processes on one results folder and one store of MLflow's that does not exist yet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from mlflow_servers import server
from side_by_side import together
from tiny_paper import lean, write_paper

from harness.pipeline import Rerun, units_of
from harness.record.entry import ATTEMPT_TAG, KEY_TAG, KIND_TAG, default_uri
from harness.record.files import Store
from harness.record.store import read
from harness.report.entries import read_results
from harness.road import Road, resume

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
ASKED = [("lean", "reference")] * 4 + [("lean", "starter")] * 2 + [("other", "reference")] * 2


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two papers, and room for results."""
    place = tmp_path_factory.mktemp("together")
    for name in ("lean", "other"):
        write_paper(place / "papers" / name, lean)
    return place


@pytest.fixture(scope="module")
def variables(place: Path) -> dict[str, str]:
    return {**os.environ, "REPROOF_PAPERS_PATH": str(place / "papers"), "XDG_STATE_HOME": str(place / "state")}


@pytest.fixture(scope="module")
def eight(place: Path, variables: dict[str, str]) -> list[subprocess.CompletedProcess[str]]:
    """What eight attempts said that were asked for at the same moment, on a results folder that was not there."""
    lines = [["attempt", f"paper={paper}", f"participant={who}", "results=results", "--json"] for paper, who in ASKED]
    return together(lines, variables, place)


@pytest.fixture(scope="module")
def roads(place: Path, eight: object, variables: dict[str, str]) -> list[Road]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("REPROOF_PAPERS_PATH", variables["REPROOF_PAPERS_PATH"])
        names = Store(place / "results").attempts()
        return [resume(name, place / "results", tell=lambda text: None) for name in names]


def ensure_whole(uri: str, roads: list[Road]) -> None:
    """See that MLflow has each paper once, each attempt once, and each of its runs once."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiments = {found.name: found.experiment_id for found in client.search_experiments()}
    assert {"lean", "other"} <= {name.rpartition("/")[2] for name in experiments}
    runs = [run for id in experiments.values() for run in client.search_runs([id], max_results=1000)]
    kinds = Counter((run.data.tags[KIND_TAG], run.data.tags[ATTEMPT_TAG]) for run in runs)
    assert {name: count for (kind, name), count in kinds.items() if kind == "attempt"} == {
        road.attempt.id: 1 for road in roads
    }
    for road in roads:
        keys = [run.data.tags[KEY_TAG] for run in runs
                if run.data.tags[KIND_TAG] == "run" and run.data.tags[ATTEMPT_TAG] == road.attempt.id]  # fmt: skip
        wanted = {unit.key for unit in units_of(road, read(road.records / "rerun.json", Rerun))}
        assert len(keys) == len(wanted)
        assert set(keys) == wanted
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}, "none is still said to be running"


def test_eight_attempts_at_once_end_as_alone(
    place: Path, eight: list[subprocess.CompletedProcess[str]], roads: list[Road], variables: dict[str, str]
) -> None:
    assert [one.returncode for one in eight] == [0] * len(ASKED), [one.stderr[-1000:] for one in eight]
    answers = [json.loads(one.stdout) for one in eight]
    assert [(one["paper"], one["participant"]["kind"]) for one in answers] == ASKED
    assert {one["attempt"] for one in answers} == {road.attempt.id for road in roads}
    assert len(roads) == len(ASKED)
    by_name = {road.attempt.id: road for road in roads}
    for one in answers:
        road = by_name[one["attempt"]]
        assert one["verdict"] == ("PASS" if road.attempt.participant.kind == "reference" else "FAIL")
        assert json.loads((road.records / "score.json").read_text())["score"] == one["score"]
        assert [event.kind for event in road.desk.events()].count("scored") == 1
        assert (road.records / "page.html").read_text().rstrip().endswith("</html>")
        assert road.workspace.parent == road.folder
    kept = read_results([place / "results"])
    assert (len(kept.entries), kept.waiting, kept.left_out) == (len(ASKED), [], [])
    assert list((place / "results" / "staging").iterdir()) == []
    [board] = together([["leaderboard", "--all", "--json", "--results", "results"]], variables, place)
    assert board.returncode == 0, board.stderr
    assert json.loads(board.stdout)
    ensure_whole(default_uri(Store(place / "results")), roads)


def test_one_fresh_database_for_several_results_folders(
    place: Path, roads: list[Road], variables: dict[str, str], tmp_path: Path
) -> None:
    """They do not share a folder for locks, and the runs of one paper share what MLflow calls datasets."""
    uri = f"sqlite:///{tmp_path}/fresh/mlflow.db"
    ensure_mirrored_together(uri, place, roads, variables, tmp_path)


def test_one_fresh_server_for_several_results_folders(
    place: Path, roads: list[Road], variables: dict[str, str], tmp_path: Path
) -> None:
    with server(tmp_path, "--backend-store-uri", f"sqlite:///{tmp_path}/server.db") as uri:
        ensure_mirrored_together(uri, place, roads, variables, tmp_path)


def test_one_attempt_is_mirrored_by_several_at_once(
    place: Path, roads: list[Road], variables: dict[str, str], tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    done = together(
        [["track", roads[0].attempt.id, "--uri", uri, "--results", "results", "--json"]] * 4, variables, place
    )
    assert [one.returncode for one in done] == [0] * 4, [one.stderr[-500:] for one in done]
    told = [json.loads(one.stdout) for one in done]
    assert len({one["run"] for one in told}) == 1
    assert sorted(one["added"] for one in told) == [0, 0, 0, told[0]["runs"]]


def ensure_mirrored_together(
    uri: str, place: Path, roads: list[Road], variables: dict[str, str], tmp_path: Path
) -> None:
    copies = [tmp_path / f"results{number}" for number in range(4)]
    for copy in copies:
        shutil.copytree(place / "results", copy, ignore=shutil.ignore_patterns("mlflow", "locks"))
    lines = [
        ["track", road.attempt.id, "--uri", uri, "--results", str(copies[number % len(copies)]), "--json"]
        for number, road in enumerate(roads)
    ]
    done = together(lines, variables, place)
    assert [one.returncode for one in done] == [0] * len(roads), [one.stderr[-1000:] for one in done]
    ensure_whole(uri, roads)

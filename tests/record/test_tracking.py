# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""The MLflow mirror: what a person sees there, twice nothing, several processes at once, and a store that is away."""

from __future__ import annotations

import base64
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tiny_paper import WORK

from harness.errors import HarnessFault, MirrorFault, RecordError
from harness.handing_in import hand_in
from harness.handing_out import work
from harness.record import away, tracking
from harness.record.entry import KEY_TAG, KIND_TAG, NO_MIRROR, Dataset, Entry, default_database, default_uri
from harness.record.files import Store
from harness.record.store import write
from harness.record.tracking import Mirror
from harness.record.views import VIEWS
from harness.report.mirror import entries, track
from harness.road import resume
from harness.scoring.score import Score

pytestmark = pytest.mark.filterwarnings("ignore")
Attempted = tuple[Any, Score]
Begin = Callable[..., Any]
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def client(store: Store) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=default_uri(store))


def entry(name: str = "run", **more: Any) -> Entry:
    usual = {"name": name, "status": "FINISHED", "started": NOW, "ended": NOW + timedelta(seconds=2)}
    return Entry(**{**usual, **more})


def child(key: str, **more: Any) -> Entry:
    tags = {KEY_TAG: key, KIND_TAG: "run", **more.pop("tags", {})}
    return entry(more.pop("name", f"walk {key}"), tags=tags, **more)


def runs(store: Store, experiment: str, query: str = "") -> list[Any]:
    found = client(store).get_experiment_by_name(experiment)
    assert found is not None
    return list(client(store).search_runs([found.experiment_id], query, max_results=1000))


def contents(store: Store, experiment: str) -> dict[str, str]:
    """Everything of every run but what MLflow draws by chance, by the run's name."""
    mlflow, found = client(store), {}
    for run in runs(store, experiment):
        shown = run.to_dictionary()
        ids = {key: shown["info"].pop(key) for key in ("run_id", "artifact_uri")}
        assert ids["artifact_uri"].endswith(f"/{ids['run_id']}/artifacts")
        shown["data"]["tags"].pop("mlflow.parentRunId", None)
        for used in shown["inputs"]["dataset_inputs"]:
            used["tags"] = sorted(map(str, used["tags"]))
        shown["history"] = {
            name: sorted((p.step, p.value, p.timestamp) for p in mlflow.get_metric_history(ids["run_id"], name))
            for name in run.data.metrics
        }
        found[run.info.run_name] = json.dumps(shown, sort_keys=True)  # in which NaN is NaN
    return found


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that MLflow has set up, which takes it seconds."""
    folder = tmp_path_factory.mktemp("template")
    Mirror(Store(folder), uri=None, prefix="")
    return folder / "mlflow" / "mlflow.db"


@pytest.fixture
def store(tmp_path: Path, template: Path) -> Store:
    """Records of nobody, beside a store without runs."""
    return store_at(tmp_path, template)


def store_at(folder: Path, template: Path) -> Store:
    (folder / "mlflow").mkdir(parents=True)
    shutil.copy(template, folder / "mlflow" / "mlflow.db")
    return Store(folder)


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
    assert tags["reproof.paper_version"] == result.paper_version[:12]
    assert (tags["reproof.submission"], tags["reproof.core_lost"]) == ("1", "none")
    fired = [gate.name for gate in result.integrity if gate.fired]  # gate 4 flags one honest attempt of a hundred
    assert (tags["reproof.gates"], tags["reproof.flags"]) == ("none", ",".join(fired) or "none")
    assert f"score **{result.score.value:.3f}**" in tags["mlflow.note.content"]
    assert "python=" in tags["reproof.runtime"]
    assert "numpy=" in tags["reproof.runtime"]
    artifacts = {item.path for item in client(road.store).list_artifacts(parent.info.run_id)}
    assert artifacts == {"score.json", "measurements.json", "runs.json"}
    assert {used.dataset.name for used in parent.inputs.dataset_inputs} >= {
        "tiny/walk/pinned 1",
        "tiny/update/held_out 1",
    }


def test_what_denies_pass_and_what_asks_for_an_audit_are_told_apart(submit: Callable[..., Attempted]) -> None:
    road, result = submit({"reproduction/work.py": WORK, "reported.json": '{"exact_published": 0.75}'})
    parent, _ = entries(road)
    assert dict((name, value) for name, value, _ in parent.metrics)["reported/exact_published"] == 0.75
    gates = [gate.model_copy(update={"fired": gate.gate in (1, 4, 5)}) for gate in result.integrity]
    write(road.records / "score.json", result.model_copy(update={"integrity": gates}))
    parent, _ = entries(road)
    assert parent.tags["reproof.gates"] == "seed invariance"
    assert parent.tags["reproof.flags"] == "too good to be true,too rosy a report"
    assert "- gate 5, `too rosy a report`: `of 1 number reported" in parent.tags["mlflow.note.content"]


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
    assert (road.store.root / walk.data.tags["reproof.record"] / "log.txt").is_file()
    [used] = walk.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("tiny/walk/pinned 1", walk.data.tags["reproof.instance_digest"])
    assert [tag.value for tag in used.tags] == ["pinned"]
    mlflow = client(road.store)
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


def test_the_score_over_time_is_a_curve_over_per_cent_of_the_budget(lean_finished: Attempted, store: Store) -> None:
    from harness.overtime import over_time

    road, result = lean_finished
    over_time(road)
    done = track(road, uri=default_uri(store))
    assert done is not None
    history = client(store).get_metric_history(done.run, "over_time/score")
    assert sorted(point.step for point in history) == [25, 50, 75, 100]
    assert {point.step: point.value for point in history}[100] == result.score.value


def test_one_transaction_writes_what_mlflow_s_own_calls_write(
    tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails after MLflow was upgraded, its tables mean something else now: see harness/record/rows.py."""
    curve = tuple(("curve", float(value), step) for step, value in enumerate([3, 1, math.inf, -math.inf, math.nan, 2]))
    used = Dataset(name="p/walk/pinned 1", digest="0123456789abcdef", context="pinned", source="{}")
    children = [
        child(
            "a",
            metrics=(
                *curve,
                ("same", 1.0, 0),
                ("same", 1.0, 0),
                ("twice", 1.0, 5),
                ("twice", 2.0, 5),
                ("twice", 9.0, 1),
            ),
        ),
        child("b", status="FAILED", params={"seed": "7"}, datasets=(used, used), tags={"mlflow.user": "ada"}),
        child("c", datasets=(used,), name="é" * 300),
    ]
    quick, slow = (store_at(tmp_path / name, template) for name in ("quick", "slow"))
    Mirror(quick, uri=None, prefix="").attempt("p", "a", entry("attempt"), children)
    monkeypatch.setattr(tracking, "_insert", lambda *_: False)
    Mirror(slow, uri=None, prefix="").attempt("p", "a", entry("attempt"), children)
    assert len(contents(quick, "p")) == 4
    assert contents(quick, "p") == contents(slow, "p")


def test_tables_that_are_not_those_we_know_are_left_to_mlflow(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    known = tracking.rows_of

    def of_tomorrow(*args: Any, **more: Any) -> Any:
        rows = known(*args, **more)
        return {**rows, "runs": [{**row, "colour": "blue"} for row in rows["runs"]]}

    monkeypatch.setattr(tracking, "rows_of", of_tomorrow)
    done = Mirror(store, uri=None, prefix="").attempt("p", "a", entry("attempt"), [child("k")])
    assert done.added == 1
    assert [run.info.status for run in runs(store, "p")] == ["FINISHED", "FINISHED"]


def test_what_changed_is_brought_up_to_date_under_the_same_id(store: Store) -> None:
    """A margin changed, a leaf is gone: the second mirroring is of another, lower score."""
    mirror = Mirror(store, uri=None, prefix="")
    points = (("score", 1.0, 0), ("leaf/gone", 1.0, 0), ("over", 0.5, 25), ("over", 1.0, 100))
    first = mirror.attempt(
        "p", "a", entry("attempt", params={"paper": "p"}, metrics=points, tags={"verdict": "PASS"}), []
    )
    points = (("score", 0.0, 0), ("over", 0.5, 25), ("over", 0.0, 100))
    lower = entry("renamed", params={"paper": "p"}, metrics=points, tags={"verdict": "FAIL"})
    assert mirror.attempt("p", "a", lower, []).run == first.run
    (run,) = runs(store, "p")
    assert (run.info.run_name, run.data.tags["verdict"]) == ("renamed", "FAIL")
    assert (run.data.metrics["score"], run.data.metrics["over"]) == (0.0, 0.0)
    assert math.isnan(run.data.metrics["leaf/gone"])
    assert len(client(store).get_metric_history(run.info.run_id, "over")) == 3, (
        "what did not change is not written again"
    )


def test_a_run_that_failed_by_our_fault_is_replaced_when_it_was_done(store: Store) -> None:
    mirror = Mirror(store, uri=None, prefix="")
    mirror.attempt("p", "a", entry("attempt"), [child("k", status="FAILED", tags={"reproof.status": "fault"})])
    mirror.attempt("p", "a", entry("attempt"), [child("k", tags={"reproof.status": "completed"})])
    children = [run for run in runs(store, "p") if run.data.tags.get(KEY_TAG) == "k"]
    assert [run.info.status for run in children] == ["FINISHED"]
    assert children[0].data.tags["reproof.status"] == "completed"


def test_runs_that_are_left_over_are_marked_and_welcome_back(store: Store) -> None:
    mirror = Mirror(store, uri=None, prefix="")

    def stale() -> dict[str, str]:
        return {
            run.data.tags[KEY_TAG]: run.data.tags["reproof.stale"]
            for run in runs(store, "p", "tags.`reproof.kind` = 'run'")
        }

    assert mirror.attempt("p", "a", entry("attempt"), [child("old"), child("both")]).stale == 0
    done = mirror.attempt("p", "a", entry("attempt"), [child("both"), child("new")])
    assert (done.added, done.stale) == (1, 1)
    assert stale() == {"old": "yes", "both": "no", "new": "no"}
    assert mirror.attempt("p", "a", entry("attempt"), [child("old")]).added == 0
    assert stale() == {"old": "no", "both": "yes", "new": "yes"}


def test_what_was_deleted_in_mlflow_is_made_again(store: Store) -> None:
    mirror, mlflow = Mirror(store, uri=None, prefix=""), client(store)
    children = [child("a"), child("b")]
    first = mirror.attempt("p", "a", entry("attempt"), children)
    mlflow.delete_run(first.run)
    mlflow.delete_run(next(run.info.run_id for run in runs(store, "p") if run.data.tags.get(KEY_TAG) == "a"))
    second = mirror.attempt("p", "a", entry("attempt"), children)
    assert second.added == 1
    assert {run.data.tags["mlflow.parentRunId"] for run in runs(store, "p") if KEY_TAG in run.data.tags} == {second.run}
    mlflow.delete_experiment(mlflow.get_experiment_by_name("p").experiment_id)
    mirror.attempt("p", "a", entry("attempt"), children)
    assert len(runs(store, "p")) == 3, "what came back with the experiment is there twice"


def test_a_mirroring_that_was_cut_off_is_completed(store: Store) -> None:
    mirror, mlflow = Mirror(store, uri=None, prefix=""), client(store)
    mirror.attempt("p", "a", entry("attempt"), [])
    experiment = mlflow.get_experiment_by_name("p").experiment_id
    half = child("k").tags | {"reproof.attempt": "a", "reproof.content": child("k").content}
    for _ in range(2):  # a call that was repeated after a timeout leaves two
        mlflow.create_run(experiment, tags=half)
    mirror.attempt("p", "a", entry("attempt"), [child("k")])
    [run] = runs(store, "p", "tags.`reproof.kind` = 'run'")
    assert run.info.status == "FINISHED"


def test_an_experiment_links_its_views_and_keeps_what_somebody_changed(store: Store) -> None:
    mirror, mlflow = Mirror(store, uri=None, prefix=""), client(store)
    mirror.attempt("p", "a", entry("attempt"), [])
    found = mlflow.get_experiment_by_name("p")
    for view in VIEWS:
        assert f"viewStateShareKey={view.key}" in found.tags["mlflow.note.content"]
        state = json.loads(zlib.decompress(base64.b64decode(found.tags[f"mlflow.sharedViewState.{view.key}"][8:])))
        assert state["searchFilter"] == view.query
        mlflow.search_runs([found.experiment_id], view.query, order_by=[f"{view.order} DESC"])
    mlflow.set_experiment_tag(found.experiment_id, "mlflow.note.content", "ours")
    mirror.attempt("p", "b", entry("attempt"), [])
    assert mlflow.get_experiment_by_name("p").tags["mlflow.note.content"] == "ours"


def test_many_metrics_long_texts_and_infinities(store: Store) -> None:
    metrics = (*(("curve", float(n), n) for n in range(2500)), ("up", math.inf, 0), ("down", -math.inf, 0))
    long = entry("é" * 300, params={"long": "x" * 20_000}, tags={"long": "y" * 20_000}, metrics=metrics)
    Mirror(store, uri=None, prefix="q/").attempt("p", "a", long, [])
    (run,) = runs(store, "q/p")
    assert run.data.metrics["curve"] == 2499
    assert run.data.metrics["up"] > 1e300


@pytest.mark.parametrize("point", [math.inf, -math.inf, 1e300, 0.25])
def test_a_curve_over_strange_points_is_mirrored(lean_finished: Attempted, store: Store, point: float) -> None:
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
    Mirror(store, uri=None, prefix="").attempt("p", "a", made, [])


CODE = """
import sys
import zlib
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, UTC
from pathlib import Path
from harness.record.files import Store
from harness.record.entry import Entry
from harness.record.tracking import Mirror
now = datetime.now(UTC)
made = Entry(name=sys.argv[2], status="FINISHED", started=now, ended=now)
Mirror(Store(Path(sys.argv[1])), uri=None, prefix="").attempt("p", sys.argv[2], made, [Entry(name="run", status="FINISHED", started=now, ended=now, tags={"reproof.run_key": "k", "reproof.kind": "run"})])
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


@pytest.mark.parametrize(
    "uri", ["sqlite:////proc/none/mlflow.db", "http://127.0.0.1:9", "postgresql://ada:secret@127.0.0.1:9/runs"]
)
def test_a_store_that_is_away_is_our_fault_with_a_remedy(
    lean_finished: Attempted, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    road, _ = lean_finished
    before = (road.records / "score.json").read_bytes()
    with pytest.raises(MirrorFault) as caught:
        track(road, uri=uri)
    assert isinstance(caught.value, HarnessFault)
    assert "secret" not in str(caught.value) + json.dumps(caught.value.as_dict())
    assert "reproof track" in str(caught.value)
    assert "records are whole" in str(caught.value)
    assert (road.records / "score.json").read_bytes() == before


def test_a_locked_database_is_waited_for_and_then_named(
    lean_finished: Attempted, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    road, _ = lean_finished
    uri, file = default_uri(store), default_database(store)
    monkeypatch.setattr(away, "LOCKED_FOR", 0.3)
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(MirrorFault, match="locked") as caught:
            track(road, uri=uri)
    assert "another process holds it" in str(caught.value.remedy)
    done = track(road, uri=uri)
    assert done is not None
    assert done.added == done.runs > 0


def test_a_slow_store_is_given_up_and_gone_on_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_insert", lambda *_: False)  # as through a server
    children = [child(f"k{number}") for number in range(3)]
    with pytest.raises(MirrorFault, match="not written within 0 s"):
        Mirror(store, uri=None, prefix="", patience=0.0).attempt("p", "a", entry("attempt"), children)
    done = Mirror(store, uri=None, prefix="").attempt("p", "a", entry("attempt"), children)
    assert (done.runs, done.added) == (3, 3)
    assert len(runs(store, "p")) == 4


def test_nothing_is_mirrored_before_the_score(begin: Begin, tmp_path: Path) -> None:
    road = begin("eve", adapter="reference")
    uri = default_uri(Store(tmp_path))
    with pytest.raises(RecordError, match="nothing was handed in"):
        track(road, uri=uri)
    hand_in(road, work(road, {}))
    with pytest.raises(RecordError, match="does not exist"):
        track(road, uri=uri)
    assert not (tmp_path / "mlflow").exists()


def test_private_values_are_nowhere_in_the_store(tracked: Attempted) -> None:
    """Entropy, values of held-out instances, the reference's code: in no table and no artifact."""
    road, _ = tracked
    plan = json.loads((road.private / "plan.json").read_text())
    secrets = {plan["entropy"], str(int(plan["entropy"], 16)), 'instance["rate"] * w'}
    for path in road.private.glob("*/instance.json"):
        values = json.loads(path.read_text())["values"]
        secrets |= {repr(value)[:12] for value in values.values() if isinstance(value, float)}
    assert len(secrets) >= 6
    with closing(sqlite3.connect(road.store.root / "mlflow" / "mlflow.db")) as database:
        stored = "\n".join(database.iterdump())
    files = [path.read_text() for path in (road.store.root / "mlflow" / "artifacts").rglob("*") if path.is_file()]
    assert str(plan["seeds"][0]) in stored, "a run's seed is shown once it is final"
    assert [secret for secret in secrets for text in (stored, *files) if secret in text] == []


def test_a_score_by_another_version_of_the_paper_is_not_mirrored(submit: Any, tmp_path: Path) -> None:
    road, result = submit({})
    kept = road.records / "score.json"
    kept.write_text(kept.read_text().replace(result.paper_version, "0" * 64))
    with pytest.raises(RecordError, match="another version") as caught:
        track(road, uri=default_uri(Store(tmp_path)))
    assert "reproof rescore" in str(caught.value.remedy)


def queries() -> list[str]:
    page = (Path(__file__).resolve().parents[2] / "docs" / "mlflow.md").read_text()
    table = page.partition("| to see | query |")[2].partition("\n\n")[0]
    return [line.split("`")[1] for line in table.splitlines() if "`" in line]


@pytest.fixture(scope="module")
def there(tracked: Attempted) -> dict[str, str]:
    """What stands in the page's queries, and what of the kind is in the store."""
    road, _ = tracked
    [child, *_] = runs(road.store, "reproof/tiny", "tags.`reproof.kind` = 'run'")
    [parent] = runs(road.store, "reproof/tiny", "tags.`reproof.kind` = 'attempt'")
    return {
        "'agent'": "'harness'",
        "'solver-3'": "'reference'",
        "%one_update%": "none",
        "flags\" != 'none'": f"flags\" = '{parent.data.tags['reproof.flags']}'",
        "!= 'none'": "= 'none'",
        "'351ced8e4c4f'": f"'{parent.data.tags['reproof.paper_version']}'",
        "'20261122-101500-tree_search-solver-3-a1b2'": f"'{road.attempt.id}'",
        "'amiss'": "'none'",
        "'FAILED'": "'FINISHED'",
        "'planning'": "'walk'",
        "> 1": "> 0",
        "'yes'": "'no'",
        "'377365a8bb24915e'": f"'{child.inputs.dataset_inputs[0].dataset.digest}'",
    }


@pytest.mark.parametrize("query", queries())
def test_every_query_of_the_page_is_one_and_finds_what_it_says(
    tracked: Attempted, there: dict[str, str], query: str
) -> None:
    """Each is tried as it stands; and again with values that are there, where it must find something."""
    road, _ = tracked
    runs(road.store, "reproof/tiny", query)
    for old, new in there.items():
        query = query.replace(old, new)
    assert runs(road.store, "reproof/tiny", query), query

"""Runs beside environments of ours: what they are given, what is counted, what metrics and the record say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from served_paper import ENVIRONMENTS, ID, corridor, write_served
from tiny_paper import lean, write_paper

from harness.cleanroom.backends import open_sandbox
from harness.errors import PaperError, UsageError
from harness.paper.load import Paper, load_paper
from harness.record.files import Store
from harness.rerun.execute import RunRecord, execute
from harness.rerun.measure import Measurement, measure
from harness.rerun.plan import Planner, Unit, make_plan
from harness.rerun.served import stand_of

METRICS = """\
def mean_position(outputs, instance, parameters, metered):
    chosen = (metered["stream"] == "evaluation") & (metered["outcome"] != "abandoned")
    assert set(metered["environment"]) == {"reproof/Corridor-v0"}
    return float(metered["return"][chosen].mean())


def said_mean(outputs, instance, parameters):
    return outputs["report"]["mean"]
"""
INSTANCES = """\
def draw(experiment, rng):
    return {"goal": 5.0, "served": {"side": -1}}
"""
WORK = """\
import json

import gymnasium
import numpy as np


def work(run, folder, out):
    print(json.dumps(run), flush=True)
    env = gymnasium.make("reproof/Corridor-v0")
    moves = []
    try:
        while True:
            at, _ = env.reset(seed=run["seed"])
            over = False
            while not over:
                at, reward, over, _, _ = env.step(len(moves) % 2)
                moves.append(at)
    except RuntimeError as error:
        print(type(error).__name__, error)
    judged = gymnasium.make("reproof/Corridor-v0", phase="evaluation")
    for _ in range(3):
        judged.reset()
        while not judged.step(0)[2]:
            pass
    np.save(out / "position.npy", np.zeros(4))
    (out / "report.json").write_text(json.dumps({"mean": float(len(moves)), "steps": 4}))
"""


def serve(spec: dict[str, Any]) -> None:
    """The lean paper with a walk in an environment of ours."""
    lean(spec)
    walk = spec["experiments"]["walk"]
    walk["environments"] = {
        ID: {
            "make": "environments.py:Corridor",
            "steps": "1 000",
            "evaluation_steps": 30,
            "parameters": ["goal", "side"],
        }
    }
    walk["instances"] = {"held_out": {"count": 1}}
    walk["limits"] |= {"processes": 32}
    spec["metrics"]["mean_position"]["trust"] = "metered"
    for name in [name for name, claim in spec["claims"].items() if not claim.get("target", {}).get("reference")]:
        del spec["claims"][name]
    kept = spec["claims"]["number_reference"] | {"weight": 1}
    spec["claims"] |= {name: kept for name in ("number_reference", "number_again", "number_once_more")}
    spec["rubric"]["all"]["leaves"] = list(spec["claims"])


@pytest.fixture
def paper(tmp_path: Path) -> Callable[..., Paper]:
    def load(edit: Callable[[dict[str, Any]], None] = serve, **files: str) -> Paper:
        folder = tmp_path / "papers" / "served"
        write_paper(folder, edit, **{"metrics": METRICS, "instances": INSTANCES, **files})
        (folder / "environments.py").write_text(ENVIRONMENTS)
        return load_paper(folder)

    return load


def done(paper: Paper, folder: Path, work: str = WORK) -> tuple[Unit, RunRecord, list[Measurement], Store]:
    """Run the first unit in the real clean room, and measure it."""
    store = Store(folder / "results")
    plan = make_plan(paper, folder / "plan")
    sandbox = open_sandbox()
    unit = Planner(
        paper=paper, plan=plan, folder=folder / "plan", circumstances=sandbox.description().digest
    ).submission("a" * 40, 2)[0]
    reproduction = store.trees / unit.tree / "reproduction"
    reproduction.mkdir(parents=True)
    (reproduction / "__init__.py").touch()
    (reproduction / "__main__.py").write_text((paper.starter / "reproduction" / "__main__.py").read_text())
    (reproduction / "work.py").write_text(work)
    record = execute(unit, paper, store=store, sandbox=sandbox, cancel=threading.Event())
    return unit, record, measure(paper, [unit], {unit.key: record}, store), store


def test_a_run_is_served_metered_and_measured(paper: Callable[..., Paper], tmp_path: Path) -> None:
    unit, record, measured, store = done(paper(), tmp_path)
    assert record.status == "completed", (record.problems, record.log_tail)
    assert record.env_steps[ID].training == 1000
    assert record.env_steps[ID].exhausted
    assert 9 <= record.env_steps[ID].evaluation <= 15
    assert "StepsExhausted the training budget of reproof/Corridor-v0 is spent: 1000 of 1000 steps" in record.log_tail
    [value] = [item for item in measured if item.metric == "mean_position"]
    assert (value.trust, value.value) == ("metered", 5.0), value  # to the left, as only the gateway was told
    assert sorted(path.name for path in store.run(unit.key).iterdir()) == [
        "log.txt", "metered.npy", "outputs", "run.json",
    ]  # fmt: skip
    told = json.loads(record.log_tail.splitlines()[0])
    assert told["instance"] == {"goal": 5.0}
    assert told["environments"] == {ID: {"steps": 1000, "evaluation_steps": 30}}


def test_a_step_beyond_an_unheeded_budget_ends_the_run(paper: Callable[..., Paper], tmp_path: Path) -> None:
    _, record, _, _ = done(paper(), tmp_path, WORK.replace("except RuntimeError", "except KeyError"))
    assert record.status == "crashed"
    assert "budget" in record.problems[0]
    assert record.problems[1].startswith(f"it asked for more steps of {ID} than it may take")
    assert record.env_steps[ID].exhausted


def test_an_environment_that_breaks_is_our_fault(paper: Callable[..., Paper], tmp_path: Path) -> None:
    broken = paper()
    (broken.folder / "environments.py").write_text(ENVIRONMENTS.replace("self.at += 2", "self.nowhere += 2"))
    _, record, measured, _ = done(broken, tmp_path)
    assert record.status == "fault"
    assert "nowhere" in record.problems[0]
    assert all(item.fault for item in measured)


def test_luck_depends_on_the_attempt_and_on_what_is_served(paper: Callable[..., Paper], tmp_path: Path) -> None:
    loaded = paper()

    def first(name: str) -> Unit:
        plan = make_plan(loaded, tmp_path / name)
        return Planner(paper=loaded, plan=plan, folder=tmp_path / name, circumstances="x").submission("a" * 40, 2)[0]

    once, again, other = first("one"), first("one"), first("two")
    assert once.secret == again.secret != other.secret
    assert once.key == again.key
    (loaded.folder / "environments.py").write_text(ENVIRONMENTS + "\n")
    assert first("one").key != once.key


def _pinned(spec: dict[str, Any]) -> None:
    serve(spec)
    spec["experiments"]["walk"]["instances"]["pinned"] = {"goal": 1.0, "served": {"side": 1}}


def _lacking(spec: dict[str, Any]) -> None:
    serve(spec)
    spec["experiments"]["walk"]["instances"]["pinned"] = [{"goal": 1.0, "side": 1}, {"goal": 2.0}]


def _no_steps(spec: dict[str, Any]) -> None:
    serve(spec)
    spec["experiments"]["walk"]["environments"][ID]["steps"] = 0


def _unserved(spec: dict[str, Any]) -> None:
    serve(spec)
    del spec["experiments"]["walk"]["environments"]


def _elsewhere(spec: dict[str, Any]) -> None:
    serve(spec)
    spec["experiments"]["walk"]["environments"] = {"Corridor": {"make": "../secret.py:Corridor", "steps": 1}}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_pinned, "a pinned instance is public"),
        (_unserved, "has no `environments`"),
        (_elsewhere, "Corridor"),
        (_lacking, r"parameters: the pinned instance 2 has no 'side' to give to the constructor"),
        (_no_steps, r"steps: expected greater than or equal to 1, got 0"),
    ],
)
def test_what_does_not_hold_together_is_said(
    paper: Callable[..., Paper], edit: Callable[[dict[str, Any]], None], said: str
) -> None:
    with pytest.raises(PaperError, match=said):
        paper(edit)


def two(spec: dict[str, Any]) -> None:
    """The walk's environment in another experiment too, longer, and on two pinned instances."""
    walking = spec["experiments"]["walking"]
    longer = {**corridor(spec), "max_episode_steps": 9}
    pinned = [{"goal": 3.0, "side": 1}, {"goal": 4.0, "side": -1}]
    spec["experiments"]["strolling"] = {**walking, "environments": {ID: longer}, "instances": {"pinned": pinned}}


def test_a_command_is_served_what_a_pinned_run_is(tmp_path: Path) -> None:
    stand = stand_of(load_paper(write_served(tmp_path / "corridor")))
    served = stand.environments[ID]
    assert served.make == f"{tmp_path / 'corridor' / 'environments.py'}:Corridor"
    assert served.keywords == {"goal": 2.0, "side": 1}
    assert served.steps > 10**6 < served.evaluation_steps
    assert (stand.experiments, stand.others, stand.drawn) == ({ID: "walking"}, {}, {})


def test_of_experiments_that_differ_the_first_is_served_unless_one_is_named(tmp_path: Path) -> None:
    paper = load_paper(write_served(tmp_path / "corridor", two))
    stand = stand_of(paper)
    assert (stand.experiments[ID], stand.others) == ("walking", {ID: ["strolling"]})
    named = stand_of(paper, experiment="strolling", instance=2)
    assert (named.experiments[ID], named.others) == ("strolling", {})
    assert named.environments[ID].keywords == {"goal": 4.0, "side": -1}
    assert named.environments[ID].max_episode_steps == 9
    with pytest.raises(UsageError, match="unknown experiment with environments: got 'adding'"):
        stand_of(paper, experiment="adding")
    with pytest.raises(UsageError, match="no such pinned instance: expected 1 to 2, got 3"):
        stand_of(paper, experiment="strolling", instance=3)
    with pytest.raises(UsageError, match="belongs to an experiment\n  say whose: --experiment NAME"):
        stand_of(paper, instance=2)


def _all_drawn(spec: dict[str, Any]) -> None:
    spec["experiments"]["walking"]["instances"] = {"held_out": {"count": 1}}
    for name in ("right_finds_it", "left_does_not", "enough_walks"):
        spec["claims"][name]["of"]["instance"] = "held_out"


def test_what_is_made_of_a_drawn_instance_is_not_served_to_commands(tmp_path: Path) -> None:
    paper = load_paper(write_served(tmp_path / "corridor", _all_drawn))
    stand = stand_of(paper)
    assert (stand.environments, stand.drawn) == ({}, {ID: "walking"})
    with pytest.raises(UsageError, match="drawn for a submission"):
        stand_of(paper, experiment="walking")


def test_an_environment_made_of_nothing_needs_no_instance(tmp_path: Path) -> None:
    def bare(spec: dict[str, Any]) -> None:
        _all_drawn(spec)
        corridor(spec).update(make="CartPole-v1", parameters=[])

    stand = stand_of(load_paper(write_served(tmp_path / "corridor", bare)))
    assert stand.environments[ID].make == "CartPole-v1"
    assert stand.drawn == {}

"""Agents on the whole road: in quarters, with a broker and a model, from brief to score."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_model import ASK, Model, scripted
from tiny_paper import WORK
from watching import soon

from harness.attempt.attempt import HandedIn
from harness.attempt.desk import Desk
from harness.attempt.participant import Outcome
from harness.config import BudgetSettings, ModelSettings, Settings
from harness.errors import HarnessFault
from harness.handing_in import ensure_submission, hand_in
from harness.handing_out import hand_out, work_on
from harness.pipeline import rerun, score
from harness.report.entries import read_results
from harness.road import Road, quiet, road_of
from harness.trajectory.keep import FILE as TRAJECTORY
from harness.trajectory.keep import trajectory_of

Chosen = Callable[..., Settings]
Works = Callable[..., tuple[Road, Outcome]]
Lives = Callable[..., tuple[Road, HandedIn]]
KEY = "sk-worth-a-fortune"


@pytest.fixture
def chosen(home: Path, tmp_path: Path, settings: Chosen, monkeypatch: pytest.MonkeyPatch) -> Chosen:
    """Settings of an attempt at the lean paper by a program, which may have a model."""
    monkeypatch.setenv("SOME_KEY", KEY)

    def make(*words: str, model: Model | None = None, prices: Path | None = None, **budget: Any) -> Settings:
        options = {"run": list(words), "model": "scripted-1" if model else None, "environment": {"ASK": ASK}}
        found = settings(home / "papers" / "lean", tmp_path / "results", "command", name="shell", options=options)
        local = {"provider": "local", "upstream": model.url, "key": "SOME_KEY", "prices": prices} if model else {}
        figures = {"working": 600.0, "wall": 900.0, "cpu": 120.0, **budget}
        changes = {
            "participant": found.participant.model_copy(update={"kind": "agent"}),
            "budget": BudgetSettings(name="standard", **figures),
            "models": ModelSettings(**local),
        }
        return found.model_copy(update=changes)

    return make


@pytest.fixture
def works(chosen: Chosen) -> Works:
    """Let a program be the agent, and do not hand in what it leaves."""

    def run(*words: str, **rest: Any) -> tuple[Road, Outcome]:
        found = chosen(*words, **rest)
        road = hand_out(found, tell=quiet)
        return road, work_on(road, found)

    return run


@pytest.fixture
def lives(works: Works) -> Lives:
    def run(*words: str, **rest: Any) -> tuple[Road, HandedIn]:
        road, outcome = works(*words, **rest)
        return road, hand_in(road, outcome)

    return run


def log(road: Road) -> str:
    return (road.folder / "agent.log").read_text()


def kinds(road: Road) -> list[str]:
    return [event.kind for event in road.desk.events()]


def test_verbs_work_inside(lives: Lives) -> None:
    script = """
    reproof status --json && reproof status; echo "status $?"
    reproof exec -- sh -c 'echo from a sibling; pwd; exit 3'; echo "exec $?"
    cd reproduction && reproof exec -- pwd; cd ..
    reproof check; echo "check $?"
    reproof submit; echo "submit $?"
    echo changed > note.txt; git add -A; git commit -qm change; echo kept > ~/memory
    """
    road, handed = lives("sh", "-c", script)
    said = log(road)
    assert "status 0" in said
    assert "from a sibling\n/reproof/work\n" in said
    assert "exec 3" in said
    assert "/reproof/work/reproduction" in said
    assert "check 1" in said
    assert "submit 2" in said
    assert len(handed.history) == 1
    assert (road.folder / "home/memory").read_text() == "kept\n"
    assert (handed.ended, handed.fault) == ("done", "none")
    assert "tokens" not in handed.used
    assert "workspace: /reproof/work\n" in said
    assert str(road.folder) not in said
    assert [event.data["command"][:5] for event in road.desk.events() if event.kind == "executed"][-1] == "sh -c"
    assert kinds(road).count("executed") >= 4  # two commands, the rehearsal's runs, the agent itself


def test_an_agent_asks_its_model_and_is_scored(lives: Lives) -> None:
    program = """
import os, pathlib, subprocess
exec(os.environ["ASK"])
ask("what is to be done?")
pathlib.Path("reproduction/work.py").write_text(ask("write it"))
subprocess.run(["reproof", "status"], check=True)
subprocess.run(["reproof", "check"], check=True)
subprocess.run("git add -A && git commit -qm solved", shell=True, check=True)
"""
    with scripted(lambda count: (200, WORK if count == 2 else "read the brief")) as model:
        road, handed = lives("python", "-c", program, model=model, tokens=100_000)
    assert (handed.ended, handed.fault) == ("done", "none"), handed.note + log(road)
    assert model.keys == [f"Bearer {KEY}"] * 2
    assert (handed.used["tokens"], "dollars" in handed.used) == (60, False)
    asked = [event.data for event in road.desk.events() if event.kind == "asked"]
    assert sum(data["requests"] for data in asked) == 2
    kept = json.loads((road.folder / TRAJECTORY).read_text())
    assert [step["message"] for step in kept["steps"] if step["source"] == "user"] == ["what is to be done?"]
    assert kept["subagent_trajectories"][0]["steps"][-1]["message"] == WORK
    rerun(road)
    assert score(road).verdict == "PASS"
    with_key = [path for path in road.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert with_key == []


ASKS = 'import os; exec(os.environ["ASK"]); '


def test_an_agent_without_tokens_left_ends_by_its_budget(works: Works) -> None:
    program = f"{ASKS}\nfor _ in range(200): ask('go on')"
    with scripted(lambda count: (200, "on")) as model:
        road, outcome = works("python", "-c", program, model=model, tokens=6000)
    assert (outcome.ended, outcome.fault) == ("tokens", "budget"), outcome.note
    assert 0 < road.desk.account().used("tokens") <= 6000
    assert "the budget is used up" in outcome.note


def test_an_agent_that_ends_well_without_dollars_left_has_ended_by_its_budget(works: Works, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("scripted-1: {input: 100, output: 100}\n")
    program = f"{ASKS}\ntry:\n  while True: ask('go on')\nexcept Exception: pass"
    with scripted(lambda count: (200, "on")) as model:
        road, outcome = works("python", "-c", program, model=model, dollars=0.5, prices=prices)
    assert (outcome.ended, outcome.fault) == ("dollars", "budget"), outcome.note
    assert 0 < road.desk.account().used("dollars") <= 0.5


def test_a_provider_that_refuses_the_key_is_the_models_fault(works: Works) -> None:
    with scripted(lambda count: (401, "no such key")) as model:
        _, outcome = works("python", "-c", f"{ASKS} ask('x')", model=model)
    assert (outcome.ended, outcome.fault) == ("model", "model"), outcome.note


@pytest.mark.slow
def test_time_that_is_spent_asking_a_model_in_vain_is_the_models_fault(works: Works) -> None:
    program = f"{ASKS}\nimport time\ntry: ask('x')\nexcept Exception: time.sleep(60)"
    with scripted(lambda count: (401, "no such key")) as model:
        _, outcome = works("python", "-c", program, model=model, working=5.0)
    assert (outcome.ended, outcome.fault) == ("model", "model"), outcome.note
    assert "ended by its working limit" in outcome.note


@pytest.mark.parametrize(
    ("script", "budget", "ended", "fault"),
    [
        ("exit 3", {}, "failed", "submission"),
        ("kill -9 $$", {}, "failed", "submission"),
        ("sleep 60", {"working": 2.0}, "working", "budget"),
        pytest.param("sleep 60", {"wall": 2.0}, "wall", "budget", marks=pytest.mark.slow),
        ("while :; do :; done", {"cpu": 0.5}, "cpu", "budget"),
        pytest.param(
            "reproof exec -- sh -c 'while :; do :; done'; sleep 60",
            {"cpu": 1.5},
            "cpu",
            "budget",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_whose_fault_an_end_is(works: Works, script: str, budget: dict[str, float], ended: str, fault: str) -> None:
    began = time.monotonic()
    road, outcome = works("sh", "-c", script, **budget)
    assert (outcome.ended, outcome.fault) == (ended, fault), outcome.note
    assert time.monotonic() - began < 30
    assert road.desk.account().state != "running"


def test_a_busy_provider_costs_no_working_time(works: Works) -> None:
    with scripted(lambda count: (200, "at last") if count > 3 else (429, "busy")) as model:
        road, outcome = works("python", "-c", f"{ASKS} ask('x')", model=model)
    assert outcome.ended == "done", outcome.note
    waited = sum(event.data["seconds"] for event in road.desk.events() if event.kind == "waited")
    assert waited > 0.5
    found = road.desk.account()
    assert found.used("working") < found.wall - waited + 0.5


@pytest.mark.slow
def test_the_deadline_moves_by_what_was_waited(works: Works) -> None:
    """Four seconds of work, of which the provider takes more than it would leave."""
    program = f"{ASKS} ask('x'); print('answered'); time.sleep(2)"
    with scripted(lambda count: (200, "at last") if count > 4 else (503, "busy")) as model:
        road, outcome = works("python", "-c", program, model=model, working=5.0)
    assert "answered" in log(road)
    waited = sum(event.data["seconds"] for event in road.desk.events() if event.kind == "waited")
    assert (outcome.ended, waited > 2) == ("done", True), (outcome.note, waited)


def test_ten_minutes_before_the_end_a_sign_appears_and_is_never_handed_in(lives: Lives) -> None:
    script = "while [ ! -e TEN_MINUTES_LEFT ]; do sleep 0.1; done; cat TEN_MINUTES_LEFT; git add -A; git status --short"
    road, handed = lives("sh", "-c", script, working=602.0)
    assert "Ten minutes are left" in log(road)
    assert "A  TEN" not in log(road)
    assert not (road.workspace / "TEN_MINUTES_LEFT").exists()
    assert handed.tree == hand_in(road, Outcome(note="again")).tree


def test_a_fault_of_ours_replaces_the_attempt_and_counts_for_nobody(
    chosen: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = chosen("true")
    road = hand_out(found, tell=quiet)

    def broken(*words: object, **more: object) -> None:
        raise HarnessFault("the machine fell over")

    monkeypatch.setattr("harness.attempt.living.quarters", broken)
    with pytest.raises(HarnessFault):
        work_on(road, found)
    assert kinds(road)[-1] == "replaced"
    assert road.desk.account().state == "withdrawn"
    kept = read_results([road.store.root])
    assert [(gone.attempt, gone.fault) for gone in kept.replaced] == [(road.attempt.id, "harness")]
    assert (kept.entries, kept.waiting) == ([], [])


HARNESS = """
import sys
from pathlib import Path
from harness.attempt.desk import Desk
from harness.handing_out import work
from harness.proxy.access import Access
from harness.road import road_of
road = road_of(Desk(folder=Path(sys.argv[1])))
access = Access(format="local", upstream=sys.argv[2], key=None, models=("scripted-1",))
work(road, {"run": ["sh", "-c", sys.argv[3]], "environment": {"ASK": sys.argv[4]}}, access=access)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_harness_leaves_usage_commits_and_journal(
    chosen: Chosen, environment: dict[str, str], number: signal.Signals
) -> None:
    script = (
        'python -c \'import os; exec(os.environ["ASK"]); ask("x")\'; echo x > note.txt; git add -A; git commit -qm one;'
        "echo more > note.txt; echo committed > ~/sign; exec sleep 1000.25"
    )
    with scripted(lambda count: (200, "on")) as model:
        road = hand_out(chosen("true", model=model), tell=quiet)
        command = [sys.executable, "-c", HARNESS, str(road.folder), model.url, script, ASK]
        harness = subprocess.Popen(command, env=environment, start_new_session=True)
        assert soon((road.folder / "home/sign").exists, within=30)
        harness.send_signal(number)
        harness.wait(30)
    assert soon(lambda: not _alive("1000.25"), within=10)
    time.sleep(1)
    again = road_of(Desk(folder=road.folder))
    handed = ensure_submission(again)
    assert handed.used["tokens"] == 30
    assert len(handed.history) == 2
    assert handed.used["working"] < 30
    assert (road.folder / "exchanges.jsonl").stat().st_size > 0
    told = trajectory_of(road.desk)
    assert told is not None
    assert any(step.source == "agent" for step in told.steps)
    hand_in(again, Outcome(note="again"))
    assert sum(event.data.get("requests", 0) for event in again.desk.events() if event.kind == "asked") == 1


def _alive(word: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False

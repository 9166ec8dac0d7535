"""`reproof plan` and sweeps of `reproof attempt`, as a person and a script meet them; killed at any moment too."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from watching import soon

from harness.cli.completion import offer_plans
from harness.cli.main import reproof
from harness.errors import UsageError

Cli = Callable[..., subprocess.CompletedProcess[str]]
Here = Callable[..., Result]
SWEEP = ("attempt", "paper=lean", "participant=reference,starter", "tracking=none", "sandbox=process")


def slow(flag: Path) -> tuple[str, ...]:
    """A plan of two attempts by a program that waits for a minute, unless a file is there."""
    run = f"participant.run=[sh, -c, 'test -e {flag} || sleep 60']"
    return ("attempt", "paper=lean", "participant=command", run, *SWEEP[3:], "participant.repeats=2")


def items(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return found


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A verb in this process, which is quicker to ask."""
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(home / "papers"))
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(reproof, words)


def begun(folder: Path) -> Path:
    """The journal of the only plan there, once an attempt has begun."""

    def found() -> list[Path]:
        return [path for path in folder.glob("results/plans/*/journal.jsonl") if b"begun" in path.read_bytes()]

    assert soon(found, within=60)
    return found()[0]


@pytest.fixture
def begin(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """`reproof` in a process of its own that is not waited for."""

    def run(*words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from harness.cli.start import main; main()", *map(str, words)]
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    return run


def test_a_sweep_is_a_plan_that_is_shown_listed_and_done(cli: Cli, here: Here) -> None:
    done = cli(*SWEEP, "participant.repeats=1", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], told["attempts"], told["left"]) == ("done", 2, 0)
    assert told["overrides"] == [*SWEEP[1:], "participant.repeats=1"]
    assert [(item["participant"], item["state"], item["fault"]) for item in told["items"]] == [
        ("reference", "scored", "none"), ("starter", "scored", "none"),
    ]  # fmt: skip
    assert told["items"][0]["score"] > told["items"][1]["score"]
    assert f"{told['plan']}: 1 of 2 done, now lean · starter; about" in done.stderr
    shown = here("plan", "show").output
    assert f"{told['plan']}  done" in shown
    assert "next: reproof leaderboard" in shown
    assert [plan["plan"] for plan in json.loads(here("plan", "list", "--json").output)] == [told["plan"]]
    assert told["plan"] in here("plan", "list").output
    assert json.loads(here("plan", "resume", "--json").output)["items"] == told["items"]
    refused = here("plan", "cancel", "--yes", "--json").exception
    assert isinstance(refused, UsageError)
    assert refused.remedy == "there is nothing to cancel"


def test_where_there_is_no_plan_and_where_none_is_made(here: Here, tmp_path: Path) -> None:
    sweep = ("attempt", "paper=lean,nowhere", "participant=reference", "tracking=none", "--json")
    for words, says in (
        (sweep, "unknown paper"),
        (("attempt", "paper=lean", "participant.repeats=0"), "participant.repeats does not fit"),
        (("plan", "show"), "there is no plan here"),
        (("plan", "resume"), "there is no plan here"),
        (("plan", "cancel"), "participant.repeats=3"),
    ):
        assert says in str(here(*words).exception)
    assert not (tmp_path / "results").exists()
    assert "`reproof attempt` makes one" in here("plan", "list").output
    assert json.loads(here("plan", "list", "--json").output) == []


def test_an_interrupt_says_how_to_go_on_and_a_second_runner_is_refused(
    cli: Cli, here: Here, begin: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    with begin(*slow(tmp_path / "go")) as running:
        path = begun(tmp_path)
        assert json.loads(here("plan", "show", "--json").output)["state"] == "running"
        assert "is being carried out" in str(here("plan", "resume").exception)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    plan = path.parent.name
    assert f"go on with: reproof plan resume {plan} --results {tmp_path / 'results'}" in said
    assert "rerun" not in said.partition("interrupted")[2], "one way to go on is told, not two"
    shown = here("plan", "show").output
    assert f"{plan}  interrupted" in shown
    assert f"next: reproof plan resume {plan}" in shown
    (tmp_path / "go").touch()
    done = cli("plan", "resume", plan, "--json")
    assert [item["state"] for item in items(done)] == ["scored", "scored"], done.stderr


def test_a_cancelled_plan_is_not_resumed(
    here: Here, begin: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    with begin(*slow(tmp_path / "go"), "--json") as running:
        begun(tmp_path)
        done = here("plan", "cancel", "--json", "--now")
        assert json.loads(done.output)["state"] in ("cancelling", "cancelled")
        out, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert json.loads(out)["state"] == "cancelled"
    assert "cancelled; the attempt under way was interrupted" in said
    assert "this plan was cancelled" in str(here("plan", "resume").exception)


def test_one_attempt_is_a_plan_that_the_same_command_goes_on_with(
    cli: Cli, here: Here, begin: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    words = (*slow(tmp_path / "go")[:-1], "--json")
    with begin(*words) as running:
        begun(tmp_path)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted; the same command goes on" in said
    [left] = json.loads(here("plan", "list", "--json").output)
    assert (left["state"], left["attempts"]) == ("interrupted", 1)
    (tmp_path / "go").touch()
    done = cli(*words)
    assert f"goes on with what the same command has left (plan {left['plan']})" in done.stderr
    assert json.loads(done.stdout)["verdict"] == "FAIL"
    assert [plan["state"] for plan in json.loads(here("plan", "list", "--json").output)] == ["done"]


def test_an_attempt_that_is_cancelled_before_it_begins_is_told(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.plan import again, journal

    made = again.made_plan

    @contextmanager
    def cancelled(*words: Any, **more: Any) -> Iterator[Any]:
        with made(*words, **more) as place:
            journal.note(place.journal, "cancelling")
            yield place

    monkeypatch.setattr(again, "made_plan", cancelled)
    told = here("attempt", "paper=lean", "participant=reference", "tracking=none", "sandbox=process").exception
    assert isinstance(told, UsageError)
    assert "this attempt was cancelled" in str(told)


def taken_up(folder: Path) -> int:
    """How often plans there were taken up: a busy machine takes its time until then."""
    return sum(path.read_bytes().count(b"taken up") for path in folder.glob("results/plans/*/journal.jsonl"))


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_a_plan_goes_on_and_every_item_counts_once(
    cli: Cli, begin: Callable[..., subprocess.Popen[str]], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    words: tuple[str, ...] = (*SWEEP, "participant.repeats=2")
    for _ in range(8):
        before = taken_up(tmp_path)
        with begin(*words) as running:
            assert soon(lambda before=before: taken_up(tmp_path) > before or running.poll() is not None, within=60)
            try:
                running.wait(timeout=chance.uniform(0.0, 4.0))
            except subprocess.TimeoutExpired:
                os.kill(running.pid, signal.SIGKILL)
                running.wait()
        words = ("plan", "resume")
        json.loads(cli("attempts", "--json").stdout)
    done = cli("plan", "resume", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["state"] == "done"
    assert [item["state"] for item in told["items"]] == ["scored"] * 4
    board = json.loads(cli("leaderboard", "--json", "--all", "--papers", "lean").stdout)
    assert {row["participant"]: row["attempts"] for row in board["own"]} == {"reference": 2, "starter": 2}
    assert board["left_out"] == []
    kept = {path.name for path in (tmp_path / "results/attempts").iterdir()}
    tried = {one["attempt"] for item in told["items"] for one in item["tries"]}
    assert kept == tried, "no attempt is lost, none belongs to nobody"


def test_plans_are_offered_to_a_shell_the_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("20260101-090000-aaaa", "20260102-090000-bbbb", "$(touch x)"):
        (tmp_path / "results/plans" / name).mkdir(parents=True)
        (tmp_path / "results/plans" / name / "plan.json").touch()
    context = click.Context(click.Command("show"))
    offered = offer_plans(context, click.Argument(["name"]), "2026")
    assert [item.value for item in offered] == ["20260102-090000-bbbb", "20260101-090000-aaaa"]

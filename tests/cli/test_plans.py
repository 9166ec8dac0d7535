"""`reproof plan` and sweeps of `reproof attempt`, as a person and a script meet them; killed at any moment too."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from watching import soon

Cli = Callable[..., subprocess.CompletedProcess[str]]
SWEEP = ("attempt", "paper=lean", "participant=reference,starter", "tracking=none", "sandbox=process")


def slow(flag: Path) -> tuple[str, ...]:
    """A plan of two attempts by a program that waits for a minute, unless a file is there."""
    run = f"participant.run=[sh, -c, 'test -e {flag} || sleep 60']"
    return ("attempt", "paper=lean", "participant=command", run, *SWEEP[3:], "participant.repeats=2")


def items(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return found


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


def test_a_sweep_is_a_plan_that_is_shown_listed_and_done(cli: Cli, tmp_path: Path) -> None:
    done = cli(*SWEEP, "participant.repeats=1", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], told["attempts"], told["left"]) == ("done", 2, 0)
    assert told["overrides"] == [*SWEEP[1:], "participant.repeats=1"]
    assert [(item["participant"], item["state"], item["fault"]) for item in told["items"]] == [
        ("reference", "scored", "none"), ("starter", "scored", "none"),
    ]  # fmt: skip
    assert told["items"][0]["score"] > told["items"][1]["score"]
    assert f"{told['plan']}: 2 of 2: lean · starter; about" in done.stderr
    shown = cli("plan", "show")
    assert f"{told['plan']}  done" in shown.stdout
    assert "next: reproof leaderboard" in shown.stdout
    listed = json.loads(cli("plan", "list", "--json").stdout)
    assert [plan["plan"] for plan in listed] == [told["plan"]]
    assert told["plan"] in cli("plan", "list").stdout
    again = cli("plan", "resume", "--json")
    assert again.returncode == 0, again.stderr
    assert items(again) == told["items"]
    refused = cli("plan", "cancel", "--yes", "--json")
    assert refused.returncode == 2
    assert "nothing to cancel" in json.loads(refused.stderr)["remedy"]


def test_one_attempt_is_no_plan_and_a_bad_one_of_several_begins_none(cli: Cli, tmp_path: Path) -> None:
    done = cli("attempt", "paper=lean,nowhere", "participant=reference", "tracking=none", "--json")
    assert (done.returncode, json.loads(done.stderr)["message"]) == (2, "unknown paper")
    assert not (tmp_path / "results").exists()
    for words in (("plan", "show"), ("plan", "resume"), ("plan", "cancel")):
        done = cli(*words)
        assert done.returncode == 2
        assert "there is no plan here" in done.stderr
        assert "participant.repeats=3" in done.stderr
    assert "more than one attempt makes one" in cli("plan", "list").stdout
    assert json.loads(cli("plan", "list", "--json").stdout) == []
    assert cli("attempt", "paper=lean", "participant=reference", "participant.repeats=0").returncode == 2


def test_an_interrupt_says_how_to_go_on_and_a_second_runner_is_refused(
    cli: Cli, begin: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    with begin(*slow(tmp_path / "go")) as running:
        path = begun(tmp_path)
        assert json.loads(cli("plan", "show", "--json").stdout)["state"] == "running"
        second = cli("plan", "resume")
        assert second.returncode == 2
        assert "is being carried out" in second.stderr
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    plan = path.parent.name
    assert f"go on with: reproof plan resume {plan} --results {tmp_path / 'results'}" in said
    assert "rerun" not in said.partition("interrupted")[2], "one way to go on is told, not two"
    shown = cli("plan", "show")
    assert f"{plan}  interrupted" in shown.stdout
    assert f"next: reproof plan resume {plan}" in shown.stdout
    (tmp_path / "go").touch()
    done = cli("plan", "resume", plan, "--json")
    assert [item["state"] for item in items(done)] == ["scored", "scored"], done.stderr


def test_a_cancelled_plan_is_not_resumed(cli: Cli, begin: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    with begin(*slow(tmp_path / "go"), "--json") as running:
        begun(tmp_path)
        done = cli("plan", "cancel", "--json", "--now")
        assert json.loads(done.stdout)["state"] in ("cancelling", "cancelled")
        out, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert json.loads(out)["state"] == "cancelled"
    assert "cancelled; the attempt under way was interrupted" in said
    refused = cli("plan", "resume")
    assert refused.returncode == 2
    assert "this plan was cancelled" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_a_plan_goes_on_and_every_item_counts_once(
    cli: Cli, begin: Callable[..., subprocess.Popen[str]], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    words: tuple[str, ...] = (*SWEEP, "participant.repeats=2")
    for _ in range(8):
        with begin(*words) as running:
            try:
                running.wait(timeout=chance.uniform(0.3, 6.0))
            except subprocess.TimeoutExpired:
                os.kill(running.pid, signal.SIGKILL)
                running.wait()
        if list(tmp_path.glob("results/plans/*/plan.json")):
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

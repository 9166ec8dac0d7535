"""A plan of real agents with a scripted model, over the command line: metered, priced, on the leaderboard."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from agents.conftest import SECRET, ensure_installed, solution
from agents.scripted import scripted

from harness.attempt.participant import open_agent
from harness.attempt.work import WORKSPACE
from harness.paper.load import load_paper

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600)]
Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_one_agent_with_two_models_becomes_two_priced_rows(cli: Cli, home: Path, tmp_path: Path) -> None:
    ensure_installed(open_agent("mini").INSTALLATION)  # type: ignore[attr-defined]
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"one": {"input": 2.0, "output": 8.0}, "two": {"input": 1.0, "output": 4.0}}))
    with scripted(solution(load_paper(home / "papers" / "lean")), root=WORKSPACE) as script:
        done = cli(
            "attempt", "paper=lean", "participant=mini", "participant.model=one,two", "models=local",
            f"models.upstream={script.base}", "models.key=SOME_KEY", f"models.prices={prices}", "tracking=none",
            "budget.cpu=120", "budget.wall=300", "--json", SOME_KEY=SECRET,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(item["participant"], item["verdict"]) for item in told["items"]] == [
        ("mini · one", "PASS"), ("mini · two", "PASS"),
    ]  # fmt: skip
    assert SECRET not in (tmp_path / "results/plans" / told["plan"] / "plan.json").read_text()
    rows = json.loads(cli("leaderboard", "--json", "--papers", "lean").stdout)["rows"]
    dollars = {row["participant"]: row["per_point"]["dollars"] for row in rows}
    assert dollars["mini · one"] > dollars["mini · two"] > 0
    assert all(row["cost"]["tokens"] > 100 for row in rows)

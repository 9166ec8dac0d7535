# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""The adapters of agents/: found by name, each leaving what it says in the workspace."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.attempt.participant import Assignment, Outcome, find_agents, open_agent
from harness.config import BudgetSettings, Settings
from harness.errors import ConfigError, PaperError, UsageError
from harness.handing_out import hand_out
from harness.paper.load import Paper

Assign = Callable[..., Assignment]


@pytest.fixture
def assign(tiny: Paper, tmp_path: Path, settings: Callable[..., Settings]) -> Assign:
    def make(name: str = "someone", *, wall: float = 60.0, **options: Any) -> Assignment:
        chosen = settings(tiny.folder, tmp_path / "results", "starter", workspace=tmp_path / "workspace")
        road = hand_out(chosen.model_copy(update={"budget": BudgetSettings(name="standard", wall=wall)}), tell=len)
        return Assignment(paper=tiny, bench=road.bench, name=name, options=options, tell=lambda text: None)

    return make


def did(assignment: Assignment, adapter: str = "command") -> Outcome:
    return open_agent(adapter).work(assignment)


def test_adapters_are_found_and_unknown_ones_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"reference", "starter", "mutation", "command"} <= set(find_agents())
    with pytest.raises(UsageError, match="did you mean command"):
        open_agent("comand")
    (tmp_path / "reference.py").write_text("def work(assignment):\n    return 'mine'\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    monkeypatch.setenv("REPROOF_AGENTS_PATH", str(tmp_path))
    assert open_agent("reference").work(None) == "mine"  # type: ignore[arg-type, comparison-overlap]
    for name in ("empty", "broken"):
        with pytest.raises(PaperError, match=f"{name}.py"):
            open_agent(name)


def test_our_own_participants(assign: Assign, tiny: Paper) -> None:
    one = assign("doubled_step")
    work = one.workspace / "reproduction/work.py"
    stub = work.read_text()
    did(one, "starter")
    assert work.read_text() == stub
    did(one, "mutation")
    assert '2 * parameters["step"]' in work.read_text()
    did(one, "reference")
    assert work.read_text() == (tiny.private / "reference/reproduction/work.py").read_text()


def test_a_command_is_told_brief_workspace_and_deadline(assign: Assign) -> None:
    script = 'head -1 "$REPROOF_BRIEF"; cd "$REPROOF_WORKSPACE" && echo done > reproduction/note.txt; echo "$REPROOF_DEADLINE"; echo "$MORE"'
    one = assign(run=["sh", "-c", script], environment={"MORE": "given", "REPROOF_DEADLINE": "never"})
    outcome = did(one)
    assert outcome.ended == "done"
    assert "# A tiny paper" in outcome.note
    told = next(int(line) for line in outcome.note.splitlines() if line.isdigit())
    assert 50 < told - time.time() <= 60
    assert "given" in outcome.note
    assert (one.workspace / "reproduction/note.txt").read_text() == "done\n"
    assert one.bench.desk.account().used("cpu") > 0
    assert [event.kind for event in one.bench.desk.events()] == ["started", "executed"]


def test_a_command_sees_nothing_private(assign: Assign, tiny: Paper) -> None:
    outcome = did(assign(run=f"ls {tiny.private} {tiny.folder}"))
    assert outcome.ended == "failed"
    assert "instances" not in outcome.note


def test_references_kept_elsewhere_are_hidden_in_a_mounted_folder(
    tiny: Paper, tmp_path: Path, settings: Callable[..., Settings]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tiny.private, elsewhere / "references" / tiny.id)
    (elsewhere / "solve.sh").write_text(f"ls {elsewhere}; cat {elsewhere}/references/{tiny.id}/mutations.yaml\n")
    options = {"run": ["sh", str(elsewhere / "solve.sh")], "mounts": [str(elsewhere)]}
    private = elsewhere / "references"
    road = hand_out(
        settings(tiny.folder, tmp_path / "results", "command", private_path=private, options=options), tell=len
    )
    outcome = did(Assignment(paper=road.paper, bench=road.bench, name="x", options=options, tell=lambda text: None))
    assert outcome.ended == "failed"
    assert "solve.sh" in outcome.note
    assert "doubled_step" not in outcome.note


def test_a_mounted_folder_is_read_only(assign: Assign, tmp_path: Path) -> None:
    (tmp_path / "solver").mkdir()
    (tmp_path / "solver/solve.sh").write_text(f"echo x > {tmp_path}/solver/new; cp $0 reproduction/\n")
    did(assign(run=["sh", str(tmp_path / "solver/solve.sh")], mounts=[str(tmp_path / "solver")]))
    assert not (tmp_path / "solver/new").exists()
    assert (tmp_path / "workspace/reproduction/solve.sh").exists()


@pytest.mark.parametrize("script", ["sleep 50", "while :; do :; done", "setsid sleep 50 & wait"])
@pytest.mark.slow
def test_the_deadline_ends_a_command(assign: Assign, script: str) -> None:
    began = time.monotonic()
    outcome = did(assign(run=["sh", "-c", f"echo begun > mark; {script}"], wall=1.5))
    assert outcome.ended == "wall"
    assert time.monotonic() - began < 10
    assert "wall limit" in outcome.note


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({}, "participant.run"),
        ({"run": 3}, "participant.run"),
        ({"run": "ls", "more": 1}, "participant.more"),
        ({"run": []}, "participant.run"),
        ({"run": ""}, "participant.run"),
        ({"run": "ls 'x"}, "participant.run"),
    ],
)
def test_options_that_do_not_fit_are_answered(assign: Assign, options: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        did(assign(**options))
    assert where in str(caught.value)


def test_a_program_that_is_not_there_and_a_mount_that_is_not_there(assign: Assign, tmp_path: Path) -> None:
    outcome = did(assign(run="nobody-has-this --x"))
    assert outcome.ended == "failed"
    assert "127" in outcome.note

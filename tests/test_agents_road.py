"""Agents on the whole road: in quarters, with a broker and a model, from brief to score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.attempt.attempt import HandedIn
from harness.config import BudgetSettings, Settings
from harness.handing import hand_in, hand_out, work_on
from harness.road import Road, quiet

Lives = Callable[..., tuple[Road, HandedIn]]


@pytest.fixture
def lives(home: Path, tmp_path: Path, settings: Callable[..., Settings]) -> Lives:
    """Let a shell script be the agent on the lean paper, in quarters of its own."""

    def run(script: str, **budget: Any) -> tuple[Road, HandedIn]:
        chosen = settings(
            home / "papers" / "lean",
            tmp_path / "results",
            "command",
            name="shell",
            options={"run": ["sh", "-c", script]},
        )
        who = chosen.participant.model_copy(update={"kind": "agent"})
        figures = BudgetSettings(name="standard", **{"working": 600.0, "wall": 900.0, "cpu": 120.0, **budget})
        road = hand_out(chosen.model_copy(update={"participant": who, "budget": figures}), tell=quiet)
        return road, hand_in(road, work_on(road, chosen))

    return run


def log(road: Road) -> str:
    return (road.folder / "agent.log").read_text()


def test_verbs_work_inside(lives: Lives) -> None:
    script = """
    reproof status --json; echo "status $?"
    reproof exec -- sh -c 'echo from a sibling; pwd; exit 3'; echo "exec $?"
    cd reproduction && reproof exec -- pwd; cd ..
    reproof check; echo "check $?"
    reproof submit; echo "submit $?"
    echo changed > note.txt; git add -A; git commit -qm change; echo $HOME; echo kept > ~/memory
    """
    road, handed = lives(script)
    said = log(road)
    print(said)
    assert "status 0" in said
    assert "from a sibling\n/reproof/work\n" in said
    assert "exec 3" in said
    assert "/reproof/work/reproduction" in said
    assert "check 1" in said
    assert "submit 2" in said
    assert len(handed.history) == 1
    assert (road.folder / "home/memory").read_text() == "kept\n"
    assert (handed.ended, handed.fault) == ("done", "none")

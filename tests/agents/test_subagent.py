"""An agent that hands a task to an agent of its own: two conversations, told apart and linked in the trajectory."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from agents.conftest import Lives, ensure_installed
from agents.formats import Asked, Call, Turn

from agents import scripted
from harness.attempt.participant import open_agent
from harness.trajectory.keep import trajectory_of

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]
TASK = "SUBTASK: list the files of the workspace and say what you see."
SEEN, DONE = "There are files of many kinds, as I have seen.", "All of it is done now, I believe."


@pytest.fixture
def agent() -> str:
    claude: Any = open_agent("claude")
    ensure_installed(claude.INSTALLATION)
    return "claude"


def test_a_helper_of_claude_s_is_a_conversation_of_its_own(
    lives: Lives, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = itertools.count()

    def called(tool: str, **arguments: str) -> Turn:
        return Turn("One more step.", (Call(f"toolu_{next(numbers)}", tool, arguments),), input=10, output=10)

    def use(script: scripted.Script, step: Any, asked: Asked) -> Turn:
        helps = TASK in asked.text and "research paper" not in asked.text
        if asked.turns == 0 and not helps:
            return called("Agent", description="look", prompt=TASK, subagent_type="claude")
        if asked.turns < 2 - helps:
            return called("Bash", command="ls", description="look")
        return Turn(SEEN if helps else DONE, (), input=10, output=10)

    monkeypatch.setattr(scripted.Script, "_use", use)
    lived = lives([scripted.Say("")], home / "papers" / "tiny", results=home / "results")
    found = trajectory_of(lived.road.desk)
    assert found is not None
    assert found.steps[-1].message == DONE
    [helper] = found.subagent_trajectories or []
    assert helper.steps[-1].message == SEEN
    assert helper.extra is not None
    assert (helper.extra["kind"], helper.extra["of"]) == ("subagent", "main")
    results = [result for step in found.steps if step.observation for result in step.observation.results]
    refs = [ref.trajectory_id for result in results for ref in result.subagent_trajectory_ref or []]
    assert refs == [helper.trajectory_id]

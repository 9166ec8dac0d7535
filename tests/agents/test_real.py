"""The real programs of agents on the whole road: from brief to score in their quarters, with a scripted model."""

from __future__ import annotations

from pathlib import Path

import pytest
from agents.conftest import AGENTS, CHECK, COMMIT, SECRET, Lived, Lives, pieces, solution
from agents.scripted import Raw, Say, Shell, Wait, Write

from harness.folders import find_papers
from harness.paper.load import load_paper
from harness.trajectory.keep import trajectory_of

pytestmark = [pytest.mark.agents, pytest.mark.timeout(900)]


acts = pytest.mark.parametrize("agent", [name for name in AGENTS if name != "aider"], indirect=True)
"""Aider runs no commands of its model's, and ends by itself after four answers."""


@pytest.fixture
def tiny_home(home: Path) -> Path:
    return home / "papers" / "tiny"


@pytest.fixture
def lean(home: Path) -> Path:
    return home / "papers" / "lean"


def asked(lived: Lived) -> int:
    """Requests for answers that have reached the model."""
    return sum(request.format is not None for request in lived.script.requests)


def test_from_brief_to_pass(lives: Lives, tiny_home: Path, home: Path) -> None:
    paper = load_paper(tiny_home)
    lived = lives(solution(paper), tiny_home, results=home / "results")
    print(lived.said)
    assert (lived.handed.ended, lived.handed.fault) == ("done", "none")
    assert len(lived.handed.history) >= 1
    assert lived.handed.used["tokens"] > 100
    told = lived.said + "".join(lived.script.replies)
    assert "was run and measured" in told or "check" in told
    assert all(SECRET in str(request.headers) for request in lived.script.requests if request.format)
    assert SECRET not in lived.said
    told_of = trajectory_of(lived.road.desk)
    assert told_of is not None
    assert told_of.agent.version != "unknown"
    assert any(step.llm_call_count == 1 for step in told_of.steps)
    assert not [beside for beside in told_of.subagent_trajectories or [] if (beside.extra or {})["kind"] == "fork"]
    found = lived.scored()
    assert found.verdict == "PASS", found.reasons


@pytest.mark.parametrize("paper", ["tree_search"])
def test_a_real_paper_from_brief_to_pass(lives: Lives, paper: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = find_papers()[paper]
    results = tmp_path_factory.getbasetemp() / "real"
    lived = lives(solution(load_paper(folder)), folder, results=results)
    print(lived.said)
    assert (lived.handed.ended, lived.handed.fault) == ("done", "none")
    found = lived.scored()
    print(found.verdict, found.score.value, lived.handed.used, asked(lived))
    assert found.verdict == "PASS", found.reasons


def test_partial_work_earns_partial_credit(lives: Lives, lean: Path, home: Path) -> None:
    [work] = pieces(load_paper(lean))
    half = Write(work.path, work.text.replace("noise = 0.01", "noise = 9.0"))
    lived = lives([Shell("cat BRIEF.md"), half, COMMIT, CHECK, Say("Half of it.")], lean, results=home / "results")
    print(lived.said)
    found = lived.scored()
    assert 0.05 < found.score.value < 0.95
    assert found.verdict == "FAIL"


def test_tokens_end_an_agent_before_it_has_begun(lives: Lives, lean: Path) -> None:
    lived = lives([Say("Done.")], lean, "budget.tokens=100")
    print(lived.said[-3000:])
    assert (lived.handed.ended, lived.handed.fault) == ("tokens", "budget")
    assert (lived.handed.used.get("tokens", 0), asked(lived)) == (0, 0)


@acts
def test_tokens_end_an_agent_whose_work_counts(lives: Lives, lean: Path) -> None:
    [work] = pieces(load_paper(lean))
    steps = [work, COMMIT, *[Shell(f"cat BRIEF.md; sleep 0.2; echo {number}") for number in range(200)]]
    lived = lives(steps, lean, "budget.tokens=120000")
    print(lived.said[-3000:])
    assert (lived.handed.ended, lived.handed.fault) == ("tokens", "budget")
    assert lived.handed.used["tokens"] <= 120_000
    assert 1 <= asked(lived) < 200
    assert lived.handed.history or lived.handed.saved


@acts
def test_time_ends_an_agent_whose_work_counts(lives: Lives, lean: Path) -> None:
    [work] = pieces(load_paper(lean))
    lived = lives(
        [work, *[Shell(f"sleep {500 + number}") for number in range(50)]], lean, "budget.wall=40"
    )  # some wait for no command for long
    print(lived.said[-3000:])
    assert (lived.handed.ended, lived.handed.fault) == ("wall", "budget")
    assert lived.handed.used["wall"] < 60
    if asked(lived) > 1:  # else a busy machine has not even started it in that time
        assert lived.handed.used["tokens"] > 0
        assert (lived.road.workspace / work.path).read_text() == work.text


def test_time_ends_an_agent_that_waits_for_its_model(lives: Lives, lean: Path) -> None:
    lived = lives([Wait(500)], lean, "budget.wall=40")
    print(lived.said[-3000:])
    assert (lived.handed.ended, lived.handed.fault) == ("wall", "budget")
    assert lived.handed.used["wall"] < 60


@acts
def test_a_crash_is_the_submission_s(lives: Lives, lean: Path) -> None:
    [work] = pieces(load_paper(lean))
    lived = lives([work, Shell("kill -9 -1"), Say("Done.")], lean)
    print(lived.said[-3000:])
    assert (lived.handed.ended, lived.handed.fault) == ("failed", "submission")
    assert lived.handed.history or lived.handed.saved


@acts
def test_an_agent_that_never_stops_is_stopped(lives: Lives, lean: Path) -> None:
    [work] = pieces(load_paper(lean))
    lived = lives(
        [work, *[Shell(f"sleep 0.5; date; {word}") for word in ("ls", "pwd", "env")]],
        lean,
        "budget.working=45",
        endless=True,
    )
    print(lived.said[-3000:])
    assert lived.handed.fault == "budget"
    assert lived.handed.ended in ("working", "wall")
    assert lived.handed.used["working"] < 60
    assert asked(lived) > 1


def test_neither_network_nor_secrets_are_reached(lives: Lives, lean: Path) -> None:
    private = load_paper(lean).private
    pattern = f"{SECRET[:-1]}[{SECRET[-1]}]"  # finds the key, and is not found as one
    spy = f"""
    env | grep {pattern}; cat /proc/*/environ | grep -a {pattern}; ls {private} {private.parent} /root /home;
    python3 - <<'END'
    import socket
    for place in [("1.1.1.1", 443), ("169.254.169.254", 80), ("127.0.0.1", 22), ("pypi.org", 443)]:
        try:
            socket.create_connection(place, 3)
            print("reached", place)
        except OSError as error:
            print("closed", place)
    END
    """.replace("\n    ", "\n")
    [work] = pieces(load_paper(lean))
    lived = lives([Shell(spy), work, COMMIT, Say("Done.")], lean)
    print(lived.said)
    told = "".join(lived.script.replies)
    assert lived.handed.ended == "done"
    assert "reached (" not in told
    assert "instances.py" not in told
    if lived.script.replies:  # aider runs no commands
        assert told.count("closed (") == 4
    assert SECRET not in told + lived.said
    assert all(SECRET not in path.read_text(errors="replace") for path in _files(lived.road.folder))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


BAD = {
    "nothing": Raw(b""),
    "garbage": Raw(b"\x00\xff\x1b[2J not json"),
    "wrong shape": Raw(b'{"choices": 3, "output": {}, "content": 7, "candidates": "x"}'),
    "refused": Raw(b'{"error": {"message": "no", "type": "invalid_request_error"}}', status=400),
    "broken stream": Raw(b'data: {"choices": [{"delta": {"content": "he', content_type="text/event-stream"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_model_that_answers_nonsense_harms_nobody(lives: Lives, lean: Path, bad: str) -> None:
    [work] = pieces(load_paper(lean))
    lived = lives([work, COMMIT, *[BAD[bad]] * 1000], lean, "budget.working=45")
    print(lived.said[-3000:])
    assert lived.handed.fault in ("none", "submission", "model", "budget")
    if asked(lived) > 2:  # else a busy machine has not brought it so far in that time
        assert lived.handed.history or lived.handed.saved
        assert (lived.road.workspace / work.path).read_text() == work.text


def test_megabytes_of_an_answer_harm_nobody(lives: Lives, lean: Path) -> None:
    [work] = pieces(load_paper(lean))
    lived = lives([work, COMMIT, Say("\x1b[31mso much " * (1 << 20))], lean, "budget.working=120")
    print(lived.said[-300:])
    assert lived.handed.history or lived.handed.saved
    assert (lived.road.workspace / work.path).read_text() == work.text
    assert lived.handed.note.isprintable() or "\x1b" not in lived.handed.note

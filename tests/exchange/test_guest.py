"""A guest over the wire: a process of Reproof's that another harness starts, asks and leaves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from handmade import data_of
from served_paper import write_served
from tiny_paper import WORK

from harness.exchange.call import PYTHON, Call, CallError
from harness.exchange.guest import ORIGIN, Origin, known_origins, leave, open_room
from harness.record.files import Store, read_slip
from harness.road import resume

ORIGINAL = {"harness": "inspect", "job": "monday", "trial": "t-1", "agent": "so\x1b[2Jlver", "model": "m-1"}


@pytest.fixture
def call(papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    monkeypatch.delenv(PYTHON, raising=False)
    monkeypatch.chdir(tmp_path)
    made = Call()
    yield made
    asyncio.run(made.hang_up())


def still(path: Path) -> bool:
    """Whether nobody writes to a file any more."""
    before = path.read_bytes()
    time.sleep(0.3)
    return path.read_bytes() == before


def asked(call: Call, do: str, **more: Any) -> dict[str, Any]:
    return asyncio.run(call.ask(do, **more))


def opened(call: Call, **more: Any) -> dict[str, Any]:
    overrides = ["tracking=none", "results=results", *more.pop("overrides", [])]
    return asked(call, "open", paper="lean", origin=ORIGINAL | more, overrides=overrides, folders=["/logs"])


def test_a_guest_works_is_judged_once_and_its_logs_are_kept(call: Call, tmp_path: Path) -> None:
    attempt = opened(call)["attempt"]
    (tmp_path / "work.py").write_text(WORK)
    asked(call, "write", source=str(tmp_path / "work.py"), path="/reproof/work/reproduction/work.py")
    ran = asked(
        call, "execute", words=["sh", "-c", "echo $A; id -u; echo note >/logs/note; ls"], environment={"A": "b"}
    )
    assert ran["code"] == 0
    assert ran["out"].startswith("b\n65534\n")
    verdict = asked(call, "judge", tokens=1234)
    assert (verdict["verdict"], verdict["value"]) == ("PASS", pytest.approx(1.0))
    assert verdict["claims"]["number_published"] == 1
    assert asked(call, "judge") == verdict
    with pytest.raises(CallError) as found:
        asked(call, "execute", words=["true"])
    assert found.value.kind == "Closed"
    asked(call, "get", path="/logs", into=str(tmp_path / "logs"))
    assert (tmp_path / "logs" / "note").read_text() == "note\n"
    with pytest.raises(CallError, match="went with the room"):
        asked(call, "get", path="/tmp", into=str(tmp_path))
    road = resume(attempt, tmp_path / "results", tell=lambda text: None)
    handed = road.submission()
    assert handed.used["tokens"] == handed.declared["tokens"] == 1234
    assert road.attempt.participant.name == "so [2Jlver m-1"
    assert handed.used["working"] > 0
    assert [event.kind for event in road.desk.events()][:2] == ["started", "resumed"]
    assert read_slip(road.folder / ORIGIN, Origin).trial == "t-1"
    assert known_origins(Store(tmp_path / "results"), "inspect") == {"t-1": attempt}


def test_a_guest_that_goes_away_takes_its_processes_with_it_and_leaves_its_work(call: Call, tmp_path: Path) -> None:
    attempt = opened(call)["attempt"]
    asked(call, "execute", words=["sh", "-c", "echo left >note; (while true; do date +%N >alive; sleep .05; done) &"])
    asyncio.run(call.hang_up())
    road = resume(attempt, tmp_path / "results", tell=lambda text: None)
    assert (road.workspace / "note").read_text() == "left\n"
    assert still(road.workspace / "alive")
    assert road.desk.events()[-1].kind == "paused"
    assert not road.desk.submissions
    with pytest.raises(CallError):
        asked(call, "judge")


def test_wrong_questions_are_answered_and_a_destroyed_workspace_earns_nothing(call: Call) -> None:
    for do, more, kind in [
        ("judge", {}, "UsageError"),
        ("open", {"paper": "leen", "origin": ORIGINAL, "overrides": ["tracking=none"]}, "UsageError"),
        ("open", {"paper": "lean", "origin": ORIGINAL, "overrides": ["nonsense=1"]}, "UsageError"),
        ("open", {"paper": "lean", "origin": {"harness": "x"}}, "TypeError"),
        ("nonsense", {}, "KeyError"),
    ]:
        with pytest.raises(CallError) as found:
            asked(call, do, **more)
        assert found.value.kind == kind
    opened(call, trial="t-2")
    asked(call, "execute", words=["rm", "-rf", ".git"])
    verdict = asked(call, "judge")
    assert (verdict["verdict"], verdict["value"], verdict["claims"]) == ("FAIL", 0.0, {})


STEPS = """\
import gymnasium
env = gymnasium.make("reproof/Corridor-v0")
env.reset(seed=1)
env.step(env.action_space.sample())
env.close()
"""


def test_environments_are_served_to_every_command_of_the_room_and_counted(begin: Any, tmp_path: Path) -> None:
    road = begin(folder=write_served(tmp_path / "papers" / "corridor"), results=tmp_path / "results")
    guest = open_room(road)
    for _ in range(2):
        ran = guest.room.execute(["python", "-c", STEPS], folder="/reproof/work", environment={})
        assert ran.code == 0, ran.err
    leave(guest, "done")
    (event,) = data_of(road.desk, "executed")
    assert event["env_steps"] == road.desk.account().used("env_steps") == 2
    assert "/reproof/inside.py" in event["command"]


def test_other_installations_need_nothing_of_ours_to_call() -> None:
    root = Path(__file__).parents[2]
    script = f"import sys; sys.path.insert(0, {str(root)!r}); import harness.exchange.call, harness.folders"
    assert subprocess.run([sys.executable, "-I", "-S", "-c", script], check=False).returncode == 0


def test_a_process_that_dies_leaves_nobody_waiting() -> None:
    call = Call(python="false")
    with pytest.raises(CallError, match="has ended"):
        asked(call, "open", paper="lean", origin=ORIGINAL)
    asyncio.run(call.hang_up())

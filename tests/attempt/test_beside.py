"""Commands beside environments: granted what is left, counted by environment and stream, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from handmade import data_of, desk_at
from hypothesis import given
from hypothesis import strategies as st
from watching import soon

from harness.attempt.beside import told, wanted, within
from harness.attempt.desk import EXECUTING, Desk
from harness.attempt.work import Bench
from harness.cleanroom.sandbox import Sandbox
from harness.gateway.host import Gateway
from harness.gateway.offer import Offer, Served, Used
from harness.report.account import status, status_lines, steps_lines

ID = "reproof/Pole-v0"
MANY = 10**9
STEPS = """\
import gymnasium, sys, time
env = gymnasium.make("reproof/Pole-v0", phase=sys.argv[1])
env.reset(seed=0)
for _ in range(int(sys.argv[2])):
    if any(env.step(0)[2:4]):
        env.reset()
print("done", flush=True)
time.sleep(float(sys.argv[3]))
"""


def pole(steps: int = MANY, evaluation_steps: int = MANY) -> Served:
    return Served(
        make="CartPole-v1", keywords={}, steps=steps, evaluation_steps=evaluation_steps, max_episode_steps=None
    )


def bench_of(desk: Desk, sandbox: Sandbox, **more: Any) -> Bench:
    return Bench(desk=desk, sandbox=sandbox, environments={ID: pole()}, **more)


def steps(phase: str, count: int, sleep: float = 0.0) -> list[str]:
    return ["python", "-c", STEPS, phase, str(count), str(sleep)]


numbers = st.integers(min_value=0, max_value=10**12)


@given(st.dictionaries(st.text(min_size=1), st.tuples(numbers, numbers), max_size=4), st.none() | numbers)
def test_an_offer_never_grants_more_than_is_left(limits: dict[str, tuple[int, int]], left: int | None) -> None:
    offered = Offer(environments={id: pole(*both) for id, both in limits.items()}, secret="", log="")
    granted = within(offered, left)
    if left is None or wanted(offered) <= left:
        assert granted == offered
    else:
        assert wanted(granted) == left
        assert granted.environments == offered.environments
        assert within(granted, left + 1) == granted


def test_what_nobody_stepped_in_is_not_told() -> None:
    used = {"a": Used(training=0, evaluation=0, exhausted=False), "b": Used(training=2, evaluation=1, exhausted=False)}
    assert told(used) == {"env_steps": 3, "environments": {"b": {"training": 2, "evaluation": 1, "exhausted": False}}}
    assert told({"a": used["a"]}) == {}


def test_steps_are_counted_by_environment_and_stream(tmp_path: Path, sandbox: Sandbox) -> None:
    desk = desk_at(tmp_path / "attempt", env_steps=1000)
    bench = bench_of(desk, sandbox)
    first = bench.run(steps("training", 30))
    assert first.exit == 0, first.log
    bench.run(steps("evaluation", 12))
    bench.run(["true"])
    events = data_of(desk, "executed")
    assert [event.get("env_steps") for event in events] == [30, 12, None]
    assert events[0]["environments"] == {ID: {"training": 30, "evaluation": 0, "exhausted": False}}
    found = desk.account()
    assert (found.used("env_steps"), found.left("env_steps"), found.declared("env_steps")) == (42, 958, 0)
    assert found.streams == {ID: {"training": 30, "evaluation": 12}}
    assert status(desk, found)["environments"] == found.streams
    assert f"{'':13} {ID}: 30 training, 12 evaluation" in list(status_lines(desk, found))
    assert list((desk.folder / EXECUTING).iterdir()) == []
    assert first.closing is not None
    said = list(steps_lines(first.closing, found))
    assert said[0] == f"{ID}: 30 training and 0 evaluation steps"
    assert "958 env steps" in said[1]


def test_a_command_gets_no_more_than_is_left(tmp_path: Path, sandbox: Sandbox) -> None:
    desk = desk_at(tmp_path / "attempt", env_steps=100)
    desk.note("noted", note="elsewhere", env_steps=60)
    done = bench_of(desk, sandbox).run(steps("training", 50))
    assert done.exit == 1
    assert "StepsExhausted: what was granted of the attempt's budget is spent: 40 of 40 steps" in done.log
    assert done.closing is not None
    assert "it was granted no more of the budget" in next(steps_lines(done.closing, desk.account()))
    assert desk.account().left("env_steps") == 0


def test_a_command_gets_no_more_than_it_is_to(tmp_path: Path, sandbox: Sandbox) -> None:
    desk = desk_at(tmp_path / "attempt", env_steps=20)
    assert bench_of(desk, sandbox, most_steps=4).run(steps("evaluation", 5)).exit == 1
    assert desk.account().left("env_steps") == 16


def test_a_command_is_told_how_many_steps_it_may_take(tmp_path: Path, sandbox: Sandbox) -> None:
    limited, free = desk_at(tmp_path / "limited", env_steps=100), desk_at(tmp_path / "free")
    asked = ["sh", "-c", "echo ${REPROOF_ENV_STEPS-nothing}"]
    assert bench_of(limited, sandbox).run(asked).log == "100\n"
    assert bench_of(limited, sandbox, most_steps=30).run(asked).log == "30\n"
    assert bench_of(free, sandbox).run(asked).log == "nothing\n"
    assert Bench(desk=limited, sandbox=sandbox).run(asked).log == "nothing\n"


def test_nothing_left_opens_nothing_and_other_commands_run(tmp_path: Path, sandbox: Sandbox) -> None:
    desk = desk_at(tmp_path / "attempt", env_steps=10)
    desk.note("noted", note="elsewhere", env_steps=10)
    assert desk.env_steps_left() == 0
    bench = bench_of(desk, sandbox)
    assert bench.run(["true"]).exit == 0
    refused = bench.run(steps("training", 1))
    assert refused.exit == 1
    assert "GatewayError" in refused.log
    assert desk.account().used("env_steps") == 10


def test_two_commands_are_not_granted_the_same_steps(tmp_path: Path, sandbox: Sandbox) -> None:
    desk = desk_at(tmp_path / "attempt", env_steps=100)
    assert desk.env_steps_left() == 100
    held: list[tuple[int | None, float]] = []

    def hear(data: bytes) -> None:
        held.append((desk.env_steps_left(), desk.account().used("env_steps")))

    bench_of(desk, sandbox, most_steps=80).run(steps("training", 5, 0.1), output=hear)
    assert held == [(20, 0)], "80 are held, and none is counted before the end"
    assert (desk.env_steps_left(), desk.account().used("env_steps")) == (95, 5)


WATCHER = """\
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from attempt.test_beside import bench_of, steps
from harness.attempt.desk import Desk
from harness.cleanroom.backends import open_sandbox
bench_of(Desk(folder=Path(sys.argv[1])), open_sandbox()).run(steps("training", 25, 60), output=lambda _: print("x", flush=True))
"""  # noqa: E501 -- a program in a line


def test_steps_are_counted_although_the_harness_was_killed(tmp_path: Path) -> None:
    desk = desk_at(tmp_path / "attempt", env_steps=100)
    desk.start_clock()
    tests = str(Path(__file__).parents[1])
    watcher = subprocess.Popen([sys.executable, "-c", WATCHER, str(desk.folder), tests], stdout=subprocess.PIPE)
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == b"x\n"
    os.kill(watcher.pid, signal.SIGKILL)
    watcher.wait()
    watcher.stdout.close()
    assert soon(lambda: desk.account().used("env_steps") == 25)
    assert desk.env_steps_left() == 75, "what a dead command held is free again"
    desk.pause_clock("it crashed")
    desk.start_clock()
    [event] = data_of(desk, "executed")
    assert (event["ended"], event["env_steps"], event["environments"][ID]["training"]) == ("lost", 25, 25)
    assert "granted" not in event
    assert "gateway" not in event
    assert list((desk.folder / EXECUTING).iterdir()) == []
    assert desk.account().used("env_steps") == 25


def test_a_server_that_does_not_end_well_is_told(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Gateway.end

    def end(gateway: Gateway, table: Path) -> Any:
        os.kill(gateway._child.pid, signal.SIGKILL)
        return whole(gateway, table)

    monkeypatch.setattr(Gateway, "end", end)
    desk = desk_at(tmp_path / "attempt")
    done = bench_of(desk, sandbox).run(["true"])
    assert done.exit == 0
    assert done.closing is not None
    assert "did not end well" in str(done.closing.fault)
    assert "no fault of the command's" in "".join(steps_lines(done.closing, desk.account()))
    assert data_of(desk, "executed")[0]["ended"] == "done"


def test_the_path_of_modules_that_somebody_sets_is_kept(tmp_path: Path, sandbox: Sandbox) -> None:
    desk = desk_at(tmp_path / "attempt")
    (desk.workspace / "mine").mkdir()
    (desk.workspace / "mine" / "own.py").write_text("print('own', end=' ')")
    script = f"import own, gymnasium; print('{ID}' in gymnasium.registry)"
    done = bench_of(desk, sandbox).run(["python", "-c", script], environment={"PYTHONPATH": "/reproof/work/mine"})
    assert "own True" in done.log

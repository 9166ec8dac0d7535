"""Commands on the bench, in the real clean room, counted into a real ledger."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from handmade import data_of, desk_at, kinds
from watching import alive, soon

from harness.attempt import work
from harness.attempt.desk import EXECUTING, Desk
from harness.attempt.work import WORKSPACE, Bench, inside
from harness.cleanroom.sandbox import Mount, Sandbox
from harness.errors import UsageError

BURN = "i=0; while [ $i -lt {} ]; do i=$((i+1)); done"
FOREVER = "while :; do :; done"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_at(tmp_path / "attempt")


@pytest.fixture
def bench(desk: Desk, sandbox: Sandbox) -> Bench:
    return Bench(desk=desk, sandbox=sandbox)


def test_a_command_is_counted_and_told(bench: Bench, desk: Desk) -> None:
    done = bench.run(["sh", "-c", BURN.format(300_000)])
    assert (done.exit, done.killed_by) == (0, None)
    [event] = data_of(desk, "executed")
    assert event["command"].startswith("sh -c 'i=0")
    assert (event["exit"], event["ended"], event["exact"]) == (0, "done", done.usage.exact)
    assert event["cpu"] == pytest.approx(done.usage.cpu, abs=1e-6)
    assert 0 < desk.account().used("cpu") == event["cpu"]
    assert list((desk.folder / EXECUTING).iterdir()) == []


@pytest.mark.parametrize(("status", "ended"), [(3, "failed"), (0, "done")])
def test_the_exit_status_is_the_commands(bench: Bench, desk: Desk, status: int, ended: str) -> None:
    assert bench.run(["sh", "-c", f"exit {status}"]).exit == status
    assert [(data["exit"], data["ended"]) for data in data_of(desk, "executed")] == [(status, ended)]


def test_output_is_passed_on_as_it_comes_and_as_it_is(bench: Bench) -> None:
    pieces: list[tuple[float, bytes]] = []
    script = "printf 'one\\n'; sleep 0.6; printf 'two \\033[31m\\377'"
    bench.run(["sh", "-c", script], output=lambda data: pieces.append((time.monotonic(), data)))
    assert b"".join(data for _, data in pieces) == b"one\ntwo \x1b[31m\xff"
    assert pieces[-1][0] - pieces[0][0] > 0.4


def test_a_command_sees_its_workspace_and_what_it_is_to_know(bench: Bench, desk: Desk) -> None:
    (desk.workspace / "deep").mkdir()
    said: list[bytes] = []
    script = f"pwd; echo $REPROOF_WORKSPACE $REPROOF_BRIEF $REPROOF_DEADLINE $MINE; touch {WORKSPACE}/left"
    bench.run(["sh", "-c", script], output=said.append, folder=f"{WORKSPACE}/deep", environment={"MINE": "x"})
    where, told = b"".join(said).decode().splitlines()
    assert where == f"{WORKSPACE}/deep"
    workspace, brief, deadline, mine = told.split()
    assert (workspace, brief, mine) == (WORKSPACE, f"{WORKSPACE}/BRIEF.md", "x")
    assert 3500 < int(deadline) - time.time() < 3602
    assert (desk.workspace / "left").exists()


def test_the_folder_a_command_runs_in(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    (workspace / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(workspace / "a")
    assert inside(workspace, workspace / "a" / "b") == f"{WORKSPACE}/a/b"
    assert inside(workspace, tmp_path / "link") == f"{WORKSPACE}/a"
    assert inside(workspace, workspace) == inside(workspace, tmp_path) == inside(workspace, Path("/etc")) == WORKSPACE


def test_private_folders_and_records_are_hidden(
    bench: Bench, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "papers" / "mine" / "private" / "secret.txt"
    secret.parent.mkdir(parents=True)
    secret.write_text("42")
    (secret.parents[1] / "paper.yaml").write_text("")
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(tmp_path / "papers"))
    said: list[bytes] = []
    shown = Mount(source=tmp_path / "papers", target=str(tmp_path / "papers"))
    script = f"ls {secret.parents[1]}; cat {secret}; cat {desk.folder}/attempt.json; echo end"
    bench.run(["sh", "-c", script], mounts=[shown], output=said.append)
    text = b"".join(said)
    assert b"paper.yaml" in text
    assert b"end" in text
    assert b"42" not in text
    assert b"anchor" not in text


def test_a_command_is_ended_where_the_cpu_budget_is(tmp_path: Path, sandbox: Sandbox) -> None:
    desk = desk_at(tmp_path / "attempt", cpu=1.0)
    desk.note("executed", job="x", command="earlier", cpu=0.7)
    done = Bench(desk=desk, sandbox=sandbox).run(["sh", "-c", FOREVER])
    assert (done.exit, done.killed_by) == (None, "cpu")
    assert data_of(desk, "executed")[-1]["ended"] == "cpu"
    assert 0.3 <= done.usage.cpu < 0.7
    with pytest.raises(UsageError, match=r"CPU time is used up: expected less than 1 s, got .* s\n.*reproof submit"):
        Bench(desk=desk, sandbox=sandbox).run(["true"])
    assert len(data_of(desk, "executed")) == 2


@pytest.mark.parametrize("item", ["working", "wall"])
def test_a_command_is_ended_where_the_time_is(tmp_path: Path, sandbox: Sandbox, item: str) -> None:
    desk = desk_at(tmp_path / "attempt", **{item: 1.5})
    desk.start_clock()
    done = Bench(desk=desk, sandbox=sandbox).run(["sleep", "60"])
    assert (done.exit, done.killed_by) == (None, "wall")
    assert done.usage.wall < 3
    assert desk.account().state == "over"


def test_commands_that_pass_the_limit_together_are_stopped(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_OFTEN", 0.2)
    desk = desk_at(tmp_path / "attempt", cpu=1.2)
    bench = Bench(desk=desk, sandbox=sandbox)
    ended: list[Any] = []
    threads = [threading.Thread(target=lambda: ended.append(bench.run(["sh", "-c", FOREVER]))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {done.killed_by for done in ended} == {"cpu"}
    assert len(ended) == 2
    assert 1.2 <= desk.account().used("cpu") < 2.2  # 2.4 if each had had it all


def test_the_head_is_looked_at_while_a_command_runs(bench: Bench, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_OFTEN", 0.1)
    first, second = "a" * 40, "b" * 40
    bench.run(["sh", "-c", f"echo {first} >.git/HEAD; sleep 0.8; echo {second} >.git/HEAD"])
    assert kinds(desk) == ["started", "committed", "executed", "committed"]
    assert [data["commit"] for data in data_of(desk, "committed")] == [first, second]


def test_a_long_command_is_cut_for_the_ledger(bench: Bench, desk: Desk) -> None:
    bench.run(["true", "x" * 5000])
    [event] = data_of(desk, "executed")
    assert len(event["command"]) == 200
    assert event["command"].endswith("...")


def test_a_command_that_does_not_exist_is_an_exit_status(bench: Bench, desk: Desk) -> None:
    assert bench.run(["no-such-program"]).exit == 127
    assert kinds(desk) == ["started", "executed"]


def test_an_interrupt_ends_the_command_and_counts_it(bench: Bench, desk: Desk) -> None:
    handler = signal.getsignal(signal.SIGINT)
    token = f"sleep 61.{os.getpid()}"

    def interrupt() -> None:
        assert soon(lambda: alive(token.replace(" ", "\0")))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        bench.run(["sh", "-c", f"{BURN.format(100_000)}; {token}; true"])
    thread.join()
    assert signal.getsignal(signal.SIGINT) is handler
    [event] = data_of(desk, "executed")
    assert (event["ended"], event["exit"]) == ("cancel", None)
    assert event["cpu"] > 0
    assert not alive(token.replace(" ", "\0"))
    assert list((desk.folder / EXECUTING).iterdir()) == []


WATCHER = """\
import sys
from pathlib import Path
from harness.attempt import work
from harness.attempt.desk import Desk
from harness.attempt.work import Bench
from harness.cleanroom.backends import open_sandbox
work._OFTEN = 0.3
Bench(desk=Desk(folder=Path(sys.argv[1])), sandbox=open_sandbox()).run(["sh", "-c", sys.argv[2]])
"""


@pytest.fixture
def watched(desk: Desk) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(script: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", WATCHER, str(desk.folder), script]))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_what_a_killed_watcher_had_seen_is_counted(
    desk: Desk, watched: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    desk.start_clock()
    token = f": {os.getpid()}-burns"
    process = watched(f"{token}; {FOREVER}")
    assert soon(lambda: desk.account().used("cpu") > 0.5, within=30)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert soon(lambda: not alive(token)), "the command outlived its watcher"
    counted = desk.account().used("cpu")
    assert counted > 0.5
    [note] = (desk.folder / EXECUTING).iterdir()
    desk.pause_clock("it crashed")
    desk.start_clock()
    assert not note.exists()
    [event] = data_of(desk, "executed")
    assert (event["ended"], event["cpu"]) == ("lost", pytest.approx(counted))
    assert desk.account().used("cpu") == pytest.approx(counted)


def test_a_clock_that_runs_does_not_stop_for_a_command(tmp_path: Path, sandbox: Sandbox) -> None:
    desk = desk_at(tmp_path / "attempt")
    desk.start_clock()
    Bench(desk=desk, sandbox=sandbox).run(["sleep", "0.5"])
    found = desk.pause_clock("x")
    assert found.used("working") >= 0.5
    assert found.used("cpu") < 0.5


def test_a_workspace_that_is_gone_is_told(bench: Bench, desk: Desk) -> None:
    from harness.errors import ReproofError

    desk.workspace.rename(desk.workspace.with_name("moved"))
    with pytest.raises(ReproofError):
        bench.run(["true"])


def test_a_workspace_beyond_its_quota_ends_the_command(tmp_path: Path, sandbox: Sandbox) -> None:
    desk = desk_at(tmp_path / "attempt", disk=1 << 20)
    done = Bench(desk=desk, sandbox=sandbox).run(["sh", "-c", "head -c 8000000 /dev/zero >big; sleep 20"])
    assert done.killed_by == "disk"
    assert data_of(desk, "executed")[0]["ended"] == "disk"

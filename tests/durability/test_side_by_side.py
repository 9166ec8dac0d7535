"""Several harness processes at once: each ends as it would alone, nothing is done twice, nothing is lost."""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from side_by_side import MAIN, together
from tiny_paper import lean, write_paper
from watching import soon

from harness.attempt import ledger
from harness.attempt.desk import Desk
from harness.attempt.participant import Outcome
from harness.errors import UsageError
from harness.handing_in import hand_in, withdraw
from harness.handing_out import hand_out
from harness.pipeline import Rerun, rerun, score, units_of
from harness.plan.plan import keep_plan
from harness.record.store import read
from harness.rerun import plan
from harness.rerun.engine import known_records
from harness.rerun.plan import Plan
from harness.road import Road, quiet, road_of
from harness.scoring.score import Score

Attempted = tuple[Road, Score]
Begin = Callable[..., Road]
SUBMITTED = Outcome(note="by hand", ended="submitted")


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What calls return that begin at the same moment, each on a thread of its own; errors are returned too."""
    ready = threading.Barrier(len(calls))

    def call(one: Callable[[], Any]) -> Any:
        ready.wait()
        try:
            return one()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def handed(begin: Begin, tmp_path: Path, files: dict[str, str]) -> Road:
    """An attempt at the lean paper in a results folder of its own, with files handed in."""
    road = begin(results=tmp_path / "results", workspace=tmp_path / "work", working=36000.0)
    for name, text in files.items():
        path = road.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    road.desk.start_clock()
    hand_in(road, SUBMITTED)
    return road


def runs_of(road: Road) -> set[str]:
    """The keys of all runs that the results folder holds."""
    return {path.parent.name for path in (road.store.root / "runs").glob("*/*/run.json")}


def wanted_by(road: Road) -> set[str]:
    """The keys of the runs that the attempt's rerun asked for."""
    units = units_of(road, read(road.records / "rerun.json", Rerun))
    assert all(record.status != "fault" for record in known_records(units, road.store).values())
    return {unit.key for unit in units}


@pytest.fixture
def lean_reference(home: Path) -> dict[str, str]:
    """The files of the lean paper's reference."""
    folder = home / "papers" / "lean" / "private" / "reference"
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_two_reruns_of_one_attempt_draw_one_plan_and_do_each_run_once(
    begin: Begin, tmp_path: Path, lean_reference: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    road = handed(begin, tmp_path, lean_reference)
    looked, drawing = threading.Semaphore(0), plan.draw

    def draw_slowly(*words: Any) -> Any:
        looked.release()
        looked.acquire(timeout=0.3)  # the other one, if it comes here too
        return drawing(*words)

    monkeypatch.setattr(plan, "draw", draw_slowly)
    first, second = at_once(*(lambda: rerun(road_of(Desk(folder=road.folder))) for _ in range(2)))
    assert first.model_dump(exclude={"looks"}) == second.model_dump(exclude={"looks"})
    assert runs_of(road) == wanted_by(road)
    assert len({event.data["plan"] for event in road.desk.events() if event.kind == "rerun"}) == 1


@pytest.mark.slow  # each is a process that imports all that a score needs
@pytest.mark.parametrize("verbs", [("rerun", "rerun"), ("rerun", "score", "rescore", "report"), ("score",) * 4])
def test_verbs_on_one_attempt_at_once_end_as_alone(
    begin: Begin,
    tmp_path: Path,
    lean_reference: dict[str, str],
    environment: dict[str, str],
    verbs: tuple[str, ...],
) -> None:
    road = handed(begin, tmp_path, lean_reference)
    if "score" in verbs:
        score_after_rerun(road)
    done = together(
        [(verb, road.attempt.id, "--results", road.store.root, "--json") for verb in verbs], environment, tmp_path
    )
    assert [one.returncode for one in done] == [0] * len(done), [one.stderr for one in done]
    found = [json.loads(one.stdout) for one in done]
    assert all(one["score"] == found[0]["score"] and one["claims"] == found[0]["claims"] for one in found)
    assert runs_of(road) == wanted_by(road)
    assert "</html>" in (road.records / "page.html").read_text()


def score_after_rerun(road: Road) -> None:
    rerun(road)
    score(road)


def test_what_is_handed_in_during_a_rerun_does_not_get_its_runs(
    begin: Begin, tmp_path: Path, lean_reference: dict[str, str]
) -> None:
    road = handed(begin, tmp_path, lean_reference)
    first = road.records
    came = []

    def hand_in_more(done: int, total: int, label: str) -> None:
        if not came:
            (road.workspace / "more.txt").write_text("more\n")
            other = road_of(Desk(folder=road.folder))
            other.desk.start_clock()
            came.append(hand_in(other, SUBMITTED))

    watched = Road(**{name: getattr(road, name) for name in ("paper", "store", "desk", "tell")}, progress=hand_in_more)
    done = rerun(watched)
    assert [path.name for path in road.desk.submissions] == ["001", "002"]
    assert read(first / "rerun.json", Rerun) == done
    assert not (road.desk.submissions[1] / "rerun.json").exists()
    again = rerun(road)
    assert again.tree == came[0].tree != done.tree
    plans = [read(folder / "private" / "plan.json", Plan) for folder in road.desk.submissions]
    assert plans[0].entropy != plans[1].entropy


def test_who_comes_second_is_told_who_is_there_and_waits(
    begin: Begin, tmp_path: Path, lean_reference: dict[str, str]
) -> None:
    road = handed(begin, tmp_path, lean_reference)
    rerun(road)
    told: queue.Queue[str] = queue.Queue()
    other = road_of(Desk(folder=road.folder), tell=told.put)
    with ThreadPoolExecutor(1) as pool:
        with road.desk.alone("rerun", quiet):
            later = pool.submit(score, other)
            said = told.get(timeout=60)
            assert not later.done()
            assert not (road.records / "score.json").exists()
        assert later.result(timeout=60) == read(road.records / "score.json", Score)
    assert said == f"process {os.getpid()} is at {road.attempt.id} (rerun); waiting until it is done"


def test_attempts_and_plans_that_draw_one_name_get_two(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = itertools.chain([b"\0\0", b"\0\0", b"\0\1"], itertools.repeat(b"\0\2"))
    monkeypatch.setattr("harness.attempt.attempt.os", type("Os", (), {"urandom": lambda size: next(drawn)}))
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    monkeypatch.setattr("harness.handing_out.datetime", type("Stopped", (), {"now": lambda zone: moment}))
    first, second = (begin(results=tmp_path / "results", workspace=tmp_path / name) for name in "ab")
    assert (first.attempt.id[-4:], second.attempt.id[-4:]) == ("0000", "0001")
    assert len(first.desk.events()) == len(second.desk.events()) == 1

    names = itertools.chain([b"\0\0", b"\0\0"], itertools.repeat(b"\0\3"))
    monkeypatch.setattr("harness.plan.plan.os.urandom", lambda size: next(names) if size == 2 else b"1" * size)
    plans = [keep_plan([], [f"a={n}"], results=tmp_path / "plans", now=datetime(2026, 1, 2, tzinfo=UTC)) for n in "12"]
    assert [place.plan().overrides for place in plans] == [["a=1"], ["a=2"]]


def test_of_several_who_begin_the_same_at_once_one_does(tmp_path: Path, environment: dict[str, str]) -> None:
    words = ("start", "lean", "--as", "ada", "--results", "results", "--json")
    done = together([words] * 3, environment, tmp_path)
    assert sorted(one.returncode for one in done) == [0, 2, 2], [one.stderr for one in done]
    assert all("you work on this paper already" in one.stderr for one in done if one.returncode)
    [attempt] = (tmp_path / "results" / "attempts").iterdir()
    assert len(ledger.read(attempt / "ledger.jsonl")) == 1


def test_two_attempts_do_not_share_a_workspace(begin: Begin, tmp_path: Path) -> None:
    wanted = tmp_path / "work"
    done = at_once(*(lambda n=n: begin(results=tmp_path / f"results{n}", workspace=wanted) for n in range(4)))
    refused = [one for one in done if isinstance(one, UsageError)]
    assert len(refused) == 3, done
    assert {one.message for one in refused} == {"a workspace needs a new folder"}
    [road] = [one for one in done if isinstance(one, Road)]
    assert (road.workspace / ".git" / "HEAD").read_text() == "ref: refs/heads/main\n"
    assert len(list(tmp_path.glob("results*/attempts/*"))) == 1, "of those who were refused nothing is left"


def test_two_attempts_of_one_participant_know_nothing_of_each_other(
    begin: Begin, tmp_path: Path, lean_reference: dict[str, str]
) -> None:
    roads = [begin(results=tmp_path / "results", workspace=tmp_path / name, working=36000.0) for name in "ab"]
    for road, text in zip(roads, ("one", "two"), strict=True):
        (road.workspace / "who.txt").write_text(text)
        road.desk.start_clock()
    taken = at_once(*(lambda road=road: hand_in(road, SUBMITTED) for road in roads))
    assert taken[0].tree != taken[1].tree
    for road, text, one in zip(roads, ("one", "two"), taken, strict=True):
        assert (road.store.trees / one.tree / "who.txt").read_text() == text
        assert [event.kind for event in road.desk.events()] == ["started", "resumed", "committed", "submitted"]


def test_a_clock_is_started_once_and_an_attempt_withdrawn_once(begin: Begin, tmp_path: Path) -> None:
    road = begin(results=tmp_path / "results", workspace=tmp_path / "work")
    starts = at_once(*(Desk(folder=road.folder).start_clock for _ in range(4)))
    refused = [one for one in starts if isinstance(one, UsageError)]
    assert len(refused) == 3, starts
    assert all("the clock runs already" in str(one) for one in refused)

    ends = at_once(*(lambda: withdraw(road_of(Desk(folder=road.folder)), "enough") for _ in range(4)))
    refused = [one for one in ends if isinstance(one, UsageError)]
    assert len(refused) == 3, ends
    assert all("withdrawn" in str(one) for one in refused)
    assert sum(event.kind == "withdrawn" for event in road.desk.events()) == 1


def test_what_is_declared_twice_at_once_is_weighed_together(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Desk, "witness", lambda self: time.sleep(0.2))  # between looking and noting
    road = begin(results=tmp_path / "results", workspace=tmp_path / "work", cpu=100.0)
    done = at_once(*(lambda: Desk(folder=road.folder).declare("elsewhere", {"cpu": 60.0}) for _ in range(4)))
    refused = [one for one in done if isinstance(one, UsageError)]
    assert len(refused) == 3, done
    assert all("that would use up the budget" in str(one) for one in refused)
    assert road.desk.account().used("cpu") == 60.0


def test_a_command_runs_on_while_the_work_is_handed_in(begin: Begin, tmp_path: Path) -> None:
    road = begin(results=tmp_path / "results", workspace=tmp_path / "work", working=36000.0)
    road.desk.start_clock()
    script = "touch there; while [ ! -e go ]; do sleep 0.05; done; echo late > late.txt"
    with ThreadPoolExecutor(1) as pool:
        command = pool.submit(road_of(Desk(folder=road.folder)).bench.run, ["sh", "-c", script])
        assert soon(lambda: (road.workspace / "there").exists())
        taken = hand_in(road, SUBMITTED)
        (road.workspace / "go").touch()
        assert command.result(timeout=60).exit == 0
    kept = road.store.trees / taken.tree
    assert (kept / "there").exists()
    assert not (kept / "late.txt").exists()
    assert [event.data["ended"] for event in road.desk.events() if event.kind == "executed"] == ["done"]


def test_what_is_handed_in_twice_at_once_is_one_submission(
    begin: Begin, tmp_path: Path, lean_reference: dict[str, str]
) -> None:
    road = begin(results=tmp_path / "results", workspace=tmp_path / "work", working=36000.0)
    (road.workspace / "who.txt").write_text("ada")
    road.desk.start_clock()
    done = at_once(*(lambda: hand_in(road_of(Desk(folder=road.folder)), SUBMITTED) for _ in range(3)))
    assert {one.commit for one in done} == {done[0].commit}
    assert len(road.desk.submissions) == 1


BUSY = """\
import time

while time.process_time() < 0.8:
    sum(range(1000))
"""


@pytest.mark.slow  # it measures
@pytest.mark.timeout(600)
def test_eight_at_once_are_not_ended_by_the_wall_clock(
    tmp_path: Path, begin: Begin, lean_reference: dict[str, str]
) -> None:
    """Runs that need four fifths of their CPU limit, of which sixteen would be under way at once on two cores."""

    def tight(spec: dict[str, Any]) -> None:
        lean(spec)
        spec["experiments"]["walk"]["limits"]["cpu"] = "1 s"
        spec["seeds"]["looks"] = [2]

    folder = write_paper(tmp_path / "papers" / "tight", tight)
    roads = [begin(folder=folder, results=tmp_path / "results", workspace=tmp_path / f"w{n}") for n in range(8)]
    for road in roads:
        for name, text in lean_reference.items():
            path = road.workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        main = road.workspace / "reproduction" / "__main__.py"
        main.write_text(main.read_text() + BUSY)
        road.desk.start_clock()
        hand_in(road, SUBMITTED)
    done = at_once(*(lambda road=road: rerun(road) for road in roads))
    assert all(isinstance(one, Rerun) for one in done), done
    ends = Counter(
        (record.status, record.killed_by)
        for road in roads
        for record in known_records(units_of(road, read(road.records / "rerun.json", Rerun)), road.store).values()
    )
    assert ends.keys() == {("completed", None)}, ends


def test_who_works_is_not_disturbed_by_a_rerun(
    home: Path, tmp_path: Path, settings: Callable[..., Any], environment: dict[str, str]
) -> None:
    """An agent at work is not handed in by somebody who takes it for a harness that was killed."""
    road = hand_out(settings(home / "papers" / "lean", tmp_path / "results", name="slow"), tell=quiet)
    with road.desk.alone("attempt", quiet):
        road.desk.note("resumed")
        words = [sys.executable, "-c", MAIN, "rerun", road.attempt.id, "--results", str(tmp_path / "results")]
        other = subprocess.Popen(words, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        try:
            assert other.stderr is not None
            said = other.stderr.readline()
            assert f"process {os.getpid()} is at {road.attempt.id} (attempt); waiting until it is done" in said
            assert [event.kind for event in road.desk.events()] == ["started", "resumed"]
        finally:
            other.kill()
            other.communicate()

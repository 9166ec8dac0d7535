"""The harness killed at any moment: the same command goes on, and nothing is lost, doubled or decided otherwise.

`REPROOF_KILLS` is how many kills the long test makes, `REPROOF_SEED` from which seed they are drawn; it tells both.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from guests import lay_trial, solution
from handmade import data_of, kinds
from killing import Kill, Killer, Place
from tiny_paper import WORK
from watching import soon

from harness.attempt.clock import now
from harness.attempt.desk import Desk
from harness.cleanroom.binary import find_binary
from harness.config import BudgetSettings, Settings
from harness.errors import RecordError
from harness.handing_out import hand_out
from harness.pipeline import Measurements, Rerun, rerun, score, units_of
from harness.record.files import Store
from harness.record.store import read
from harness.road import UNFINISHED, Road, quiet, road_of
from harness.scoring.score import Score

KILLS = int(os.environ.get("REPROOF_KILLS", "200"))
SEED = int(os.environ.get("REPROOF_SEED", random.SystemRandom().randrange(2**32)))
TINY = ("attempt", "paper=tiny", "participant=reference", "--json")
LEAN = ("attempt", "paper=lean", "participant=reference", "tracking=none", "slots=all", "--json")


@pytest.fixture
def place(tmp_path: Path, environment: dict[str, str]) -> Iterator[Place]:
    made = Place.made(tmp_path / "killed", environment, find_binary())
    yield made
    assert soon(lambda: not made.alive(), within=20), f"these live on: {made.alive()}"


@pytest.fixture
def killer(place: Place) -> Killer:
    print(f"REPROOF_SEED={SEED}")
    return Killer(place=place, chance=random.Random(SEED))


def road_to(place: Place, name: str, results: Path | None = None) -> Road:
    return road_of(Desk(folder=Store(results or place.results).attempt(name)))


def ensure_whole(place: Place, told: dict[str, Any]) -> Road:
    """See that an attempt that was killed and gone on with is what one that was never killed would be."""
    road = road_to(place, told["attempt"])
    ensure_one_of_everything(road)
    ensure_no_run_twice(place)
    assert place.leftovers() == []
    assert soon(lambda: not place.alive(), within=20), place.alive()
    ensure_same_as_unkilled(place, road, told)
    return road


def ensure_one_of_everything(road: Road) -> None:
    """One record a run, one event of each stage a commit, one clock."""
    events = road.desk.events()
    kinds = Counter(event.kind for event in events)
    assert (kinds["started"], kinds["submitted"], kinds["replaced"]) == (1, 1, 0), kinds
    of_commits = Counter((event.kind, event.data["commit"]) for event in events if event.kind in ("rerun", "scored"))
    assert set(of_commits.values()) == {1}, of_commits
    jobs = Counter(event.data["job"] for event in events if event.kind == "executed")
    assert set(jobs.values()) <= {1}
    ensure_every_second_is_told(road)
    done = read(road.records / "rerun.json", Rerun)
    assert done.faults == {}
    for unit in units_of(road, done):
        assert (road.store.run(unit.key) / "run.json").is_file(), unit.label


def ensure_every_second_is_told(road: Road) -> None:
    """What the submission cost is what the ledger says up to it: whose clock ran on until it was in, a little more."""
    used, found = road.submission().used["working"], road.desk.account()
    told = sum(one.seconds for one in found.stretches) + found.declared("working")
    if road.attempt.participant.kind == "human":
        assert used <= told
    else:
        assert used == pytest.approx(told)


def ensure_no_run_twice(place: Place) -> None:
    """No run began in the clean room after its record had landed."""
    landed: dict[str, list[float]] = {}
    for path in place.results.rglob("runs/*/*/run.json"):
        record = json.loads(path.read_bytes())
        landed.setdefault(_identity(record), []).append(path.parent.stat().st_ctime)
    assert place.begun(), "the wrapper of bwrap has seen no run"
    for at, run in place.begun():
        facts = json.loads(run)
        done = landed.get(_identity(facts), [])
        assert not done or at < max(done), f"{run} began again {at - max(done):.3f} s after its record"


def _identity(facts: dict[str, Any]) -> str:
    return json.dumps([facts["experiment"], facts["parameters"], facts["seed"]])


def ensure_same_as_unkilled(place: Place, road: Road, told: dict[str, Any]) -> None:
    """Do all runs of the kept plan again from nothing, in one go, and compare to the last bit."""
    control = place.folder / "control"
    shutil.copytree(road.folder, control / "attempts" / road.attempt.id, symlinks=True)
    shutil.copytree(place.results / "trees", control / "trees")
    again = road_to(place, road.attempt.id, control)
    for name in ("rerun.json", "score.json", "measurements.json", "over_time.json"):
        (again.records / name).unlink()
    done = rerun(again)
    result = score(again)
    assert judged(read(road.records / "score.json", Score)) == judged(result)
    assert judged(Score.model_validate(told)) == judged(result)
    first, second = (read(one.records / "measurements.json", Measurements) for one in (road, again))
    assert first == second
    assert read(road.records / "rerun.json", Rerun) == done
    shutil.rmtree(control)


def judged(result: Score) -> dict[str, Any]:
    """A score but for what its runs have used, which no two runs do alike."""
    return result.model_dump(exclude={"usage", "environments"})


def ensure_mirrored_once(place: Place, roads: list[Road]) -> None:
    """MLflow has each attempt and each of its runs once, ended, and at their last word."""
    with closing(sqlite3.connect(place.results / "mlflow/mlflow.db")) as connection:
        rows = connection.execute(
            "select r.status, k.value, a.value, coalesce(u.value, ''), coalesce(v.value, '') from runs r"
            " join tags k on k.run_uuid = r.run_uuid and k.key = 'reproof.kind'"
            " join tags a on a.run_uuid = r.run_uuid and a.key = 'reproof.attempt'"
            " left join tags u on u.run_uuid = r.run_uuid and u.key = 'reproof.run_key'"
            " left join tags v on v.run_uuid = r.run_uuid and v.key = 'reproof.verdict'"
            " where r.lifecycle_stage = 'active'"
        ).fetchall()
    wanted = []
    for road in roads:
        kept = read(road.records / "score.json", Score)
        wanted.append(("FINISHED", "attempt", road.attempt.id, "", kept.verdict))
        keys = {unit.key for unit in units_of(road, read(road.records / "rerun.json", Rerun))}
        wanted += [("FINISHED", "run", road.attempt.id, key, "") for key in keys]
    assert sorted(rows) == sorted(wanted)


def ensure_no_attempt_of_nobody(place: Place, counting: set[str]) -> None:
    """Every attempt counts, or is replaced by one that does or is itself replaced."""
    for path in sorted(place.results.glob("attempts/*")):
        try:
            events = Desk(folder=path).events()
        except RecordError:  # one whose folder was begun, and no more
            events = ()
        replaced = [event.data.get("by") for event in events if event.kind == "replaced"]
        assert (path.name in counting) != bool(replaced), path.name
        assert len(replaced) <= 1


def test_a_few_kills_in_the_midst_of_an_attempt_change_nothing(place: Place, killer: Killer) -> None:
    told = killer.attempt(*LEAN, stages=("at work", "handed in", "scored"))
    road = ensure_whole(place, told)
    ensure_no_attempt_of_nobody(place, {road.attempt.id})
    print(killer.figures())


def share(part: float) -> int:
    """So many of all kills."""
    return max(2, round(KILLS * part))


def drawn(killer: Killer, steps: list[str], most: int) -> list[str]:
    """Some of the steps, or all, in their order."""
    print(f"{min(most, len(steps))} of {len(steps)} steps")
    chosen = killer.chance.sample(range(len(steps)), min(most, len(steps)))
    return [steps[number] for number in sorted(chosen)]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_kills_at_random_moments_change_nothing(place: Place, killer: Killer) -> None:
    killer.learn(*TINY)
    roads: dict[str, Road] = {}
    while len(killer.kills) < (kills := share(0.7)):
        told = killer.attempt(*TINY, most=min(20, kills - len(killer.kills)))
        roads[told["attempt"]] = ensure_whole(place, told)  # one that was killed just after it was told is told again
    ensure_mirrored_once(place, list(roads.values()))
    ensure_no_attempt_of_nobody(place, set(roads))
    print(f"{len(roads)} attempts, {killer.figures()}")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_person_whose_submit_is_killed_gives_the_same_command_again(
    place: Place, killer: Killer, settings: Callable[..., Settings], home: Path
) -> None:
    within = 0.0
    for name, kills in (("ada", 0), ("grace", share(0.05)), ("mary", share(0.05))):
        who = settings(home / "papers" / "lean", place.results, "human", name=name, condition="human")
        budget = BudgetSettings(name="standard", working=3600.0, wall=86_400.0, cpu=600.0)
        road = hand_out(who.model_copy(update={"budget": budget}), tell=quiet)
        road.desk.start_clock()
        (road.workspace / "reproduction/work.py").write_text(WORK)
        began = time.monotonic()
        told = killer.verb("submit", road.attempt.id, "--json", kills=kills, within=within)
        within = within or time.monotonic() - began
        ensure_whole(place, told)
        assert not (road.records / UNFINISHED).exists()
    print(killer.figures())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_verbs_that_are_killed_and_asked_again_end_as_if_nothing_had_been(place: Place, killer: Killer) -> None:
    told = killer.whole(*TINY)
    road = road_to(place, told["attempt"])
    lengths = {name: killer.length_of(name, road.attempt.id, "--json") for name in ("score", "track", "report", "pack")}

    def undone() -> None:
        for name in ("rerun.json", "score.json", "measurements.json", "over_time.json", "page.html"):
            (road.records / name).unlink(missing_ok=True)
        shutil.rmtree(place.results / "runs", ignore_errors=True)
        (place.folder / "begun.log").unlink(missing_ok=True)

    def unmirrored() -> None:
        shutil.rmtree(place.results / "mlflow", ignore_errors=True)

    for path in place.folder.glob("*.tar.gz"):
        path.unlink()
    undone()
    within = 2 * lengths["track"]
    killer.verb("rerun", road.attempt.id, "--json", kills=share(0.05), within=within, anew=undone)
    again = killer.verb("score", road.attempt.id, "--json", kills=share(0.05), within=lengths["score"])
    assert judged(Score.model_validate(again)) == judged(Score.model_validate(told))
    unmirrored()
    killer.verb("track", road.attempt.id, "--json", kills=share(0.06), within=lengths["track"], anew=unmirrored)
    killer.verb("report", road.attempt.id, "--json", kills=share(0.02), within=lengths["report"])
    packed = killer.verb("pack", road.attempt.id, "--json", kills=share(0.02), within=lengths["pack"])
    ensure_whole(place, again)
    ensure_mirrored_once(place, [road])
    archive = Path(packed["archive"])
    assert [path.name for path in archive.parent.iterdir() if ".scratch" in path.name] == []
    print(killer.figures())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_verification_that_is_killed_goes_on(place: Place, killer: Killer) -> None:
    told = killer.whole(*TINY)
    archive = killer.whole("pack", told["attempt"], "--json")["archive"]
    elsewhere = Place(folder=place.folder, environment=place.environment, results_name="elsewhere")
    (place.folder / "begun.log").unlink()

    def unverified() -> None:
        shutil.rmtree(elsewhere.results)
        (place.folder / "begun.log").unlink()

    words = ("verify", archive, "--results", elsewhere.results, "--json")
    length = killer.length_of(*words)
    unverified()
    found = killer.verb(*words, kills=share(0.04), within=length, anew=unverified)
    assert (found["same"], found["problems"]) == (True, [])
    assert found["score"]["here"] == told["score"]["value"]
    ensure_no_run_twice(elsewhere)
    assert elsewhere.leftovers() == []
    assert [path.name for path in (elsewhere.results / "staging").iterdir()] == []
    print(killer.figures())


def import_of(place: Place, home: Path) -> tuple[object, ...]:
    """The command that takes in a job of two trials."""
    bundle, job = solution(home / "papers" / "lean", place.folder / "solved"), place.folder / "jobs" / "monday"
    for name in ("lean__one", "lean__two"):
        lay_trial(job, name, bundle)
    return ("import", "harbor", job, "tracking=none", "slots=all", "--json")


def emptied(place: Place) -> None:
    shutil.rmtree(place.results)
    (place.folder / "begun.log").unlink(missing_ok=True)


def ensure_taken(place: Place, told: list[dict[str, Any]]) -> None:
    """See that each of two trials is one attempt, and nothing else is there."""
    for trial in told:
        road = ensure_whole(place, json.loads((road_to(place, trial["attempt"]).records / "score.json").read_bytes()))
        assert (trial["verdict"], road.submission().declared["working"]) == ("PASS", 120.0)
        assert (road.records / "page.html").is_file()
        assert not (road.records / UNFINISHED).exists()
    assert len({trial["attempt"] for trial in told}) == 2
    ensure_no_attempt_of_nobody(place, {trial["attempt"] for trial in told})


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_import_that_is_killed_goes_on(place: Place, killer: Killer, home: Path) -> None:
    words = import_of(place, home)
    length = killer.length_of(*words)
    emptied(place)
    ensure_taken(place, killer.verb(*words, kills=share(0.04), within=length, anew=lambda: emptied(place)))
    print(killer.figures())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_import_that_is_killed_before_a_step_on_files_leaves_nothing_half(
    place: Place, killer: Killer, home: Path
) -> None:
    """Once: half an attempt that was nobody's; a score that never got its page."""
    words = import_of(place, home)
    steps = killer.steps(*words)
    [born] = [step for step in steps if step.endswith("/attempt /results/attempts/#")]
    finishing = [step for step in steps if "/.over_time.json" in step or "/.page.html" in step]
    assert len(finishing) >= 4
    for step in [*drawn(killer, steps[: steps.index(born)], share(0.02)), born, finishing[0], finishing[-1]]:
        emptied(place)
        killer.before(step, *words)
        ensure_taken(place, killer.whole(*words))
    print(killer.figures())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_database_of_mlflow_s_that_was_being_made_is_no_ruin(place: Place, killer: Killer) -> None:
    """Once: killed in the midst of MLflow's own making of tables, the database could never be opened again."""
    told = killer.whole(*TINY)
    road, folder = road_to(place, told["attempt"]), place.results / "mlflow"
    for _ in range(share(0.03)):
        shutil.rmtree(folder)
        process = place.start("track", road.attempt.id, "--json")
        assert soon(lambda: any(folder.rglob("mlflow.db")), within=120)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=killer.chance.uniform(0.0, 1.5))
        process.kill()
        process.communicate()
        killer.kills.append(Kill("track", "track, tables being made", 0.0))
        killer.whole("track", road.attempt.id, "--json")
        ensure_mirrored_once(place, [road])
        assert place.leftovers() == []
    print(killer.figures())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_attempt_that_is_killed_before_any_step_it_takes_on_files_goes_on(place: Place, killer: Killer) -> None:
    for step in drawn(killer, killer.steps(*LEAN), share(0.08)):
        emptied(place)
        killer.before(step, *LEAN)
        ensure_whole(place, killer.whole(*LEAN))
    print(killer.figures())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_verbs_that_are_killed_before_any_step_they_take_on_files_go_on(place: Place, killer: Killer) -> None:
    """Once: a mirroring left the folder that MLflow writes a text to, and what it was copying."""
    told = killer.whole("attempt", "paper=lean", "participant=reference", "slots=all", "--json")
    road = road_to(place, told["attempt"])

    def undone(verb: str) -> None:
        if verb == "track":
            shutil.rmtree(place.results / "mlflow")
        for path in (*place.folder.glob("*.tar.gz"), *road.records.glob("page.html")):
            path.unlink()
        if verb == "score":
            for name in ("score.json", "measurements.json", "over_time.json"):
                (road.records / name).unlink()

    for verb, part in (("score", 0.02), ("track", 0.05), ("report", 0.01), ("pack", 0.01)):
        words = (verb, road.attempt.id, "--json")
        undone(verb)
        for step in drawn(killer, killer.steps(*words), share(part)):
            undone(verb)
            killer.before(step, *words)
            killer.whole(*words)
            assert place.leftovers() == [], step
            ensure_mirrored_once(place, [road])
    assert judged(read(road.records / "score.json", Score)) == judged(Score.model_validate(told))
    print(killer.figures())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_program_that_is_killed_at_work_costs_what_it_had_cost_by_then(place: Place, killer: Killer) -> None:
    """What it has left is handed in, and its ledger tells every second up to the last sign of life, once."""
    solution = place.folder / "solution.py"
    solution.write_text(WORK)
    script = f"cp {solution} reproduction/work.py; git add -A; git commit -qm solved; while :; do :; done"
    run = (f"participant.run=[sh, -c, '{script}']", f"participant.mounts=[{solution}]", "budget.cpu=1 h")
    words = ("attempt", "paper=lean", "participant=command", *run, "budget.wall=1 h", *LEAN[3:])
    process = place.start(*words)
    assert soon(lambda: any(place.results.glob("attempts/*/attempt.json")), within=120)
    [folder] = place.results.glob("attempts/*")
    desk = Desk(folder=folder)
    assert soon(lambda: "committed" in kinds(desk) and noted(desk)["cpu"] > 0, within=120)
    time.sleep(killer.chance.uniform(0.0, 3.0))
    os.killpg(process.pid, signal.SIGKILL)
    killed = now()
    process.communicate()
    before, sign = noted(desk), desk.pulse()
    told = killer.whole(*words)
    assert told["attempt"] == desk.attempt.id
    road = ensure_whole(place, told)
    [executed] = data_of(desk, "executed")
    assert (executed["ended"], executed["job"]) == ("lost", before["job"])
    assert executed["cpu"] >= before["cpu"] > 0
    [stopped] = [event for event in desk.events() if event.kind == "paused"]
    assert sign is not None
    assert sign.awake <= stopped.awake <= killed.awake
    assert road.submission().ended == "interrupted"
    assert road.submission().used["cpu"] == pytest.approx(executed["cpu"])


def noted(desk: Desk) -> dict[str, Any]:
    """What a command under way is said to have used so far."""
    texts = [path.read_text() for path in desk.folder.glob("executing/*.json")]
    return {"cpu": 0.0, **(json.loads(texts[0]) if texts and texts[0].strip() else {})}

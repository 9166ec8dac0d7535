"""Units of work on a pool: once each, needed ones first, faults tried again, an interrupt kept apart from a failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Completed, Isolation, Job, Limits, Usage
from harness.errors import RecordError
from harness.paper.load import Paper
from harness.record.files import Store
from harness.rerun.engine import LocalEngine, known_records
from harness.rerun.execute import known
from harness.rerun.plan import Planner, Unit, make_plan
from harness.scoring.score import Score

ISOLATION = Isolation(backend="fake", waivers=(), isolated=True, exact_metering=True, version="1")


class Fake:
    """A clean room that answers at once, as it is told to."""

    def __init__(self, ending: Callable[[Job], dict[str, Any]] | None = None) -> None:
        self.jobs: list[Job] = []
        self.at_once = self.most = 0
        self._ending, self._lock = ending or (lambda job: {}), threading.Lock()

    def description(self) -> Isolation:
        return ISOLATION

    def run(self, job: Job, cancel: threading.Event | None = None) -> Completed:
        with self._lock:
            self.jobs.append(job)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(0.005)
        assert job.collect is not None
        for name in job.collect.files:
            if name.endswith(".npy"):
                np.save(job.collect.into / name, np.zeros(3 if "gradient" in name else 4))
            else:
                (job.collect.into / name).write_text('{"mean": 1.0, "steps": 4, "value": 1.0}')
        with self._lock:
            self.at_once -= 1
        usage = Usage(cpu=0.1, wall=0.1, memory=1, processes=1, exact=True)
        usual: dict[str, Any] = {"exit": 0, "usage": usage, "log": "", "killed_by": None, "collected": {}}
        return Completed(**{**usual, **self._ending(job)})


@pytest.fixture
def units(tiny: Paper, tmp_path: Path) -> list[Unit]:
    plan = make_plan(tiny, tmp_path / "plan")
    return Planner(paper=tiny, plan=plan, folder=tmp_path / "plan", circumstances="here").submission("a" * 40, 3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def engine(tiny: Paper, store: Store, sandbox: Any, workers: int = 2) -> LocalEngine:
    return LocalEngine(paper=tiny, store=store, sandbox=sandbox, workers=workers)


def test_every_unit_is_done_once_and_needed_ones_first(tiny: Paper, store: Store, units: list[Unit]) -> None:
    fake = Fake()
    told: list[tuple[int, int]] = []
    records = engine(tiny, store, fake).run(units, lambda done, total, label: told.append((done, total)))
    assert len(fake.jobs) == len(records) == len(units)
    assert told == [(n + 1, len(units)) for n in range(len(units))]
    assert {record.status for record in records.values()} == {"completed"}
    mounts = [{mount.target for mount in job.mounts} for job in fake.jobs]
    needing = ["/reproof/needs/walk" in targets for targets in mounts]
    # execute() refuses a unit whose need was not done; here is that they are not all left to the end
    assert needing != sorted(needing)
    assert sum(needing) == sum(unit.experiment == "relay" for unit in units)
    assert engine(tiny, store, fake).run(units) == records
    assert len(fake.jobs) == len(units)
    assert fake.most <= 2


def test_what_may_take_longest_is_begun_first(tiny: Paper, store: Store, units: list[Unit]) -> None:
    alone = [replace(unit, needs=None) for unit in units if unit.needs is None]
    alone = [replace(unit, limits=unit.limits.model_copy(update={"cpu": 1.0 + n})) for n, unit in enumerate(alone)]
    fake = Fake()
    engine(tiny, store, fake, workers=1).run(alone)
    assert [job.limits.cpu for job in fake.jobs] == sorted((unit.limits.cpu for unit in alone), reverse=True)


def test_no_more_at_once_than_workers(tiny: Paper, store: Store, units: list[Unit]) -> None:
    fake = Fake()
    engine(tiny, store, fake, workers=1).run(units)
    assert fake.most == 1


@pytest.mark.parametrize(
    ("ending", "status", "tries"),
    [
        ({"killed_by": "wall", "exit": None}, "fault", 2),
        ({"killed_by": "wall", "exit": None, "waited": 0.09}, "fault", 2),
        ({"killed_by": "wall", "exit": None, "waited": 0.01}, "killed", 1),
        ({"killed_by": "cpu", "exit": None}, "killed", 1),
        ({"killed_by": "memory", "exit": None}, "killed", 1),
        ({"killed_by": "disk", "exit": None}, "killed", 1),
        ({"killed_by": "processes", "exit": None}, "killed", 1),
        (
            {"killed_by": "wall", "exit": None, "usage": Usage(cpu=3.0, wall=25.0, memory=1, processes=1, exact=True)},
            "killed",
            1,
        ),
        ({"killed_by": "cancel", "exit": None}, "fault", 2),
        ({"exit": 1, "log": "one\nlast words\n\n"}, "crashed", 1),
        ({}, "completed", 1),
    ],
)
def test_what_an_ending_is_called(
    tiny: Paper, store: Store, units: list[Unit], ending: dict[str, Any], status: str, tries: int
) -> None:
    unit = next(unit for unit in units if unit.experiment == "walk")
    fake = Fake(lambda job: ending)
    record = engine(tiny, store, fake).run([unit])[unit.key]
    assert record.status == status
    assert len(fake.jobs) == tries
    assert (known(unit, store) is None) == (status == "fault"), "a fault is never kept, all else always"
    assert record.problems or status == "completed"
    assert record.usable == (status == "completed")
    if status == "crashed":
        assert "last words" in record.problems[0]
    if ending.get("killed_by") == "processes":
        assert "process" in record.problems[0].split("(")[0].replace("killed: processes", "")
    assert not list((store.root / "staging").iterdir())


def test_a_run_whose_need_failed_is_not_done(tiny: Paper, store: Store, units: list[Unit]) -> None:
    fake = Fake(lambda job: {"exit": 1})
    records = engine(tiny, store, fake).run(units)
    relays = [records[unit.key] for unit in units if unit.experiment == "relay"]
    assert {record.status for record in relays} == {"crashed"}
    assert all("walk, which it needs, crashed" in record.problems[0] for record in relays)
    assert not any("/reproof/needs/walk" in {mount.target for mount in job.mounts} for job in fake.jobs)
    again = known_records(units, store)
    assert [again[unit.key].status for unit in units if unit.experiment == "relay"] == ["crashed"] * len(relays)


def test_a_missing_record_is_a_fault_and_says_so(units: list[Unit], store: Store) -> None:
    records = known_records(units, store)
    assert {record.status for record in records.values()} == {"fault"}


def test_a_damaged_record_is_named(tiny: Paper, store: Store, units: list[Unit]) -> None:
    engine(tiny, store, Fake()).run(units[:1])
    path = store.run(units[0].key) / "run.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(RecordError) as caught:
        known_records(units[:1], store)
    assert str(path) in str(caught.value)
    assert caught.value.remedy


def test_two_engines_at_once_do_the_same_work_and_agree(tiny: Paper, store: Store, units: list[Unit]) -> None:
    found: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: found.append(engine(tiny, store, Fake()).run(units))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]


def test_an_interrupt_ends_what_runs_and_keeps_what_is_done(tiny: Paper, store: Store, units: list[Unit]) -> None:
    def interrupt(done: int, total: int, label: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine(tiny, store, Fake()).run(units, interrupt)
    kept = [known(unit, store) for unit in units]
    done = [record for record in kept if record is not None]
    assert 3 <= len(done) < len(units)
    assert {record.status for record in done} == {"completed"}
    assert len(engine(tiny, store, Fake()).run(units)) == len(units)


def test_a_job_cancelled_before_it_began_is_over_at_once() -> None:
    """It may not have entered its control group yet: what writes a lot would then wait for a reader for ever."""
    cancel = threading.Event()
    cancel.set()
    sandbox = open_sandbox()
    limits = Limits(cpu=20, wall=20, memory=64 << 20, processes=8, disk=1 << 20)
    sandbox.description()
    began = time.monotonic()
    for _ in range(8):
        done = sandbox.run(Job(command=("sleep", "15"), limits=limits), cancel)
        assert done.killed_by == "cancel"
    assert time.monotonic() - began < 10


def test_the_contract_of_a_run(tiny: Paper, units: list[Unit]) -> None:
    from harness.rerun.execute import contract

    walk = next(unit for unit in units if unit.experiment == "walk" and unit.instance.which == "held_out")
    relay = next(unit for unit in units if unit.experiment == "relay")
    sent = contract(walk, tiny.spec.experiments["walk"])
    assert sorted(sent) == ["experiment", "instance", "limits", "parameters", "seed"]
    assert sent["instance"]["shift"] == {"npy": "shift.npy"}
    assert sent["limits"]["cpu"] == 5.0
    assert "replicate" not in str(sent), "a submission must not learn that a slot is repeated"
    assert contract(relay, tiny.spec.experiments["relay"])["needs"] == {"walk": "/reproof/needs/walk"}
    again = replace(walk, replicate=1)
    assert contract(again, tiny.spec.experiments["walk"]) == sent


def test_reading_a_score_back_needs_a_score(store: Store, tmp_path: Path) -> None:
    from harness.record.store import read

    with pytest.raises(RecordError, match="does not exist"):
        read(tmp_path / "score.json", Score)

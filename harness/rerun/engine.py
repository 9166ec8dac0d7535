"""The local engine: a pool of sandboxed processes that keeps every core busy and never more."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from harness.attempt.beside import Serve
from harness.cleanroom.sandbox import Sandbox
from harness.errors import HarnessFault
from harness.paper.load import Paper
from harness.record.files import Store
from harness.rerun.execute import RunRecord, Spent, Status, execute, known
from harness.rerun.plan import Unit
from harness.rerun.turns import turn

Progress = Callable[[int, int, str], None]
"""Called with runs done, runs in all, and the label of the one that ended last."""
TRIES = 2
"""How often a unit is tried when the fault is ours."""


class Engine(Protocol):
    """Something that does units of work."""

    def run(self, units: Iterable[Unit], progress: Progress) -> dict[str, RunRecord]:
        """Do all units, those they need first; records by key."""
        ...


def silent(done: int, total: int, label: str) -> None:
    """Show no progress."""


def _ignore(unit: Unit, record: RunRecord) -> None:
    """Nothing is to be done with a record."""


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, kw_only=True)
class LocalEngine:
    """Threads that each wait for one sandboxed process; the work itself happens in those.

    A metered run takes one place, though its server works beside it: on two cores, two at once take 1.3 (CartPole) to
    1.5 (Swimmer) times the steps of one at a time, and three or four no more than two (benchmarks/gateway.py).
    """

    paper: Paper
    store: Store
    sandbox: Sandbox
    workers: int = field(default_factory=cores)
    serve: Serve | None = None
    """How a run is done beside its environments; None: in the clean room, at nobody's expense."""

    def run(
        self, units: Iterable[Unit], progress: Progress = silent, each: Callable[[Unit, RunRecord], object] = _ignore
    ) -> dict[str, RunRecord]:
        """Do all units, those they need first; an interrupt ends what is running and keeps what is done.

        Args:
            units: The units.
            progress: Hears of every run that ended.
            each: Called with every unit and its record on the calling thread, which has little else to do.

        Returns:
            A record for every unit and every needed unit, by key.
        """
        every = _every(units)
        done: dict[str, RunRecord] = {}
        cancel = threading.Event()
        with ThreadPoolExecutor(max_workers=self.workers, thread_name_prefix="run") as pool:
            try:
                for unit in self._ended(pool, every, done, cancel):
                    progress(len(done), len(every), unit.label)
                    each(unit, done[unit.key])
            except BaseException:
                cancel.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return done

    def _ended(
        self, pool: ThreadPoolExecutor, every: list[Unit], done: dict[str, RunRecord], cancel: threading.Event
    ) -> Iterator[Unit]:
        """Units as they end; begun are those that others wait for, then those that may take longest.

        So no core waits for a late long one. A few are begun ahead of the cores, since the caller may be busy.
        """
        needed = {unit.needs.key for unit in every if unit.needs is not None}
        ready = [unit for unit in every if unit.needs is None]
        waiting = [unit for unit in every if unit.needs is not None]
        pending: dict[Future[RunRecord], Unit] = {}
        while ready or pending:
            ready.sort(key=lambda unit: (unit.key in needed, unit.limits.cpu))
            while ready and len(pending) < 2 * self.workers:
                unit = ready.pop()
                pending[pool.submit(self._try, unit, done, cancel)] = unit
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                unit = pending.pop(future)
                done[unit.key] = future.result()
                ready += [other for other in waiting if other.needs is not None and other.needs.key == unit.key]
                yield unit

    def _try(self, unit: Unit, done: dict[str, RunRecord], cancel: threading.Event) -> RunRecord:
        needed = done[unit.needs.key] if unit.needs is not None else None
        if needed is not None and not needed.usable:
            return _unrun(unit, needed.status, f"not run: {needed.experiment}, which it needs, {needed.status}")
        kept = known(unit, self.store)
        if kept is not None:
            return kept
        with self._turn(cancel):
            for _ in range(TRIES):
                record = execute(
                    unit, self.paper, store=self.store, sandbox=self.sandbox, cancel=cancel, serve=self.serve
                )
                if record.status != "fault" or cancel.is_set():
                    break
        return record

    def _turn(self, cancel: threading.Event) -> AbstractContextManager[None]:
        """A place among all runs of this machine; who pays for a run with their own time does not wait for others'."""
        if self.serve is not None:
            return nullcontext()
        return turn(max(self.workers, cores()), cancel, otherwise=self.store.root / "locks")


def known_records(units: Iterable[Unit], store: Store, faults: Mapping[str, str] | None = None) -> dict[str, RunRecord]:
    """The records of units that were done before, from the store alone.

    A unit without a record is a fault of ours: its record says so, and a rerun does it.

    Args:
        units: The units.
        store: Where their records lie.
        faults: What is known of those that have none, by key.
    """
    records: dict[str, RunRecord] = {}
    for unit in units:
        needed = known(unit.needs, store) if unit.needs else None
        if needed is not None and not needed.usable:
            records[unit.key] = _unrun(
                unit, needed.status, f"not run: {needed.experiment}, which it needs, {needed.status}"
            )
        else:
            records[unit.key] = known(unit, store) or _unrun(
                unit, "fault", (faults or {}).get(unit.key, "there is no record of it")
            )
    return records


def _unrun(unit: Unit, status: Status, why: str) -> RunRecord:
    """The record of a run that did not happen."""
    return RunRecord(
        key=unit.key,
        experiment=unit.experiment,
        parameters=unit.parameters,
        instance=unit.instance.digest,
        seed=unit.seed,
        replicate=unit.replicate,
        tree=unit.tree,
        status=status,
        exit=None,
        killed_by=None,
        problems=[why],
        spent=Spent(cpu=0.0, wall=0.0, memory=0, exact=True),
        log_tail="",
        outputs={},
        started=datetime.now(UTC),
        trusted_isolation=True,
    )


def _every(units: Iterable[Unit]) -> list[Unit]:
    """The units and those they need, each once."""
    given = list(units)
    needs = [unit.needs for unit in given if unit.needs is not None]
    if any(unit.needs is not None for unit in needs):
        raise HarnessFault("a run needs a run that itself needs one")
    return list({unit.key: unit for unit in [*needs, *given]}.values())

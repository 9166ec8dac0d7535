"""A rehearsal: what stands in the workspace, run as the rerun will run it, on pinned instances and a seed of today."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from harness.attempt.reported import read_reported
from harness.attempt.submission import keep_tree, picture
from harness.attempt.work import Bench
from harness.cleanroom.sandbox import Completed, Isolation, Job
from harness.errors import UsageError, unknown
from harness.gateway.offer import Closing, Offer
from harness.paper.claims import Claim, Probe, Selection, selections
from harness.paper.load import Paper
from harness.paper.wording import to_be
from harness.record.store import Record
from harness.rerun.engine import LocalEngine, cores
from harness.rerun.execute import RunRecord
from harness.rerun.measure import Measurement, measure
from harness.rerun.plan import Plan, Planner, Unit
from harness.rerun.runtime import circumstances
from harness.rerun.steps import StepsUsed, remarks
from harness.road import Road


class CheckedRun(Record):
    """One run of the rehearsal."""

    label: str
    status: str
    problems: list[str]
    cpu: float
    """Seconds."""
    log_tail: str
    env_steps: dict[str, StepsUsed] = Field(default_factory=dict)
    """By the id of each environment that the harness served."""
    remarks: list[str] = Field(default_factory=list)
    """What was amiss between the run and its environments, whether it counts or not."""


class CheckedLeaf(Record):
    """What a leaf that reads pinned instances alone would be measured as, on one seed."""

    leaf: str
    statement: str
    to_be: str
    measured: dict[str, float | None]
    """By selection; a curve stands as its last value."""
    problems: list[str]


class Check(Record):
    """What a rehearsal showed. It is no score: one seed, and nothing that is drawn for the attempt."""

    attempt: str
    tree: str
    seed: int
    ok: bool
    """Whether every run left what the brief asks for."""
    runs: list[CheckedRun]
    leaves: list[CheckedLeaf]
    not_checked: list[str]
    """Leaves of these experiments that read what is drawn for each attempt."""
    compared: list[str] = Field(default_factory=list)
    """Leaves of these experiments whose outputs the rerun compares with the reference's."""
    reported: dict[str, float] = Field(default_factory=dict)
    """The numbers of reported.json, by leaf, that a score will show beside what is measured."""
    reported_problems: list[str] = Field(default_factory=list)
    """What in reported.json would not be taken, a sentence each."""


@dataclass(frozen=True, slots=True)
class _Metered:
    """The clean room, at the attempt's expense."""

    bench: Bench

    def run(self, job: Job, cancel: threading.Event | None = None) -> Completed:
        """Run one job (see `Sandbox.run`); the bench ends it where the budget does."""
        return self.bench.meter(job, cancel=cancel)

    def serve(self, offer: Offer, job: Job, table: Path, cancel: threading.Event) -> tuple[Completed, Closing]:
        """Run one job beside its environments, which get no more steps than are left of the budget."""
        done = self.bench.meter(job, cancel=cancel, offer=offer, table=table)
        assert done.closing is not None
        return done, done.closing

    def description(self) -> Isolation:
        """What this clean room guarantees."""
        return self.bench.sandbox.description()


def check(road: Road, experiments: Sequence[str] = ()) -> Check:
    """Run the workspace as it is, uncommitted work included, on the pinned instances.

    Args:
        road: The attempt.
        experiments: Which ones; none: all that have pinned instances.

    Raises:
        UsageError: An unknown experiment, or no CPU time or env steps are left.
        SubmissionError: What lies in the workspace could not be handed in.
    """
    known = [name for name in road.paper.spec.experiments if road.paper.spec.instances_of(name).pinned]
    for name in experiments:
        if name not in known:
            raise unknown("experiment with pinned instances", name, known, where=road.paper.id)
    road.desk.witness()
    files = picture(road.workspace, sandbox=road.sandbox)
    tree, reported = keep_tree(files, road.store.root), read_reported(files, road.paper)
    plan = _plan(road.paper)
    sandbox = _Metered(road.bench)
    digest = circumstances(sandbox.description().digest)
    planner = Planner(paper=road.paper, plan=plan, folder=road.folder, circumstances=digest)
    units = [unit for unit in planner.rehearsal(tree) if unit.experiment in (experiments or known)]
    _see_to_steps(road, units)
    workers = road.attempt.workers or cores()
    engine = LocalEngine(paper=road.paper, store=road.store, sandbox=sandbox, workers=workers, serve=sandbox.serve)
    records = engine.run(units, road.progress)
    runs = [_run(unit, records[unit.key]) for unit in units]
    measured = measure(road.paper, units, records, road.store)
    leaves, drawn, compared = _leaves(road.paper, measured, units)
    return Check(
        attempt=road.attempt.id,
        tree=tree,
        seed=plan.seeds[0],
        ok=all(run.status == "completed" for run in runs),
        runs=runs,
        leaves=leaves,
        not_checked=drawn,
        compared=compared,
        reported={name: figure.value for name, figure in reported.figures.items()},
        reported_problems=list(reported.problems),
    )


def _see_to_steps(road: Road, units: Sequence[Unit]) -> None:
    """Tell beforehand that the budget's env steps may not do for these runs.

    Raises:
        UsageError: None are left.
    """
    served = {name: one for name, one in road.paper.spec.experiments.items() if one.environments}
    asked = sum(served[unit.experiment].steps_in_all for unit in units if unit.experiment in served)
    left = road.desk.env_steps_left()
    if left is None or left >= asked:
        return
    if left == 0:
        others = ", ".join(dict.fromkeys(name for name in road.paper.spec.experiments if name not in served)) or "none"
        raise UsageError(
            "the env steps are used up",
            where=road.attempt.id,
            expected=f"less than {road.attempt.budget.env_steps:,}",
            got=f"{road.desk.account().used('env_steps'):,.0f}",
            remedy=f"experiments without environments can still be checked by name ({others}); "
            "what is written can still be handed in: `reproof submit`",
        )
    road.tell(f"of the budget's env steps {left:,} are left, and these runs may take {asked:,}: some will be refused")


def _run(unit: Unit, record: RunRecord) -> CheckedRun:
    return CheckedRun(
        label=unit.label,
        status=record.status,
        problems=record.problems,
        cpu=record.spent.cpu,
        log_tail=record.log_tail,
        env_steps=record.env_steps,
        remarks=remarks(record.env_steps, record.misbehaved),
    )


def _plan(paper: Paper) -> Plan:
    """One slot, and nothing held out."""
    return Plan(
        paper=paper.id,
        entropy=secrets.token_hex(16),
        seeds=[secrets.randbelow(2**32)],
        reference_seeds=[],
        held_out={},
    )


def _leaves(
    paper: Paper, measured: Iterable[Measurement], units: Iterable[Unit]
) -> tuple[list[CheckedLeaf], list[str], list[str]]:
    """The leaves that were measured, those that wait for what is drawn, and those that wait for the reference."""
    found, run = list(measured), {unit.experiment for unit in units}
    leaves: list[CheckedLeaf] = []
    drawn: list[str] = []
    compared: list[str] = []
    for name, leaf in paper.spec.leaves():
        if run.isdisjoint(selection.experiment for selection in selections(leaf)):
            continue
        if any(selection.instance == "held_out" for selection in selections(leaf)):
            drawn.append(name)
        elif isinstance(leaf, Probe):
            compared.append(name)
        elif all(selection.experiment in run for selection in selections(leaf)):
            leaves.append(_leaf(name, leaf, found))
    return leaves, drawn, compared


def _leaf(name: str, leaf: Claim, measured: list[Measurement]) -> CheckedLeaf:
    read = {str(selection): _read(selection, leaf.metric, measured) for selection in selections(leaf)}
    return CheckedLeaf(
        leaf=name,
        statement=leaf.statement,
        to_be=to_be(leaf),
        measured={where: _mean(items) for where, items in read.items()},
        problems=[item.problem for items in read.values() for item in items if item.problem],
    )


def _read(selection: Selection, metric: str, measured: list[Measurement]) -> list[Measurement]:
    return [
        item
        for item in measured
        if item.metric == metric
        and item.experiment == selection.experiment
        and item.which == selection.instance
        and selection.case.items() <= item.parameters.items()
    ]


def _mean(items: list[Measurement]) -> float | None:
    """Over the instances of the set."""
    values = [item.value[-1][1] if isinstance(item.value, list) else item.value for item in items]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None

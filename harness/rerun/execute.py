"""One run in the clean room, from its unit to its record; a run that has a record is never done again."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harness.attempt.beside import Serve, run_beside
from harness.attempt.work import WORKSPACE
from harness.cleanroom.sandbox import Collect, Completed, Job, Limits, Mount, Sandbox
from harness.errors import HarnessFault
from harness.gateway.offer import Closing, Offer
from harness.paper.claims import Scalar
from harness.paper.load import Paper
from harness.paper.schema import Experiment, RunLimits
from harness.record.files import Store, land, private_folder, write_text
from harness.record.store import Record, read, write
from harness.rerun.outputs import problems_of
from harness.rerun.plan import Unit
from harness.rerun.served import METERED, offer_of
from harness.rerun.steps import StepsUsed, remarks, steps_used

Status = Literal["completed", "crashed", "killed", "unusable", "fault"]
RUN, OUT, NEEDS = "/reproof/run", "/reproof/out", "/reproof/needs"
_LOG_TAIL = 4000
_STARVED = 0.25
"""The share of its wall time for which a run must have been kept waiting for its end to be the machine's doing."""


class Spent(Record):
    """What a run used, as the clean room metered it."""

    cpu: float
    """Seconds."""
    wall: float
    """Seconds."""
    memory: int
    """Peak, in bytes."""
    exact: bool
    """Whether a cgroup of its own metered it."""


class RunRecord(Record):
    """What one run was, what came out, and what it used."""

    key: str
    experiment: str
    parameters: dict[str, Scalar]
    instance: str
    """Digest."""
    seed: int
    replicate: int
    tree: str
    status: Status
    """`unusable`: it ended well, but its outputs are not as declared; `fault`: ours, never scored."""
    exit: int | None
    killed_by: str | None
    problems: list[str]
    """Why it does not count, a sentence each."""
    spent: Spent
    log_tail: str
    outputs: dict[str, str]
    """SHA-256 of each declared file that came out."""
    started: datetime
    trusted_isolation: bool
    """Whether it ran with every property of isolation."""
    env_steps: dict[str, StepsUsed] = Field(default_factory=dict)
    """By the id of each environment that the harness served."""
    misbehaved: list[str] = Field(default_factory=list)
    """What it did against the protocol of the gateway, a sentence each."""
    metered: str | None = None
    """SHA-256 of the table of its episodes; None where no environment was served."""

    @property
    def usable(self) -> bool:
        """Whether its outputs may be measured."""
        return self.status == "completed"


def execute(
    unit: Unit, paper: Paper, *, store: Store, sandbox: Sandbox, cancel: threading.Event, serve: Serve | None = None
) -> RunRecord:
    """Do a unit of work unless its record exists, and keep what came out.

    Args:
        unit: The work.
        paper: What it belongs to; its private folder stays hidden, wherever the clean room's mounts may reach.
        store: Where submissions lie and records go.
        sandbox: The clean room.
        cancel: Once set, the run is ended and leaves no record.
        serve: How a run is done beside its environments; None: in the clean room, at nobody's expense.

    Returns:
        The record; one of status `fault` is not kept, so that the run is tried again next time.

    Raises:
        HarnessFault: The unit needs a run that was not done before.
    """
    folder, experiment = store.run(unit.key), paper.spec.experiments[unit.experiment]
    kept = known(unit, store)
    if kept is not None:
        return kept
    with store.staging() as staging:
        started = datetime.now(UTC)
        job, offer = _job(unit, paper, store, staging), offer_of(unit, paper, staging / "gateway")
        completed, closing = _run(job, offer, staging / METERED, sandbox=sandbox, cancel=cancel, serve=serve)
        record = _record(unit, experiment, staging, completed, started, sandbox, closing)
        if record.status == "fault":
            return record
        write_text(staging / "log.txt", completed.log)
        write(staging / "run.json", record)
        shutil.rmtree(staging / "input")
        if not land(staging, folder):
            return read(folder / "run.json", RunRecord)
    return record


def _run(
    job: Job, offer: Offer | None, table: Path, *, sandbox: Sandbox, cancel: threading.Event, serve: Serve | None
) -> tuple[Completed, Closing | None]:
    """Run a job, beside a server of its environments if it has any, whose log becomes a table."""
    if offer is None:
        return sandbox.run(job, cancel=cancel), None
    if serve is not None:
        return serve(offer, job, table, cancel)
    return run_beside(offer, job, lambda dressed: sandbox.run(dressed, cancel=cancel), table)


def known(unit: Unit, store: Store) -> RunRecord | None:
    """The unit's record, if it was done before."""
    path = store.run(unit.key) / "run.json"
    return read(path, RunRecord) if path.exists() else None


def _job(unit: Unit, paper: Paper, store: Store, staging: Path) -> Job:
    """Lay out a run's input, and say how it is to be done."""
    experiment = paper.spec.experiments[unit.experiment]
    inputs, outputs = staging / "input", staging / "outputs"
    private_folder(inputs)
    private_folder(outputs)
    write_text(inputs / "RUN.json", json.dumps(contract(unit, experiment)))
    unit.instance.write_arrays(inputs)
    return Job(
        command=("python", "-m", "reproduction", f"{RUN}/RUN.json", f"{OUT}/"),
        mounts=(
            Mount(source=store.trees / unit.tree, target=WORKSPACE),
            Mount(source=inputs, target=RUN),
            *_needed(unit, store),
        ),
        environment={},
        limits=sandbox_limits(unit.limits),
        cwd=WORKSPACE,
        collect=Collect(directory=OUT, files=tuple(o.file for o in experiment.outputs.values()), into=outputs),
        hidden=(paper.private,),
    )


def contract(unit: Unit, experiment: Experiment) -> dict[str, Any]:
    """The content of RUN.json."""
    content = {
        "experiment": unit.experiment,
        "parameters": unit.parameters,
        "seed": unit.seed,
        "instance": unit.instance.as_sent(),
        "limits": {"cpu": unit.limits.cpu, "memory": unit.limits.memory, "disk": unit.limits.disk},
    }
    if experiment.environments:
        content["environments"] = {
            id: {"steps": served.steps, "evaluation_steps": served.evaluation_steps}
            for id, served in experiment.environments.items()
        }
    return {**content, "needs": {experiment.needs: f"{NEEDS}/{experiment.needs}"}} if experiment.needs else content


def sandbox_limits(limits: RunLimits) -> Limits:
    """The clean room's limits for a run's: the CPU limit decides, and wall time only guards."""
    return Limits(
        cpu=limits.cpu,
        wall=limits.wall,
        memory=limits.memory,
        processes=limits.processes,
        disk=limits.disk,
        patient=True,
    )


def _needed(unit: Unit, store: Store) -> Iterator[Mount]:
    if unit.needs is None:
        return
    outputs = store.run(unit.needs.key) / "outputs"
    if not outputs.is_dir():
        raise HarnessFault("a run was started before the run it needs", where=unit.label, expected=unit.needs.label)
    yield Mount(source=outputs, target=f"{NEEDS}/{unit.needs.experiment}")


def _record(
    unit: Unit,
    experiment: Experiment,
    staging: Path,
    completed: Completed,
    started: datetime,
    sandbox: Sandbox,
    closing: Closing | None,
) -> RunRecord:
    outputs, table = staging / "outputs", staging / METERED
    status, problems = _judge(unit, experiment, outputs, completed, served=closing is not None)
    used, misbehaved = steps_used(closing), closing.misbehaved if closing is not None else []
    if closing is not None and closing.fault is not None:
        status, problems = "fault", [f"the gateway failed: {closing.fault}"]
    elif problems:
        problems = [*problems, *remarks(used, misbehaved)]
    usage = completed.usage
    return RunRecord(
        key=unit.key,
        experiment=unit.experiment,
        parameters=unit.parameters,
        instance=unit.instance.digest,
        seed=unit.seed,
        replicate=unit.replicate,
        tree=unit.tree,
        status=status,
        exit=completed.exit,
        killed_by=completed.killed_by,
        problems=problems,
        spent=Spent(cpu=usage.cpu, wall=usage.wall, memory=usage.memory, exact=usage.exact),
        log_tail=completed.log[-_LOG_TAIL:],
        outputs=_digests(outputs),
        started=started,
        trusted_isolation=sandbox.description().isolated,
        env_steps=used,
        misbehaved=misbehaved,
        metered=_digest(table) if table.exists() else None,
    )


def _starved(completed: Completed, *, served: bool) -> bool:
    """Whether it may have been the machine that kept it from its CPU time, or the gateway; sleep is its own."""
    return served or completed.waited is None or completed.waited >= _STARVED * completed.usage.wall


def _judge(
    unit: Unit, experiment: Experiment, outputs: Path, completed: Completed, *, served: bool
) -> tuple[Status, list[str]]:
    limits = unit.limits
    if completed.killed_by == "cancel":
        return "fault", ["ended by an interruption of ours"]
    if completed.killed_by == "wall" and completed.usage.cpu < limits.cpu / 2 and _starved(completed, served=served):
        return "fault", [f"stopped after {limits.wall:g} s of wall time with {completed.usage.cpu:.3g} s of CPU used"]
    if completed.killed_by is not None:
        return "killed", [_killed(completed.killed_by, limits, completed)]
    if completed.exit != 0:
        last = next((line for line in reversed(completed.log.splitlines()) if line.strip()), "no output")
        return "crashed", [f"ended with exit code {completed.exit}; the last line of its log: {last[:300]}"]
    refused = [f"{name}: {problem}" for name, problem in completed.collected.items() if problem != "ok"]
    problems = problems_of(outputs, experiment)
    return ("unusable", [*problems, *refused]) if problems else ("completed", [])


def _killed(by: str, limits: RunLimits, completed: Completed) -> str:
    said = {
        "cpu": f"it used more than its {limits.cpu:g} s of CPU time",
        "wall": f"it took more than {limits.wall:g} s of wall time",
        "memory": f"it used more than its {limits.memory / 2**20:.0f} MiB of memory",
        "processes": f"it started more than its {limits.processes} processes and threads",
        "disk": f"it wrote more than its {limits.disk / 2**20:.0f} MiB",
    }
    return f"killed: {said.get(by, by)} (CPU {completed.usage.cpu:.2f} s, wall {completed.usage.wall:.2f} s)"


def _digests(outputs: Path) -> dict[str, str]:
    return {path.name: _digest(path) for path in sorted(outputs.iterdir())}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

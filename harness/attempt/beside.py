"""A job beside a server of environments: how many steps it may take, and what it took; for everybody the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from harness.errors import HarnessFault, RecordError
from harness.gateway.offer import CLOSING, Closing, Offer, Used
from harness.record.files import private_folder, read_slip

if TYPE_CHECKING:  # `status` answers at once, without what runs anything
    from harness.cleanroom.sandbox import Completed, Job

Serve = Callable[[Offer, "Job", Path, threading.Event], tuple["Completed", Closing]]
"""Runs a job beside its environments: the offer, the job, where the table of episodes goes, what cancels it."""
MODULES = "PYTHONPATH"


def run_beside(offer: Offer, job: Job, run: Callable[[Job], Completed], table: Path) -> tuple[Completed, Closing]:
    """Run a job beside a server of its environments, which is gone afterwards.

    A server that does not end well is a fault of ours in this job alone, so it is told and not raised.

    Args:
        offer: What is served; `log` names the folder of the server's files, which is made and removed.
        job: The job.
        run: How it is run.
        table: Where the table of its episodes goes.
    """
    import shutil

    from harness.gateway.host import serving  # it imports Gymnasium, and most papers have no environments

    folder = Path(offer.log)
    private_folder(folder)
    with serving(offer, folder) as gateway:
        completed = run(_both_paths(gateway.dress(job), job))
        try:
            closing = gateway.end(table)
        except HarnessFault as fault:
            closing = Closing(used={}, misbehaved=[], fault=str(fault))
    shutil.rmtree(folder)
    return completed, closing


def _both_paths(dressed: Job, own: Job) -> Job:
    """The job with the path of modules that it was to have, behind the gateway's."""
    if MODULES not in own.environment:
        return dressed
    paths = f"{dressed.environment[MODULES]}:{own.environment[MODULES]}"
    return replace(dressed, environment={**dressed.environment, MODULES: paths})


def wanted(offer: Offer) -> int:
    """The steps that an offer allows in all its streams together."""
    total = sum(served.steps + served.evaluation_steps for served in offer.environments.values())
    return total if offer.most is None else min(total, offer.most)


def within(offer: Offer, left: int | None) -> Offer:
    """The offer with no more steps in all than are left.

    Args:
        offer: What is served.
        left: Steps; None: they are not limited.
    """
    return offer if left is None or wanted(offer) <= left else msgspec.structs.replace(offer, most=left)


def told(used: Mapping[str, Used]) -> dict[str, Any]:
    """What the ledger says of the steps that a command took: all together, and by environment and stream."""
    taken = {id: steps for id, steps in used.items() if steps.training or steps.evaluation or steps.exhausted}
    if not taken:
        return {}
    return {
        "env_steps": sum(steps.training + steps.evaluation for steps in taken.values()),
        "environments": {id: msgspec.structs.asdict(steps) for id, steps in taken.items()},
    }


def left_behind(folder: str) -> Closing | None:
    """What a server wrote last, if it has ended and nobody has read it yet."""
    if not folder:
        return None
    try:
        return read_slip(Path(folder, CLOSING), Closing)
    except RecordError:
        return None

"""Hard-coders: submissions that hand in the reference's recorded outputs instead of working, each in another way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.attempt.plumbing import File, Files
from harness.attempt.task import reference_files, start_files
from harness.errors import PaperError
from harness.pipeline import Rerun, units_of
from harness.record.store import read
from harness.rerun.engine import known_records
from harness.rerun.plan import Unit
from harness.road import Road
from harness.scratch import scratch
from harness.validation import replayed

FORMS = {
    "exact": "the reference's recorded outputs, the same for every seed",
    "by_case": "the reference's recorded outputs, another recording for another seed",
    "jittered": "recorded outputs with noise as wide as the reference's from seed to seed",
    "pinned": "the reference on the pinned instances, recorded outputs on those drawn for the attempt",
}
"""Each form and what it hands in. None has seen the instances that it is judged on."""
MAIN, HONEST, RECORDED = "reproduction/__main__.py", "reproduction/honest.py", "reproduction/recorded"


def hard_coder_files(road: Road, form: str) -> Files:
    """What a hard-coder of a form hands in.

    Args:
        road: An attempt of the paper's reference on a plan of its own, whose runs are what was recorded.
        form: One of `FORMS`.

    Raises:
        PaperError: The paper's programs do not begin where a hard-coder has to take over.
    """
    honest = reference_files(road.paper) if form == "pinned" else start_files(road.paper)
    if MAIN not in honest:
        raise PaperError("a hard-coder has nothing to take the place of", where=road.paper.starter, expected=MAIN)
    runs, files = [], dict(honest)
    for number, (unit, outputs) in enumerate(_recorded(road)):
        runs.append(_entry(unit, folder=str(number)))
        files |= {f"{RECORDED}/{number}/{path.name}": File(path.read_bytes()) for path in sorted(outputs.iterdir())}
    files[HONEST] = files[MAIN]
    files[MAIN] = File(Path(replayed.__file__).read_bytes())
    files[f"{RECORDED}/index.json"] = File(json.dumps({"form": form, "runs": runs}).encode())
    return dict(sorted(files.items()))


def _entry(unit: Unit, *, folder: str) -> dict[str, Any]:
    with scratch("recorded") as arrays:
        unit.instance.write_arrays(arrays)
        instance = replayed.content_of(unit.instance.as_sent(), arrays)
    return {
        "experiment": unit.experiment,
        "parameters": unit.parameters,
        "which": unit.instance.which,
        "instance": instance,
        "folder": folder,
    }


def _recorded(road: Road) -> Iterator[tuple[Unit, Path]]:
    """Every run of the reference that was handed in, and the folder of its outputs."""
    done = read(road.records / "rerun.json", Rerun)
    units = [unit for unit in units_of(road, done) if unit.author == "submission" and unit.replicate == 0]
    records = known_records(units, road.store, done.faults)
    for unit in units:
        if records[unit.key].usable:
            yield unit, road.store.run(unit.key) / "outputs"

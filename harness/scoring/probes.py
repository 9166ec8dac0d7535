"""Probes: a submission's outputs against the reference's, on the same input of the harness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.paper.claims import Closeness, Probe
from harness.paper.load import Paper
from harness.paper.rubric import Share
from harness.record.files import Store
from harness.rerun.execute import RunRecord
from harness.rerun.outputs import load_outputs
from harness.rerun.plan import Unit
from harness.scoring.evidence import Agreement, Evidence


def probe_evidence(
    paper: Paper, units: Iterable[Unit], records: Mapping[str, RunRecord], store: Store
) -> dict[str, Evidence]:
    """The evidence of every probe, by its name."""
    done = [unit for unit in units if unit.replicate == 0]
    shares = {share.leaf: share for share in paper.spec.shares()}
    return {
        name: _evidence(paper, shares[name], probe, done, records, store) for name, probe in paper.spec.probes.items()
    }


def _evidence(
    paper: Paper, share: Share, probe: Probe, units: list[Unit], records: Mapping[str, RunRecord], store: Store
) -> Evidence:
    case = paper.spec.experiments[probe.of.experiment].cases_of(probe.of)[0]
    chosen = [
        unit
        for unit in units
        if unit.experiment == probe.of.experiment
        and unit.parameters == case
        and unit.instance.which == probe.of.instance
    ]
    for author in ("submission", "reference"):
        for unit in chosen:
            record = records[unit.key]
            if unit.author == author and not record.usable:
                fault = author == "reference" or record.status == "fault"
                why = f"{unit.label} of the {author} {record.status}: {'; '.join(record.problems)}"
                return Evidence(share=share, leaf=probe, problem=why, fault=fault)
    pairs = list(_pairs(chosen))
    if not pairs:
        return Evidence(share=share, leaf=probe, problem=f"no runs of {probe.of}", fault=True)
    found = [_agreement(paper, probe, mine, theirs, store) for mine, theirs in pairs]
    return Evidence(share=share, leaf=probe, agreement=max(found, key=lambda agreement: agreement.excess))


def _pairs(units: list[Unit]) -> Iterator[tuple[Unit, Unit]]:
    """Submission and reference on each instance; a probe's case is deterministic, so its slot is the first."""
    answers = {unit.instance.digest: unit for unit in units if unit.author == "reference"}
    for unit in units:
        if unit.author == "submission" and unit.instance.digest in answers:
            yield unit, answers[unit.instance.digest]


def _agreement(paper: Paper, probe: Probe, mine: Unit, theirs: Unit, store: Store) -> Agreement:
    experiment = paper.spec.experiments[probe.of.experiment]
    a, b = (load_outputs(store.run(unit.key) / "outputs", experiment) for unit in (mine, theirs))
    found = [compare(name, a[name], b[name], closeness) for name, closeness in probe.compare.items()]
    return max(found, key=lambda agreement: agreement.excess)


def compare(name: str, measured: Any, reference: Any, closeness: Closeness) -> Agreement:
    """How far an output lies from the reference's, in units of |a - b| <= atol + rtol |b|.

    Args:
        name: The output's name, for the words.
        measured: An array, or a mapping of names to arrays or values.
        reference: The same of the reference.
        closeness: The tolerances.
    """
    if isinstance(reference, Mapping):
        found = [compare(f"{name}.{key}", measured[key], reference[key], closeness) for key in reference]
        return max(found, key=lambda agreement: agreement.excess)
    a, b = _as_array(measured), _as_array(reference)
    if a.dtype.kind not in "biuf" or b.dtype.kind not in "biuf":
        same = np.array_equal(a, b)
        return Agreement(excess=0.0 if same else np.inf, worst=f"{name} {'equals' if same else 'differs from'} it")
    if a.shape != b.shape:
        return Agreement(excess=np.inf, worst=f"{name} has shape {a.shape}, the reference's {b.shape}")
    return _largest(name, a.astype(np.float64), b.astype(np.float64), closeness)


def _as_array(value: Any) -> NDArray[Any]:
    """The value as an array; a ragged list stays what it is, to be compared as a whole."""
    try:
        return np.asarray(value)
    except ValueError:
        whole = np.empty((), dtype=object)
        whole[()] = value
        return whole


def _largest(name: str, a: NDArray[np.float64], b: NDArray[np.float64], closeness: Closeness) -> Agreement:
    if a.size == 0:
        return Agreement(excess=0.0, worst=f"{name} is empty on both sides")
    with np.errstate(all="ignore"):
        allowed = closeness.atol + closeness.rtol * np.abs(b)
        off = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        excess = np.where(off == 0, 0.0, off / allowed)
    excess = np.where(np.isnan(excess), np.inf, excess)
    place = np.unravel_index(int(np.argmax(excess)), excess.shape)
    where = f"[{', '.join(str(int(i)) for i in place)}]" if place else ""
    words = f"{name}{where} is {a[place]:.6g}, the reference's {b[place]:.6g}"
    words += f": they differ by {off[place]:.2g}, allowed {allowed[place]:.2g}"
    return Agreement(excess=float(excess[place]), worst=words)

"""Integrity gates: signs that numbers were not earned. Gates 1 and 6 deny PASS; each says what was seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from harness.paper.claims import Closeness, selections
from harness.paper.load import Paper
from harness.record.files import Store
from harness.record.store import Record
from harness.rerun.execute import RunRecord
from harness.rerun.outputs import load_outputs
from harness.rerun.plan import Unit
from harness.scoring.finding import Verdict
from harness.scoring.judge import Judged
from harness.scoring.probes import compare

SAME = Closeness(rtol=1e-6, atol=1e-9)
"""A slot run twice must agree so closely."""


class Gate(Record):
    """What one gate saw."""

    gate: int
    """Its number in docs/scoring.md."""
    name: str
    fired: bool
    denies_pass: bool
    detail: str
    checked: bool = True
    """Whether there was anything to look at; where not, it has not fired, and nobody may call it clean."""


def seed_invariance(paper: Paper, units: Iterable[Unit], records: Mapping[str, RunRecord], store: Store) -> Gate:
    """Gate 1: the same slot twice agrees, and different seeds differ (unless the paper says they need not)."""
    own = [unit for unit in units if unit.author == "submission"]
    cases = _seeded_cases(paper, own, records)
    seen = [*_repeats_differ(paper, own, records, store), *_seeds_agree(cases)]
    repeated = sum(unit.replicate for unit in own if records[unit.key].usable)
    checked = bool(seen or repeated or cases)
    clean = _clean_seeds(repeated, len(cases)) if checked else "no run left outputs that could be compared"
    return Gate(
        gate=1,
        name="seed invariance",
        fired=bool(seen),
        denies_pass=True,
        detail="; ".join(seen) or clean,
        checked=checked,
    )


def _clean_seeds(repeated: int, cases: int) -> str:
    """What was compared and found in order."""
    said = [f"{repeated} slots run twice agree with themselves"] if repeated else []
    said += ["different seeds give different outputs"] if cases else []
    return ", and ".join(said)


def _repeats_differ(
    paper: Paper, units: Sequence[Unit], records: Mapping[str, RunRecord], store: Store
) -> Iterable[str]:
    first = {_place(unit): unit for unit in units if unit.replicate == 0}
    for again in (unit for unit in units if unit.replicate):
        once = first[_place(again)]
        a, b = records[once.key], records[again.key]
        if "fault" in (a.status, b.status):
            continue
        if a.usable != b.usable:
            yield f"{once.label} {a.status}, and {b.status} when it was repeated"
        elif a.usable and a.outputs != b.outputs:
            yield from _difference(paper, once, again, store)


def _place(unit: Unit) -> tuple[object, ...]:
    return (unit.experiment, tuple(sorted(unit.parameters.items())), unit.instance.digest, unit.slot)


def _difference(paper: Paper, once: Unit, again: Unit, store: Store) -> Iterable[str]:
    experiment = paper.spec.experiments[once.experiment]
    a, b = (load_outputs(store.run(unit.key) / "outputs", experiment) for unit in (once, again))
    worst = max((compare(name, b[name], a[name], SAME) for name in a), key=lambda agreement: agreement.excess)
    if worst.excess > 1:
        yield f"{once.label} does not repeat itself: {worst.worst.replace('the reference', 'the first time')}"


def _seeded_cases(
    paper: Paper, units: Sequence[Unit], records: Mapping[str, RunRecord]
) -> list[tuple[Unit, list[RunRecord]]]:
    """The usable runs of each case and instance whose outputs ought to depend on the seed, where there are several."""
    by_case: dict[tuple[object, ...], list[Unit]] = defaultdict(list)
    for unit in units:
        experiment = paper.spec.experiments[unit.experiment]
        exempt = experiment.saturates or experiment.is_deterministic(unit.parameters)
        if unit.replicate == 0 and not exempt and records[unit.key].usable:
            by_case[_place(unit)[:3]].append(unit)
    return [(same[0], [records[unit.key] for unit in same]) for same in by_case.values() if len(same) > 1]


def _seeds_agree(cases: Iterable[tuple[Unit, Sequence[RunRecord]]]) -> Iterable[str]:
    for unit, same in cases:
        if len({tuple(sorted(record.outputs.items())) for record in same}) == 1:
            words = ", ".join([f"{key}={value}" for key, value in unit.parameters.items()] + [unit.instance.label])
            yield f"{unit.experiment} ({words}) gives identical outputs for {len(same)} different seeds"


def perturbation(judged: Sequence[Judged]) -> Gate:
    """Gate 6: on instances drawn for this attempt the submission does what the reference does there.

    It fires where a held-out leaf FAILED, or is missing although the same experiment's pinned leaves earned credit.
    """
    credited = {
        selection.experiment
        for leaf in judged
        if leaf.score > 0
        for selection in selections(leaf.evidence.leaf)
        if selection.instance == "pinned"
    }
    held_out = [leaf for leaf in judged if _is_held_out(leaf)]
    seen = [
        f"{leaf.id} {leaf.verdict}"
        for leaf in held_out
        if leaf.verdict is Verdict.FAILED
        or (leaf.verdict is Verdict.MISSING and credited & {s.experiment for s in selections(leaf.evidence.leaf)})
    ]
    judged_there = [leaf for leaf in held_out if leaf.verdict not in (Verdict.MISSING, Verdict.INVALID)]
    return Gate(
        gate=6,
        name="perturbation",
        fired=bool(seen),
        denies_pass=True,
        detail="; ".join(seen) or _clean_there(held_out, judged_there),
        checked=bool(seen or judged_there),
    )


def _clean_there(held_out: Sequence[Judged], judged: Sequence[Judged]) -> str:
    if not held_out:
        return "no leaf reads instances drawn for this attempt"
    if not judged:
        return f"on instances drawn for this attempt nothing was measured for any of {len(held_out)} leaves"
    stand = sum(leaf.score > 0 for leaf in judged)
    every = f"{stand} of {len(held_out)} leaves on instances drawn for this attempt stand"
    return f"{every}, none contradicts the reference"


def _is_held_out(leaf: Judged) -> bool:
    return any(selection.instance == "held_out" for selection in selections(leaf.evidence.leaf))

"""What predictive curtailment saves on whole papers, and how often it changes the verdict of all slots.

Run `python benchmarks/curtailment.py [--json] [--paper A,B]`. Attempts with all seed slots filled, each judged again at
every look as if it had come so far: the reference, mutations, and where a mutation's verdict depends on seeds blends of
the two, whose samples lie between them. Judging is arithmetic on kept outputs; only slots never filled are run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

if __name__ == "__main__":
    sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import machine
from benchmarks.tried import papers, trial_of
from harness.paper.load import Paper
from harness.paper.mutations import read_mutations
from harness.pipeline import graded_again
from harness.scoring.evidence import Agreement, Evidence, Side
from harness.scoring.finding import Verdict
from harness.scoring.foresee import look_ahead
from harness.scoring.judge import slots_of
from harness.scoring.score import Graded, graded_on, verdict_of
from harness.validation.trial import Trial

CERTAINTIES = (0.90, 0.95, 0.98, 0.99, 0.999)
BLENDS = (0.1, 0.25, 0.5)
"""How far blends go from the reference to a mutation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """One look before the last."""

    slots: int
    now: str
    """The verdict as measured so far."""
    foreseen: str
    """The likeliest verdict of all slots."""
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """An attempt at every look, and what all slots say of it."""

    paper: str
    kind: str
    """reference, mutation or blend."""
    name: str
    slots: int
    """All of them."""
    verdict: str
    glances: list[Glance]

    def stopped(self, certainty: float) -> tuple[int, str]:
        """Slots filled and the verdict, if one verdict of this probability ends the rerun."""
        for glance in self.glances:
            if glance.probability >= certainty and glance.foreseen == glance.now:
                return glance.slots, glance.now
        return self.slots, self.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one certainty gives over attempts of a kind."""

    certainty: float
    kind: str
    attempts: int
    slots: float
    """Mean share of the slots that was filled."""
    changed: int
    """Attempts whose verdict is not that of all slots."""
    reversed: int
    """Those of them that got PASS for FAIL or FAIL for PASS."""


def courses(paper: Paper, trial: Trial, *, fresh: int) -> Iterator[Course]:
    """Every attempt's course.

    Args:
        paper: The paper.
        trial: Of this paper.
        fresh: Attempts of the reference, each with seeds and instances of its own.
    """
    for number in range(fresh):
        road, _ = trial.run("reference", "reference", plan=f"fresh-{number}", slots="all")
        yield course(paper, "reference", str(number), graded_again(road))
    honest = graded_again(trial.run("reference", "reference", slots="all")[0])
    for mutation in read_mutations(paper):
        first = graded_again(trial.run("mutation", mutation.name)[0])
        if lost_for_good(first):
            yield _certain(paper, mutation.name, first)
            continue
        mistaken = graded_again(trial.run("mutation", mutation.name, slots="all")[0])
        yield course(paper, "mutation", mutation.name, mistaken)
        for part in BLENDS:
            between = regraded(honest, list(blended(honest, mistaken, part)))
            yield course(paper, "blend", f"{mutation.name} {part:g}", between)


def lost_for_good(graded: Graded) -> bool:
    """Whether a core leaf that no seed moves is lost, so that the verdict is FAIL however many slots are filled."""
    lost = (Verdict.FAILED, Verdict.MISSING)
    return any(leaf.core and leaf.verdict in lost and not slots_of(leaf.evidence) for leaf in graded.judged)


def _certain(paper: Paper, name: str, graded: Graded) -> Course:
    looks = paper.spec.seeds.looks
    glance = Glance(slots=looks[0], now="FAIL", foreseen="FAIL", probability=1.0)
    return Course(paper=paper.id, kind="mutation", name=name, slots=looks[-1], verdict="FAIL", glances=[glance])


def course(paper: Paper, kind: str, name: str, graded: Graded) -> Course:
    """Judge an attempt with all slots at every look as if it had come so far."""
    *before, last = paper.spec.seeds.looks
    seen = [regraded(graded, [upto(item, slots) for item in evidence_of(graded)]) for slots in before]
    return Course(
        paper=paper.id, kind=kind, name=name, slots=last, verdict=verdict_of(graded)[0],
        glances=[_glance(one, last) for one in seen],
    )  # fmt: skip


def _glance(graded: Graded, last: int) -> Glance:
    ahead = look_ahead(graded, slots=last)
    return Glance(slots=graded.slots, now=verdict_of(graded)[0], foreseen=ahead.verdict, probability=ahead.probability)


def evidence_of(graded: Graded) -> list[Evidence]:
    """The evidence of every leaf, once for the three parts of a curve."""
    return list({leaf.evidence.share.leaf: leaf.evidence for leaf in graded.judged}.values())


def regraded(graded: Graded, evidence: Sequence[Evidence]) -> Graded:
    """The same attempt on other evidence; gate 1 stays as it was seen over all slots."""
    return graded_on(evidence, graded.gates[0], isolated=graded.isolated)


def upto(evidence: Evidence, slots: int) -> Evidence:
    """What had been measured when so many slots were filled."""
    sides = {
        name: side if side.deterministic else replace(side, values=side.values[:slots])
        for name, side in evidence.sides.items()
    }
    return replace(evidence, sides=sides)


def blended(honest: Graded, mistaken: Graded, part: float) -> Iterator[Evidence]:
    """Leaf by leaf what lies between two attempts on one plan; a leaf that either lacks stays the honest one's."""
    others = {item.share.leaf: item for item in evidence_of(mistaken)}
    for item in evidence_of(honest):
        other = others[item.share.leaf]
        yield item if item.problem or other.problem else mixed(item, other, part)


def mixed(one: Evidence, other: Evidence, part: float) -> Evidence:
    """Samples, or the deviation of a probe, so far from one to the other."""
    sides = {name: _between(side, other.sides[name], part) for name, side in one.sides.items()}
    if one.agreement is None or other.agreement is None:
        return replace(one, sides=sides)
    excess = (1 - part) * one.agreement.excess + part * other.agreement.excess
    return replace(one, agreement=Agreement(excess=excess, worst=other.agreement.worst))


def _between(one: Side, other: Side, part: float) -> Side:
    if one.values.shape != other.values.shape:
        return one
    return replace(one, values=(1 - part) * one.values + part * other.values)


def rows_of(found: Sequence[Course]) -> Iterator[Row]:
    """What each certainty saves and costs, by kind and over all."""
    for certainty in CERTAINTIES:
        for kind in ("reference", "mutation", "blend", ""):
            own = [one for one in found if kind in ("", one.kind)]
            if own:
                yield _row(certainty, kind or "all", own)


def _row(certainty: float, kind: str, own: Sequence[Course]) -> Row:
    ends = [(one, *one.stopped(certainty)) for one in own]
    changed = [{one.verdict, verdict} for one, _, verdict in ends if verdict != one.verdict]
    return Row(
        certainty=certainty, kind=kind, attempts=len(own),
        slots=sum(slots / one.slots for one, slots, _ in ends) / len(own),
        changed=len(changed), reversed=sum("UNDECIDED" not in pair for pair in changed),
    )  # fmt: skip


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--paper", help="only these, separated by commas")
    parser.add_argument("--attempts", type=int, default=3, help="of the reference a paper (default %(default)s)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where attempts are kept (%(default)s)")
    chosen = parser.parse_args()
    found = [
        one
        for paper in papers(chosen.paper)
        for one in courses(paper, trial_of(paper, chosen.results.resolve()), fresh=chosen.attempts)
    ]
    rows = list(rows_of(found))
    if chosen.json:
        own = {"machine": machine(), "versions": {"reproof": version("reproof")}}
        print(json.dumps({**own, "rows": [asdict(row) for row in rows], "courses": [asdict(one) for one in found]}))
    else:
        print(f"{'certainty':>9}  {'kind':<10}{'attempts':>9}{'slots':>7}{'changed':>9}{'reversed':>9}")
        for row in rows:
            shown = f"{row.attempts:>9}{row.slots:>7.0%}{row.changed:>9}{row.reversed:>9}"
            print(f"{row.certainty:>9}  {row.kind:<10}{shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

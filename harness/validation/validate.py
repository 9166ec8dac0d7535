"""Is a paper fair: does honest work pass, does doing nothing earn nothing, is every known mistake caught?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.paper.load import Paper
from harness.paper.mutations import ALTERNATIVE, Mutation, find_mutation, read_mutations
from harness.pipeline import Rerun as RerunRecord
from harness.pipeline import graded_again, units_of
from harness.record.store import read, write
from harness.rerun.engine import Progress, known_records, silent
from harness.rerun.execute import RunRecord
from harness.road import Road
from harness.scoring.finding import Verdict
from harness.scoring.foresee import chance_to_pass
from harness.scoring.score import Score
from harness.validation.hard_coder import FORMS
from harness.validation.looks import looks
from harness.validation.margins import margins
from harness.validation.proof import Caught, Check, Graded, HardCoded, Margin, Proof
from harness.validation.trial import Trial

REFERENCE_AT_LEAST, STARTER_AT_MOST = 0.95, 0.05
LONGEST_RUN = 300.0
"""Seconds of CPU that a run of the reference may take."""
LEAST_CHANCE = 0.8
"""With which a faithful attempt on other seeds has to PASS."""


def validate(
    paper: Paper,
    results: Path,
    *,
    tell: Callable[[str], None],
    progress: Progress = silent,
    only: Sequence[str] = (),
) -> Proof:
    """Run reference, starter, every mutation and every hard-coder through the real road, and judge the paper by that.

    They share one plan, so that the reference answers the held-out instances once; hard-coders have recorded a run of
    the reference on another. What was done for the same content is not done again. A paper in which something is left
    to do is looked at only.

    Args:
        paper: The paper, with its private folder.
        results: A folder `validation` is made in it.
        tell: Shows a line.
        progress: Shows runs done.
        only: Names of mutations to try, and nothing else is judged; empty: the whole proof.

    Raises:
        PaperError: The paper has no private folder here, or something in its folder cannot be read.
        UsageError: There is no such mutation.
    """
    checks = list(looks(paper))
    if any(check.problems for check in checks):
        return Proof(paper=paper.id, fair=False, checks=checks, reference=None, starter=None, mutations=[])
    trial = _Estimated(paper, results / "validation", tell, progress)
    known = trial.kept / f"proof-{trial.content[:12]}.json"
    if known.is_file() and not only:
        tell(f"known from an earlier validation of the same content: {known}")
        return read(known, Proof)
    proof = _proved(paper, trial, checks, only)
    if not only:
        write(known, proof)
    return proof


def _proved(paper: Paper, trial: _Estimated, checks: list[Check], only: Sequence[str]) -> Proof:
    mutations = [find_mutation(paper, name) for name in only] or list(read_mutations(paper))
    trial.expect(2 * len(paper.spec.seeds.looks) + len(mutations) + (0 if only else 1 + len(FORMS)))
    road, result = trial.run("reference", "reference", slots="all")
    reference = _graded(road, result)
    caught = [_tried(trial, mutation) for mutation in mutations]
    if only:
        checks = list(_caught_all(caught))
        fair = all(check.ok for check in checks)
        return Proof(paper=paper.id, fair=fair, checks=checks, reference=reference, starter=None, mutations=caught)
    starter = _graded(*trial.run("starter", "starter"))
    second = _graded(*trial.run("alternative", "alternative")) if _has_alternative(paper) else None
    recorded = trial.run("reference", "reference", slots="first", plan="recorded")[0]
    coded = [_coded(form, *trial.run("hard_coder", form, of=str(recorded.folder))) for form in FORMS]
    wide = margins(graded_again(road), mutations, caught)
    honest = (*_honest(paper, road, reference, starter), *_second_opinion(second))
    checks = [*checks, *honest, *_caught_all(caught), *_dishonest(coded, wide)]
    return Proof(
        paper=paper.id, fair=all(check.ok for check in checks), checks=checks, reference=reference, starter=starter,
        alternative=second, mutations=caught, hard_coders=coded, margins=wide, content=trial.content,
    )  # fmt: skip


class _Estimated(Trial):
    """A trial that says how long the rest may take, from how long it took so far."""

    _left, _expected, _began = 0, 0, 0.0

    def expect(self, count: int) -> None:
        """Begin to count: the reference with all its slots stands for as many as there are looks, twice."""
        self._left = self._expected = count
        self._began = time.monotonic()

    def run(self, adapter: str, name: str, **words: object) -> tuple[Road, Score]:
        done = super().run(adapter, name, **words)  # type: ignore[arg-type]
        looks = len(done[0].paper.spec.seeds.looks)
        self._left -= 2 * looks if words.get("slots") == "all" else 1
        spent = time.monotonic() - self._began
        if 0 < self._left < self._expected:
            minutes = spent / (self._expected - self._left) * self._left / 60
            self.tell(f"  {spent / 60:.1f} min so far, about {minutes:.1f} min to go")
        return done


def _tried(trial: Trial, mutation: Mutation) -> Caught:
    found = _caught(mutation, *trial.run("mutation", mutation.name))
    trial.tell(f"  {'caught' if found.caught else 'NOT CAUGHT'}: {found.detail}")
    return found


def _coded(form: str, road: Road, result: Score) -> HardCoded:
    gates = [f"gate {gate.gate}, {gate.name}: {gate.detail}" for gate in result.integrity if gate.fired]
    lost = [leaf.id for leaf in result.claims if leaf.core and leaf.verdict in (Verdict.FAILED, Verdict.MISSING)]
    by = [*gates, *(f"core leaf {name}" for name in lost)]
    return HardCoded(
        form=form,
        caught=result.verdict != "PASS" and bool(by),
        verdict=result.verdict,
        score=result.score.value,
        by=by,
        attempt=road.attempt.id,
    )


def _graded(road: Road, result: Score) -> Graded:
    return Graded(
        attempt=road.attempt.id, score=result.score.value, verdict=result.verdict, detail="; ".join(result.reasons)
    )


def _caught(mutation: Mutation, road: Road, result: Score) -> Caught:
    """A mutation is caught if it ran to its end, is denied PASS, and failed the core leaves it names."""
    lost = [claim for claim in result.claims if claim.core and claim.verdict is Verdict.FAILED]
    named = {leaf: [claim for claim in result.claims if claim.id.split(".")[0] == leaf] for leaf in mutation.fails}
    escaped = [leaf for leaf, parts in named.items() if not any(part in lost for part in parts)]
    unfinished = _unfinished(road)
    caught = not escaped and not unfinished and result.verdict != "PASS"
    measured = {part.id: part.measured for parts in (*named.values(), lost) for part in parts}
    shown = "; ".join(f"{part.id} {part.verdict}: {part.explanation}" for parts in named.values() for part in parts)
    why = [f"did not run to its end: {unfinished[0]}"] if unfinished else []
    why += [f"{', '.join(escaped)} did not fail"] if escaped else []
    return Caught(
        name=mutation.name,
        caught=caught,
        verdict=result.verdict,
        score=result.score.value,
        failed=[claim.id for claim in lost],
        measured=measured,
        detail="; ".join([*why, shown]),
        attempt=road.attempt.id,
    )


def _unfinished(road: Road) -> list[str]:
    """Runs of the submission that did not complete: a crash is not a catch."""
    done = read(road.records / "rerun.json", RerunRecord)
    units = [unit for unit in units_of(road, done) if unit.author == "submission"]
    records = known_records(units, road.store, done.faults)
    return [f"{unit.label} {records[unit.key].status}" for unit in units if not records[unit.key].usable]


def _honest(paper: Paper, road: Road, reference: Graded, starter: Graded) -> Iterator[Check]:
    """Honest work passes, in time and not by luck, and no work earns nothing."""
    ok = reference.verdict == "PASS" and reference.score >= REFERENCE_AT_LEAST
    most = paper.spec.seeds.looks[-1]
    detail = f"{reference.verdict}, {reference.score:.3f} with all {most} slots, at least {REFERENCE_AT_LEAST} needed"
    yield Check(name="reference passes", ok=ok, detail=detail,
                remedy=f"see why: `reproof report {reference.attempt}`")  # fmt: skip
    chance = chance_to_pass(graded_again(road), slots=most)
    yield Check(name="a faithful attempt passes", ok=chance >= LEAST_CHANCE,
                detail=f"with a chance of {chance:.2f} on other seeds, at least {LEAST_CHANCE} needed",
                remedy="widen a margin that honest runs miss, or take more seeds")  # fmt: skip
    longest = max(_runs(road), key=lambda record: record.spent.cpu)
    yield Check(name="every run within five minutes", ok=longest.spent.cpu <= LONGEST_RUN,
                detail=f"{longest.experiment} {longest.parameters} took longest, {longest.spent.cpu:.1f} s CPU",
                remedy="make the experiment smaller")  # fmt: skip
    yield Check(name="starter earns nothing", ok=starter.score <= STARTER_AT_MOST,
                detail=f"{starter.score:.3f}, at most {STARTER_AT_MOST} allowed",
                remedy=f"see what it earns: `reproof report {starter.attempt}`")  # fmt: skip


def _has_alternative(paper: Paper) -> bool:
    return (paper.private / ALTERNATIVE).is_dir()


def _second_opinion(second: Graded | None) -> Iterator[Check]:
    """Whoever had the brief alone passes: otherwise the brief, the contract or a margin is wrong."""
    if second is not None:
        yield Check(name="a second opinion passes", ok=second.verdict == "PASS",
                    detail=f"{second.verdict}, {second.score:.3f}",
                    remedy=f"mend the brief or margin that failed it: `reproof report {second.attempt}`")  # fmt: skip


def _runs(road: Road) -> list[RunRecord]:
    done = read(road.records / "rerun.json", RerunRecord)
    return list(known_records(units_of(road, done), road.store, done.faults).values())


def _caught_all(caught: Sequence[Caught]) -> Iterator[Check]:
    missed = [mutation.name for mutation in caught if not mutation.caught]
    detail = f"not caught: {', '.join(missed)}" if missed else f"all {len(caught)}"
    yield Check(name="every mutation is caught", ok=bool(caught) and not missed, detail=detail,
                remedy="sharpen the leaf it names, name the one that sees it, or let it run to its end")  # fmt: skip


def _dishonest(coded: Sequence[HardCoded], wide: Sequence[Margin]) -> Iterator[Check]:
    missed = [one.form for one in coded if not one.caught]
    yield Check(name="every hard-coder is denied PASS", ok=not missed,
                detail=f"not denied: {', '.join(missed)}" if missed else f"all {len(coded)}",
                remedy="let core leaves read held-out instances that differ enough from each other")  # fmt: skip
    problems = tuple(problem for one in wide if (problem := one.problem))
    yield Check(name="margins fit", ok=not problems, problems=problems,
                detail=f"{len(problems)} of {len(wide)} do not" if problems else f"all {len(wide)}",
                remedy="take at least three spreads, and at most half the way to the nearest mistake")  # fmt: skip

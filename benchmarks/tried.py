"""Every participant of ours on a paper, faithful and not, taken over the real road; what is known is not done again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.folders import find_papers
from harness.paper.load import Paper, load_paper
from harness.paper.mutations import ALTERNATIVE, read_mutations
from harness.rerun.engine import silent
from harness.road import Road
from harness.scoring.score import Score
from harness.validation.hard_coder import FORMS
from harness.validation.trial import Trial

FAITHFUL = ("reference", "alternative")
"""Kinds of participants who have done what the paper says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One attempt, and what it was."""

    paper: str
    kind: str
    """reference, alternative, mutation, hard_coder or starter."""
    name: str
    road: Road
    score: Score

    @property
    def faithful(self) -> bool:
        """Whether it does what the paper says."""
        return self.kind in FAITHFUL


def papers(chosen: str | None) -> list[Paper]:
    """Those named, separated by commas, or all; ours only.

    Raises:
        SystemExit: There is no such paper.
    """
    known = find_papers()
    names = chosen.split(",") if chosen else sorted(known)
    if wrong := [name for name in names if name not in known]:
        raise SystemExit(f"no such paper: {', '.join(wrong)}; there are {', '.join(known)}")
    return [load_paper(known[name]) for name in names]


def trial_of(paper: Paper, results: Path) -> Trial:
    """A trial that shares what `reproof paper validate` has found out, in the same folder of results."""
    return Trial(paper, results / "validation", lambda text: print(f"{paper.id}: {text}", file=sys.stderr), silent)


def attempts(paper: Paper, trial: Trial, *, fresh: int) -> Iterator[Tried]:
    """Faithful and unfaithful attempts on a paper.

    Args:
        paper: The paper.
        trial: Of this paper.
        fresh: Attempts of the reference, each with seeds and instances of its own.
    """
    for number in range(fresh):
        yield _tried(paper, "reference", str(number), *trial.run("reference", "reference", plan=f"fresh-{number}"))
    if (paper.private / ALTERNATIVE).is_dir():
        yield _tried(paper, "alternative", "", *trial.run("alternative", "alternative"))
    yield _tried(paper, "starter", "", *trial.run("starter", "starter"))
    for mutation in read_mutations(paper):
        yield _tried(paper, "mutation", mutation.name, *trial.run("mutation", mutation.name))
    recorded = trial.run("reference", "reference", slots="first", plan="recorded")[0]
    for form in FORMS:
        yield _tried(paper, "hard_coder", form, *trial.run("hard_coder", form, of=str(recorded.folder)))


def _tried(paper: Paper, kind: str, name: str, road: Road, score: Score) -> Tried:
    return Tried(paper=paper.id, kind=kind, name=name, road=road, score=score)

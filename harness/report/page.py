"""The attempt's page: one HTML file that says what was found, how sure that is, why, and how to get the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from harness.attempt.budget import ITEMS
from harness.attempt.desk import Desk
from harness.paper.load import Paper
from harness.paper.rubric import Group
from harness.pipeline import PAGE
from harness.record.files import write_text
from harness.report.account import LABELS, SHOW
from harness.report.dossier import Dossier, open_dossier
from harness.report.html import picture, render
from harness.report.look import GATE, OUTCOME, SIGN, TONE, gate_state
from harness.report.pictures import WIDTH, Picture, allowed_words, measured_words, number, picture_of, reported_words
from harness.report.timeline_page import timeline_of
from harness.report.trajectories import Family, families
from harness.scoring.finding import Verdict
from harness.scoring.score import PASS_MARK, ClaimScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A leaf as the page shows it."""

    leaf: ClaimScore
    sign: str
    tone: str
    picture: Picture | None
    measured: str
    allowed: str
    reported: str
    """Empty where the participant reported nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A group of the rubric with its leaves."""

    name: str
    statement: str | None
    """None where the paper is not at hand."""
    weight: float
    """Share of the whole."""
    earned: float
    """Mean of its leaves, in [0, 1]."""
    rows: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One item of the budget."""

    label: str
    used: str
    declared: str
    """What nobody but the participant has measured; empty where nothing is."""
    limit: str | None
    """None: it is not limited."""
    share: float
    """Of the limit, at most 1."""
    declared_share: float
    over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of the whole weight."""

    name: str
    share: float
    start: float
    """The share of all slices before it."""
    earned: float
    """Mean of its leaves, in [0, 1]."""
    leaves: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot of curves."""

    title: str
    source: str
    words: str


def write_page(desk: Desk, *, paper: Paper | None = None, of: Path | None = None) -> Path:
    """Draw the page of an attempt's latest submission, beside its score.

    Args:
        desk: The attempt.
        of: The folder of a submission; None: of the latest one.
        paper: The paper, where somebody has it already; otherwise it is looked for, and done without.

    Returns:
        Where it lies.

    Raises:
        RecordError: The attempt was not scored, or a record is damaged.
    """
    with desk.held():  # a page drawn from a score is not laid over that of a newer one
        found = open_dossier(desk, paper=paper, of=of)
        write_text(found.folder / PAGE, draw_page(found))
    return found.folder / PAGE


def draw_page(found: Dossier) -> str:
    """The page as one HTML text; the same records give the same text."""
    score = found.score
    sign, tone = OUTCOME[score.verdict]
    return render(
        "attempt.html",
        {
            "found": found,
            "score": score,
            "sign": sign,
            "tone": tone,
            "mark": PASS_MARK,
            "width": WIDTH,
            "tally": list(_tally(score.claims)),
            "sections": list(_sections(found)),
            "plots": list(_plots(found)),
            "uses": list(_uses(found)),
            "weights": {kind: _slices(score.claims, kind) for kind in ("provenance", "trust")},
            "seeds": found.plan.seeds[: found.rerun.slots],
            "timeline": timeline_of(found),
            "gates": GATE,
            "state_of": gate_state,
            "show": SHOW,
            "number": number,
        },
    )


def _tally(claims: Sequence[ClaimScore]) -> Iterator[tuple[Verdict, str, str, int]]:
    """How many leaves have each verdict."""
    for verdict in Verdict:
        count = sum(leaf.verdict is verdict for leaf in claims)
        if count:
            yield verdict, SIGN[verdict], TONE[verdict], count


def _sections(found: Dossier) -> Iterator[Section]:
    groups = found.paper.spec.rubric if found.paper else {}
    for path, leaves in groupby(found.score.claims, key=lambda leaf: leaf.path):
        rows = [_row(leaf) for leaf in leaves]
        weight = sum(row.leaf.weight for row in rows)
        yield Section(
            name=" › ".join(path).replace("_", " "),
            statement=_statement(groups, path),
            weight=weight,
            earned=_earned([row.leaf for row in rows]),
            rows=rows,
        )


def _statement(groups: dict[str, Group], path: list[str]) -> str | None:
    top, *rest = path
    if top not in groups:
        return None
    return _statement(groups[top].groups, rest) if rest else groups[top].statement


def _earned(leaves: Sequence[ClaimScore]) -> float:
    """The mean score of some leaves by weight; what could not be judged is left out, as in the whole."""
    judged = [leaf for leaf in leaves if leaf.verdict is not Verdict.INVALID]
    weight = sum(leaf.weight for leaf in judged)
    return sum(leaf.weight * leaf.score for leaf in judged) / weight if weight else 0.0


def _row(leaf: ClaimScore) -> Row:
    return Row(
        leaf=leaf,
        sign=SIGN[leaf.verdict],
        tone=TONE[leaf.verdict],
        picture=picture_of(leaf),
        measured=measured_words(leaf),
        allowed=allowed_words(leaf),
        reported=reported_words(leaf),
    )


def _plots(found: Dossier) -> Iterator[Plot]:
    gathered = families(found.measured, found.score.claims, found.paper)
    if not gathered:
        return
    from harness.report.plots import plot

    for family in gathered:
        yield Plot(title=_title(family, found.paper), source=picture(plot(family)), words=family.words)


def _title(family: Family, paper: Paper | None) -> str:
    known = paper.spec.metrics.get(family.metric) if paper else None
    return f"{known.summary if known else family.metric.replace('_', ' ')}: {family.case}"


def _uses(found: Dossier) -> Iterator[Use]:
    for item in ITEMS:
        if item not in found.handed.used and getattr(found.attempt.budget, item) is None:
            continue
        used, own = (
            found.handed.used.get(item, 0.0),
            found.handed.declared.get(item, 0.0),
        )
        limit = getattr(found.attempt.budget, item)
        yield Use(
            label=LABELS[item],
            used=SHOW[item](used),
            declared=SHOW[item](own) if own else "",
            limit=None if limit is None else SHOW[item](limit),
            share=min(1.0, used / limit) if limit else 0.0,
            declared_share=min(1.0, own / limit) if limit else 0.0,
            over=bool(limit) and used > limit,
        )


def _slices(claims: Sequence[ClaimScore], kind: str) -> list[Slice]:
    """The weight by provenance, or by trust, the largest first."""
    by: dict[str, list[ClaimScore]] = {}
    for leaf in claims:
        by.setdefault(getattr(leaf, kind), []).append(leaf)
    found, start = [], 0.0
    for name, leaves in sorted(by.items(), key=lambda item: -sum(leaf.weight for leaf in item[1])):
        share = sum(leaf.weight for leaf in leaves)
        found.append(Slice(name=name, share=share, start=start, earned=_earned(leaves), leaves=len(leaves)))
        start += share
    return found

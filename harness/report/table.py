"""The score as a terminal shows it: every leaf with its verdict and its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.overtime import Point
from harness.paper.quantities import show_seconds
from harness.report.account import budget_remarks
from harness.report.console import Tame, show
from harness.report.elsewhere import MARK
from harness.report.look import GATE, SIGN, gate_state
from harness.report.pictures import reported_words
from harness.report.text import inline, plain
from harness.rerun.steps import ServedRun
from harness.scoring.finding import Verdict
from harness.scoring.score import ClaimScore, Score

_COLOURS = {
    Verdict.CERTIFIED: "green",
    Verdict.CONSISTENT: "cyan",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.FAILED: "red",
    Verdict.MISSING: "red",
    Verdict.INVALID: "magenta",
}
_STATES = {"denied": "red", "flagged": "yellow", "clean": "green", "unchecked": "dim"}
_REMARKS = 5
"""On the environments of an experiment's runs that are shown; the page has them all."""
_COLOUR = {"PASS": "bold green", "FAIL": "bold red", "UNDECIDED": "bold yellow"}


def print_score(score: Score, points: Sequence[Point] = ()) -> None:
    """The whole score on standard output, with the score over time where it is known."""
    show(score_table(score, points))


def draw_score(score: Score, points: Sequence[Point]) -> str:
    """The same as a picture: an SVG text that needs nothing from outside but a font."""
    console = Console(record=True, width=110, file=StringIO(), force_terminal=True)
    console.print(Tame(score_table(score, points)))
    return f"{MARK}\n{console.export_svg(title=f'reproof report {score.attempt}')}"


def score_table(score: Score, points: Sequence[Point] = ()) -> RenderableType:
    """Leaves by group of the rubric, gates, environments, score over time, usage, and the verdict with its reasons."""
    return Group(
        *_head(score), *_leaves(score), *_gates(score), *_environments(score), *_over_time(points), *_foot(score)
    )


def _head(score: Score) -> Iterator[RenderableType]:
    condition = "" if score.condition == "harness" else f", {score.condition}"
    who = f"{score.participant['name']} ({score.participant['kind']}{condition})"
    number = f"submission {score.submission} · " if score.submission > 1 else ""
    legend = "core: nothing passes without it; then verdict, score in [0, 1], share of the whole"
    yield Text(
        f"\n{score.paper} · {inline(who)} · {number}commit {score.commit[:12]} · attempt {score.attempt}", style="bold"
    )
    yield Text(legend, style="dim")


def _leaves(score: Score) -> Iterator[RenderableType]:
    for path, leaves in groupby(score.claims, key=lambda leaf: leaf.path):
        yield Text("\n" + " › ".join(path).replace("_", " "), style="bold")
        for leaf in leaves:
            yield _line(leaf)
            if leaf.verdict not in (Verdict.CERTIFIED, Verdict.CONSISTENT):
                yield Padding(Text(f"Claimed: {leaf.statement}"), (0, 0, 0, 4))
            why = plain(leaf.explanation) + (f" To settle it: {leaf.settles}." if leaf.settles else "")
            yield Padding(Text(why, style="dim"), (0, 0, 0, 4))
            if said := reported_words(leaf):
                yield Padding(Text(f"{said[0].upper()}{said[1:]}.", style="dim"), (0, 0, 0, 4))


def _line(leaf: ClaimScore) -> Table:
    """Name, verdict, score and weight of a leaf, in columns that line up across groups."""
    sign, colour = SIGN[leaf.verdict], _COLOURS[leaf.verdict]
    name = Text(leaf.id, style="bold") + Text(" core" if leaf.core else "", style="dim")
    table = Table.grid(padding=(0, 1), expand=True)
    for width, ratio in ((3, None), (None, 1), (12, None), (4, None), (6, None)):
        table.add_column(width=width, ratio=ratio, justify="right" if width in (4, 6) else "left")
    table.add_row(
        Text(f"  {sign}", style=colour),
        name,
        Text(leaf.verdict, style=colour),
        f"{leaf.score:.2f}",
        f"{leaf.weight:.1%}",
    )
    return table


def _gates(score: Score) -> Iterator[RenderableType]:
    yield Text("\nintegrity", style="bold")
    for gate in score.integrity:
        state = gate_state(gate)
        yield Padding(
            Text(f"{GATE[state].sign} ", style=_STATES[state])
            + Text(f"gate {gate.gate}, {gate.name}: ")
            + Text(plain(gate.detail), style="dim"),
            (0, 0, 0, 1),
        )
    for problem in score.reported_problems:
        yield Padding(Text(f"! {plain(problem)}", style="yellow"), (0, 0, 0, 3))


def _environments(score: Score) -> Iterator[RenderableType]:
    """What the submission's runs took of each environment, and what was amiss."""
    if not score.environments:
        return
    yield Text("\nenvironments", style="bold")
    for experiment, runs in groupby(score.environments, key=lambda run: run.experiment):
        group = list(runs)
        for id in dict.fromkeys(id for run in group for id in run.env_steps):
            yield Padding(Text(f"{experiment}, {id}: {_taken(group, id)}", style="dim"), (0, 0, 0, 2))
        said = Counter(remark for run in group for remark in run.remarks)
        for remark, count in said.most_common(_REMARKS):
            yield Padding(Text(f"! {_runs(count)}: {plain(remark)}", style="yellow"), (0, 0, 0, 4))


def _taken(runs: Sequence[ServedRun], id: str) -> str:
    """`12 runs, each 990 to 1,000 training and 30 evaluation steps`."""
    used = [run.env_steps[id] for run in runs if id in run.env_steps]
    parts = [_range([steps.training for steps in used], "training")]
    parts += [_range(taken, "evaluation")] if any(taken := [steps.evaluation for steps in used]) else []
    return f"{_runs(len(used))}, {'each ' if len(used) > 1 else ''}{' and '.join(parts)} steps"


def _runs(count: int) -> str:
    return f"{count} run{'s' if count != 1 else ''}"


def _range(taken: Sequence[int], stream: str) -> str:
    low, high = min(taken), max(taken)
    return f"{low:,} {stream}" if low == high else f"{low:,} to {high:,} {stream}"


def _over_time(points: Sequence[Point]) -> Iterator[RenderableType]:
    """The score that stood at each quarter of the working budget."""
    if not points:
        return
    yield Text("\nscore over the working budget", style="bold")
    for _, same in groupby(points, key=lambda point: point.commit):
        first, *rest = same
        until = f" to {rest[-1].share:4.0%}" if rest else ""
        yield Padding(Text(f"{first.share:4.0%}{until:8}  {_said(first)}", style="dim"), (0, 0, 0, 2))


def _said(point: Point) -> str:
    head = f"commit {point.commit[:12]}  "
    if point.score is None:
        return head + plain(point.problem or "not scored")
    bar = "█" * round(12 * point.score.value)
    worth = f"{point.score.value:.3f} [{point.score.low:.3f}, {point.score.high:.3f}]"
    return f"{head}{bar:12}  {worth} {point.verdict}"


def _foot(score: Score) -> Iterator[RenderableType]:
    rerun, own = score.usage["rerun"], score.usage["attempt"]
    metered = "metered by the clean room" if rerun.exact and own.exact else "estimated: no cgroup of our own here"
    yield Text(
        f"\nused: participant {show_seconds(own.cpu)} CPU; rerun {rerun.runs} runs, {show_seconds(rerun.cpu)} CPU "
        f"({metered}); clean room: {score.isolation}",
        style="dim",
    )
    for remark in budget_remarks(score.budget):
        yield Text(f"budget: {remark}", style="yellow")
    worth = score.score
    line = Text("\n") + Text(score.verdict, style=_COLOUR[score.verdict])
    line.append(
        f"  score {worth.value:.3f}, 95 % interval [{worth.low:.3f}, {worth.high:.3f}] over {score.slots} seed "
        f"slots, coverage {worth.coverage:.0%}"
    )
    yield line
    for reason in score.reasons:
        yield Padding(Text(f"because {plain(reason)}"), (0, 0, 0, 2))

"""The score as a terminal shows it: every leaf with its reason, and nothing of a participant's obeyed."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.overtime import Point
from harness.report.kept import kept_score, list_attempts, where_to_look
from harness.report.table import score_table
from harness.rerun.steps import ServedRun, StepsUsed
from harness.scoring.finding import Verdict
from harness.scoring.score import Score

Attempted = tuple[Any, Score]


def shown(score: Score, width: int = 100) -> str:
    file = io.StringIO()
    Console(width=width, file=file, force_terminal=True, highlight=False).print(score_table(score))
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_leaf_is_shown_with_its_verdict_and_reason(finished: Attempted, width: int) -> None:
    _, result = finished
    text = shown(result, width).replace("\n", "")
    for claim in result.claims:
        assert claim.id.replace("_", "")[:20] in text.replace("_", "").replace(" ", "")
    for word in ("PASS", "gate 1", "gate 6", "95", "coverage 100", "certified", "core"):
        assert word in text


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_a_look(finished: Attempted, verdict: Verdict) -> None:
    _, result = finished
    claims = [claim.model_copy(update={"verdict": verdict}) for claim in result.claims]
    assert verdict in shown(result.model_copy(update={"claims": claims, "verdict": "UNDECIDED"}))


def test_markup_and_escapes_are_shown_and_not_obeyed(finished: Attempted) -> None:
    _, result = finished
    evil = "\x1b[2J\x1b]8;;http://x\x07[bold red]hi[/] \u202ereversed \x00"
    claims = [claim.model_copy(update={"explanation": evil}) for claim in result.claims]
    gates = [gate.model_copy(update={"detail": evil}) for gate in result.integrity]
    who = {"kind": "agent", "name": evil}
    text = shown(
        result.model_copy(update={"claims": claims, "integrity": gates, "participant": who, "reasons": [evil]})
    )
    assert "\x1b[2J" not in text
    assert "\x1b]8" not in text
    assert "\u202e" not in text
    assert "[bold red]hi[/]" in text.replace("\n", "")


def test_a_gate_without_anything_to_look_at_is_neither_clean_nor_fired(finished: Attempted) -> None:
    _, result = finished
    gates = {gate.gate: gate for gate in result.integrity}
    assert f"– gate 5, too rosy a report: {gates[5].detail}" in unstyled(shown(result, 200))
    flag = gates[5].model_copy(update={"fired": True, "checked": True})
    denied = gates[1].model_copy(update={"fired": True})
    text = unstyled(shown(result.model_copy(update={"integrity": [flag, denied, gates[6]]}), 200))
    assert "⚑ gate 5" in text
    assert "✘ gate 1" in text
    assert "✔ gate 6" in text


@pytest.mark.parametrize(
    ("flattery", "words"),
    [
        (0.25, "The participant reported 1.5, rosier by 0.25."),
        (-0.25, "The participant reported 1.5, more modest by 0.25."),
        (0.0, "The participant reported 1.5, not to be told apart from what was measured."),
        (None, "The participant reported 1.5, and nothing was measured."),
    ],
)
def test_a_reported_number_is_shown_with_its_gap(finished: Attempted, flattery: float | None, words: str) -> None:
    _, result = finished
    assert "participant reported" not in shown(result)
    first = result.claims[0].model_copy(update={"reported": 1.5, "flattery": flattery})
    more = {"claims": [first, *result.claims[1:]], "reported_problems": ["\x1b[2J[bold]x"]}
    text = shown(result.model_copy(update=more), 200)
    assert words in unstyled(text)
    assert "! \\x1b[2J[bold]x" in unstyled(text)
    assert "\x1b[2J" not in text


def unstyled(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def beside(number: int, *, exhausted: bool = False, remarks: tuple[str, ...] = ()) -> ServedRun:
    steps = {"reproof/X-v0": StepsUsed(training=1000 * number, evaluation=5, exhausted=exhausted)}
    return ServedRun(
        run=f"walk slot {number}", key=str(number) * 64, experiment="walk", status="completed", env_steps=steps,
        remarks=list(remarks),
    )  # fmt: skip


def test_what_was_amiss_with_environments_is_shown_and_not_obeyed(finished: Attempted) -> None:
    _, result = finished
    assert "environments" not in shown(result)
    runs = [beside(1), beside(2, exhausted=True, remarks=("it asked for more",)), beside(2, remarks=("\x1b[2J[red]",))]
    text = shown(result.model_copy(update={"environments": runs}), width=120)
    assert "walk, reproof/X-v0: 3 runs, each 1,000 to 2,000 training and 5 evaluation steps" in text
    assert "! 1 run: it asked for more" in text
    assert "\x1b[2J" not in text
    assert "[red]" in text


def test_scores_are_read_back_and_listed(finished: Attempted) -> None:
    road, result = finished
    assert kept_score(road.desk) == result
    row = next(row for row in list_attempts(road.store.root) if row["attempt"] == road.attempt.id)
    assert (row["verdict"], row["score"], row["participant"]) == ("PASS", result.score.value, "reference")


def test_where_to_look(finished: Attempted) -> None:
    road, _ = finished
    lines = "\n".join(where_to_look(road))
    assert str(road.folder) in lines
    assert f"reproof report {road.attempt.id}" in lines
    assert "mlflow" not in lines.lower()  # this attempt has no mirror


def test_an_attempt_that_cannot_be_read_hides_no_other(finished: Attempted, tmp_path: Path) -> None:
    road, _ = finished
    for name in ("a-damaged", road.attempt.id):
        (tmp_path / "attempts" / name).mkdir(parents=True)
    (tmp_path / "attempts/a-damaged/attempt.json").write_text("{}")
    shutil.copy(road.folder / "attempt.json", tmp_path / "attempts" / road.attempt.id)
    assert [row["kind"] for row in list_attempts(tmp_path)] == ["reference", "unreadable"]


def test_a_commit_that_stood_for_several_quarters_takes_one_line(finished: Attempted) -> None:
    stood = [
        Point(share=share, commit=letter * 40, verdict=None, score=None, slots=0, problem="gone")
        for share, letter in ((0.25, "a"), (0.5, "b"), (0.75, "b"), (1.0, "b"))
    ]
    file = io.StringIO()
    Console(width=100, file=file).print(score_table(finished[1], stood))
    lines = [line for line in file.getvalue().splitlines() if "gone" in line]
    assert [line.split("commit")[0].strip() for line in lines] == ["25%", "50% to 100%"]

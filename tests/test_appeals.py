"""Disputes, and everybody who is scored again when a paper was changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handmade import commit, data_of, kinds
from tiny_paper import STUB, WORK, lean, write_paper

from harness.appeals import Change, answer, dispute, disputes, rescored
from harness.attempt.participant import Outcome
from harness.errors import RecordError, UsageError
from harness.handing_in import hand_in
from harness.overtime import over_time
from harness.paper.load import load_paper
from harness.pipeline import rerun, score
from harness.record.store import read
from harness.report.appeals import change_lines, dispute_lines
from harness.report.kept import kept_points, kept_score
from harness.road import Road
from harness.scoring.finding import Verdict
from harness.scoring.score import Score

WORKFILE = "reproduction/work.py"
NONE = STUB + "# nothing yet\n"
DONE = Outcome(note="by hand", ended="submitted")
Begin = Callable[..., Road]
Answered = Callable[[Road], Road]


def silent(text: str) -> None:
    """Tell nobody."""


def handed_in(road: Road, text: str) -> Road:
    road.desk.note("resumed")
    commit(road.workspace, {WORKFILE: text})
    hand_in(road, DONE)
    return road


# --- disputes -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged(begin: Begin, answered: Answered) -> Road:
    road = answered(handed_in(begin(), WORK))
    rerun(road)
    score(road)
    return road


def test_a_dispute_is_an_event_and_is_answered_by_another(judged: Road) -> None:
    made = dispute(judged, "number_said", "the brief says otherwise", by="ada")
    assert (made.leaf, made.by, made.ruling, made.answer) == ("number_said", "ada", None, None)
    assert judged.desk.events()[made.number].kind == "disputed"
    other = dispute(judged, "exact_published", "rounding", by="ada")
    assert [found.number for found in disputes(judged.desk)] == [made.number, other.number]
    closed = answer(judged.desk, made.number, "rejected", "it does not")
    assert (closed.number, closed.ruling, closed.answer) == (made.number, "rejected", "it does not")
    assert [found.ruling for found in disputes(judged.desk)] == ["rejected", None]
    again = answer(judged.desk, made.number, "accepted", "it does, after all")
    assert again.ruling == "accepted"
    assert kinds(judged.desk).count("answered") == 2, "nothing is erased"


def test_a_dispute_changes_neither_clock_nor_score(judged: Road) -> None:
    before = judged.desk.account(), kept_score(judged.desk)
    dispute(judged, "number_said", "x", by="ada")
    after = judged.desk.account(), kept_score(judged.desk)
    assert after[1] == before[1]
    assert (after[0].state, after[0].used("working")) == (before[0].state, before[0].used("working"))


@pytest.mark.parametrize(
    ("leaf", "because", "says"),
    [
        ("number_sade", "x", "did you mean number_said"),
        ("all", "x", "unknown leaf"),
        ("", "x", "unknown leaf"),
        ("number_said", " ", "a dispute says why\n.*--because"),
        ("number_said", "", "a dispute says why"),
    ],
)
def test_a_dispute_about_nothing_is_told(judged: Road, leaf: str, because: str, says: str) -> None:
    before = len(judged.desk.events())
    with pytest.raises(UsageError, match=f"(?s){says}"):
        dispute(judged, leaf, because, by="ada")
    assert len(judged.desk.events()) == before


@pytest.mark.parametrize("number", [0, -1, 10_000])
def test_an_answer_to_no_dispute_is_told(judged: Road, number: int) -> None:
    with pytest.raises(UsageError, match="unknown dispute"):
        answer(judged.desk, number, "accepted", "x")


def test_an_attempt_without_a_score_has_nothing_to_dispute(begin: Begin) -> None:
    road = begin()
    with pytest.raises(RecordError, match="nothing was handed in"):
        dispute(road, "number_said", "x", by="ada")
    handed_in(road, WORK)
    with pytest.raises(RecordError):
        dispute(road, "number_said", "x", by="ada")
    assert disputes(road.desk) == []


def test_hostile_disputes_are_shown_and_not_obeyed(judged: Road) -> None:
    made = dispute(judged, "number_said", "\x1b[2J\x1b]0;owned\x07<b>", by="\x1b[31meve")
    answer(judged.desk, made.number, "rejected", "\x1b[5mno")
    text = "\n".join(dispute_lines(disputes(judged.desk)))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "owned" in text


# --- a changed paper ----------------------------------------------------------------------------------------------


Settled = tuple[Path, dict[str, Road], dict[str, Score]]


@pytest.fixture(scope="module")
def runs(begin: Begin, answered: Answered) -> Path:
    """Where the runs of what follows lie already."""
    road = answered(handed_in(begin("bob"), NONE))
    rerun(road)
    return road.store.root / "runs"


@pytest.fixture
def settled(begin: Begin, answered: Answered, runs: Path, tmp_path: Path) -> Settled:
    """Three people's attempts in a results folder of their own: all of the paper, none of it, nothing handed in."""
    folder, results = write_paper(tmp_path / "papers" / "lean", lean), tmp_path / "results"
    results.mkdir()
    (results / "runs").symlink_to(runs)
    roads = {name: begin(name, folder=folder, results=results) for name in ("ada", "bob", "cyd")}
    scores = {}
    for name, text in (("ada", WORK), ("bob", NONE)):
        answered(handed_in(roads[name], text))
        rerun(roads[name])
        scores[name] = score(roads[name])
    return folder, roads, scores


def narrowed(spec: dict[str, Any]) -> None:
    lean(spec)
    spec["claims"]["number_published"]["target"] |= {
        "margin": 1e-6, "value": 1.7, "spread": {"kind": "sd", "value": 1e-4},
    }  # fmt: skip


def everybody(folder: Path, paper: str = "lean") -> list[Change]:
    return rescored(paper, folder.parents[1] / "results", tell=silent)


def test_a_changed_margin_rescores_everybody_from_kept_outputs(settled: Settled) -> None:
    folder, roads, before = settled
    runs = {path: path.stat().st_mtime_ns for path in roads["ada"].store.root.glob("runs/*/*/*")}
    assert runs
    assert everybody(folder) == []
    write_paper(folder, narrowed)
    changes = {change.participant: change for change in everybody(folder)}
    assert set(changes) == {"ada", "bob"}
    assert {path: path.stat().st_mtime_ns for path in roads["ada"].store.root.glob("runs/*/*/*")} == runs
    ada, bob = changes["ada"], changes["bob"]
    assert (ada.attempt, ada.before, ada.verdict_before) == (roads["ada"].attempt.id, before["ada"].score.value, "PASS")
    assert ada.after is not None
    assert ada.after < ada.before
    assert ada.verdict_after == "FAIL"
    assert ada.leaves == {"number_published": ("certified", "failed")}
    assert (bob.before, bob.after, bob.leaves, bob.problem) == (0.0, 0.0, {}, None)
    for name in ("ada", "bob"):
        kept = kept_score(roads[name].desk)
        assert kept.paper_version == load_paper(folder).version
        assert kept.score.value == changes[name].after
        [former] = (roads[name].records / "former_scores").iterdir()
        assert read(former, Score) == before[name]
        [event] = data_of(roads[name].desk, "rescored")
        assert event["before"]["value"] == before[name].score.value
        assert event["value"] == kept.score.value
    assert "rescored" not in kinds(roads["cyd"].desk)
    assert everybody(folder) == [], "once is enough"
    lines = list(change_lines(list(changes.values()), "lean"))
    assert f"{roads['ada'].attempt.id} (ada)" in lines
    assert any("PASS 1.000 -> FAIL" in line for line in lines)
    assert "    number_published: certified -> failed" in lines


def test_a_changed_metric_rescores_too(settled: Settled) -> None:
    folder, roads, _ = settled
    source = (folder / "metrics.py").read_text()
    (folder / "metrics.py").write_text(source.replace('return outputs["position"].mean()', "return 0.0"))
    changes = {change.participant: change for change in everybody(folder)}
    assert set(changes) == {"ada", "bob"}
    assert {"number_published", "exact_published"} <= set(changes["ada"].leaves)
    # And back again: the first verdict returns, from the same outputs.
    (folder / "metrics.py").write_text(source)
    back = {change.participant: change for change in everybody(folder)}
    assert back["ada"].verdict_after == "PASS"
    assert len(data_of(roads["ada"].desk, "rescored")) == 2


def test_leaves_that_came_and_went_are_said_to_be_absent(settled: Settled) -> None:
    folder, *_ = settled

    def other(spec: dict[str, Any]) -> None:
        lean(spec)
        spec["claims"]["threshold_low"] = {**spec["claims"].pop("threshold_below"), "below": 1.9}
        leaves = spec["rubric"]["all"]["leaves"]
        leaves[leaves.index("threshold_below")] = "threshold_low"

    write_paper(folder, other)
    change = next(change for change in everybody(folder) if change.participant == "ada")
    assert change.leaves["threshold_below"] == ("certified", "absent")
    assert change.leaves["threshold_low"][0] == "absent"


def test_an_attempt_that_cannot_be_rescored_keeps_its_score_and_stops_nobody(settled: Settled) -> None:
    folder, roads, before = settled
    write_paper(folder, narrowed)
    (roads["ada"].records / "rerun.json").unlink()
    changes = {change.participant: change for change in everybody(folder)}
    assert (changes["ada"].after, changes["ada"].before) == (None, before["ada"].score.value)
    assert changes["ada"].problem
    assert kept_score(roads["ada"].desk) == before["ada"]
    assert changes["bob"].after == 0.0
    assert any("stays" in line for line in change_lines(list(changes.values()), "lean"))


@pytest.mark.parametrize("harm", ["score", "ledger", "submission", "attempt"])
def test_a_damaged_record_of_one_stops_nobody(settled: Settled, harm: str) -> None:
    # Once: only `score` itself is guarded; a score.json, ledger, submission.json or attempt.json that cannot be read
    # ends the rescoring of everybody who comes after.
    folder, roads, _ = settled
    write_paper(folder, narrowed)
    road = roads["ada"]
    paths = {
        "score": road.records / "score.json",
        "ledger": road.folder / "ledger.jsonl",
        "submission": road.records / "submission.json",
        "attempt": road.folder / "attempt.json",
    }
    paths[harm].write_text("{}\n")
    changes = {change.participant: change for change in everybody(folder)}
    assert changes["bob"].after == 0.0


def test_a_score_that_could_not_be_noted_was_not_replaced(settled: Settled) -> None:
    # Once: `score` replaces score.json before the ledger takes the event: with a damaged ledger the change is told as
    # "stays", and the score is another one all the same, which no event tells of.
    folder, roads, before = settled
    write_paper(folder, narrowed)
    (roads["ada"].folder / "ledger.jsonl").write_text("{}\n")
    change = next(change for change in everybody(folder) if change.participant == "ada")
    assert change.after is None
    assert read(roads["ada"].records / "score.json", Score) == before["ada"]


def test_the_score_over_time_is_of_the_same_version_as_the_score(settled: Settled) -> None:
    # Once: over_time.json stays as it was, so the report shows a new score above a curve by the former paper.
    folder, roads, _ = settled
    over_time(roads["ada"])
    write_paper(folder, narrowed)
    everybody(folder)
    points, found = kept_points(roads["ada"].desk), kept_score(roads["ada"].desk)
    assert found.claims[0].verdict is Verdict.FAILED
    assert points == [] or points[-1].score == found.score


def test_another_paper_concerns_nobody_here(settled: Settled) -> None:
    folder, *_ = settled
    write_paper(folder, narrowed)
    assert everybody(folder, "tiny") == []
    assert list(change_lines([], "tiny")) == ["nobody's score on tiny is by another version of it"]

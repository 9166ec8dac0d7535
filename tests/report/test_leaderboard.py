"""The leaderboard of a results folder: what counts, what is told of the rest, and that hostile texts stay texts."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.made_attempts import VERSION, add, verify
from harness.attempt import ledger
from harness.cli.main import run
from harness.errors import UsageError
from harness.report.entries import read_results
from harness.report.leaderboard import Board, as_csv, board, facts
from harness.report.leaderboard_page import leaderboard_page
from harness.report.leaderboard_table import board_table
from harness.scoring.integrity import Gate

PAPERS = ["a", "b", "c", "d"]
Row = dict[str, Any]
Command = Callable[..., tuple[int, str, str]]
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e' onload='x"


@pytest.fixture(autouse=True)
def _no_papers_but_those_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.report.leaderboard.find_papers", dict)


def read(*results: Path, papers: tuple[str, ...] = ()) -> Board:
    return board(read_results(results), results, papers=papers)


def rows(*results: Path, papers: tuple[str, ...] = ()) -> list[Row]:
    found: list[Row] = facts(read(*results, papers=papers), own=False)["rows"]
    return found


def shown(found: Board, *, own: bool = False, width: int = 100) -> str:
    file = StringIO()
    Console(width=width, file=file, force_terminal=True, highlight=False).print(board_table(found, own=own))
    return file.getvalue()


def page_of(found: Board, *, own: bool = False) -> str:
    return leaderboard_page(found, own=own, made=datetime(2026, 1, 6, 12, tzinfo=UTC))


def test_the_json_that_scripts_rely_on(tmp_path: Path) -> None:
    for number, paper in enumerate(PAPERS):
        add(tmp_path, f"{number}", paper, 0.9, working=100.0)
    found = facts(read(tmp_path), own=False)
    assert [paper["paper"] for paper in found["suite"]["papers"]] == PAPERS
    [row] = found["rows"]
    assert {"participant", "kind", "condition", "papers", "score", "coverage", "cost", "verified"} <= row.keys()
    assert (row["participant"], row["kind"], row["condition"]) == ("ada", "human", "human")
    assert row["score"].keys() == {"value", "low", "high"}
    assert row["score"]["value"] == pytest.approx(0.9)
    assert row["papers"]["a"]["score"] == {"value": 0.9, "low": pytest.approx(0.85), "high": pytest.approx(0.95)}
    assert row["papers"]["a"]["verdicts"] == {"PASS": 1}
    assert row["cost"] == {
        "working": 400.0, "cpu": 240.0, "env_steps": 0.0, "tokens": None, "dollars": None, "declared_working": 2400.0
    }  # fmt: skip
    assert (row["coverage"], row["verified"], row["last"]) == (1.0, 0, "2026-01-05T09:01:40+00:00")
    assert found["comparisons"] == {}
    assert found["said"] == "there is nobody to compare with"
    json.dumps(found, allow_nan=False)


def test_the_last_submission_counts(tmp_path: Path) -> None:
    folder = add(tmp_path, "1", "a", 0.4, submissions=2)
    assert rows(tmp_path)[0]["score"]["value"] == 0.4
    (folder / "submissions/002/score.json").rename(folder / "submissions/001/score.json")
    found = read(tmp_path)
    assert found.rows == (), "the earlier submission's score does not stand for the later one"
    assert [waiting.why for waiting in found.waiting] == ["not scored"]


def test_what_is_withdrawn_with_nothing_handed_in_counts_0(tmp_path: Path) -> None:
    add(tmp_path, "1", "a", 0.8)
    add(tmp_path, "2", "a", None, submissions=0, events=("withdrawn",))
    [row] = rows(tmp_path)
    assert row["papers"]["a"]["score"]["value"] == 0.4
    assert row["papers"]["a"]["verdicts"] == {"UNDECIDED": 1, "WITHDRAWN": 1}


def test_what_an_agent_left_and_nobody_could_take_in_counts_0_and_a_persons_is_waited_for(tmp_path: Path) -> None:
    for name, kind in (("1", "agent"), ("2", "human")):
        folder = add(tmp_path, name, "a", None, submissions=0, by=kind, kind=kind)
        ledger.append(folder / ledger.FILE, "submitted", {"refused": "10 GB"})
    found = read(tmp_path)
    assert [(row.participant, row.papers[0].verdicts) for row in found.rows] == [("agent", {"REFUSED": 1})]
    assert [waiting.participant for waiting in found.waiting] == ["human"]
    [line] = csv.DictReader(StringIO(as_csv(found, own=False)))
    assert (line["refused"], line["withdrawn"], line["score"]) == ("1", "0", "0")


def test_what_a_fault_of_ours_ended_counts_nothing_and_is_told(tmp_path: Path) -> None:
    add(tmp_path, "1", "a", 0.8, by="codex", kind="agent")
    for number, fault in enumerate(("model", "harness", "model")):
        folder = add(tmp_path, f"x{number}", "a", 0.1 if number else None, by="codex", kind="agent", fault=fault)
        ledger.append(folder / ledger.FILE, "replaced", {"plan": "p", "by": "1" if number else None, "fault": fault})
    found = read(tmp_path)
    [row] = facts(found, own=False)["rows"]
    assert (row["attempts"], row["score"]["value"], row["waiting"]) == (1, 0.8, {})
    told = facts(found, own=False)["replaced"]
    assert [(one["attempt"], one["fault"], one["by"]) for one in told] == [
        ("x0", "model", None), ("x1", "harness", "1"), ("x2", "model", "1"),
    ]  # fmt: skip
    assert "1 attempt by a fault of ours, 2 attempts by a fault of the model's provider" in shown(found, width=500)
    assert "2 attempts by a fault of the model" in page_of(found)


def test_one_agent_with_two_models_is_two_participants(tmp_path: Path) -> None:
    for number, model in enumerate(("small", "large", None)):
        add(tmp_path, f"{number}", "a", 0.1 * number, by="codex", kind="agent", model=model)
        add(tmp_path, f"w{number}", "a", None, by="codex", kind="agent", model=model)
    found = facts(read(tmp_path), own=False)["rows"]
    told = [(row["participant"], row["attempts"], row["waiting"]) for row in found]
    waiting = {"not scored": 1}
    assert told == [("codex", 1, waiting), ("codex · large", 1, waiting), ("codex · small", 1, waiting)]


def test_an_attempt_that_its_participant_ended_cannot_be_replaced(tmp_path: Path) -> None:
    folder = add(tmp_path, "1", "a", 0.1, by="codex", kind="agent", fault="submission")
    ledger.append(folder / ledger.FILE, "replaced", {"reason": "better luck next time"})
    found = read(tmp_path)
    assert (found.rows[0].attempts, found.replaced) == (1, ())


def test_a_point_costs_what_all_attempts_used_over_what_they_scored(tmp_path: Path) -> None:
    priced = {"tokens": 2e6, "dollars": 3.0}
    for number, value in enumerate((0.9, 0.0, 0.6)):
        add(tmp_path, f"{number}", "a", value, by="codex", kind="agent", used=priced)
        add(tmp_path, f"l{number}", "a", value, by="local", kind="agent", used={"tokens": 1e6})
        add(tmp_path, f"h{number}", "a", value)
    found = read(tmp_path)
    each = {row["participant"]: row["per_point"] for row in facts(found, own=False)["rows"]}
    assert each["codex"]["dollars"] == pytest.approx(9 / 1.5)
    assert each["codex"]["tokens"] == pytest.approx(6e6 / 1.5)
    assert each["codex"]["cpu"] == pytest.approx(180 / 1.5)
    assert each["local"]["dollars"] is None, "no price is known, which is not free"
    assert each["local"]["tokens"] == pytest.approx(3e6 / 1.5)
    assert each["ada"]["tokens"] is None, "nobody has metered the model that a person asks"
    assert "a point costs $6.00, 4 M tokens, 2 min CPU" in shown(found, width=500)
    page = page_of(found)
    assert ">$6.00<" in page
    assert 'id="t-dollars"' in page
    lines = list(csv.DictReader(StringIO(as_csv(found, own=False))))
    assert {line["dollars_per_point"] for line in lines} == {"6", ""}


def test_nothing_scored_has_no_price(tmp_path: Path) -> None:
    add(tmp_path, "1", "a", 0.0, by="codex", kind="agent", used={"tokens": 5.0, "dollars": 1.0})
    add(tmp_path, "2", "a", 0.0, by="codex", kind="agent")
    found = read(tmp_path)
    [row] = facts(found, own=False)["rows"]
    assert set(row["per_point"].values()) == {None}
    assert "no point" in page_of(found)


def test_what_was_handed_in_before_withdrawing_counts_as_it_was_scored(tmp_path: Path) -> None:
    add(tmp_path, "1", "a", 0.8, events=("withdrawn",))
    assert rows(tmp_path)[0]["score"]["value"] == 0.8


def test_what_is_not_handed_in_or_not_scored_is_told_and_counts_nothing(tmp_path: Path) -> None:
    add(tmp_path, "1", "a", 0.8)
    add(tmp_path, "2", "a", None)
    add(tmp_path, "3", "b", None, by="eve", submissions=0)
    found = facts(read(tmp_path), own=False)
    assert [row["participant"] for row in found["rows"]] == ["ada"]
    assert found["rows"][0]["waiting"] == {"not scored": 1}
    assert found["rows"][0]["papers"]["a"]["attempts"] == 1
    assert "not counted yet: 1 not handed in, 1 not scored" in found["notes"]
    assert found["waiting"][1]["participant"] == "eve"


def _cut(folder: Path) -> None:
    (folder / "submissions/001/score.json").write_text('{"attempt": "2"')


def _nonsense(folder: Path) -> None:
    score = json.loads((folder / "submissions/001/score.json").read_text())
    score["score"]["value"] = 1e9
    (folder / "submissions/001/score.json").write_text(json.dumps(score))


def _swapped(folder: Path) -> None:
    (folder / "submissions/001/score.json").write_bytes((folder.parent / "1/submissions/001/score.json").read_bytes())


def _a_pipe(folder: Path) -> None:
    (folder / "submissions/001/score.json").unlink()
    os.mkfifo(folder / "submissions/001/score.json")


def _binary(folder: Path) -> None:
    (folder / "submissions/001/score.json").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize("damage", [_cut, _nonsense, _swapped, _a_pipe, _binary])
def test_a_damaged_attempt_hides_nobody_and_is_named(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    add(tmp_path, "1", "a", 0.8)
    damage(add(tmp_path, "2", "a", 0.9, by="eve"))
    found = read(tmp_path)
    assert [row.participant for row in found.rows] == ["ada"]
    assert [left.attempt for left in found.left_out] == ["2"]
    for text in (shown(found, width=400), page_of(found), "\n".join(facts(found, own=False)["notes"])):
        assert "left out: 2: " in text


def test_a_pipe_in_the_place_of_a_record_keeps_nobody_waiting(tmp_path: Path) -> None:
    _a_pipe(add(tmp_path, "2", "a", 0.9))
    [left] = read_results([tmp_path]).left_out
    assert left.problem.endswith("is no plain file")


def test_a_score_counts_although_the_rest_of_its_record_is_damaged(tmp_path: Path) -> None:
    folder = add(tmp_path, "1", "a", 0.8)
    (folder / "submissions/001/submission.json").write_text("[]")
    (folder / "submissions/001/over_time.json").write_text("{")
    found = facts(read(tmp_path), own=False)
    assert found["rows"][0]["score"]["value"] == 0.8
    assert found["rows"][0]["cost"]["working"] is None
    assert [left["problem"].partition(":")[0] for left in found["left_out"]] == ["its score counts, but"] * 2


def test_an_attempt_that_lies_in_two_folders_counts_once(tmp_path: Path) -> None:
    for name in ("june", "july"):
        add(tmp_path / name, "1", "a", 0.8)
    add(tmp_path / "july", "2", "a", 0.6)
    found = read(tmp_path / "june", tmp_path / "july")
    assert found.rows[0].attempts == 2
    assert [left.attempt for left in found.left_out] == ["1"]


def test_the_harness_s_own_are_apart(tmp_path: Path) -> None:
    add(tmp_path, "1", "a", 0.8)
    for kind in ("reference", "starter", "mutation"):
        add(tmp_path, kind, "a", 1.0, by=kind, kind=kind)
    add(tmp_path, "4", "a", 1.0, by="tried", kind="agent", condition="harness")
    found = read(tmp_path)
    assert [row.participant for row in found.rows] == ["ada"]
    assert facts(found, own=False)["own"] == []
    assert {row["participant"] for row in facts(found, own=True)["own"]} == {
        "reference", "starter", "mutation", "tried"
    }  # fmt: skip
    assert all(row["ranks"] is None for row in facts(found, own=True)["own"])
    assert "4 attempts of the harness's own" in shown(found, width=200)
    assert "which try the papers" in shown(found, own=True)
    assert 'id="own"' in page_of(found, own=True)
    assert 'id="own"' not in page_of(found)


def test_the_suite_is_what_is_installed_and_what_was_met_unless_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tmp_path, "1", "met", 0.8)
    monkeypatch.setattr("harness.report.leaderboard.find_papers", lambda: {"installed": Path()})
    assert read(tmp_path).papers == ["installed", "met"]
    assert rows(tmp_path)[0]["score"]["value"] == 0.4
    [row] = rows(tmp_path, papers=("met",))
    assert (row["score"]["value"], row["coverage"]) == (0.8, 1.0)
    found = read(tmp_path, papers=("installed",))
    assert found.rows == ()
    assert "1 attempt on papers outside the suite" in facts(found, own=False)["notes"]
    with pytest.raises(UsageError, match="did you mean met"):
        read(tmp_path, papers=("mett",))


def test_a_mix_of_versions_is_told(tmp_path: Path) -> None:
    add(tmp_path, "1", "a", 0.8)
    add(tmp_path, "2", "a", 0.9, version="f" * 16)
    found = read(tmp_path)
    assert "`reproof rescore --paper a` brings them together" in facts(found, own=False)["notes"][0]
    assert facts(found, own=False)["rows"][0]["papers"]["a"]["versions"] == [VERSION, "f" * 16]
    assert "mixed versions" in page_of(found)


@pytest.mark.parametrize(
    ("said", "counted"),
    [({}, 1), ({"inside": False}, 1), ({"same": False}, 0), ({"version": "f" * 16}, 0)],
    ids=["in place", "beside", "not the same", "another version"],
)
def test_what_was_verified(tmp_path: Path, said: dict[str, Any], counted: int) -> None:
    add(tmp_path, "1", "a", 0.8)
    add(tmp_path, "2", "a", 0.8)
    verify(tmp_path, "1", **said)
    (tmp_path / "attempts/2/verified.json").write_text("not JSON at all")
    assert rows(tmp_path)[0]["verified"] == counted


def gate(number: int, *, fired: bool = True, denies: bool = False, detail: str = "look at the seeds") -> Gate:
    return Gate(gate=number, name=f"gate no {number}", fired=fired, denies_pass=denies, detail=detail)


@pytest.fixture
def flagged(tmp_path: Path) -> Path:
    """Ada's four papers, the first twice, two attempts flagged; eve's and the reference's, once each."""
    for number, paper in enumerate(PAPERS):
        add(tmp_path, f"{number}", paper, 0.9)
        add(tmp_path, f"{number}-eve", paper, 0.2, by="eve", kind="agent")
    add(tmp_path, "twice", "a", 0.9, gates=[gate(5), gate(3), gate(1, denies=True), gate(4, fired=False)])
    add(tmp_path, "rosy", "b", 0.9, gates=[gate(5, detail=HOSTILE + "W" * 5000)])
    add(tmp_path, "ours", "a", 1.0, by="reference", kind="reference", gates=[gate(2)])
    return tmp_path


def test_flags_are_told_attempt_by_attempt_with_what_to_look_at(flagged: Path) -> None:
    found = facts(read(flagged), own=False)
    assert [one["attempt"] for one in found["flagged"]] == ["rosy", "twice"]
    assert found["flagged"][1]["flags"] == [
        {"gate": 5, "name": "gate no 5", "detail": "look at the seeds"},
        {"gate": 3, "name": "gate no 3", "detail": "look at the seeds"},
    ]
    ada, eve = found["rows"]
    assert (ada["flagged"], ada["flags"], ada["attempts"]) == (2, [3, 5], 6)
    assert (ada["papers"]["b"]["flagged"], ada["papers"]["b"]["flags"]) == (1, [5])
    assert (eve["flagged"], eve["flags"]) == (0, [])
    assert [one["attempt"] for one in facts(read(flagged), own=True)["flagged"]] == ["ours", "rosy", "twice"]


def test_flags_move_neither_scores_nor_places(flagged: Path, tmp_path: Path) -> None:
    rated = [(row.participant, row.value, row.low, row.high, row.ranks) for row in read(flagged).rows]
    for name in ("twice", "rosy"):
        path = flagged / f"attempts/{name}/submissions/001/score.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "integrity": []}))
    assert [(row.participant, row.value, row.low, row.high, row.ranks) for row in read(flagged).rows] == rated


def test_flags_are_seen_on_a_terminal_on_the_page_and_in_csv(flagged: Path) -> None:
    found = read(flagged)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown(found, width=300))
    assert "⚑ 2 of 6 flagged for an audit: gates 3, 5" in text
    assert "gate 3, gate no 3: look at the seeds" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    page = page_of(found)
    assert page.count("2 of 6 flagged for an audit: gates 3, 5") == 1
    assert page.count("⚑ flagged: gate 5<") == page.count("⚑ flagged: gates 3, 5<") == 1
    assert "gate 3, gate no 3:" in page
    assert "<script>alert" not in page
    assert "W" * 700 not in page
    lines = list(csv.DictReader(StringIO(as_csv(found, own=True))))
    told = {(line["participant"], line["paper"]): (line["flagged"], line["flags"]) for line in lines}
    assert told["ada", "a"] == ("1", "3 5")
    assert told["ada", "c"] == told["eve", "a"] == ("0", "")
    assert told["reference", "a"] == ("1", "2")


def test_where_nothing_is_flagged_nothing_is_said_of_it(tmp_path: Path) -> None:
    add(tmp_path, "1", "a", 0.8)
    for text in (shown(read(tmp_path)), page_of(read(tmp_path))):
        assert "flagged for" not in text
        assert "Flagged for" not in text


def test_too_few_to_say_is_said(tmp_path: Path) -> None:
    for number, paper in enumerate(PAPERS[:2]):
        add(tmp_path, f"{number}", paper, 0.9)
        add(tmp_path, f"{number}-x", paper, 0.2, by="x", kind="agent")
    found = facts(read(tmp_path), own=False)
    assert found["said"] == "too few to say who is ahead: the suite has 2 papers, and places need 4"
    assert found["comparisons"]["human - agent"]["paired"] is None
    assert found["comparisons"]["human - agent"]["bootstrap"] is None
    assert found["comparisons"]["human - agent"]["said"].startswith("too few to say: both have attempted 2 papers")
    assert all(row["ranks"] is None for row in found["rows"])
    for text in (shown(read(tmp_path), width=200), page_of(read(tmp_path))):
        assert "too few to say who is ahead" in text


def test_nobody_is_called_first_whom_another_may_pass(tmp_path: Path) -> None:
    for number, (one, two) in enumerate([(0.9, 0.6), (0.5, 0.8), (0.8, 0.5), (0.6, 0.8)]):
        add(tmp_path, f"{number}", PAPERS[number], one)
        add(tmp_path, f"{number}-x", PAPERS[number], two, by="x", kind="agent")
    found = facts(read(tmp_path), own=False)
    assert found["said"] == "too few to say who is first: any of 2 may be, of 2"
    assert [row["ranks"] for row in found["rows"]] == [[1, 2]] * 2


def test_who_is_first_is_said_where_it_can_be(tmp_path: Path) -> None:
    for number, paper in enumerate(PAPERS):
        add(tmp_path, f"{number}", paper, 0.9 + 0.01 * number)
        add(tmp_path, f"{number}-x", paper, 0.2 - 0.01 * number, by="x", kind="agent")
    found = facts(read(tmp_path), own=False)
    assert found["said"] == "ada (human) is first"
    assert found["comparisons"]["human - agent"]["settled"]


def test_csv_has_a_line_for_each_row_and_paper_and_no_formulas(tmp_path: Path) -> None:
    for number, paper in enumerate(PAPERS[:3]):
        add(tmp_path, f"{number}", paper, 0.75, by='=cmd|"/C calc"!A0')
    add(tmp_path, "x", "d", 0.5, by="@eve\n+1")
    lines = list(csv.DictReader(StringIO(as_csv(read(tmp_path), own=False))))
    assert [line["paper"] for line in lines] == PAPERS * 2
    assert {line["participant"] for line in lines} == {'\'=cmd|"/C calc"!A0', "'@eve\n+1"}
    assert (lines[0]["score"], lines[3]["score"], lines[3]["attempts"]) == ("0.75", "0", "0")
    assert lines[0]["last"] == "2026-01-05T10:00:00+00:00"
    assert not any(cell[:1] in ("=", "@", "\t", "\r") for line in lines for cell in line.values())


def test_hostile_names_stay_texts(tmp_path: Path) -> None:
    for number, paper in enumerate(PAPERS):
        add(tmp_path, f"{number}", paper, 0.75, by=HOSTILE)
        add(tmp_path, f"x{number}", paper, 0.5, by="eve", kind="agent", condition=f"agent {HOSTILE}")
    add(tmp_path, "w", "a", None, by=HOSTILE)
    found = read(tmp_path)
    text, page = shown(found, width=300), page_of(found)
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert page.count("<script>") == 1, "ours"
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "onload='x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_page_is_one_file_with_a_strict_policy(tmp_path: Path) -> None:
    add(tmp_path, "1", "a", 0.8)
    page = page_of(read(tmp_path))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    assert "default-src &#39;none&#39;" in policy[1]
    assert "script-src &#39;sha256-" in policy[1]
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert " style=" not in page


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    (tmp_path / "attempts").mkdir()
    with pytest.raises(UsageError, match="no paper"):
        read(tmp_path)
    add(tmp_path, "1", "a", None)
    found = read(tmp_path)
    assert facts(found, own=False)["said"] == "nobody's attempt is scored yet"
    for text in (shown(found), page_of(found)):
        assert "reproof start tree_search --as NAME" in text


@pytest.mark.parametrize(("words", "told"), [(("nowhere",), "no results folder"), (("attempts",), "part of a results")])
def test_a_wrong_folder_is_told(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    add(tmp_path, "1", "a", 0.8)
    with pytest.raises(UsageError, match=told) as caught:
        read_results([tmp_path.joinpath(*words)])
    assert "--results" in str(caught.value)
    with pytest.raises(UsageError, match="part of a results") as caught:
        read_results([tmp_path / "attempts/1"])
    assert str(tmp_path) in str(caught.value)


@pytest.fixture
def leaderboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The verb in this process: its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run_it(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["reproof", "leaderboard", *words])
        return run(), *capsys.readouterr()

    return run_it


def test_the_command(leaderboard: Command, tmp_path: Path) -> None:
    for number, paper in enumerate(PAPERS):
        add(tmp_path / "results", f"{number}", paper, 0.8)
    code, out, err = leaderboard("--papers", "a,b", "--papers", "c", "--page", "board.html", "--json")
    assert code == 0
    assert json.loads(out)["page"] == str(tmp_path / "board.html")
    assert [paper["paper"] for paper in json.loads(out)["suite"]["papers"]] == ["a", "b", "c"]
    assert "board.html" in err
    assert "<title>Reproof: leaderboard</title>" in (tmp_path / "board.html").read_text()
    assert "0.800" in leaderboard()[1]
    assert leaderboard("--csv")[1].startswith("participant,kind,condition")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--csv", "--json"), "leave one out"),
        (("--page", "results/attempts/1/attempt.json/below"), "name a file that can be written"),
        (("--results", "nowhere"), "--results FOLDER"),
        (("--papers", "aa"), "did you mean a?"),
    ],
)
def test_a_mistake_has_a_remedy(leaderboard: Command, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    add(tmp_path / "results", "1", "a", 0.8)
    code, out, err = leaderboard(*words)
    assert (code, out) == (2, "")
    assert told in err


def test_it_starts_without_what_takes_long_to_import(tmp_path: Path) -> None:
    add(tmp_path / "results", "1", "a", 0.8)
    program = (
        "import sys; from harness.cli.main import run\n"
        "sys.argv = ['reproof', 'leaderboard', '--json', '--page', 'b.html']; run()\n"
        "heavy = {'scipy', 'pydantic', 'mlflow', 'yaml', 'rich', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

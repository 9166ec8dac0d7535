"""The whole road of a paper whose environments the harness owns: rehearsed, rerun, scored, shown."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archives import corrected, in_order, members_of, write_tar
from handmade import data_of
from served_paper import FLOODING, GREEDY, HEEDFUL, ID, WORK, write_served

from harness.archive.pack import pack
from harness.archive.verify import Verifier
from harness.check import Check, check
from harness.config import Settings
from harness.errors import RecordError, UsageError
from harness.handing_in import hand_in
from harness.handing_out import hand_out, work
from harness.pipeline import rerun, score
from harness.report.checked import checked_lines
from harness.report.mirror import entries
from harness.report.page import write_page
from harness.report.table import print_score
from harness.road import Road
from harness.scoring.finding import Verdict
from harness.scoring.score import ClaimScore, Score

WORKFILE = "reproduction/work.py"
Attempted = tuple[Road, Score]
Begin = Callable[..., Road]
Checked = Callable[..., tuple[Road, Check]]


def of_budget(env_steps: int) -> Callable[[dict[str, Any]], None]:
    def edit(spec: dict[str, Any]) -> None:
        spec["budgets"]["standard"]["env_steps"] = env_steps

    return edit


@pytest.fixture
def checked(begin: Begin, tmp_path: Path) -> Checked:
    """A rehearsal of some work, with so many env steps in the budget."""

    def rehearse(text: str, env_steps: int = 5000) -> tuple[Road, Check]:
        folder = write_served(tmp_path / "papers" / "corridor", of_budget(env_steps))
        road = begin(folder=folder, results=tmp_path / "results")
        road.desk.note("resumed")
        (road.workspace / WORKFILE).write_text(text)
        return road, check(road, ["walking"])

    return rehearse


def test_a_rehearsal_is_served_and_its_steps_count(checked: Checked) -> None:
    road, found = checked(WORK)
    assert found.ok, found.runs
    assert {run.env_steps[ID].training for run in found.runs} == {400}
    measured = {leaf.leaf: list(leaf.measured.values()) for leaf in found.leaves}
    assert (measured["right_finds_it"], measured["left_does_not"]) == ([2.0], [0.0])
    events = data_of(road.desk, "executed")
    assert len(events) == len(found.runs)
    total = sum(run.env_steps[ID].training + run.env_steps[ID].evaluation for run in found.runs)
    assert sum(event["env_steps"] for event in events) == road.desk.account().used("env_steps") == total
    lines = list(checked_lines(found))
    assert any(line.startswith(f"    {ID}: 400 training and") for line in lines)
    assert not any("asked for more" in line for line in lines)


def test_a_rehearsal_tells_a_wrong_use(checked: Checked) -> None:
    _, found = checked(FLOODING)
    by_side = {run.label: run for run in found.runs}
    [left] = [run for label, run in by_side.items() if "to=left" in label and "again" not in label]
    [right] = [run for label, run in by_side.items() if "to=right" in label and "again" not in label]
    assert (left.status, right.status, right.remarks) == ("crashed", "completed", [])
    assert any("it broke the rules of talking to its environments" in problem for problem in left.problems)
    assert any("it broke the rules" in line for line in checked_lines(found))


def test_a_rehearsal_keeps_to_what_is_left(checked: Checked, begin: Begin) -> None:
    road, found = checked(HEEDFUL, env_steps=300)
    account = road.desk.account()
    assert 250 < account.used("env_steps") <= 300
    assert any(f"it asked for more steps of {ID} than it may take" in line for line in checked_lines(found))
    road.desk.note("noted", note="the rest", env_steps=300)
    with pytest.raises(UsageError, match=r"the env steps are used up: expected less than 300, got .*\n.*\(adding\)"):
        check(road, ["walking"])


def test_the_same_program_runs_outside_the_clean_room(begin: Begin, tmp_path: Path) -> None:
    road = begin(folder=write_served(tmp_path / "papers" / "corridor"), results=tmp_path / "results")
    (road.workspace / WORKFILE).write_text(WORK)
    (tmp_path / "out").mkdir()
    run = {"experiment": "walking", "parameters": {"to": "right"}, "seed": 1, "instance": {"goal": 2.0, "side": 1}}
    (tmp_path / "RUN.json").write_text(json.dumps({**run, "environments": {ID: {"steps": 400}}}))
    command = [sys.executable, "-m", "reproduction", str(tmp_path / "RUN.json"), f"{tmp_path / 'out'}/"]
    done = subprocess.run(command, cwd=road.workspace, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "report.json").read_text())["walks"] > 3
    task = (road.workspace / "TASK.md").read_text()
    assert f'env = gymnasium.make("{ID}")' in task
    assert f"| `walking` | `{ID}` | 400 | 60 | - |" in task
    assert "import environments" in task


@pytest.fixture(scope="module")
def reference(attempted: Callable[..., Attempted], tmp_path_factory: pytest.TempPathFactory) -> Attempted:
    """The reference's attempt at the corridor."""
    home = tmp_path_factory.mktemp("served")
    return attempted(write_served(home / "papers" / "corridor"), home / "results")


@pytest.fixture
def handed(
    reference: Attempted, settings: Callable[..., Settings], agents_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Attempted]:
    """Hand in some work, on the plan of the reference's attempt, which is answered already."""
    monkeypatch.setenv("REPROOF_AGENTS_PATH", str(agents_folder))

    def over_the_road(text: str) -> Attempted:
        options = {"files": {WORKFILE: text}}
        folder, results = reference[0].paper.folder, reference[0].store.root
        road = hand_out(settings(folder, results, "hand", options=options), tell=lambda text: None)
        hand_in(road, work(road, options))
        shutil.copytree(reference[0].private, road.private, dirs_exist_ok=True)
        rerun(road)
        return road, score(road)

    return over_the_road


def leaves(attempted: Attempted) -> dict[str, ClaimScore]:
    return {leaf.id: leaf for leaf in attempted[1].claims}


def shown(attempted: Attempted, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What a terminal and the page show, in one line each."""
    capsys.readouterr()
    print_score(attempted[1])
    terminal, page = capsys.readouterr().out, write_page(attempted[0].desk).read_text()
    return " ".join(terminal.split()), " ".join(page.split())


@pytest.mark.slow
def test_the_reference_passes_by_what_was_metered(reference: Attempted, capsys: pytest.CaptureFixture[str]) -> None:
    road, result = reference
    assert (result.verdict, result.score.value) == ("PASS", 1.0), result.reasons
    assert leaves(reference)["right_finds_it"].trust == "metered"
    assert {run.env_steps[ID].training for run in result.environments} == {400}
    assert {run.experiment for run in result.environments} == {"walking"}
    assert not any(run.remarks for run in result.environments)
    terminal, page = shown(reference, capsys)
    assert f"walking, {ID}: {len(result.environments)} runs, each 400 training and" in terminal
    assert page.count(f"<code>{ID}</code>") == len(result.environments)
    _, children = entries(road)
    served = [child for child in children if child.tags["reproof.experiment"] == "walking"]
    assert {dict((n, v) for n, v, _ in child.metrics)["env_steps/Corridor-v0/training"] for child in served} == {400}
    assert {child.tags["reproof.environments"] for child in served} == {"fine"}
    assert {child.tags["reproof.environments"] for child in children if child not in served} == {"none"}


@pytest.mark.slow
def test_a_submission_that_floods_the_gateway_loses_its_own_runs(
    handed: Callable[[str], Attempted], capsys: pytest.CaptureFixture[str]
) -> None:
    road, result = flooded = handed(FLOODING)
    found = leaves(flooded)
    assert found["right_finds_it"].verdict is Verdict.CERTIFIED
    assert found["sum"].verdict is Verdict.CERTIFIED
    for lost in (found["left_does_not"], found["fresh_side"]):
        assert lost.verdict is Verdict.MISSING
        assert "it broke the rules of talking to its environments" in lost.explanation
    assert result.score.coverage == 1.0, "no fault of ours"
    for text in shown(flooded, capsys):
        assert "it broke the rules of talking to its environments:" in text
    _, children = entries(road)
    amiss = [child for child in children if child.tags.get("reproof.environments") == "amiss"]
    assert amiss
    assert all(child.status == "FAILED" for child in amiss)
    assert all("broke the rules" in child.tags["mlflow.note.content"] for child in amiss)


@pytest.mark.slow
@pytest.mark.parametrize(("text", "counts"), [(GREEDY, False), (HEEDFUL, True)], ids=["unheeded", "heeded"])
def test_a_submission_that_spends_its_steps_is_told(
    handed: Callable[[str], Attempted], capsys: pytest.CaptureFixture[str], text: str, counts: bool
) -> None:
    road, result = spent = handed(text)
    found = leaves(spent)
    assert found["right_finds_it"].verdict is (Verdict.CERTIFIED if counts else Verdict.MISSING)
    assert counts or "StepsExhausted" in found["right_finds_it"].explanation
    assert found["sum"].verdict is Verdict.CERTIFIED
    assert all(run.env_steps[ID].exhausted and run.remarks for run in result.environments)
    assert {run.env_steps[ID].training for run in result.environments} == {400}
    for said in shown(spent, capsys):
        assert f"it asked for more steps of {ID} than it may take" in said.replace(f"<code>{ID}</code>", ID)
    amiss = [child for child in entries(road)[1] if child.tags.get("reproof.environments") == "amiss"]
    assert len(amiss) == len(result.environments)
    assert all("asked for more steps" in child.tags["mlflow.note.content"] for child in amiss)


@pytest.mark.slow
def test_an_archive_holds_what_was_metered(
    reference: Attempted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    road, result = reference
    archive = pack(road, tmp_path / "corridor.tar.gz").archive
    tables = [name for name in members_of(archive) if name.endswith("/metered.npy")]
    assert {run.key for run in result.environments} < {name.split("/")[2] for name in tables}, "and the reference's"
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(road.paper.folder.parent))
    verifier = Verifier(results=tmp_path / "elsewhere")
    verified = verifier.verify(archive, quick=True)
    assert verified.same, verified.problems
    forged = members_of(archive)
    forged[tables[0]] = forged[tables[0]][:-8] + bytes(8)
    with pytest.raises(RecordError, match=r"the episode log of the run .* is not that of its record"):
        verifier.verify(write_tar(tmp_path / "forged.tar.gz", in_order(corrected(forged))), quick=True)

"""The people's road on a real terminal, by script, and with everything that can go wrong on it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pexpect
import pytest
from handmade import commit, data_of, git, kinds, snapshot
from served_paper import ID, corridor, write_served
from tiny_paper import STUB, WORK, lean, write_paper
from watching import alive, soon

from harness.attempt.desk import Desk
from harness.attempt.registry import remember
from harness.road import Road

pytestmark = pytest.mark.usefixtures("no_keeper_survives")
WORKFILE = "reproduction/work.py"
MAIN = ["-c", "from harness.cli.start import main; main()"]
Begin = Callable[..., Road]
ENDS = "\x1b[2J\x1b]0;owned\x07"
"""What nobody's terminal should obey."""


def patient(spec: dict[str, Any]) -> None:
    lean(spec)
    spec["budgets"] = {
        "standard": {"working": "1 h", "wall": "1 d", "cpu": "10 min", "disk": "16 MiB"},
        "short": {"working": "1 s", "wall": "1 d", "cpu": "10 min", "disk": "16 MiB"},
    }


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_paper(tmp_path_factory.mktemp("people") / "papers" / "lean", patient).parent


@pytest.fixture
def place(tmp_path: Path, papers: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where somebody works: a folder with configs of its own that say that nothing is mirrored."""
    configs = tmp_path / "configs" / "tracking"
    configs.mkdir(parents=True)
    (configs / "sqlite.yaml").write_text('uri: none\nexperiment_prefix: "reproof/"\n')
    own = {"REPROOF_PAPERS_PATH": str(papers), "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm"}
    for name, value in {**environment, **own}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    return tmp_path


@pytest.fixture
def road(begin: Begin, place: Path, papers: Path) -> Road:
    """Ada's attempt, begun, its workspace beside the results."""
    road = begin(folder=papers / "lean", results=place / "results", workspace=place / "lean-ada")
    remember(road.workspace, road.folder)
    return road


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Verb = Callable[..., Said]


@pytest.fixture
def verb(place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Verb:
    """A verb in this process, where nobody sits who could be asked, and no keeper is started."""
    from harness.cli.main import run

    monkeypatch.setattr("harness.keeper.spawn", lambda desk: None)

    def call(*words: object, folder: Path | None = None) -> Said:
        monkeypatch.setattr(sys, "argv", ["reproof", *map(str, words)])
        monkeypatch.chdir(folder or place)
        capfd.readouterr()
        try:
            code = run()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Said(code, *capfd.readouterr())

    return call


class Terminal:
    """`reproof` on a terminal, with somebody before it."""

    def __init__(self, folder: Path, *words: object) -> None:
        self.child = pexpect.spawn(
            sys.executable, [*MAIN, *map(str, words)], cwd=str(folder), encoding="utf-8", codec_errors="replace",
            timeout=60, dimensions=(40, 160), echo=False,
        )  # fmt: skip
        self.text = ""

    def sees(self, text: str) -> Terminal:
        self.child.expect_exact(text)
        self.text += self.child.before + self.child.after
        return self

    def types(self, text: str) -> Terminal:
        self.child.sendline(text)
        return self

    def interrupts(self) -> Terminal:
        """Press Ctrl-C, again where the first came just before Python began to listen, which misses it then."""
        for _ in range(5):
            self.child.sendintr()
            if self.child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=3) == 0:
                break
        return self

    def ends(self, code: int = 0) -> str:
        if not self.child.flag_eof:
            self.child.expect(pexpect.EOF)
        self.text += self.child.before
        self.child.close()
        assert "Traceback" not in self.text
        assert self.child.exitstatus == code, self.text
        return self.text


# --- the whole road, on a terminal --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_whole_road_on_a_terminal(place: Path) -> None:
    asked = Terminal(place, "start", "lean", "--as", "ada")
    asked.sees("with an assistant?").types("yes").sees("Licence").types("MIT").sees("published").types("y")
    told = asked.ends()
    workspace = place / "lean-ada"
    assert f"cd {workspace}" in told
    assert "next: reproof clock start" in told
    assert {"TASK.md", "BRIEF.md", "reproduction"} <= {path.name for path in workspace.iterdir()}
    [folder] = (place / "results" / "attempts").iterdir()
    desk = Desk(folder=folder)
    assert desk.attempt.condition == "human + assistant"
    assert (desk.attempt.terms.licence, desk.attempt.terms.consent) == ("MIT", True)

    def at(*words: object, code: int = 0) -> str:
        return Terminal(workspace, *words).ends(code)

    assert "your clock runs" in at("clock", "start")
    assert soon(lambda: alive(f"clock\0keep\0{folder}"), within=20)
    assert "hello" in at("exec", "echo", "hello")
    (workspace / WORKFILE).write_text(WORK)
    checked = at("check")
    assert "✔ walk" in checked
    assert "0.78125 measured" in checked
    told = Terminal(workspace, "clock", "pause").sees("Why").types("lunch").ends()
    assert "your clock is paused" in told
    assert "next: reproof clock start" in told
    status = at("status")
    assert "paused: lunch" in status
    assert "deadline" in status
    assert "ada (human + assistant)" in status
    asked = Terminal(workspace / "reproduction", "submit").sees("Your clock does not run (paused)").types("y")
    told = asked.ends()
    assert "handed in: commit" in told
    assert "PASS" in told
    assert "score over the working budget" in told
    assert "PASS" in at("report")
    sheet = at("timesheet")
    assert "lunch" in sheet
    assert "echo hello" in sheet
    assert "ada: " in sheet
    assert "stopped: submission 1 was handed in" in at("status")
    asked = Terminal(workspace, "withdraw").sees("Why").types("enough").sees("It cannot be taken back").types("y")
    assert "what was done is kept" in asked.ends()
    assert desk.account().state == "withdrawn"
    assert kinds(desk)[-1] == "withdrawn"
    assert "this attempt was withdrawn" in at("clock", "start", code=2)
    assert "PASS" in at("report")


# --- Ctrl-C -------------------------------------------------------------------------------------------------------


def interrupted(terminal: Terminal, by: str) -> None:
    terminal.interrupts() if by == "Ctrl-C" else terminal.child.sendeof()
    assert "interrupted; everything that was done is kept" in terminal.ends(130)


START = [("with an assistant?", "no"), ("Licence", "MIT"), ("published", "y")]


@pytest.mark.parametrize("prompt", [0, 1, 2])
@pytest.mark.slow
def test_ctrl_c_at_a_prompt_of_start_leaves_nothing(place: Path, prompt: int) -> None:
    before = snapshot(place)
    terminal = Terminal(place, "start", "lean", "--as", "ada")
    for text, answer in START[:prompt]:
        terminal.sees(text).types(answer)
    interrupted(terminal.sees(START[prompt][0]), "Ctrl-C")
    assert snapshot(place) == before


PROMPTS: dict[str, tuple[str, list[str], list[tuple[str, str]], str]] = {
    "pause": ("running", ["clock", "pause"], [], "Why"),
    "submit": ("paused", ["submit"], [], "Start it, and submit?"),
    "submit at first": ("ready", ["submit"], [], "Start it, and submit?"),
    "withdraw, the reason": ("running", ["withdraw"], [], "Why"),
    "withdraw, the question": ("running", ["withdraw"], [("Why", "x")], "cannot be taken back"),
    "hand over": ("running", ["hand-over"], [], "To whom"),
    "note, the question": ("running", ["clock", "note", "x", "--working", "9 h"], [], "Declare it?"),
}


@pytest.mark.parametrize(("name", "by"), [*((name, "Ctrl-C") for name in PROMPTS), ("pause", "Ctrl-D")])
@pytest.mark.slow
def test_ctrl_c_at_a_prompt_changes_nothing(road: Road, place: Path, name: str, by: str) -> None:
    state, words, answered, prompt = PROMPTS[name]
    if state != "ready":
        road.desk.start_clock()
    if state == "paused":
        road.desk.pause_clock("lunch")
    (road.workspace / "notes.txt").write_text("not committed")
    before = snapshot(place)
    terminal = Terminal(road.workspace, *words)
    for text, answer in answered:
        terminal.sees(text).types(answer)
    interrupted(terminal.sees(prompt), by)
    assert snapshot(place) == before
    assert road.desk.account().state == state


@pytest.mark.parametrize(
    ("name", "answer"), [("withdraw, the question", "n"), ("note, the question", "n"), ("submit", "n")]
)
def test_no_is_an_answer(road: Road, name: str, answer: str) -> None:
    state, words, answered, prompt = PROMPTS[name]
    road.desk.start_clock()
    if state == "paused":
        road.desk.pause_clock("lunch")
    before = kinds(road.desk)
    terminal = Terminal(road.workspace, *words)
    for text, said in answered:
        terminal.sees(text).types(said)
    terminal.sees(prompt).types("n").child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == (2 if name == "submit" else 1)
    assert kinds(road.desk) == before


@pytest.mark.slow
def test_ctrl_c_during_exec_counts_what_was_used_and_one_goes_on(road: Road, verb: Verb) -> None:
    road.desk.start_clock()
    token = f"61.{os.getpid()}"
    script = f"i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo ready; sleep {token}; echo never"
    terminal = Terminal(road.workspace, "exec", "sh", "-c", script).sees("ready").interrupts()
    text = terminal.ends(130)
    assert "interrupted" in text
    [event] = data_of(road.desk, "executed")
    assert event["ended"] == "cancel"
    assert event["cpu"] > 0
    assert not alive(f"sleep\0{token}")
    assert road.desk.account().state == "running"
    assert verb("exec", "echo", "on", folder=road.workspace).out == "on\n"


def sleepy(seconds: float) -> str:
    """The work of the reference, after a rest."""
    rests = f"def walk(*words):\n    import time\n    time.sleep({seconds})\n    really(*words)\n\n\ndef really("
    return WORK.replace("def walk(", rests, 1)


@pytest.mark.timeout(60)
@pytest.mark.slow
def test_ctrl_c_during_check_ends_it_at_once_and_one_goes_on(road: Road, verb: Verb) -> None:
    # Once: check's clean room (harness/check.py, _Metered.run) drops the engine's `cancel`, and Bench.meter listens to
    # signals on the main thread only: after Ctrl-C the run goes on to its own limit, half a minute here.
    road.desk.start_clock()
    (road.workspace / WORKFILE).write_text(sleepy(40))
    before = git(road.workspace, "status", "--porcelain")
    terminal = Terminal(road.workspace, "check")
    assert soon(lambda: list((road.folder / "executing").glob("*.json")), within=30)
    time.sleep(0.3)
    terminal.child.sendintr()
    terminal.child.expect(pexpect.EOF, timeout=8)
    assert "interrupted" in terminal.ends(130)
    assert git(road.workspace, "status", "--porcelain") == before
    assert road.desk.account().state == "running"
    assert not list((road.folder / "executing").glob("*.json"))
    assert road.desk.submissions == []
    (road.workspace / WORKFILE).write_text(WORK)
    assert verb("check", folder=road.workspace).code == 0


@pytest.mark.slow
def test_ctrl_c_during_the_rerun_of_a_submission_keeps_it_and_one_goes_on(road: Road, verb: Verb) -> None:
    road.desk.start_clock()
    (road.workspace / WORKFILE).write_text(sleepy(1.0))
    terminal = Terminal(road.workspace, "submit").sees("handed in: commit")
    assert soon(lambda: list(road.store.root.glob("runs/*/*/run.json")), within=30)
    text = terminal.interrupts().ends(130)
    assert f"go on with: reproof rerun {road.attempt.id}" in text
    done = set(road.store.root.glob("runs/*/*/run.json"))
    assert done
    assert road.desk.account().state == "submitted"
    said = verb("rerun", "--json", folder=road.workspace)
    assert said.code == 0, said.err
    assert said.json["verdict"] == "PASS"
    assert done < set(road.store.root.glob("runs/*/*/run.json"))
    assert len(road.desk.submissions) == 1


# --- by script ----------------------------------------------------------------------------------------------------


def test_json_of_start(verb: Verb, place: Path) -> None:
    said = verb("start", "lean", "--as", "ada", "--json")
    assert said.code == 0, said.err
    found = said.json
    assert {"attempt", "workspace", "start_commit"} <= set(found)
    assert Path(found["workspace"]) == place / "lean-ada"
    assert git(place / "lean-ada", "rev-parse", "HEAD") == found["start_commit"]
    assert (place / "results" / "attempts" / found["attempt"]).is_dir()
    again = verb("start", "lean", "--as", "ada", "--json")
    assert (again.code, again.out) == (2, "")
    error = json.loads(again.err)
    assert error["where"] == found["attempt"]
    assert "you work on this paper already" in error["message"]
    assert "--another" in error["remedy"]
    assert [path.name for path in (place / "results" / "attempts").iterdir()] == [found["attempt"]]
    taken = verb("start", "lean", "--as", "ada", "--another")
    assert taken.code == 2
    assert "needs a new folder" in taken.err
    other = verb("start", "lean", "--as", "ada", "--another", "--workspace", place / "second", "--json")
    assert other.json["attempt"] != found["attempt"]


ITEMS = {"working", "wall", "cpu", "disk", "env_steps", "tokens", "dollars"}


@pytest.mark.parametrize("state", ["ready", "running", "paused"])
def test_json_of_status(road: Road, verb: Verb, state: str) -> None:
    for step in {"ready": [], "running": ["start"], "paused": ["start", "pause"]}[state]:
        verb("clock", step, *(["x"] if step == "pause" else []), folder=road.workspace)
    found = verb("status", "--json", folder=road.workspace).json
    assert {"state", "used", "left", "deadline"} <= set(found)
    assert found["state"] == state
    assert set(found["used"]) == set(found["left"]) == ITEMS
    assert found["left"]["env_steps"] is None
    assert found["used"]["working"] + found["left"]["working"] == pytest.approx(3600, abs=0.01)
    assert found["used"]["disk"] > 0
    assert 86_000 < (datetime.fromisoformat(found["deadline"]) - road.attempt.started).total_seconds() < 86_500
    assert found == {**verb("status", road.attempt.id, "--json").json, **{key: found[key] for key in ("used", "left")}}


@pytest.mark.parametrize(
    "words",
    [["clock", "start"], ["clock", "note", "x"], ["hand-over", "--to", "grace"], ["withdraw", "--because", "x"]],
)
def test_json_of_the_verbs_is_that_of_status(road: Road, verb: Verb, words: list[str]) -> None:
    said = verb(*words, "--json", folder=road.workspace)
    assert said.code == 0, said.err
    assert {"attempt", "state", "used", "left", "deadline", "next"} <= set(said.json)


def test_json_of_submit_and_score_is_that_of_an_attempt(road: Road, verb: Verb, lean_finished: Any) -> None:
    verb("clock", "start", folder=road.workspace)
    (road.workspace / WORKFILE).write_text(WORK)
    said = verb("submit", "--json", folder=road.workspace)
    assert said.code == 0, said.err
    expected = json.loads(lean_finished[1].model_dump_json())
    assert set(said.json) == set(expected)
    assert set(said.json["score"]) == set(expected["score"])
    assert set(said.json["claims"][0]) == set(expected["claims"][0])
    assert (said.json["verdict"], said.json["condition"]) == ("PASS", "human")
    assert said.json["participant"] == {"kind": "human", "name": "ada"}
    scored = verb("score", road.attempt.id, "--json")
    assert scored.json == said.json
    report = verb("report", "--json", folder=road.workspace).json
    assert {key: report[key] for key in said.json} == said.json
    assert [point["share"] for point in report["over_time"]] == [0.25, 0.5, 0.75, 1.0]
    assert report["disputes"] == []
    leaf = said.json["claims"][0]["id"]
    made = verb("dispute", road.attempt.id, leaf, "--because", "the brief says otherwise", "--json").json
    assert {"number", "leaf", "because", "by", "ruling"} <= set(made)
    assert verb("report", "--json", folder=road.workspace).json["disputes"] == [made]
    ruled = verb("dispute", "answer", road.attempt.id, made["number"], "--reject", "--because", "no", "--json").json
    assert ruled["ruling"] == "rejected"
    assert [one["ruling"] for one in verb("dispute", "list", road.attempt.id, "--json").json] == ["rejected"]


def test_an_accepted_dispute_rescores_whether_or_not_json_is_asked_for(begin: Begin, verb: Verb, place: Path) -> None:
    # Once: `dispute answer --accept --json` returns before it rescores anybody.
    from harness.attempt.participant import Outcome
    from harness.handing_in import hand_in
    from harness.pipeline import rerun, score
    from harness.report.kept import kept_score

    folder = write_paper(place / "papers" / "lean", patient)
    road = begin(folder=folder, results=place / "results")
    road.desk.start_clock()
    commit(road.workspace, {WORKFILE: WORK})
    hand_in(road, Outcome(note="", ended="submitted"))
    rerun(road)
    before = score(road)

    def mended(spec: dict[str, Any]) -> None:
        patient(spec)
        spec["claims"]["number_said"]["target"]["margin"] = 0.2

    write_paper(folder, mended)
    made = verb("dispute", road.attempt.id, "number_said", "--because", "too narrow", "--json").json
    said = verb("dispute", "answer", road.attempt.id, made["number"], "--accept", "--because", "so it is", "--json")
    assert said.code == 0, said.err
    assert kept_score(road.desk).paper_version != before.paper_version


# --- wrong moments and places -------------------------------------------------------------------------------------


def test_outside_a_workspace_every_verb_says_where_to_go(verb: Verb, place: Path) -> None:
    before = snapshot(place)
    verbs = [
        *(["status"], ["clock", "start"], ["clock", "pause", "x"], ["clock", "note", "x"], ["exec", "true"], ["check"]),
        *(["submit"], ["timesheet"], ["withdraw", "--because", "x"], ["hand-over", "--to", "x"], ["report"]),
    ]
    for words in verbs:
        said = verb(*words)
        assert (said.code, said.out) == (2, ""), words
        assert "no workspace of an attempt" in said.err
        assert "reproof start PAPER --as NAME" in said.err
    assert snapshot(place) == before


def test_a_name_nobody_bears(road: Road, verb: Verb) -> None:
    wrong = road.attempt.id[:-1] + ("0" if road.attempt.id[-1] != "0" else "1")
    for words in (["status", wrong], ["submit", wrong], ["clock", "start", "--attempt", wrong], ["status", "../.."]):
        said = verb(*words)
        assert said.code == 2
        assert "unknown attempt" in said.err
        assert road.attempt.id in said.err
    assert kinds(road.desk) == ["started"]


def test_by_name_from_elsewhere(road: Road, verb: Verb) -> None:
    assert "your clock runs" in verb("clock", "start", "--attempt", road.attempt.id).out
    assert "paused" in verb("clock", "pause", "x", "--attempt", road.attempt.id).out
    assert road.attempt.id in verb("status", road.attempt.id).out
    assert "x" in verb("timesheet", road.attempt.id).out


def test_by_name_from_within_a_workspace_that_has_results_of_its_own(road: Road, verb: Verb) -> None:
    # Once: a name is looked for in ./results wherever that exists; in a workspace it is the participant's own folder,
    # and what `status` says comes next (`reproof report NAME`) is then an unknown attempt.
    (road.workspace / "results").mkdir()
    said = verb("status", road.attempt.id, folder=road.workspace)
    assert said.code == 0, said.err


MOMENTS: dict[str, tuple[list[list[str]], list[str], str]] = {
    "start twice": ([["clock", "start"]], ["clock", "start"], "the clock runs already"),
    "pause at first": ([], ["clock", "pause", "x"], "the clock does not run"),
    "pause without a reason": ([["clock", "start"]], ["clock", "pause"], "a pause has a reason"),
    "exec at first": ([], ["exec", "true"], "what is run is work"),
    "exec while paused": ([["clock", "start"], ["clock", "pause", "x"]], ["exec", "true"], "got paused"),
    "submit at first": ([], ["submit"], "reproof clock start, then reproof submit"),
    "submit while paused": ([["clock", "start"], ["clock", "pause", "x"]], ["submit"], "handing in is work"),
    "report before a score": ([], ["report"], "was not scored yet"),
    "withdraw without a reason": ([], ["withdraw"], "a withdrawal has a reason"),
    "hand over to nobody": ([], ["hand-over"], "a name other than ada"),
    "hand over to oneself": ([], ["hand-over", "--to", "ada"], "a name other than ada"),
    "check of what is not there": ([["clock", "start"]], ["check", "wlak"], "did you mean walk?"),
    "an empty note": ([], ["clock", "note", " "], "a note says something"),
    "a note of nonsense": ([], ["clock", "note", "x", "--cpu", "much"], "expected a quantity like"),
    "a note of less than nothing": ([], ["clock", "note", "x", "--cpu", "-3 h"], "expected a quantity like"),
    "a dispute before a score": ([], ["dispute", "NAME", "number_said", "--because", "x"], "nothing was handed in"),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_a_wrong_moment_is_told_and_changes_nothing(road: Road, verb: Verb, name: str) -> None:
    before, words, says = MOMENTS[name]
    for step in before:
        assert verb(*step, folder=road.workspace).code == 0
    ledger = (road.folder / "ledger.jsonl").read_bytes()
    words = [road.attempt.id if word == "NAME" else word for word in words]
    said = verb(*words, folder=road.workspace)
    assert said.code in (2, 6)
    assert said.out == ""
    assert says in said.err
    assert "Traceback" not in said.err
    assert (road.folder / "ledger.jsonl").read_bytes() == ledger


def test_a_spent_budget(road: Road, verb: Verb) -> None:
    said = verb("clock", "note", "all of it", "--working", "2 h", folder=road.workspace)
    assert said.code == 2
    assert "--yes" in said.err
    verb("clock", "note", "all of it", "--working", "2 h", "--yes", folder=road.workspace)
    assert "over: the working time is used up" in verb("status", folder=road.workspace).out
    found = verb("status", "--json", folder=road.workspace).json
    assert (found["state"], found["left"]["working"]) == ("over", 0)
    assert any("reproof submit" in line for line in found["next"])
    for words in (["clock", "start"], ["exec", "true"], ["check"], ["clock", "note", "x"], ["hand-over", "--to", "b"]):
        said = verb(*words, folder=road.workspace)
        assert said.code == 2
        assert "this attempt is over" in said.err


def test_a_spent_cpu_budget(road: Road, verb: Verb) -> None:
    verb("clock", "start", folder=road.workspace)
    verb("clock", "note", "elsewhere", "--cpu", "1 h", "--yes", folder=road.workspace)
    said = verb("exec", "true", folder=road.workspace)
    assert said.code == 2
    assert "the CPU time is used up" in said.err
    assert "self-declared" in verb("status", folder=road.workspace).out
    assert verb("clock", "pause", "x", folder=road.workspace).code == 0


def test_a_workspace_that_is_gone_is_said_to_be_when_somebody_starts_again(road: Road, verb: Verb) -> None:
    # Once: it said to go on in the folder that was not there.
    road.workspace.rename(road.workspace.with_name("elsewhere"))
    said = verb("start", "lean", "--as", "ada")
    assert said.code == 2
    assert f"its workspace is gone: put it back at {road.workspace}" in said.err


def test_a_start_that_was_killed_before_its_workspace_was_known_is_gone_on_with(
    begin: Begin, place: Path, papers: Path, verb: Verb
) -> None:
    # Once: it said to go on in a folder in which no verb knew what it belonged to.
    road = begin(folder=papers / "lean", results=place / "results", workspace=place / "lean-ada")
    assert "go on there: cd" in verb("start", "lean", "--as", "ada").err
    assert verb("status", "--json", folder=road.workspace).json["attempt"] == road.attempt.id


def test_attempts_are_listed_from_inside_a_workspace(road: Road, verb: Verb) -> None:
    assert road.attempt.id in verb("attempts", folder=road.workspace).out


def test_after_an_interrupted_submit_the_next_step_is_the_rerun(road: Road, verb: Verb) -> None:
    from harness.attempt.participant import Outcome
    from harness.handing_in import hand_in

    road.desk.start_clock()
    hand_in(road, Outcome(note="", ended="submitted"))
    assert f"reproof rerun {road.attempt.id}" in verb("status", folder=road.workspace).out


def test_submit_goes_on_where_it_was_killed_and_is_refused_once_it_has_ended(road: Road, verb: Verb) -> None:
    from harness.attempt.participant import Outcome
    from harness.handing_in import hand_in

    road.desk.start_clock()
    (road.workspace / WORKFILE).write_text(WORK)
    hand_in(road, Outcome(note="", ended="submitted"))
    said = verb("submit", "--json", folder=road.workspace)
    assert (said.code, said.json["verdict"]) == (0, "PASS")
    (road.records / "unfinished").touch()  # killed after the score, before it was shown and mirrored
    assert verb("submit", "--json", folder=road.workspace).json == said.json
    assert f"goes on with what was handed in: commit {road.submission().commit[:12]}" in said.err
    assert not (road.records / "unfinished").exists()
    assert "handed in already" in verb("submit", folder=road.workspace).err
    assert len(road.desk.submissions) == 1


def test_a_workspace_that_was_moved_is_found_no_more_and_its_attempt_says_so(road: Road, verb: Verb) -> None:
    moved = road.workspace.rename(road.workspace.with_name("elsewhere"))
    assert "no workspace of an attempt" in verb("status", folder=moved).err
    assert verb("status", road.attempt.id).code == 0
    verb("clock", "start", "--attempt", road.attempt.id)
    said = verb("submit", road.attempt.id)
    assert said.code > 0
    assert "Traceback" not in said.err
    assert str(road.workspace) in said.err


def test_a_state_folder_that_cannot_be_written_leaves_no_attempt(verb: Verb, place: Path) -> None:
    # Once: `start` notes the workspace last; where it cannot, an attempt is left that no workspace leads to, and the
    # next `start` says that they work on the paper already.
    (place / "state").write_text("no folder")
    said = verb("start", "lean", "--as", "ada")
    assert said.code == 2
    assert "XDG_STATE_HOME" in said.err
    (place / "state").unlink()
    assert verb("start", "lean", "--as", "ada").code == 0


@pytest.mark.parametrize("name", ["", "  "])
def test_nobody_is_no_name(verb: Verb, place: Path, name: str) -> None:
    # Once: an empty name is taken, and becomes `anonymous` in the attempt's name alone.
    assert verb("start", "lean", "--as", name).code == 2
    assert not (place / "results").exists()


def test_declared_terms_stand_in_the_record(verb: Verb, place: Path) -> None:
    said = verb("start", "lean", "--as", "Ada L. / x", "--condition", "human + assistant", "--licence", "CC-BY-4.0",
                "--consent", "--json")  # fmt: skip
    attempt = Desk(folder=place / "results" / "attempts" / said.json["attempt"]).attempt
    assert attempt.participant.name == "Ada L. / x"
    assert (attempt.condition, attempt.terms.licence, attempt.terms.consent) == ("human + assistant", "CC-BY-4.0", True)
    assert said.json["condition"] == "human + assistant"
    assert "/" not in attempt.id
    silent = verb("start", "lean", "--as", "bob", "--json")
    attempt = Desk(folder=place / "results" / "attempts" / silent.json["attempt"]).attempt
    assert (attempt.condition, attempt.terms.licence, attempt.terms.consent) == ("human", None, False)


# --- exec ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 3, 77])
def test_exec_passes_the_exit_status_and_options_on(road: Road, verb: Verb, status: int) -> None:
    road.desk.start_clock()
    said = verb("exec", "--", "sh", "-c", f"echo --json; exit {status}", folder=road.workspace)
    assert (said.code, said.out) == (status, "--json\n")


def test_exec_of_json(road: Road, verb: Verb) -> None:
    road.desk.start_clock()
    said = verb("exec", "--json", "sh", "-c", "echo one; exit 4", folder=road.workspace)
    assert said.code == 4
    assert said.json["exit"] == 4
    assert said.json["log"] == "one\n"
    assert said.json["usage"]["cpu"] > 0


def test_exec_runs_where_one_stands(road: Road, verb: Verb) -> None:
    road.desk.start_clock()
    assert verb("exec", "pwd", folder=road.workspace / "reproduction").out == "/reproof/work/reproduction\n"


def test_exec_ended_by_the_budget_says_so(begin: Begin, verb: Verb, place: Path, papers: Path) -> None:
    road = begin(folder=papers / "lean", results=place / "results", cpu=0.3)
    remember(road.workspace, road.folder)
    road.desk.start_clock()
    said = verb("exec", "sh", "-c", "while :; do :; done", folder=road.workspace)
    assert said.code == 137
    assert "ended by its cpu limit" in said.err


HOSTILE = r"printf 'red \033[2J\033]0;owned\007 \377 end\n'"


def test_exec_shows_escapes_harmlessly_on_a_terminal_and_raw_in_a_pipe(road: Road, place: Path) -> None:
    road.desk.start_clock()
    text = Terminal(road.workspace, "exec", "sh", "-c", HOSTILE).ends()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\x1b[2J" in text
    assert "end" in text
    piped = subprocess.run(
        [sys.executable, *MAIN, "exec", "sh", "-c", HOSTILE], cwd=road.workspace, capture_output=True, check=True
    )
    assert piped.stdout == b"red \x1b[2J\x1b]0;owned\x07 \xff end\n"


# --- hostile texts ------------------------------------------------------------------------------------------------


def hostile(road: Road) -> None:
    """Everything a person can write, written with a grudge."""
    texts = (f"{ENDS}<script>", "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", 'a,b"c')
    for number, text in enumerate(texts):
        road.desk.start_clock()
        road.desk.pause_clock(text)
        road.desk.declare(f"{text} {number}", {"cpu": 1.0})
    road.desk.note("executed", job="x", command=f"=HYPERLINK() {ENDS}", cpu=1.0, exact=True)
    road.desk.hand_over(f"=eve{ENDS}")
    road.desk.start_clock()


def obeyed(text: str) -> list[str]:
    return [code for code in ("\x1b[2J", "\x1b]0;", "\x07") if code in text]


def test_hostile_texts_are_shown_and_not_obeyed(road: Road, verb: Verb) -> None:
    hostile(road)
    for words in (["status"], ["timesheet"]):
        said = verb(*words, folder=road.workspace)
        assert said.code == 0, said.err
        assert obeyed(said.out + said.err) == []
        assert "owned" in said.out


def test_hostile_texts_are_inert_in_csv(road: Road, verb: Verb) -> None:
    hostile(road)
    said = verb("timesheet", "--csv", folder=road.workspace)
    rows = list(csv.DictReader(io.StringIO(said.out)))
    cells = [cell for row in rows for cell in row.values()]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    texts = {row["what"] for row in rows}
    assert "'=cmd|' /C calc'!A0" in texts
    assert 'a,b"c' in texts
    assert {row["who"][:5] for row in rows} == {"ada", "'=eve"}
    assert len(rows) == 7 * 2 + 2


def test_hostile_texts_never_reach_a_terminal_raw(road: Road) -> None:
    # Once: hand-over echoes the name as it was given, and `timesheet --csv` prints control characters on a terminal.
    hostile(road)
    seen = {
        "csv": Terminal(road.workspace, "timesheet", "--csv").ends(),
        "hand-over": Terminal(road.workspace, "hand-over", "--to", f"mallory{ENDS}").ends(),
        "status": Terminal(road.workspace, "status").ends(),
        "error": Terminal(road.workspace, "hand-over", "--to", f"mallory{ENDS}").ends(2),
    }
    assert {name: obeyed(text) for name, text in seen.items()} == {name: [] for name in seen}


def test_a_hostile_name_is_harmless_from_start_to_picture(verb: Verb, place: Path) -> None:
    name = f"=eve{ENDS}<script>alert(1)</script>[bold]"
    said = verb("start", "lean", "--as", name, "--workspace", place / "w")
    assert said.code == 0, said.err
    assert obeyed(said.out + said.err) == []
    verb("clock", "start", folder=place / "w")
    commit(place / "w", {WORKFILE: STUB + "#\n"})
    said = verb("submit", folder=place / "w")
    assert said.code == 0, said.err
    assert obeyed(said.out + said.err) == []
    assert "[bold]" in said.out
    picture = place / "score.svg"
    assert verb("report", "--svg", picture, folder=place / "w").code == 0
    assert "<script" not in picture.read_text()
    assert obeyed(verb("attempts", "--results", place / "results").out) == []
    rows = verb("attempts", "--json", "--results", place / "results").json
    assert rows[0]["participant"] == name


def test_a_line_cannot_be_forged_by_a_name_with_a_line_end(road: Road, verb: Verb) -> None:
    # Once: plain() lets line ends through, so a name or a reason can write lines of its own into status and timesheet.
    road.desk.start_clock()
    road.desk.hand_over("eve\nworking time  0 ms of 100 h, 100 h left")
    road.desk.start_clock()
    road.desk.pause_clock("tea\nover: forged")
    for words in (["status"], ["timesheet"]):
        lines = verb(*words, folder=road.workspace).out.splitlines()
        assert not any(line.startswith(("working time  0 ms of 100 h", "over: forged")) for line in lines)


def test_verbs_of_several_terminals_wait_for_one_another(road: Road) -> None:
    command, pipe = [sys.executable, *MAIN, "clock", "start"], subprocess.PIPE
    children = [subprocess.Popen(command, cwd=road.workspace, stdout=pipe, stderr=pipe) for _ in range(3)]
    said = [child.communicate(timeout=60) for child in children]
    assert sorted(child.returncode for child in children) == [0, 2, 2]
    assert sum(b"runs already" in err for _, err in said) == 2
    assert kinds(road.desk).count("resumed") == 1


@pytest.mark.slow
def test_the_keeper_hands_in_at_the_deadline_of_a_short_budget(place: Path, verb: Verb) -> None:
    said = verb("start", "lean", "--as", "ada", "--budget", "short", "--json")
    workspace, folder = Path(said.json["workspace"]), place / "results" / "attempts" / said.json["attempt"]
    (workspace / "notes.txt").write_text("not committed")
    Terminal(workspace, "clock", "start").ends()
    desk = Desk(folder=folder)
    assert soon(lambda: desk.submissions, within=60)
    assert soon(lambda: desk.account().submissions == 1, within=10)
    assert git(workspace, "status", "--porcelain") == ""
    assert "was handed in" not in verb("clock", "start", folder=workspace).out
    assert soon(lambda: not alive(f"clock\0keep\0{folder}"), within=20)


def test_closing_the_terminal_ends_no_clock(road: Road) -> None:
    Terminal(road.workspace, "clock", "start").ends()
    assert soon(lambda: (road.folder / "keeper.lock").exists(), within=20)
    [keeper] = alive(f"clock\0keep\0{road.folder}")
    assert os.getsid(keeper) != os.getsid(0), "a terminal that is closed ends its own session alone"
    assert road.desk.account().state == "running"


STEP = """\
import environments, gymnasium
env = gymnasium.make("reproof/Corridor-v0")
at, _ = env.reset(seed=1)
print(type(env.unwrapped).__name__, env.step(1)[0] - at)
"""


def shared(spec: dict[str, Any]) -> None:
    """The same id in two experiments, with goals apart."""
    strolling = {**spec["experiments"]["walking"], "instances": {"pinned": {"goal": 9.0, "side": 1}}}
    spec["experiments"] |= {"strolling": strolling}
    corridor(spec)["max_episode_steps"] = 7
    spec["budgets"]["standard"]["env_steps"] = 100


@pytest.fixture
def served(begin: Begin, place: Path) -> Road:
    """An attempt at a paper with environments, its clock running."""
    folder = write_served(place / "papers" / "corridor", shared)
    road = begin(folder=folder, results=place / "results", workspace=place / "corridor-ada")
    remember(road.workspace, road.folder)
    road.desk.start_clock()
    (road.workspace / "step.py").write_text(STEP)
    return road


def test_exec_reaches_environments_and_says_what_they_cost(served: Road, verb: Verb) -> None:
    said = verb("exec", "--", "python", "step.py", folder=served.workspace)
    assert (said.code, said.out) == (0, "GatewayEnv 1\n")
    told = said.err.splitlines()
    assert told[0] == f"reproof: {ID} is that of walking here; --experiment strolling serves another one"
    assert told[1] == f"reproof: {ID}: 1 training and 0 evaluation steps"
    assert "99 env steps" in told[2]
    named = verb("exec", "--experiment", "strolling", "--env-steps", "50", "--json", "--", "python", "step.py",
                 folder=served.workspace)  # fmt: skip
    assert named.json["env_steps"] == {ID: {"training": 1, "evaluation": 0, "exhausted": False}}
    assert named.json["misbehaved"] == []
    assert "is that of" not in named.err
    status = verb("status", "--json", folder=served.workspace).json
    assert status["environments"] == {ID: {"training": 2, "evaluation": 0}}
    assert (status["used"]["env_steps"], status["left"]["env_steps"]) == (2, 98)
    assert f"{ID}: 2 training" in verb("status", folder=served.workspace).out
    rows = csv.DictReader(io.StringIO(verb("timesheet", "--csv", folder=served.workspace).out))
    assert [row["env_steps"] for row in rows if row["what"] == "python step.py"] == ["1", "1"]


def test_exec_says_what_is_wrong_with_the_environments_that_are_asked_for(served: Road, verb: Verb) -> None:
    unknown = verb("exec", "--experiment", "striding", "--", "true", folder=served.workspace)
    assert (unknown.code, "did you mean strolling?" in unknown.err) == (2, True)
    other = verb("exec", "--experiment", "walking", "--instance", "2", "--", "true", folder=served.workspace)
    assert (other.code, "there is no such pinned instance" in other.err) == (2, True)
    verb("clock", "note", "elsewhere", "--env-steps", "100", "--yes", folder=served.workspace)
    spent = verb("exec", "--", "python", "step.py", folder=served.workspace)
    assert spent.code == 1
    assert "no env steps are left of the budget" in spent.err
    checked = verb("check", folder=served.workspace)
    assert (checked.code, "the env steps are used up" in checked.err) == (2, True)


def test_exec_of_a_paper_without_environments_says_nothing_of_them(road: Road, verb: Verb) -> None:
    verb("clock", "start", folder=road.workspace)
    said = verb("exec", "--", "true", folder=road.workspace)
    assert (said.code, said.err) == (0, "")
    assert verb("exec", "--json", "--", "true", folder=road.workspace).json["env_steps"] == {}
    assert verb("exec", "--experiment", "walk", "--", "true", folder=road.workspace).code == 2

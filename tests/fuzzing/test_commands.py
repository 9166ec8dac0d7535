"""The command line as a user meets it: whatever words it is given, and whatever lies in its folders."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from fuzzing.effort import LONGEST_MESSAGE, Effort, within
from fuzzing.material import TEXTS, changed, damaged
from hypothesis import strategies as st

from harness.cli.main import reproof, run
from harness.cli.start import VERBS
from harness.errors import RecordError, ReproofError

KNOWN = (
    "tiny",
    "lean",
    "nobody",
    "20261122-101500-tiny-ada-a1b2",
    "1",
    "--json",
    "--help",
    "--results",
    "--attempt",
    "--as",
    "--to",
    "--step",
)
ODD = (
    "a" * 300,
    "a" * 10_000,
    "../" * 50,
    "/" * 5000,
    "a/" * 2500,
    "/dev/null",
    "/proc/self/mem",
    "/etc",
    "~",
    "-",
    "--",
    "--=",
    "--x=y",
    ".",
    "",
)
words = st.lists(st.sampled_from([*KNOWN, *ODD]) | st.sampled_from(TEXTS) | st.text(max_size=8), max_size=4)
IDLE = sorted(set(VERBS) - {"demo", "mlflow", "completion", "doctor", "guest"})
"""Verbs that end by themselves, and at once where there is nothing to do."""


def codes(kind: type[ReproofError] = ReproofError) -> set[int]:
    return {kind.exit_code}.union(*(codes(below) for below in kind.__subclasses__()))


def typed(word: str) -> str:
    """A word as the system hands it on: bytes without a NUL, those that are no UTF-8 as surrogates."""
    return os.fsdecode(word.replace("\0", "").encode("utf-8", "surrogatepass"))


def told(*command: str) -> tuple[int, str]:
    """The exit code, and what was said."""
    said = io.StringIO()
    sys.argv = ["reproof", *map(typed, command)]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), within(30.0):
        try:
            code = run()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    text = said.getvalue()
    assert code in {0, 1, 2, *codes()} - {70}, (command, code, text[:2000])
    assert "Traceback" not in text, text
    assert all(letter.isprintable() or letter in "\n\t" for letter in text), (command, text[:2000])
    return code, text


@pytest.fixture
def place(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own, with the records of an attempt."""
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(home / "papers"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_words(effort: Effort, place: Path) -> None:
    @effort.over(st.sampled_from(IDLE), words, few=25)
    def check(verb: str, more: list[str]) -> None:
        _, text = told(verb, *more)
        assert len(text) < 10 * LONGEST_MESSAGE


def options() -> list[tuple[str, str]]:
    """Each option of a verb that takes a value, with its verb."""
    found = []
    for verb in IDLE:
        command = reproof.get_command(None, verb)  # type: ignore[arg-type]
        for below in getattr(command, "commands", {"": command}).values():
            name = f"{verb} {below.name}" if below is not command else verb
            found += [(name, one.opts[-1]) for one in below.params if isinstance(one, click.Option) and not one.is_flag]
    return found


CASES: list[tuple[Any, ...]] = [
    (("start", "--as"), "/" * 5000, ["tiny"]),
    (("attempts", "--results"), "\x7f\x9b", []),
    (("paper validate", "--results"), "\ud800", ["tiny"]),
    (("verify", "--waive"), "a", ["/proc/self/mem"]),
    (("leaderboard", "--page"), "/", []),
    (("leaderboard", "--page"), "", []),
]
"""What was once answered by a traceback, or obeyed."""


def test_options(effort: Effort, place: Path) -> None:
    """Each option with each odd value."""

    @effort.over(st.sampled_from(options()), st.sampled_from([*ODD, *TEXTS]), words, few=40, cases=CASES)
    def check(named: tuple[str, str], value: str, more: list[str]) -> None:
        verb, option = named
        told(*verb.split(), *more[:1], f"{option}={value}")


def test_each_verb_with_each_odd_name(place: Path) -> None:
    for verb in IDLE:
        for odd in ("a" * 10_000, "a/" * 2500):
            told(verb, odd)


def test_completion(effort: Effort, place: Path) -> None:
    """What a shell asks while somebody types; it must never speak of anything else."""
    from harness.cli.shells import answer

    @effort.over(st.sampled_from(sorted(VERBS)), words, few=6)
    def check(verb: str, more: list[str]) -> None:
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
            patch.setenv("COMP_WORDS", " ".join(["reproof", verb, *map(typed, more)]))
            patch.setenv("COMP_CWORD", str(len(more)))
            with within(10.0):
                answer("bash_complete")


RECORDS = (
    "attempt.json",
    "ledger.jsonl",
    "submission.json",
    "score.json",
    "rerun.json",
    "measurements.json",
    "plan.json",
)
READERS = (
    "report",
    "timesheet",
    "status",
    "trajectory",
    "attempts",
    "leaderboard",
    "pack",
    "score",
    "rescore",
    "dispute",
    "withdraw",
)


def copied(road: Any, place: Path, record: str) -> Path:
    """Lay a copy of an attempt's records into `results`; where one of them lies there."""
    left_out = shutil.ignore_patterns("mlflow", "locks", *({*road.store.attempts()} - {road.attempt.id}))
    shutil.copytree(road.store.root, place / "results", symlinks=True, ignore=left_out)
    [file] = (place / "results/attempts" / road.attempt.id).rglob(record)
    return file


BUDGET = {"working": 1.0, "wall": 1.0, "cpu": 1.0, "disk": 1, "env_steps": None}
MISFITS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "a plan without seeds": ("pack", "plan.json", {"seeds": []}, "a plan and its runs do not fit"),
    "more slots than seeds": ("pack", "rerun.json", {"slots": 10**18}, "a plan and its runs do not fit"),
    "fewer slots than one": ("pack", "rerun.json", {"slots": -1}, "a plan and its runs do not fit"),
    "another's id": ("pack", "attempt.json", {"id": "x"}, "is damaged"),
    "a start that is no tree": ("pack", "attempt.json", {"start_tree": "../../x"}, "is damaged"),
    "a start that is gone": ("pack", "attempt.json", {"start_tree": "a" * 40}, "this folder does not exist"),
    "a budget beyond all dates": ("status", "attempt.json", {"budget": {**BUDGET, "wall": 1e18}}, "is damaged"),
    "a score of nobody": ("report", "score.json", {"participant": {}}, "is damaged"),
    "a score that cost nothing": ("report", "score.json", {"usage": {}}, "is damaged"),
    "strange things used": ("score", "submission.json", {"used": {"working": 1.0, "cpu": 1.0, "x": 1.0}}, "is damaged"),
    "nothing used": ("score", "submission.json", {"used": {}}, "this record is damaged"),
}
"""What was once answered by a traceback: verb, record, what is changed in it, what is said."""


@pytest.mark.parametrize(("verb", "record", "change", "said"), MISFITS.values(), ids=MISFITS)
def test_a_record_that_does_not_fit(
    place: Path, lean_finished: Any, verb: str, record: str, change: dict[str, Any], said: str
) -> None:
    road = lean_finished[0]
    file = copied(road, place, record)
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **change}))
    code, text = told(verb, road.attempt.id)
    assert code == RecordError.exit_code
    assert said in text


@pytest.mark.parametrize("verb", ["report", "score", "leaderboard"])
def test_what_would_steer_a_terminal_is_written_out_in_tables_too(place: Path, lean_finished: Any, verb: str) -> None:
    """Once rich printed the texts of a score as they were."""
    road = lean_finished[0]
    for record in ("score.json", "rerun.json"):
        text = (file := copied(road, place, record)).read_text()
        for odd in ("isolation", "commit", "paper"):
            file.write_text(
                json.dumps({**json.loads(text), **({odd: "\x1b[2J\u202e"} if odd in json.loads(text) else {})})
            )
            told(verb, *([] if verb == "leaderboard" else [road.attempt.id]))  # sees that all of it is printable
        shutil.rmtree(place / "results")


@pytest.mark.parametrize("record", RECORDS)
def test_records(effort: Effort, place: Path, lean_finished: Any, record: str) -> None:
    """Every verb that reads an attempt, on one whose record was changed."""
    road = lean_finished[0]
    file = copied(road, place, record)
    whole = file.read_bytes()
    first = whole.splitlines()[0] + b"\n"
    shaped = changed(json.loads(first if record.endswith("jsonl") else whole)).map(
        lambda value: json.dumps(value).encode() + b"\n"
    )

    @effort.over(
        st.sampled_from(READERS), shaped | damaged(whole, marks=[b"{", b"[" * 2000, b"9" * 400, b'"\\ud800"']), few=4
    )
    def check(verb: str, data: bytes) -> None:
        file.write_bytes(data)
        told(verb, *([] if verb in ("attempts", "leaderboard") else [road.attempt.id]))
        file.write_bytes(whole)

# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""Records on disk, changed by whoever could: ledger, journals, slips, run records, notes of workspaces."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fuzzing.effort import Effort, answered
from fuzzing.material import changed, damaged
from handmade import budget
from hypothesis import strategies as st
from talks import Talk

from harness.attempt import ledger, registry
from harness.attempt.attempt import Attempt, HandedIn, Terms, Who
from harness.attempt.desk import Desk
from harness.errors import RecordError, UsageError
from harness.plan import journal
from harness.plan.plan import FILE, Item, Plan, find_plan, keep_plan
from harness.plan.standing import stalled, standing, superseded
from harness.proxy.exchange import Journal, exchanges
from harness.record.files import read_slip, write_slip
from harness.record.store import read
from harness.rerun.execute import RunRecord

MARKS = [
    b"{",
    b"}",
    b"[" * 2000,
    b'{"a":' * 2000,
    b'"\\ud800"',
    b"9" * 5000,
    b"1e999",
    b"NaN",
    b"\xef\xbb\xbf",
    b"\\u0000",
]
HASH = "0" * 64


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


@st.composite
def lines_damaged(draw: Any, lines: list[bytes]) -> bytes:
    """A file of JSON lines: one changed in its values, the lines mixed up, or bytes of it damaged."""
    kept = list(lines)
    match draw(st.sampled_from(["values", "values", "order", "bytes", "torn"])):
        case "values":
            place = draw(st.integers(0, len(kept) - 1))
            kept[place] = encoded(draw(changed(json.loads(kept[place]))))
        case "order":
            kept = draw(st.lists(st.sampled_from(kept), max_size=6))
        case "torn":
            whole = b"\n".join(kept) + b"\n"
            return whole[: draw(st.integers(0, len(whole)))]
        case _:
            return draw(damaged(b"\n".join(kept) + b"\n", marks=MARKS))
    return b"\n".join(kept) + b"\n"


def test_ledger(effort: Effort, tmp_path: Path) -> None:
    path = tmp_path / ledger.FILE
    for number in range(3):
        ledger.append(path, "noted", {"text": "é", "number": number, "more": {"a": [0.5, None]}})
    big = path.read_bytes().replace(b'"number":2', b'"number":' + b"9" * 400)

    @effort.over(lines_damaged(path.read_bytes().splitlines()), few=25, cases=[big])
    def check(data: bytes) -> None:
        path.write_bytes(data)
        before = answered(lambda: ledger.read(path), RecordError)
        added = answered(lambda: ledger.append(path, "noted", {"text": "after"}), RecordError)
        if before is not None and added is not None:
            assert ledger.read(path) == (*before, added)
        for torn in tmp_path.glob("*.torn-*"):
            torn.unlink()


def test_what_an_event_is_given(effort: Effort, tmp_path: Path) -> None:
    from fuzzing.material import values

    path = tmp_path / ledger.FILE
    ledger.append(path, "started", {})

    @effort.over(st.dictionaries(st.text(max_size=5), values(), max_size=3), few=12)
    def check(data: dict[str, Any]) -> None:
        if answered(lambda: ledger.append(path, "noted", data), RecordError) is not None:
            ledger.read(path)


def item(number: int) -> Item:
    return Item(
        number=number,
        repeat=1,
        repeats=2,
        paper="tiny",
        paper_version="0" * 16,
        kind="agent",
        participant="ada",
        settings={},
    )


def test_plan_journal(effort: Effort, tmp_path: Path) -> None:
    place = keep_plan([item(1), item(2)], ["paper=tiny"], results=tmp_path, now=datetime.now(UTC))
    plan = place.plan()
    journal.note(place.journal, "taken up")
    journal.note(place.journal, "begun", item=1, attempt="a")
    journal.note(place.journal, "ended", item=1, attempt="a", verdict="reproduced", score=0.5, said="é")

    @effort.over(lines_damaged(place.journal.read_bytes().splitlines()), few=25)
    def check(data: bytes) -> None:
        place.journal.write_bytes(data)
        events = answered(lambda: journal.read(place.journal), RecordError)
        if events is not None:
            for running in (True, False):
                found = standing(plan, events, running=running)
                assert len(found.items) == 2
                assert found.estimate is None or found.estimate == found.estimate
                superseded(found)
            stalled(events)
            journal.note(place.journal, "cancelled")
            assert len(journal.read(place.journal)) == len(events) + 1


def test_plans(effort: Effort, tmp_path: Path) -> None:
    place = keep_plan([item(1), item(2)], ["paper=tiny"], results=tmp_path, now=datetime.now(UTC))
    whole = (place.folder / FILE).read_bytes()

    @effort.over(changed(json.loads(whole)).map(encoded) | damaged(whole, marks=MARKS), few=15)
    def check(data: bytes) -> None:
        (place.folder / FILE).write_bytes(data)
        answered(lambda: find_plan(None, tmp_path).plan(), RecordError, UsageError)


ATTEMPT = Attempt(
    id="a", paper="tiny", paper_folder="/papers/tiny", paper_version="0" * 16,
    participant=Who(kind="agent", name="ada", adapter="command"), condition="agent", terms=Terms(licence=None, consent=False),
    workspace="/w", start_commit="0" * 40, start_tree="1" * 40, anchor=HASH, budget=budget(), started=datetime.now(UTC),
    sandbox="bubblewrap", waived=[], workers=None, slots="all", tracking_uri=None, tracking_prefix="reproof/",
)  # fmt: skip
HANDED_IN = HandedIn(
    commit="0" * 40, tree="1" * 40, files=1, bytes=2, history=[("2" * 40, 3)], at=datetime.now(UTC), ended="done", note="é",
    used={"working": 2.0, "cpu": 1.0}, declared={}, exact=True, credits={"ada": {"cpu": 1.0}}, late=0.0, saved=False, ledger=(0, HASH),
)  # fmt: skip
PLAN = Plan(id="p", made=datetime.now(UTC), overrides=["a=b"], items=[item(1)], fingerprint=HASH)


@pytest.mark.parametrize("slip", [ATTEMPT, HANDED_IN, PLAN], ids=lambda slip: type(slip).__name__)
def test_slips(effort: Effort, tmp_path: Path, slip: Any) -> None:
    path = tmp_path / "slip.json"
    write_slip(path, slip)
    whole = path.read_bytes()
    assert read_slip(path, type(slip)) == slip

    @effort.over(changed(json.loads(whole)).map(encoded) | damaged(whole, marks=MARKS), few=15)
    def check(data: bytes) -> None:
        path.write_bytes(data)
        found = answered(lambda: read_slip(path, type(slip)), RecordError)
        if found is not None:
            write_slip(path, found)
            assert read_slip(path, type(slip)) == found


def test_run_records(effort: Effort, tmp_path: Path, finished: Any) -> None:
    whole = min((finished[0].store.root / "runs").glob("*/*/run.json")).read_bytes()
    path = tmp_path / "run.json"

    @effort.over(changed(json.loads(whole)).map(encoded) | damaged(whole, marks=MARKS), few=25)
    def check(data: bytes) -> None:
        path.write_bytes(data)
        answered(lambda: read(path, RunRecord), RecordError)


def test_notes_of_workspaces(effort: Effort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.STATE, str(tmp_path / "state"))
    workspace, attempt = tmp_path / "workspace", tmp_path / "attempt"
    for folder in (workspace, attempt):
        folder.mkdir()
    (attempt / "attempt.json").write_text("{}")
    registry.remember(workspace, attempt)
    assert registry.attempt_of(workspace) == attempt
    [note] = (tmp_path / "state").rglob("*.json")
    whole = note.read_bytes()

    @effort.over(changed(json.loads(whole)).map(encoded) | damaged(whole, marks=MARKS), few=15)
    def check(data: bytes) -> None:
        note.write_bytes(data)
        answered(lambda: registry.attempt_of(workspace), RecordError)


def test_pulse_and_commands_under_way(effort: Effort, tmp_path: Path) -> None:
    desk = Desk(folder=tmp_path)
    desk.beat()
    pulse = next(path for path in tmp_path.iterdir() if path.is_file())

    @effort.over(
        changed(json.loads(pulse.read_bytes())).map(encoded) | damaged(pulse.read_bytes(), marks=MARKS), few=12
    )
    def check(data: bytes) -> None:
        pulse.write_bytes(data)
        desk.pulse()


def test_journals_of_exchanges(effort: Effort, tmp_path: Path) -> None:
    path = tmp_path / "exchanges.jsonl"
    writing = Journal(path, most=1 << 30)
    for one in Talk("messages").turns([("I look.", "ls", "a.py"), ("Done.", "", "")]):
        writing.write(one)
    writing.close()

    @effort.over(lines_damaged(path.read_bytes().splitlines()), few=25)
    def check(data: bytes) -> None:
        path.write_bytes(data)
        answered(lambda: list(exchanges(path)), RecordError)
        opened = answered(lambda: Journal(path, most=1 << 30), RecordError)
        if opened is not None:
            opened.write(msgspec.structs.replace(next(iter(Talk("chat").turns([("a", "", "")]))), number=opened.count))
            opened.close()
            answered(lambda: list(exchanges(path)), RecordError)

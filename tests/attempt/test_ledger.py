import json
import math
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from harness.attempt.clock import Moment
from harness.attempt.ledger import KINDS, NOTHING, append, read
from harness.errors import RecordError


def moment(time: str, awake: float = 5.0) -> Moment:
    return Moment(time=time, boot="b", awake=awake, up=awake)


NOW = moment("2026-01-31T12:00:00Z")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.jsonl"
    append(path, "started", {"commit": "a" * 40}, at=NOW)
    append(path, "paused", {"reason": "Mittagessen, \u202e tea"}, at=moment("2026-01-31T13:00:00+00:00"))
    append(path, "resumed", {}, at=moment("2026-01-31T14:00:00.5Z"))
    return path


def test_events_come_back_chained(ledger: Path) -> None:
    events = read(ledger)
    assert [(event.number, event.kind) for event in events] == [(0, "started"), (1, "paused"), (2, "resumed")]
    assert [event.previous for event in events] == [NOTHING, events[0].digest, events[1].digest]
    assert events[1].data == {"reason": "Mittagessen, \u202e tea"}
    assert len(ledger.read_bytes().splitlines()) == 3


def test_kinds_are_those_of_the_design() -> None:
    assert len(KINDS) == 17
    assert {"started", "handed over", "rescored"} < set(KINDS)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_changed_line_is_found(ledger: Path, line: int) -> None:
    lines = ledger.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"2026", b"2025")
    ledger.write_bytes(b"".join(lines))
    if line < 2:
        with pytest.raises(RecordError, match=rf"ledger\.jsonl:{line + 2}: .*chain is broken"):
            read(ledger)
    else:
        # Nothing follows the last line yet: only a hash noted elsewhere can tell.
        assert read(ledger)[-1].time.startswith("2025")


@pytest.mark.parametrize("line", [0, 1])
def test_a_removed_line_is_found(ledger: Path, line: int) -> None:
    lines = ledger.read_bytes().splitlines(keepends=True)
    del lines[line]
    ledger.write_bytes(b"".join(lines))
    with pytest.raises(RecordError, match=rf"ledger\.jsonl:{line + 1}"):
        read(ledger)


@pytest.mark.parametrize("text", [b"\n", b"{}\n", b"nonsense\n", b"\xff\xfe\n", b"[" * 9999 + b"\n"])
def test_a_foreign_line_is_found(ledger: Path, text: bytes) -> None:
    ledger.write_bytes(ledger.read_bytes() + text)
    with pytest.raises(RecordError, match=r"ledger\.jsonl:4: line 4"):
        read(ledger)
    with pytest.raises(RecordError, match="last line is damaged"):
        append(ledger, "submitted", {}, at=NOW)
    assert len(ledger.read_bytes().splitlines()) == 4


@pytest.mark.parametrize("torn", [b"{", b'{"number":3,"time":"2026', b"\0" * 70_000])
@pytest.mark.parametrize("first", ["read", "append"])
def test_a_torn_line_is_set_aside(ledger: Path, torn: bytes, first: str) -> None:
    ledger.write_bytes(ledger.read_bytes() + torn)
    if first == "read":
        assert len(read(ledger)) == 3
    append(ledger, "submitted", {}, at=NOW)
    assert [event.kind for event in read(ledger)] == ["started", "paused", "resumed", "submitted"]
    [aside] = ledger.parent.glob("ledger.jsonl.torn-*")
    assert aside.read_bytes() == torn


def test_a_ledger_torn_in_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"number":0')
    assert append(path, "started", {}, at=NOW).number == 0
    assert len(read(path)) == 1


@pytest.mark.parametrize(
    ("kind", "data", "now"),
    [
        ("erased", {}, NOW),
        ("started", {}, moment("2026-01-31T12:00:00")),
        ("started", {}, moment("2026-01-31T12:00:00+01:00")),
        ("started", {}, moment("noon")),
        ("started", {}, moment("2026-01-31T12:00:00Z", awake=-1.0)),
        ("started", {}, moment("2026-01-31T12:00:00Z", awake=math.nan)),
        ("started", {"x": math.nan}, NOW),
        ("started", {"x": object()}, NOW),
        ("started", {"x": {1, 2}}, NOW),
        ("started", {"x": "\ud800"}, NOW),
    ],
)
def test_unfit_events_leave_the_ledger_alone(ledger: Path, kind: Any, data: Any, now: Moment) -> None:
    before = ledger.read_bytes()
    with pytest.raises(RecordError, match="cannot be written"):
        append(ledger, kind, data, at=now)
    assert ledger.read_bytes() == before


def test_large_events(ledger: Path) -> None:
    append(ledger, "executed", {"log": "x" * 300_000}, at=NOW)
    append(ledger, "executed", {"number": 0.1, "list": [1, None, {"a": True}]}, at=NOW)
    assert read(ledger)[-1].data == {"number": 0.1, "list": [1, None, {"a": True}]}


def test_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no ledger"):
        read(tmp_path / "ledger.jsonl")
    assert not (tmp_path / "ledger.jsonl").exists()


def _write_many(path: Path, name: str) -> None:
    for index in range(25):
        append(path, "executed", {"by": name, "index": index}, at=NOW)


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write_many, args=(path, name)) for name in "abcd"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    events = read(path)
    assert len(events) == 100
    for name in "abcd":
        assert [event.data["index"] for event in events if event.data["by"] == name] == list(range(25))


def test_lines_are_plain_json(ledger: Path) -> None:
    for line in ledger.read_text().splitlines():
        assert set(json.loads(line)) == {"number", "time", "boot", "awake", "up", "kind", "data", "previous"}

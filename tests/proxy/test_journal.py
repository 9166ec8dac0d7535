"""The journal: what comes out is what went in, its size follows what is new, and a torn end harms nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import RecordError
from harness.proxy.exchange import Exchange, Journal, exchanges

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=80),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abé\u2028", max_size=3), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
REQUESTS = st.fixed_dictionaries(
    {}, optional={name: JSON for name in ("messages", "input", "contents", "tools", "system", "instructions", "model")}
)


def _exchange(number: int, request: dict[str, Any]) -> Exchange:
    return Exchange(
        number=number, at="2026-01-01T00:00:00+00:00", seconds=1.0, format="chat", model="m", request=request,
        answer={"id": number}, status=200, ended="done",
    )  # fmt: skip


def _write(path: Path, *requests: dict[str, Any], first: int = 0) -> None:
    journal = Journal(path, most=1 << 30)
    assert journal.count == first
    for number, request in enumerate(requests, first):
        journal.write(_exchange(number, request))
    journal.close()


def _talk(turns: int) -> list[dict[str, Any]]:
    said = [{"role": "user", "content": f"{turn} " + "word " * 200} for turn in range(turns)]
    tools = [{"type": "function", "function": {"name": f"tool{n}", "description": "x" * 500}} for n in range(20)]
    return [{"model": "m", "messages": said[: turn + 1], "tools": tools} for turn in range(turns)]


@settings(max_examples=30)
@given(st.lists(REQUESTS, max_size=6), st.lists(REQUESTS, max_size=3))
def test_what_comes_out_is_what_went_in(
    tmp_path_factory: pytest.TempPathFactory, before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "exchanges.jsonl"
    _write(path, *before)
    _write(path, *after, first=len(before))
    requests = before + after
    assert list(exchanges(path)) == [_exchange(number, request) for number, request in enumerate(requests)]


def test_its_size_follows_what_is_new(tmp_path: Path) -> None:
    sizes = []
    for turns in (50, 100, 200):
        path = tmp_path / f"{turns}.jsonl"
        _write(path, *_talk(turns))
        sizes.append(path.stat().st_size)
        assert [len(each.request["messages"]) for each in exchanges(path)] == list(range(1, turns + 1))
    assert sizes[2] - sizes[1] == pytest.approx(2 * (sizes[1] - sizes[0]), rel=0.05)
    assert sizes[2] < 2 * 200 * 1000


def test_a_conversation_that_was_changed_in_the_middle_is_kept_whole(tmp_path: Path) -> None:
    first, second = _talk(5)[-1], _talk(5)[-1]
    second["messages"] = [*second["messages"][:2], {"role": "user", "content": "changed"}, *second["messages"][3:]]
    _write(tmp_path / "j", first, second, first)
    assert [each.request for each in exchanges(tmp_path / "j")] == [first, second, first]


def test_equal_parts_are_the_same_objects(tmp_path: Path) -> None:
    _write(tmp_path / "j", *_talk(3))
    _, second, third = exchanges(tmp_path / "j")
    assert second.request["messages"][0] is third.request["messages"][0]


@pytest.mark.parametrize("cut", [1, 5, 300])
def test_a_torn_end_is_left_out_and_written_over(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j"
    _write(path, *_talk(3))
    os.truncate(path, path.stat().st_size - cut)
    assert [each.number for each in exchanges(path)] == [0, 1]
    _write(path, *_talk(3), first=2)
    assert [each.number for each in exchanges(path)] == [0, 1, 2, 3, 4]
    assert [each.request for each in exchanges(path)] == _talk(2) + _talk(3)


@pytest.mark.parametrize("line", [b"{\n", b'{"surprise": 1}\n', b"\xff\n", b"[" * 5000 + b"\n"])
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j"
    _write(path, *_talk(1))
    with path.open("ab") as file:
        file.write(line)
    with pytest.raises(RecordError, match=rf"{path}:\d+"):
        list(exchanges(path))


@pytest.mark.parametrize(
    "line",
    [
        b'{"exchange": E, "lists": {"messages": {"after": 7, "add": []}}, "values": {}}',
        b'{"exchange": E, "lists": {"messages": {"after": -1, "add": [99]}}, "values": {}}',
        b'{"exchange": E, "lists": {"messages": {"after": -1, "add": [-1]}}, "values": {}}',
        b'{"exchange": E, "lists": {}, "values": {"system": 99}}',
    ],
)
def test_a_line_that_refers_to_nothing_is_damaged(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(line.replace(b"E", msgspec.json.encode(_exchange(0, {}))) + b"\n")
    with pytest.raises(RecordError, match="damaged"):
        list(exchanges(path))


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    _write(tmp_path / "j")
    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600


def test_it_says_when_it_is_full(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", most=2000)
    assert not journal.full
    journal.write(_exchange(0, {"messages": ["x" * 3000]}))
    assert journal.full
    journal.close()
    assert Journal(tmp_path / "j", most=2000).full

"""A stranger's trajectory: what fits is kept, what does not is left out, and nothing of it breaks a reader."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talks import Talk

from harness.errors import RecordError
from harness.report.timeline import beside, entries_of, summary
from harness.report.timeline_text import step_lines, trajectory_lines
from harness.trajectory.atif import Trajectory
from harness.trajectory.derive import derive
from harness.trajectory.keep import text_of
from harness.trajectory.read import read_trajectory

BEGAN = datetime(2026, 11, 23, 8, tzinfo=UTC)


def read(told: Any) -> Trajectory:
    data = told if isinstance(told, bytes) else json.dumps(told).encode()
    return read_trajectory(data, where="there", began=BEGAN)


def shown(found: Trajectory) -> None:
    """All that readers do with it."""
    entries = entries_of(found, began=BEGAN)
    assert summary(found)
    assert list(trajectory_lines(found, entries))
    assert [list(step_lines(entry)) for entry in entries]
    list(beside(found))
    text_of(found).encode()


def test_our_own_comes_back_as_it_was() -> None:
    made = derive(
        Talk("chat").turns([("I look.", "ls", "a.py"), ("Done.", "", "")]), attempt="a", agent="b", version="c"
    )
    assert made is not None
    assert read(text_of(made).encode()) == made


def test_another_harness_s_is_read() -> None:
    steps = [
        {"step_id": 1, "source": "user", "message": [{"type": "text", "text": "Look:"}, {"type": "image"}]},
        {"step_id": 2, "source": "agent", "timestamp": "2026-11-23T09:00:00+01:00", "message": "I see.",
         "tool_calls": [{"tool_call_id": "x", "function_name": "ls", "arguments": {"path": "."}}],
         "observation": {"results": [{"source_call_id": "x", "content": [{"type": "text", "text": "a.py"}]}]},
         "metrics": {"prompt_tokens": 10, "completion_tokens": 2, "cost_usd": 0.5}},
    ]  # fmt: skip
    found = read({"schema_version": "ATIF-v1.4", "agent": {"name": "theirs", "version": "2"}, "steps": steps})
    assert found.steps[0].message.startswith("Look:\n[image, ")
    assert found.steps[1].timestamp == "2026-11-23T08:00:00.000Z"
    [entry] = [entry for entry in entries_of(found, began=BEGAN) if entry.kind == "agent"]
    assert entry.calls[0].came_back == "a.py"
    assert entry.figures == "10 tokens in, 2 out, $0.5000"


@pytest.mark.parametrize(
    "told",
    [b"", b"{", b"\xff", b"[]", b"7", b"[" * 100_000, {}, {"schema_version": "ATIF-v2.0", "steps": [{}]},
     {"schema_version": "ATIF-v1.8"}, {"schema_version": "ATIF-v1.8", "steps": []}, {"schema_version": 1.8}],
)  # fmt: skip
def test_what_is_no_trajectory_is_refused(told: Any) -> None:
    with pytest.raises(RecordError, match="damaged"):
        read(told)


def test_one_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.trajectory.read.LARGEST", 100)
    with pytest.raises(RecordError, match="damaged"):
        read(b" " * 101)


KEYS = (
    "schema_version", "agent", "steps", "extra", "message", "timestamp", "source", "tool_calls", "observation",
        "results", "content", "metrics", "prompt_tokens", "cost_usd", "waited", "seconds", "ended", "tokens", "dollars",
        "subagent_trajectory_ref", "trajectory_id", "arguments", "function_name", "of", "kind", "exchange", "notes",
)  # fmt: skip
TIMES = ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-10:00")
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["agent", "system", *TIMES]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=8), st.lists(values, min_size=1, max_size=3), values)
def test_no_shape_of_a_stranger_s_breaks_a_reader(told: dict[str, Any], steps: list[Any], inner: Any) -> None:
    step = {"source": "agent", "message": inner, "extra": inner, "metrics": inner, "tool_calls": inner}
    own = {**told, "schema_version": "ATIF-v1.8", "steps": [*steps, step]}
    found = read(msgspec.json.encode({**own, "subagent_trajectories": [own, inner, {**own, "trajectory_id": "x"}]}))
    shown(found)
    assert read(text_of(found).encode()) == found

"""Trajectories in ATIF that came from elsewhere, and how they are shown."""

from __future__ import annotations

import json

from fuzzing.effort import Effort, answered
from fuzzing.material import changed, damaged
from talks import BEGAN, Talk

from harness.errors import RecordError
from harness.report.timeline import beside, entries_of, summary
from harness.report.timeline_text import step_lines, trajectory_lines
from harness.trajectory.atif import Trajectory
from harness.trajectory.derive import derive
from harness.trajectory.keep import text_of
from harness.trajectory.read import read_trajectory

MARKS = [
    b"{",
    b"}",
    b"[" * 2000,
    b'{"a":' * 2000,
    b'"\\ud800"',
    b"9" * 5000,
    b"1e999",
    b"NaN",
    b"\\u001b[2J",
    b"\\u202e",
]

TIMES = ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-30", "2026-11-23T08:00:00\0", "")


def shown(found: Trajectory) -> Trajectory:
    """All that readers do with it; what is printed is printable."""
    entries = entries_of(found, began=BEGAN)
    lines = [*trajectory_lines(found, entries), *(line for entry in entries for line in step_lines(entry))]
    assert all(line.replace("\n", "").replace("\t", "").isprintable() for line in lines)
    assert summary(found)
    list(beside(found))
    return found


def test_atif(effort: Effort) -> None:
    made = derive(
        Talk("chat").turns([("I look.", "ls", "a.py"), ("Done.", "", "")]), attempt="a", agent="b", version="c"
    )
    assert made is not None
    whole = text_of(made).encode()

    shaped = changed(json.loads(whole), most=5).map(lambda value: json.dumps(value).encode())
    told = json.loads(whole)
    odd = [json.dumps({**told, "steps": [{**told["steps"][0], "timestamp": at}]}).encode() for at in TIMES]

    @effort.over(shaped | damaged(whole, marks=MARKS), few=30, cases=[*odd, *MARKS])
    def check(data: bytes) -> None:
        found = answered(lambda: shown(read_trajectory(data, where="there", began=BEGAN)), RecordError)
        if found is not None:
            assert read_trajectory(text_of(found).encode(), where="there", began=BEGAN) == found

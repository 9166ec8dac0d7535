"""reported.json of a submission: numbers of leaves, or sentences, and never an end of the scoring."""

from __future__ import annotations

import json
import math

from fuzzing.effort import Effort, within
from fuzzing.material import changed, damaged

from harness.attempt.plumbing import File
from harness.attempt.reported import FILE, read_reported, reportable
from harness.paper.load import Paper

MARKS = [
    b"{",
    b"[" * 3000,
    b'{"a":' * 3000,
    b'"\\ud800":1',
    b"9" * 50,
    b"1e" + b"9" * 30,
    b"-1E-999999999",
    b"NaN",
    b"\xef\xbb\xbf",
    b'"\\u001b"',
]


def test_reported(effort: Effort, tiny: Paper) -> None:
    whole = dict.fromkeys(reportable(tiny), 0.81)

    shaped = changed(whole).map(lambda value: json.dumps(value).encode())
    odd = [b"\xff\xfe{}", b"[" * 30_000, *(b'{"exact_relay": ' + mark + b"}" for mark in MARKS)]

    @effort.over(shaped | damaged(json.dumps(whole).encode(), marks=MARKS), few=30, cases=odd)
    def check(data: bytes) -> None:
        with within(5.0):
            found = read_reported({FILE: File(data)}, tiny)
        assert found.figures.keys() <= whole.keys()
        assert all(math.isfinite(figure.value) and figure.rounding >= 0 for figure in found.figures.values())
        assert all(text.isprintable() and len(text) < 1000 for text in found.problems)

"""reported.json is read strictly: a number in it stands beside the harness's own, and whatever else it is, harmless."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.attempt.plumbing import File
from harness.attempt.reported import FILE, LARGEST, NOTHING, Reported, read_reported, reportable
from harness.paper.load import Paper

LEAVES = [
    "number_published", "number_relative", "number_said", "exact_published", "exact_relay", "threshold_below",
    "threshold_above", "exponent_published", "curve_published.final", "curve_published.area",
]  # fmt: skip


def read(paper: Paper, content: bytes | str) -> Reported:
    return read_reported({FILE: File(content.encode() if isinstance(content, str) else content)}, paper)


def test_nobody_needs_to_report(tiny: Paper) -> None:
    assert read_reported({"reproduction/work.py": File(b"")}, tiny) == NOTHING
    assert read(tiny, "{}") == NOTHING


def test_what_has_one_number_that_anybody_can_measure_may_be_reported(tiny: Paper) -> None:
    assert reportable(tiny) == LEAVES
    found = read(tiny, json.dumps(dict.fromkeys(LEAVES, 0.5)))
    assert {name: figure.value for name, figure in found.figures.items()} == dict.fromkeys(LEAVES, 0.5)
    assert found.problems == ()


@pytest.mark.parametrize(
    ("text", "value", "rounding"),
    [("0.81", 0.81, 0.005), ("350", 350.0, 0.5), ("-1.50e3", -1500.0, 5.0), ("1E-9", 1e-9, 5e-10), ("0.0", 0.0, 0.05)],
)
def test_a_number_says_no_more_than_its_last_digit(tiny: Paper, text: str, value: float, rounding: float) -> None:
    figure = read(tiny, f'{{"exact_relay": {text}}}').figures["exact_relay"]
    assert (figure.value, figure.rounding) == (value, pytest.approx(rounding))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no JSON"), (b"{", "no JSON"), (b'{"exact_relay": 1,}', "no JSON"), (b"\xff\xfe", "not UTF-8"),
        (b"[1, 2]", "got a list"), (b"0.5", "got a number"), (b'"x"', "got a text"), (b"NaN", "got NaN"),
        (b"true", "got true or false"), (b"null", "got null"), (b"\xef\xbb\xbf{}", "BOM"),
        (b"[" * LARGEST, "nested too deeply"), (b'{"a":' * (LARGEST // 5), "nested too deeply"),
        (b" " * (LARGEST + 1), f"at most {LARGEST}"),
    ],
)  # fmt: skip
def test_what_is_no_flat_object_is_told_in_one_sentence(tiny: Paper, content: bytes, told: str) -> None:
    found = read(tiny, content)
    assert found.figures == {}
    [problem] = found.problems
    assert told in problem
    assert problem.startswith("reported.json cannot be read: ")


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('"number_publshed": 1', "no such leaf; did you mean number_published?"),
        ('"": 1', "no such leaf"),
        ('"exact_relay.final": 1', "no such leaf"),
        ('"curve_published": 1', "report curve_published.final and curve_published.area"),
        ('"curve_published.middle": 1', "report curve_published.final and curve_published.area"),
        ('"curve_published.shape": 1', "standard errors of the rerun"),
        ('"ordering_difference": 1', "compares two sides"),
        ('"one_update": 1', "a probe compares outputs"),
        ('"number_reference": 1', "drawn for the submission"),
        ('"curve_reference.final": 1', "drawn for the submission"),
        ('"exact_relay": NaN', "got NaN, which JSON does not know"),
        ('"exact_relay": -Infinity', "got -Infinity, which JSON does not know"),
        ('"exact_relay": 1e999', "got 1e999, which is no finite number"),
        ('"exact_relay": ' + "9" * 5000, "got a number of 5000 characters"),
        ('"exact_relay": "0.75"', "expected a number, got a text"),
        ('"exact_relay": true', "expected a number, got true or false"),
        ('"exact_relay": null', "expected a number, got null"),
        ('"exact_relay": [0.75]', "expected a number, got a list"),
        ('"exact_relay": {"value": 0.75}', "expected a number, got an object"),
        ('"exact_relay": 0.75, "exact_relay": 0.5', "it stands there 2 times"),
    ],
)
def test_what_cannot_be_compared_is_told_and_spoils_no_other(tiny: Paper, entry: str, told: str) -> None:
    found = read(tiny, f'{{{entry}, "exact_published": 0.78125}}')
    assert list(found.figures) == ["exact_published"]
    [problem] = found.problems
    assert "is not taken: " in problem
    assert told in problem


def test_names_are_a_stranger_s(tiny: Paper) -> None:
    names = ["\x1b[2J\n<script>", "\ud800", "\u202egnp", "W" * 5000]
    found = read(tiny, json.dumps(dict.fromkeys(names, 1)))
    assert len(found.problems) == len(names)
    for problem in found.problems:
        assert problem.isascii()
        assert problem.isprintable()
        assert len(problem) < 200


def test_thousands_of_wrong_names_are_counted(tiny: Paper) -> None:
    found = read(tiny, json.dumps({f"k{number}": 1 for number in range(4000)}))
    assert len(found.problems) == 11
    assert found.problems[-1] == "reported.json: 3990 more are not taken"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
texts = st.dictionaries(st.sampled_from(LEAVES) | st.text(max_size=8), anything, max_size=4).map(json.dumps)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | texts.map(str.encode))
def test_nothing_in_it_can_end_the_reading(tiny: Paper, content: bytes) -> None:
    found: Any = read(tiny, content)
    assert found.figures.keys() <= set(LEAVES)
    assert all(math.isfinite(figure.value) and figure.rounding >= 0 for figure in found.figures.values())
    assert all(problem.isprintable() for problem in found.problems)

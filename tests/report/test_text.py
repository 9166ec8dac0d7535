"""What is printed: nothing that a terminal obeys, and JSON that still says the same."""

from __future__ import annotations

import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.text import echo, echo_json

HOSTILE = "red \x1b[31m, DEL \x7f, C1 \x9b2J, turned \u202e, astral \U000e0001, é"


def test_a_text_is_made_visible_but_for_the_sign(capsys: pytest.CaptureFixture[str]) -> None:
    sign = click.style("ok", fg="green")
    echo(f" {HOSTILE}", sign=sign)
    said = capsys.readouterr().out.removesuffix("\n")
    assert said.startswith("ok ")  # no terminal here, so without its colour
    assert said.isprintable()
    assert r"\x1b[31m, DEL \x7f, C1 \x9b2J, turned \u202e, astral \U000e0001, é" in said


def test_a_sign_keeps_its_colour(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    echo(" \x1b[2J", sign=click.style("ok", fg="green"))
    assert capsys.readouterr().out == "\x1b[32mok\x1b[0m \\x1b[2J\n"


@given(st.recursive(st.text(), lambda below: st.lists(below) | st.dictionaries(st.text(), below), max_leaves=5))
def test_json_says_the_same_and_nothing_is_obeyed(value: object) -> None:
    for kept in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            told: list[str] = []
            patch.setattr(click, "echo", lambda text, err, to=told: to.append(text))
            echo_json(json.dumps(value, ensure_ascii=kept, indent=1))
        assert json.loads(told[0]) == value
        assert all(c.isprintable() or c == "\n" for c in told[0])


def test_the_road_of_json_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    echo_json(json.dumps(HOSTILE, ensure_ascii=False))
    said = capsys.readouterr().out
    assert json.loads(said) == HOSTILE
    assert said.removesuffix("\n").isprintable()

# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""Overrides in Hydra's grammar, and configs of one's own: settings, or a sentence; soon, whatever is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from fuzzing.effort import Effort, answered
from fuzzing.material import TEXTS, changed
from hypothesis import strategies as st

from harness.config import Settings, compose, quoted
from harness.errors import UsageError
from harness.plan.asked import frozen

KEYS = (
    "paper", "participant", "participant.name", "participant.options", "participant.repeats", "budget", "budget.wall", "budget.disk",
    "budget.env_steps", "budget.dollars", "models", "models.key", "models.models", "sandbox", "sandbox.waive", "engine.workers",
    "tracking", "tracking.uri", "results", "workspace", "terms.consent", "slots", "condition", "private_path", "hydra",
    "hydra.run.dir", "hydra.searchpath", "hydra/launcher", "hydra/job_logging", "hydra.verbose", "defaults", "_self_", "_target_",
    "participant@x", "participant@_global_", "budget@:x", "a.b", "a..b", ".a", "a.", "", "_global_", "paper.x", "participant.run[0]",
    "?", "é", "a" * 5000, "x." * 500 + "y",
)  # fmt: skip
MARKS = ("", "+", "++", "~", "+ ", "-", "!")
VALUES = (
    "x", "''", "null", "[]", "{}", "[a, [b, {c: d}]]", "{a: 1, a: 2}", "a,b", "a,b,c,d", "range(1,4)", "range(0,1000000000)",
    "range(0.0,1e18,1e-9)", "range(1,0)", "range(0,10,0)", "choice(a,b)", "glob(*)", "glob([*],exclude=x)", "interval(0,1)",
    "tag(t, choice(a,b))", "sort(3,2,1)", "sort(a,1,[])", "shuffle(1,2)", "shuffle(range(0,100000000))", "int(x)", "float(1e999)",
    "str(1)", "bool(2)", "json_str('{')", "extend_list(1)", "cast(1)", "f(", "${paper}", "${oc.env:REPROOF_FUZZ_SECRET}", "${a", "${}",
    "${${paper}}", "${results}", "${oc.create:{}}", "${oc.decode:x}", "${oc.select:paper}", "${hydra:run.dir}", "${now:%Y}",
    "${python_version:}", "\\${paper}", "'${paper}'", "???", "1e999", "nan", "inf", "-inf", "9" * 5000, "0x" + "f" * 5000, "1_0", "[" * 300,
    "{a: " * 300, "[" * 300 + "]" * 300, "'", '"', "\\", "\\,", "a=b", "a: b", ":", ",", ",,", "true", "off", "2 h", "1 TiB", "-1 s", "a b",
    "a" * 20_000, "a," * 3000 + "a",
)  # fmt: skip
BOMBS = (
    "range(0,1000000000)", "range(0.0,1e18,1e-9)", "range(0,10,0)", "shuffle(range(0,100000000))", "[" * 300, "a," * 3000 + "a",
    "sort(a,1,[])", "glob(*)", "9" * 5000,
)  # fmt: skip
"""Hydra writes every value of a sweep out, for days; or raises what is no error of its own."""
SECRET = "sk-not-for-strangers"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def composed(overrides: list[str], own: Path | None = None) -> list[Settings] | None:
    found = answered(lambda: compose(overrides, own=own), UsageError, seconds=20.0)
    for settings in (found or ())[:5]:
        kept = answered(lambda one=settings: json.dumps(frozen(one)), UsageError)  # type: ignore[misc]
        assert kept is None or json.dumps(frozen(Settings.model_validate(json.loads(kept)))) == kept
    return found


overrides = st.lists(
    st.builds(lambda mark, key, equals, value: f"{mark}{key}{equals}{value}", st.sampled_from(MARKS), st.sampled_from(KEYS),
              st.sampled_from(["=", "=", "=", "=", "", ":=", "=="]), st.sampled_from([*VALUES, *TEXTS]) | st.text(max_size=8)),
    max_size=3,
)  # fmt: skip


def test_overrides(effort: Effort) -> None:
    @effort.over(overrides, few=6)
    def check(words: list[str]) -> None:
        composed(["paper=x", *words])


@pytest.mark.parametrize("values", [BOMBS, pytest.param(VALUES, marks=pytest.mark.slow)], ids=["bombs", "all"])
def test_each_value_by_itself(values: tuple[str, ...]) -> None:
    for value in values:
        for key in ("paper", "budget.wall"):
            composed(["paper=x", f"{key}={value}"])


@pytest.mark.slow
def test_each_key_by_itself() -> None:
    for key in KEYS:
        for mark in MARKS[:4]:
            composed(["paper=x", f"{mark}{key}=x"])


def test_what_is_quoted_is_taken_to_the_letter(effort: Effort, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names on the command line go through Hydra's grammar, and are never resolved in it."""
    monkeypatch.setenv("REPROOF_FUZZ_SECRET", SECRET)

    odd = [text for text in (*VALUES, *TEXTS) if len(text) <= 1000]

    @effort.over(
        st.sampled_from(odd) | st.text(max_size=20) | st.text("'\\${}:,=[]() \n", max_size=12), few=6, cases=["\\\n"]
    )
    def check(name: str) -> None:
        found = composed([f"paper={quoted(name)}"])
        assert found is None or [one.paper for one in found] == [name]


OWN = {
    "adapter": "command",
    "kind": "agent",
    "name": "mine",
    "run": ["python", "x.py"],
    "environment": {"A": "b"},
    "repeats": 2,
}


def test_configs_of_ones_own(effort: Effort, tmp_path: Path) -> None:
    file = tmp_path / "own/participant/mine.yaml"
    file.parent.mkdir(parents=True)
    laughs = "a: &a [x, x]\n" + "".join(
        f"{name}: &{name} [*{last}, *{last}]\n"
        for last, name in zip("abcdefghijklmnopqrstuv", "bcdefghijklmnopqrstuvw", strict=True)
    )
    texts = changed(OWN).map(lambda value: yaml.safe_dump(value, allow_unicode=True))
    tokens = ["&a [*a]", "<<: *a", "!!timestamp x", "!!python/object/apply:os.system [id]", "!!bool x", "[" * 300, '"\\ud800"', '"\\UFFFFFFFF"',
              "0x" + "f" * 5000, "${oc.env:HOME}", "${adapter", "???", "---\na: 1", "!!binary x", "? [a]\n: b", "\0", laughs]  # fmt: skip

    @effort.over(
        texts | st.sampled_from(tokens).map(lambda odd: f"adapter: command\nkind: agent\nname: mine\nx: {odd}\n"),
        few=4,
        cases=["a: " + "[" * 300, "x: !!timestamp x", laughs],
    )
    def check(text: str) -> None:
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        composed(["paper=x", "participant=mine"], own=tmp_path / "own")

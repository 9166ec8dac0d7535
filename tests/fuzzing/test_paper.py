# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""paper.yaml and what lies beside it: a paper that holds together, or a sentence that says where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing.effort import Effort, answered
from fuzzing.material import TEXTS, changed, damaged
from hypothesis import strategies as st
from tiny_paper import METRICS, MUTATIONS, PAPER, write_paper

from harness.errors import PaperError
from harness.paper.load import Paper, load_paper
from harness.paper.mutations import read_mutations
from harness.paper.plugin import load_plugin
from harness.paper.source import read

TOKENS = (
    "&a ", "*a", "&a [*a]", "<<: *a", "<<: [*a, *a]", "<<: 5", "!!timestamp x", "!!int ''", "!!int x", "!!float x", "!!bool x",
    "!!binary é", "!!binary A", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a]", "!!null x", "!!python/object:os.system {}",
    "!local x", "!<tag:x> y", "!!str {}", "!!seq x", "!!map x", "? ", ": ", "- ", "? [a]", "{", "}", "[", "]", "|\n", ">-\n",
    "---\n", "...\n", "%YAML 9.9\n", "%TAG ! x\n", "#", "'", '"', '"\\ud800"', '"\\UFFFFFFFF"', '"\\x00"', '"\\e[2J"', '"\\L"',
    "\t", "\ufeff", "\x85", "\u2028", "\0", "~", "=", "<<", ".nan", "-.inf", "0x" + "f" * 5000, "1:" * 3000 + "1", "0b_", "0o_",
    "2026-13-40", "2026-01-01 10:00:00 +99:99", "1e999", "9" * 5000, "_", "0_", "[" * 500, "{a: " * 600, "a" * 70_000,
)  # fmt: skip


HUGE = (".inf", ".nan", "9" * 400 + " TiB", "9" * 400 + " d", "9" * 400, "0x" + "f" * 400, "1e308 d", "1" * 4000)
QUANTITIES = [PAPER.replace(given, f"{given.partition(':')[0]}: {odd}") for odd in HUGE for given in
              ("memory: 256 MiB", "wall: 1 min")]  # fmt: skip
"""Infinite sizes, and integers that Python does not write out, ended in tracebacks."""


@st.composite
def rewritten(draw: Any, text: str) -> str:
    """A YAML file with what means something to YAML laid in, mostly where a value begins."""
    starts = [place + 2 for place in range(len(text)) if text.startswith(": ", place)]
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(starts) | st.integers(0, len(text)))
        end = place + draw(st.sampled_from([0, 0, 1, 5, 40]))
        if draw(st.booleans()) and "\n" in text[place:]:
            end = text.index("\n", place)
        text = text[:place] + draw(st.sampled_from([*TOKENS, *TEXTS])) + text[end:]
    return text


def loaded(paper: Paper) -> Paper:
    """All that follows from a paper at once."""
    assert len(paper.version) == 16
    assert abs(sum(share.weight for share in paper.spec.shares()) - 1) < 1e-9
    return paper


def tried(folder: Path, name: str, data: bytes) -> Paper | None:
    (folder / name).write_bytes(data)
    return answered(lambda: loaded(load_paper(folder)), PaperError)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_paper(tmp_path / "papers" / "tiny")


def test_values_changed(effort: Effort, folder: Path) -> None:
    @effort.over(changed(yaml.safe_load(PAPER)), few=15)
    def check(value: Any) -> None:
        paper = tried(folder, "paper.yaml", yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass"))
        if paper is not None:
            again = paper.spec.model_dump(mode="json", exclude_none=True)
            assert type(paper.spec).model_validate(again) == paper.spec


def test_text_rewritten(effort: Effort, folder: Path) -> None:
    @effort.over(rewritten(PAPER), few=25, cases=QUANTITIES)
    def check(text: str) -> None:
        tried(folder, "paper.yaml", text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("form", ["a: {}", "{} a: 1", "- 1\n- {}", "{}"])
def test_each_token_where_a_value_or_a_key_stands(tmp_path: Path, form: str) -> None:
    """PyYAML raises AttributeError, KeyError, IndexError and OverflowError for some of them."""
    for token in TOKENS:
        (tmp_path / "a.yaml").write_text(form.replace("{}", token))
        answered(lambda: read(tmp_path / "a.yaml"), PaperError)


CODE = [
    b"import sys\nsys.exit(3)\n",
    b"def f(:\n",
    b"\0",
    b"(" * 5000,
    b"-" * 50_000 + b"1",
    b"# coding: none\n",
    b"'\\d'\n",
]


def test_metrics_that_do_not_import(effort: Effort, tmp_path: Path) -> None:
    file = tmp_path / "metrics.py"

    @effort.over(damaged(METRICS.encode(), marks=CODE), few=15, cases=CODE)
    def check(data: bytes) -> None:
        file.write_bytes(data)
        answered(lambda: load_plugin(file), PaperError)


def test_bytes_damaged(effort: Effort, folder: Path) -> None:
    @effort.over(damaged(PAPER.encode()) | st.binary(max_size=200), few=12)
    def check(data: bytes) -> None:
        tried(folder, "paper.yaml", data)


def test_mutations(effort: Effort, folder: Path) -> None:
    paper, file = load_paper(folder), folder / "private/mutations.yaml"
    shaped = changed(yaml.safe_load(MUTATIONS)).map(lambda value: yaml.safe_dump(value, allow_unicode=True))

    longest = MUTATIONS.replace("reproduction/work.py", "9" * 400)

    @effort.over(shaped | rewritten(MUTATIONS), few=15, cases=[longest])
    def check(text: str) -> None:
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        answered(lambda: read_mutations(paper), PaperError)

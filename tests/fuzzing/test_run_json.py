"""RUN.json: whatever a paper says and its generator draws comes out of it again, for a reader in any language."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from fuzzing.effort import Effort, answered
from fuzzing.material import changed, values
from hypothesis import strategies as st
from tiny_paper import PAPER, write_paper

from harness.errors import PaperError
from harness.paper.load import Paper, load_paper
from harness.rerun import instance as instances
from harness.rerun.execute import contract
from harness.rerun.instance import Instance, draw, pinned, restore, save
from harness.rerun.plan import Unit

ODD = [math.nan, math.inf, [-math.inf], {"deep": [math.nan]}, 10**400, "\ud800", {"npy": "../x.npy"}, {"": None}]
"""Values of a generator; those that are no JSON were sent as they are."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_paper(tmp_path_factory.mktemp("papers") / "said")


def sent(paper: Paper, found: Instance, parameters: dict[str, Any]) -> dict[str, Any]:
    """RUN.json as a strict reader reads it: JSON has no NaN and no infinity."""
    experiment = paper.spec.experiments[found.experiment]
    unit = Unit(
        author="submission", experiment=found.experiment, parameters=parameters, instance=found, slot=1, seed=2**63 - 1,
        replicate=0, tree="0" * 40, limits=experiment.limits, circumstances="",
    )  # fmt: skip
    text = json.dumps(contract(unit, experiment))
    read: dict[str, Any] = json.loads(text.encode(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (read["experiment"], read["parameters"], read["seed"]) == (found.experiment, parameters, unit.seed)
    assert read["instance"] == found.as_sent()
    return read


def test_what_a_generator_draws(effort: Effort, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = load_paper(folder)
    arrays = st.sampled_from([np.zeros(3), np.zeros((0, 2)), np.array(1.5), np.array(["é"]), np.arange(4)[::-1]])
    things = st.dictionaries(st.sampled_from(["goal", "shift", "é"]), values() | arrays, max_size=3) | values()

    @effort.over(things, few=40, cases=[{"goal": value} for value in ODD])
    def check(drawn: Any) -> None:
        monkeypatch.setattr(instances, "load_plugin", lambda file: SimpleNamespace(draw=lambda experiment, rng: drawn))
        for found in answered(lambda: draw(paper, "walk", 1), PaperError) or ():
            sent(paper, found, {})
            kept = tmp_path / found.digest / str(found.index)
            save(found, kept)
            assert restore(kept, "walk", "held_out", found.index).digest == found.digest


def test_what_a_paper_says(effort: Effort, folder: Path) -> None:
    whole = yaml.safe_load(PAPER)
    said = {
        "pinned": whole["experiments"]["walk"]["instances"]["pinned"],
        "cases": whole["experiments"]["walk"]["cases"],
    }

    @effort.over(changed(said), few=25)
    def check(odd: Any) -> None:
        text = yaml.safe_dump(laid_in(whole, odd), allow_unicode=True)
        (folder / "paper.yaml").write_bytes(text.encode(errors="surrogatepass"))
        paper = answered(lambda: load_paper(folder), PaperError)
        for found in pinned(paper, "walk") if paper else ():
            for case in paper.spec.experiments["walk"].cases if paper else ():
                sent(paper, found, dict(case))  # type: ignore[arg-type]


def laid_in(whole: dict[str, Any], odd: Any) -> dict[str, Any]:
    """The paper with other instances and cases of its walk."""
    walk = dict(whole["experiments"]["walk"])
    if isinstance(odd, dict):
        walk["cases"] = odd.get("cases")
        walk["instances"] = {**walk["instances"], "pinned": odd.get("pinned")}
    return {**whole, "experiments": {**whole["experiments"], "walk": walk}}

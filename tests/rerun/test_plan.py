"""What is to be run: seeds, instances, units and their keys, fixed before the first run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import PaperError, RecordError
from harness.paper.load import Paper
from harness.rerun.instance import Instance, draw, pinned, restore, save
from harness.rerun.plan import Planner, Unit, make_plan

Edited = Callable[..., Paper]
TREE = "a" * 40


@pytest.fixture
def planner(tiny: Paper, tmp_path: Path) -> Planner:
    return Planner(paper=tiny, plan=make_plan(tiny, tmp_path / "plan"), folder=tmp_path / "plan", circumstances="here")


def of(units: list[Unit], experiment: str, method: str | None = None, which: str | None = None) -> list[Unit]:
    return [
        unit
        for unit in units
        if unit.experiment == experiment
        and unit.replicate == 0
        and method in (None, unit.parameters.get("method"))
        and which in (None, unit.instance.which)
    ]


def test_a_plan_is_drawn_once_and_kept(tiny: Paper, tmp_path: Path) -> None:
    first, again, other = (make_plan(tiny, tmp_path / name) for name in ("a", "a", "b"))
    assert first == again
    assert first.seeds != other.seeds
    assert first.entropy != other.entropy
    assert not set(first.held_out["walk"]) & set(other.held_out["walk"])
    assert len(first.seeds) == 4
    assert len(first.reference_seeds) == 3
    assert not set(first.seeds) & set(first.reference_seeds)
    assert {name: len(digests) for name, digests in first.held_out.items()} == {"walk": 2, "update": 1}
    assert first.public_digest != other.public_digest
    assert not any(str(seed) in first.public_digest for seed in first.seeds)


def test_the_same_entropy_draws_the_same_instances(tiny: Paper) -> None:
    one, two, other = draw(tiny, "walk", 7), draw(tiny, "walk", 7), draw(tiny, "walk", 8)
    assert [i.digest for i in one] == [i.digest for i in two]
    assert one[0].digest != one[1].digest
    assert not {i.digest for i in one} & {i.digest for i in other}
    assert one[0].arrays["shift"].shape == (4,)
    assert draw(tiny, "update", 7)[0].digest not in {i.digest for i in one}


def instance(values: dict[str, Any], **arrays: Any) -> Instance:
    return Instance(
        experiment="walk",
        which="held_out",
        index=0,
        values=values,
        arrays={k: np.asarray(v) for k, v in arrays.items()},
    )


def test_the_digest_follows_the_content_and_nothing_else() -> None:
    base = instance({"a": 1, "b": 2}, x=[1.0, 2.0])
    assert base.digest == instance({"b": 2, "a": 1}, x=[1.0, 2.0]).digest
    assert base.digest == replace(base, index=3, which="pinned", experiment="other").digest
    others = [
        instance({"a": 1, "b": 3}, x=[1.0, 2.0]),
        instance({"a": 1, "b": 2}, x=[1.0, 2.5]),
        instance({"a": 1, "b": 2}, y=[1.0, 2.0]),
        instance({"a": 1, "b": 2}, x=[[1.0, 2.0]]),
        instance({"a": 1, "b": 2}, x=np.array([1.0, 2.0], np.float32)),
        instance({"a": 1, "b": 2}),
        instance({"a": True, "b": 2}, x=[1.0, 2.0]),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 8
    fortran = instance({}, x=np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    assert fortran.digest == instance({}, x=np.arange(6.0).reshape(2, 3)).digest


def test_an_instance_travels(tmp_path: Path) -> None:
    made = instance({"goal": 1.5, "deep": {"list": [1, None, "é"]}}, x=np.arange(6).reshape(2, 3))
    save(made, tmp_path / "i")
    back = restore(tmp_path / "i", "walk", "held_out", 0)
    assert back.digest == made.digest
    assert back.values == made.values
    assert np.array_equal(back.arrays["x"], made.arrays["x"])
    assert back.as_sent()["x"] == {"npy": "x.npy"}
    assert np.array_equal(back.as_seen()["x"], made.arrays["x"])


@pytest.mark.parametrize("harm", ["value", "array", "missing", "garbage", "no array"])
def test_tampering_with_a_kept_instance_is_found(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "i"
    save(instance({"goal": 1.5}, x=[1.0, 2.0]), folder)
    if harm == "value":
        text = (folder / "instance.json").read_text()
        (folder / "instance.json").write_text(text.replace("1.5", "1.6"))
    elif harm == "array":
        np.save(folder / "x.npy", np.array([1.0, 2.5]))
    elif harm == "garbage":
        (folder / "instance.json").write_text("{")
    else:
        (folder / ("instance.json" if harm == "missing" else "x.npy")).unlink()
    with pytest.raises(RecordError):
        restore(folder, "walk", "held_out", 0)


def test_an_instance_of_another_plan_is_refused(planner: Planner, tiny: Paper, tmp_path: Path) -> None:
    make_plan(tiny, tmp_path / "other")
    for name in ("instance.json", "shift.npy"):
        (tmp_path / "plan/walk-0" / name).write_bytes((tmp_path / "other/walk-0" / name).read_bytes())
    with pytest.raises(RecordError, match="not the one of the plan"):
        _ = planner.instances


@pytest.mark.parametrize(
    "source",
    [
        "def draw(e, rng):\n    1 / 0\n",
        "def draw(e, rng):\n    return [1]\n",
        "def draw(e, rng):\n    return {'x': {1, 2}}\n",
        "x = 1\n",
        "1 / 0\n",
    ],
)
def test_a_generator_that_fails_is_the_papers_fault(edited: Edited, source: str) -> None:
    with pytest.raises(PaperError) as caught:
        draw(edited(None, instances=source), "walk", 1)
    assert "instances.py" in str(caught.value)


def test_without_the_private_folder_there_is_a_remedy(edited: Edited) -> None:
    paper = edited()
    (paper.folder / "private/instances.py").unlink()
    with pytest.raises(PaperError, match="private_path"):
        draw(paper, "walk", 1)


def test_slots_of_a_submission(planner: Planner) -> None:
    units = planner.submission(TREE, 3)
    assert len(of(units, "walk", "noisy")) == 3 * 3  # slots x (one pinned, two held out)
    assert len(of(units, "walk", "still")) == 3
    assert len(of(units, "relay", "noisy")) == 3 * 2  # no leaf reads the pinned one
    assert len(of(units, "relay", "still")) == 3
    assert len(of(units, "update")) == 1
    assert {unit.seed for unit in of(units, "walk", "still")} == {0}
    assert [unit.seed for unit in of(units, "walk", "noisy", "pinned")] == planner.plan.seeds[:3]
    assert Counter(unit.experiment for unit in units if unit.replicate) == {"walk": 1, "relay": 1, "update": 1}
    assert len({unit.key for unit in units}) == len(units)


def test_experiments_share_their_seeds_and_needs_follow_slot_and_instance(planner: Planner) -> None:
    units = planner.submission(TREE, 3)
    for unit in of(units, "relay"):
        assert unit.needs is not None
        assert unit.needs.experiment == "walk"
        assert (unit.needs.slot, unit.needs.seed) == (unit.slot, unit.seed)
        assert unit.needs.instance.digest == unit.instance.digest
        assert unit.needs.parameters["method"] == unit.parameters["method"]
        assert unit.needs.key in {walk.key for walk in of(units, "walk")}


def test_more_slots_add_units_and_change_none(planner: Planner) -> None:
    few, many = ({unit.key for unit in planner.submission(TREE, n)} for n in (3, 4))
    assert few < many


def test_the_reference_answers_what_leaves_ask_it(planner: Planner) -> None:
    units = planner.reference(TREE)
    assert {unit.author for unit in units} == {"reference"}
    assert {(unit.experiment, unit.instance.which) for unit in units} == {("walk", "held_out"), ("update", "held_out")}
    assert len(of(units, "walk", "noisy")) == 2 * 3
    assert len(of(units, "walk", "still")) == 2
    assert {unit.seed for unit in of(units, "walk", "noisy")} == set(planner.plan.reference_seeds)


def test_what_a_key_follows(planner: Planner) -> None:
    unit = of(planner.submission(TREE, 3), "relay", "noisy")[0]
    same = replace(unit, author="reference", slot=2)
    assert same.key == unit.key
    assert unit.needs is not None
    changes: list[dict[str, Any]] = [
        {"tree": "b" * 40}, {"experiment": "walk"}, {"parameters": {"method": "still"}}, {"seed": unit.seed + 1},
        {"replicate": 1}, {"circumstances": "there"}, {"needs": None}, {"needs": replace(unit.needs, seed=1)},
        {"limits": unit.limits.model_copy(update={"cpu": 6.0})}, {"instance": instance({"goal": 9.0})},
    ]  # fmt: skip
    assert len({unit.key, *(replace(unit, **change).key for change in changes)}) == len(changes) + 1


def test_the_repeated_slot_is_chosen_by_the_entropy(tiny: Paper, planner: Planner) -> None:
    def chosen(entropy: str) -> str:
        other = replace(planner, plan=planner.plan.model_copy(update={"entropy": entropy}))
        return next(unit.label for unit in other.submission(TREE, 3) if unit.replicate and unit.experiment == "walk")

    assert chosen("11") == chosen("11")
    assert len({chosen(str(n)) for n in range(40)}) == 6  # two cases on three instances
    assert all(label.endswith("again") for label in map(chosen, "1234"))


def test_pinned_instances_are_those_of_the_file(tiny: Paper) -> None:
    assert [i.values for i in pinned(tiny, "walk")] == [{"goal": 3.0}]
    assert json.dumps(pinned(tiny, "relay")[0].values) == '{"goal": 3.0}'

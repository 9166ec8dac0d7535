"""Gates 2 to 4 flag what looks prepared, and leave honest work alone."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.paper.claims import NumericClaim, Selection
from harness.scoring.audit import flags
from harness.scoring.evidence import Evidence, Side
from harness.scoring.finding import Published


def leaf(
    values: Any, *, mean: float = 0.0, sd: float = 1.0, n: int = 10, checked: bool = True, experiment: str = ""
) -> Any:
    side = Side(values=np.asarray(values, dtype=float), deterministic=False)
    of = Selection.model_construct(experiment=experiment or f"own_{id(side)}", instance="pinned")
    claim = NumericClaim.model_construct(spread_check=checked, of=of, relative_to=None)
    target = Published(mean=mean, sd=sd, n=n)
    evidence = Evidence(share=None, leaf=claim, sides={"of": side}, target=target)  # type: ignore[arg-type]
    return SimpleNamespace(id=f"leaf_{id(side)}", evidence=evidence)


def fired(*leaves: Any) -> set[int]:
    return {gate.gate for gate in flags(leaves) if gate.fired}  # nothing is reported: tests/scoring/test_rosy.py


def test_honest_samples_are_left_alone() -> None:
    rng = np.random.default_rng(1)
    alarms = [
        fired(*(leaf(rng.standard_normal(5), mean=rng.normal(0, 10**-0.5)) for _ in range(8))) for _ in range(200)
    ]
    for gate, most in ((2, 8), (3, 4), (4, 8)):  # 8 claims at .001, one test at .001, one at .01
        assert sum(gate in alarm for alarm in alarms) <= most


def test_samples_without_spread_are_flagged() -> None:
    rng = np.random.default_rng(2)
    assert 2 in fired(leaf(1e-6 * rng.standard_normal(5)))
    narrow = [leaf(0.35 * rng.standard_normal(5) + 0.5) for _ in range(8)]
    assert 3 in fired(*narrow)
    assert fired(*(replace_checked(one) for one in narrow)) <= {4}


def replace_checked(one: Any) -> Any:
    claim = one.evidence.leaf.model_copy(update={"spread_check": False})
    return SimpleNamespace(id=one.id, evidence=replace(one.evidence, leaf=claim))


def test_means_that_are_too_near_are_flagged() -> None:
    rng = np.random.default_rng(3)
    near = []
    for _ in range(8):
        values = rng.standard_normal(5)
        near.append(leaf(values - values.mean() + 1e-4, checked=False))
    assert fired(*near) == {4}
    (gate,) = [gate for gate in flags(near) if gate.fired]
    assert not gate.denies_pass
    assert "look where they come from" in gate.detail


def test_leaves_on_the_same_runs_are_not_counted_twice() -> None:
    """Luck in the one is luck in all: taken for independent, four of them raise twenty false alarms in a hundred."""
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(400):
        values, mean = rng.standard_normal(5), rng.normal(0, 10**-0.5)
        alarms += 4 in fired(*(leaf(values, mean=mean, checked=False, experiment="walk") for _ in range(4)))
    assert alarms <= 10


@pytest.mark.parametrize(
    "one",
    [
        leaf([1.0, 1.0]),  # too few
        leaf([0.0, 0.0, np.inf]),
        leaf(np.zeros((5, 3))),
    ],
)
def test_what_says_nothing_is_left_out(one: Any) -> None:
    gates = [gate for gate in flags([one]) if gate.gate < 5]
    assert all(not gate.fired and not gate.checked and "no leaf" in gate.detail for gate in gates)


def test_a_gate_that_saw_something_is_clean_in_its_own_name() -> None:
    rng = np.random.default_rng(4)
    gates = {gate.gate: gate for gate in flags([leaf(rng.standard_normal(5), checked=False)])}
    assert gates[4].checked
    assert not gates[2].checked, "no claim asks for a look at its spread"

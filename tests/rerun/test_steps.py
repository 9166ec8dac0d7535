"""What is said of a run and its environments."""

from __future__ import annotations

import pytest

from harness.gateway.offer import Closing, Used
from harness.rerun.steps import StepsUsed, remarks, steps_used


@pytest.mark.parametrize(
    ("training", "evaluation", "words"),
    [
        (0, 0, "0 training steps"),
        (1234, 0, "1,234 training steps"),
        (0, 7, "7 evaluation steps"),
        (2, 7, "2 training and 7 evaluation steps"),
    ],
)
def test_steps_in_words(training: int, evaluation: int, words: str) -> None:
    assert StepsUsed(training=training, evaluation=evaluation, exhausted=False).words == words


def test_what_went_well_needs_no_remark() -> None:
    closing = Closing(used={"x": Used(training=3, evaluation=0, exhausted=False)}, misbehaved=[], fault=None)
    assert remarks(steps_used(closing), closing.misbehaved) == []
    assert steps_used(None) == {}


def test_every_environment_that_ran_out_is_named_and_complaints_are_cut() -> None:
    used = {id: StepsUsed(training=5, evaluation=0, exhausted=id != "b") for id in ("a", "b", "c")}
    said = remarks(used, ["often"] * 3 + [f"fault {number}" for number in range(5)])
    assert said[:2] == [
        f"it asked for more steps of {id} than it may take, and was refused after 5 training steps" for id in ("a", "c")
    ]
    assert said[2] == "it broke the rules of talking to its environments: often (3 times or more); fault 0; fault 1"

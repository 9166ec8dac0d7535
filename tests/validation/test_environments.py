"""Environments that cannot be served, or not opened outside the clean room: each told with its place in paper.yaml."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from served_paper import ENVIRONMENTS, ID, INSTANCES, corridor, write_served

from harness.errors import PaperError
from harness.paper.load import load_paper
from harness.report.papers import described, print_paper
from harness.validation.environments import environment_problems
from harness.validation.sync import generated_brief
from harness.validation.validate import validate

Edit = Callable[[dict[str, Any]], object]
OTHER = ENVIRONMENTS.partition("\n\ndef make(")[0]
"""The corridor, without what makes its id known outside the clean room."""


def problems(folder: Path, edit: Edit | None = None, **files: str) -> list[str]:
    return environment_problems(load_paper(write_served(folder / "corridor", edit, **files)))


def making(**more: Any) -> Edit:
    return lambda spec: corridor(spec).update(more)


def test_what_can_be_served_has_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path) == []


def test_a_paper_without_environments_is_not_looked_at(tiny_folder: Path) -> None:
    assert environment_problems(load_paper(tiny_folder)) == []


@pytest.mark.parametrize(
    ("edit", "files", "said"),
    [
        (making(make="NoSuchThing-v5"), {}, "Gymnasium cannot make NoSuchThing-v5: Environment `NoSuchThing`"),
        (making(make="CartPole-v7"), {}, "CartPole-v7"),
        (making(make="environments.py:Coridor"), {}, "environments.py lacks Coridor"),
        (making(make="CartPole-v1"), {}, "CartPole-v1 cannot be made with goal, side: TypeError"),
        (None, {"environments": ENVIRONMENTS.replace("self.goal, self.side", "self.goal, (self.side, _)")},
         "environments.py:Corridor cannot be made with goal, side: TypeError"),
        (None, {"environments": ENVIRONMENTS.replace("spaces.Discrete(9)", "spaces.Sequence(spaces.Discrete(9))")},
         "its observation_space cannot be served: expected one of Discrete, Box"),
        (None, {"environments": ENVIRONMENTS.replace("return self.at, {}", "return 99, {}")},
         "reset() gives an observation outside of Discrete(9): 99"),
        (None, {"environments": ENVIRONMENTS.replace("self.at += 2", "self.nowhere += 2")},
         "its first step fails: AttributeError"),
        (None, {"environments": ENVIRONMENTS.replace("observation_space, action_space =", "_, action_space =")},
         "it has no observation_space"),
    ],
    ids=["unknown id", "unknown version", "no class", "too many parameters", "constructor", "space", "reset", "step",
         "no space"],
)  # fmt: skip
def test_what_cannot_be_served_is_told_with_its_place(
    tmp_path: Path, edit: Edit | None, files: dict[str, str], said: str
) -> None:
    [first, *more] = problems(tmp_path, edit, **files)
    assert first.startswith("paper.yaml:")
    assert f" experiments.walking.environments.{ID}.make: " in first
    assert said in first
    assert first.endswith("(on the instance pinned 1)")
    assert [one for one in more if not one.endswith("(on the instance held_out 1)")] == []


def test_a_drawn_instance_that_lacks_a_parameter_is_told(tmp_path: Path) -> None:
    [said] = problems(tmp_path, instances=INSTANCES.replace(', "served": {"side": -1}', ""))
    assert "the instance held_out 1 lacks a key: expected side" in said
    assert f"experiments.walking.environments.{ID}.parameters" in said


@pytest.mark.parametrize(
    ("environments", "said"),
    [
        (OTHER, "outside the clean room it does not open: NamespaceNotFound"),
        (ENVIRONMENTS.replace('phase="training", goal', "goal"), "unexpected keyword argument 'phase'"),
        (ENVIRONMENTS.replace(", vector_entry_point=make_several", ""), "outside the clean room it does not open"),
        (ENVIRONMENTS.replace("return Corridor(goal, side)", 'return gymnasium.make("CartPole-v1")'),
         "outside the clean room its spaces are Box("),
    ],
    ids=["not registered", "no phase", "no vector", "another environment"],
)  # fmt: skip
def test_what_does_not_open_outside_is_told(tmp_path: Path, environments: str, said: str) -> None:
    [first, *_] = problems(tmp_path, environments=environments)
    assert first.startswith("paper.yaml:")
    assert said in first


def test_what_is_registered_by_a_call_opens_on_the_pinned_instance(tmp_path: Path) -> None:
    head, condition, rest = ENVIRONMENTS.partition('if "reproof/Corridor-v0" not in gymnasium.registry:\n')
    by_call = (
        f"{head}def register(instance):\n    assert instance == {{'goal': 2.0, 'side': 1}}\n    {condition}    {rest}"
    )
    assert problems(tmp_path, environments=by_call) == []
    [said] = problems(tmp_path, environments=by_call.replace("'side': 1}", "'side': 2}"))
    assert "does not open: AssertionError" in said


def test_a_file_that_no_workspace_has_is_told(tmp_path: Path) -> None:
    folder = write_served(tmp_path / "corridor")
    (folder / "map.txt").write_text("")
    with (folder / "environments.py").open("a") as file:
        file.write("\nimport pathlib\npathlib.Path(__file__).with_name('map.txt').read_text()\n")
    [said] = environment_problems(load_paper(folder))
    assert "does not open: FileNotFoundError" in said


def test_a_missing_file_is_told_when_the_paper_is_loaded(tmp_path: Path) -> None:
    folder = write_served(tmp_path / "corridor")
    (folder / "environments.py").unlink()
    with pytest.raises(PaperError, match=r"environments.py: a paper's folder needs this file"):
        load_paper(folder)


def test_nothing_is_run_while_an_environment_does_not_open(tmp_path: Path) -> None:
    paper = load_paper(write_served(tmp_path / "corridor", making(make="environments.py:Coridor")))
    proof = validate(paper, tmp_path / "results", tell=lambda text: None)
    [check] = [check for check in proof.checks if check.name == "environments open"]
    assert not check.ok
    assert "environments.py lacks Coridor" in check.problems[0]
    assert proof.reference is None
    assert not (tmp_path / "results").exists()


def test_what_is_served_is_shown_beforehand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paper = load_paper(write_served(tmp_path / "corridor"))
    assert f"<br>`{ID}`: 400 training steps, 60 evaluation |" in generated_brief(paper)
    [row] = described(paper)["environments"]
    assert (row["experiment"], row["id"], row["steps"], row["evaluation_steps"]) == ("walking", ID, 400, 60)
    print_paper(paper)
    said = capsys.readouterr().out
    assert "16 MiB of disk, 5,000 env steps" in said
    assert f"served to walking: {ID}, environments.py:Corridor; 400 training steps a run, 60 evaluation" in said

"""The office world, the machines that pay in it, the optimum that metrics divide by, and the maps that are drawn."""

from __future__ import annotations

import itertools
from collections import deque
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import harness
from harness.paper.load import load_paper
from harness.paper.plugin import load_plugin

FOLDER = Path(harness.__file__).parent.parent / "papers" / "reward_machines"
CORRIDOR = {"rooms": [1, 2], "size": 2, "doors": [[1, 2]], "start": 0, "objects": {"coffee": [1], "decoration": [7]}}
"""Two rooms of four cells, cells 0 to 3 above 4 to 7; the door joins 1 and 2."""
COFFEE = {"states": 1, "transitions": [[0, "!coffee & !decoration", 0, 0.0], [0, "coffee & !decoration", -1, 1.0]]}
OTHER = {"states": 1, "transitions": [[0, "!mail & !decoration", 0, 0.0], [0, "mail & !decoration", -1, 0.5]]}
UP, RIGHT, DOWN, LEFT = range(4)


@pytest.fixture(scope="module")
def world() -> ModuleType:
    return load_plugin(FOLDER / "environments.py")


@pytest.fixture(scope="module")
def metrics() -> ModuleType:
    return load_plugin(FOLDER / "metrics.py")


@pytest.fixture(scope="module")
def instances() -> ModuleType:
    return load_plugin(FOLDER / "private" / "instances.py")


def walk(env: Any, *actions: int) -> list[tuple[int, float, bool, Any]]:
    return [(cell, reward, ended, info.get("events")) for cell, reward, ended, _, info in map(env.step, actions)]


def test_walls_doors_and_events(world: ModuleType) -> None:
    env = world.Office(CORRIDOR, [OTHER])
    assert env.reset() == (0, {"task": 0})
    assert walk(env, UP, LEFT, DOWN, RIGHT, RIGHT, UP, RIGHT, RIGHT) == [
        (0, 0.0, False, None), (0, 0.0, False, None), (4, 0.0, False, None), (5, 0.0, False, None),
        (5, 0.0, False, None), (1, 0.0, False, ["coffee"]), (2, 0.0, False, None), (3, 0.0, False, None),
    ]  # fmt: skip
    assert walk(env, DOWN) == [(7, 0.0, True, ["decoration"])]


def test_tasks_take_turns_and_an_episode_without_a_step_is_none(world: ModuleType) -> None:
    env = world.Office(CORRIDOR, [COFFEE, OTHER])
    assert [env.reset()[1]["task"] for _ in range(2)] == [0, 0]
    assert walk(env, RIGHT) == [(1, 1.0, True, ["coffee"])]
    assert env.reset()[1]["task"] == 1
    assert walk(env, RIGHT) == [(1, 0.0, False, ["coffee"])]
    assert env.reset()[1]["task"] == 0


def test_gymnasium_finds_nothing_to_complain_about(world: ModuleType) -> None:
    paper = load_paper(FOLDER)
    instance = paper.spec.experiments["multi"].instances
    assert instance is not None
    pinned = instance.pinned[0]
    check_env(world.Office(pinned["office"], pinned["machines"]), skip_render_check=True)
    try:
        world.register({"machines": pinned["machines"]})
        assert world.ID not in gymnasium.registry  # there is no map to make it on
        world.register(pinned)
        world.register({})
        assert gymnasium.make(world.ID, phase="evaluation").reset()[0] == pinned["office"]["start"]
        assert gymnasium.make_vec(world.ID, num_envs=2).reset()[0].tolist() == [pinned["office"]["start"]] * 2
    finally:
        gymnasium.registry.pop(world.ID, None)


def settings(**others: Any) -> dict[str, Any]:
    return {
        "served": {"office": CORRIDOR}, "machines": [COFFEE], "discount": 0.9, "epsilon": 0.1, "steps": 10, "window": 2,
    } | others  # fmt: skip


def log(*rows: tuple[str, int, int, float, int, str]) -> dict[str, Any]:
    """Stream, index, episode, return, length, outcome of each; steps follow."""
    names = ("stream", "index", "episode", "return", "length", "outcome")
    found = {name: np.array([row[at] for row in rows]) for at, name in enumerate(names)}
    ended = [sum(row[4] for row in rows[: at + 1] if row[0] == rows[at][0]) for at in range(len(rows))]
    return found | {"steps": np.array(ended, dtype=np.uint64)}


def test_the_optimum_is_what_many_walks_get(metrics: ModuleType, world: ModuleType) -> None:
    office = CORRIDOR | {"start": 3}
    found = metrics._optimum(settings(served={"office": office}), 0)
    assert found.shortest == pytest.approx(2.0)
    _, best = metrics._iterate(*metrics._model(office, COFFEE), 0.9)
    env, rng = world.Office(office, [COFFEE]), np.random.default_rng(0)
    worth = []
    for _ in range(20_000):
        cell, _ = env.reset()
        for length in itertools.count(1):
            choices = range(4) if rng.random() < 0.1 else np.flatnonzero(best[cell])
            cell, reward, ended, _, _ = env.step(int(rng.choice(choices)))
            if ended:
                worth.append(reward / length)
                break
    assert found.rate == pytest.approx(np.mean(worth), rel=0.01)


def test_episodes_count_by_return_over_length_over_the_optimum(metrics: ModuleType) -> None:
    rate = metrics._optimum(settings(), 0).rate
    metered = log(
        ("training", 0, 0, 0.0, 4, "terminated"), ("training", 0, 1, 1.0, 2, "terminated"),
        ("training", 0, 2, 1.0, 1, "terminated"), ("training", 0, 3, 0.0, 3, "abandoned"),
    )  # fmt: skip
    curve = metrics.learning_curve({}, settings(), {}, metered)
    expected = [0, 0, 0, 0, 0, 0.25, 0.75, 0.75, 0.75, 0.5]
    assert curve[:, 0].tolist() == list(range(1, 11))
    assert curve[:, 1] * rate == pytest.approx(expected)
    assert metrics.final_performance({}, settings(), {}, metered) == 0.0
    assert metrics.steps_taken({}, settings(), {}, metered) == 1.0
    assert metrics.steps_to_half({}, settings(), {}, metered) == pytest.approx(0.007)
    assert metrics.steps_to_half({}, settings(steps=6), {}, metered) == pytest.approx(0.006)


def test_each_environment_goes_through_the_tasks_by_itself(metrics: ModuleType) -> None:
    metered = log(
        ("training", 0, 0, 1.0, 1, "terminated"), ("training", 1, 1, 1.0, 1, "terminated"),
        ("training", 0, 2, 1.0, 1, "terminated"), ("training", 1, 3, 1.0, 1, "terminated"),
        ("training", 0, 4, 1.0, 1, "terminated"),
    )  # fmt: skip
    assert metrics._tasks(metered, metered["stream"] == "training", 2).tolist() == [0, 0, 1, 1, 0]


def test_greedy_walks_are_one_a_task_and_no_more(metrics: ModuleType) -> None:
    once = ("evaluation", 0, 0, 1.0, 4, "terminated")
    assert metrics.greedy_efficiency({}, settings(), {}, log(once)) == pytest.approx(0.25)
    for rows in ((), (once, ("evaluation", 0, 1, 0.0, 9, "abandoned"))):
        with pytest.raises(ValueError, match="one greedy episode of each of 1 tasks"):
            metrics.greedy_efficiency({}, settings(), {}, log(("training", 0, 0, 0.0, 1, "terminated"), *rows))


def test_a_record_is_compared_episode_by_episode(metrics: ModuleType) -> None:
    metered = log(("training", 0, 0, 1.0, 2, "terminated"), ("training", 0, 1, 0.0, 3, "abandoned"))
    said = {"returns": np.array([1.0]), "lengths": np.array([2])}
    assert metrics.untrue_episodes(said, settings(), {}, metered) == 0.0
    assert metrics.untrue_episodes(said | {"lengths": np.array([3])}, settings(), {}, metered) == 1.0
    assert metrics.untrue_episodes(said | {"returns": np.ones(3)}, settings(), {}, metered) == 2.0
    assert metrics.untrue_episodes({"returns": np.zeros(0), "lengths": np.zeros(0)}, settings(), {}, metered) == 1.0


@pytest.mark.parametrize("entropy", range(4))
def test_maps_that_are_drawn_can_be_solved_and_lead_hierarchies_astray(
    world: ModuleType, metrics: ModuleType, instances: ModuleType, entropy: int
) -> None:
    drawn = instances.draw("multi", np.random.default_rng(entropy))
    assert "office" not in drawn  # only the gateway knows it
    office = drawn["served"]["office"]
    taken = [cell for cells in office["objects"].values() for cell in cells]
    assert len({office["start"], *taken}) == 15
    shortest = [metrics._optimum(drawn, task).shortest for task in range(4)]
    assert all(low <= round(way) <= high for way, (low, high) in zip(shortest, instances.BOUNDS.values(), strict=True))
    near = ways(world, office, office["start"])
    first, second = sorted(office["objects"]["coffee"], key=near.__getitem__)
    goal = office["objects"]["office"][0]
    assert near[first] + ways(world, office, first)[goal] >= 1.25 * (near[second] + ways(world, office, second)[goal])


def ways(world: ModuleType, office: dict[str, Any], start: int) -> dict[int, int]:
    """Steps from a cell to every other, round the decorations."""
    following, found, ahead = world.neighbours(office), {start: 0}, deque([start])
    while ahead:
        cell = ahead.popleft()
        for there in following[cell]:
            if there not in found and there not in office["objects"]["decoration"]:
                found[there] = found[cell] + 1
                ahead.append(there)
    return found


def test_machines_and_tasks_are_the_same_pinned_and_drawn(instances: ModuleType) -> None:
    paper = load_paper(FOLDER)
    for name in ("multi", "single"):
        spec = paper.spec.experiments[name].instances
        assert spec is not None
        drawn = instances.draw(name, np.random.default_rng(7))
        pinned = {key: value for key, value in spec.pinned[0].items() if key != "office"}
        assert {key: value for key, value in drawn.items() if key != "served"} == pinned

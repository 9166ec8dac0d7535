"""The Swimmer paper's own parts: the environment that is served, and what becomes of a search's history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import harness
from harness.paper.load import load_paper
from harness.paper.plugin import load_plugin
from harness.rerun.instance import Instance, draw, pinned

FOLDER = Path(harness.__file__).parent.parent / "papers" / "open_loop"
ID = "reproof/Swimmer-v0"
GAITS = np.array([[1.0, 0.95, 0.62, 0.62], [0.8, 0.4, 0.5, 0.9], [1.4, 0.1, 1.2, 0.3]])
STEPS = 40


@pytest.fixture(scope="module")
def metrics() -> Any:
    return load_plugin(FOLDER / "metrics.py")


@pytest.fixture(scope="module")
def environments() -> Any:
    return load_plugin(FOLDER / "environments.py")


@pytest.fixture(scope="module")
def instances() -> dict[str, Instance]:
    paper = load_paper(FOLDER)
    return {"pinned": pinned(paper, "search")[0], "drawn": draw(paper, "search", 7)[0]}


def swim(env: Any, policy: Any, seed: int, steps: int = STEPS) -> float:
    """The return of an episode's first actions; the controller reads the joints where the brief says they are."""
    observation, _ = env.reset(seed=seed)
    total = 0.0
    for step in range(steps):
        state = observation.tolist()
        torques = policy(step, [0.0, 0.0, *state[:3]], state[3:])
        observation, reward, *_ = env.step(np.array(torques, dtype=np.float32))
        total += reward
    return total


def test_it_is_swimmer_v5_seed_by_seed(environments: Any) -> None:
    ours, theirs = gymnasium.make(ID), gymnasium.make("Swimmer-v5")
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    actions = np.random.default_rng(1).uniform(-1, 1, (50, 2)).astype(np.float32)
    for seed in (0, 5):
        assert (ours.reset(seed=seed)[0] == theirs.reset(seed=seed)[0]).all()
        for action in actions:
            (state, reward, *_), (state_there, reward_there, *_) = ours.step(action), theirs.step(action)
            assert np.allclose(state, state_there, rtol=0, atol=1e-9)
            assert abs(reward - reward_there) < 1e-9


def test_the_pinned_dynamics_are_swimmer_v5s_and_an_episode_takes_its_share_of_the_budget(
    environments: Any, instances: dict[str, Instance]
) -> None:
    there, pinned = environments.Swimmer(), instances["pinned"].as_seen()
    changed = environments.Swimmer(pinned["dynamics"])
    for name in ("actuator_gear", "dof_damping", "body_mass", "body_inertia", "jnt_axis", "dof_invweight0"):
        assert (getattr(there.model, name) == getattr(changed.model, name)).all()
    assert (there.model.opt.density, there.model.opt.viscosity) == (changed.model.opt.density, 0.1)
    served = load_paper(FOLDER).spec.experiments["search"].environments[ID]
    assert served.max_episode_steps == environments.EPISODE == pinned["steps"]
    assert served.steps == pinned["episodes"] * pinned["steps"]
    env = gymnasium.make(ID)
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(environments.EPISODE)]
    assert ends == [(False, False)] * (environments.EPISODE - 1) + [(False, True)]


@pytest.mark.filterwarnings("ignore")  # the checker would like bounds of the observations, which Swimmer-v5 lacks too
def test_gymnasiums_checker_passes(environments: Any, instances: dict[str, Instance]) -> None:
    check_env(environments.Swimmer(instances["drawn"].as_seen()["served"]["dynamics"]), skip_render_check=True)


def test_vectors_are_made_in_process_as_by_the_gateway(environments: Any) -> None:
    several = gymnasium.make_vec(ID, num_envs=2, autoreset_mode="SameStep")
    assert several.reset(seed=[3, 4])[0].shape == (2, 8)
    assert several.metadata["autoreset_mode"].value == "SameStep"
    for _ in range(environments.EPISODE):
        over = several.step(np.zeros((2, 2), dtype=np.float32))[3]
    assert over.all()
    with pytest.raises(ValueError, match="expected 'training', got 'evaluation'"):
        gymnasium.make(ID, phase="evaluation")


def test_nobody_is_told_the_drawn_dynamics(instances: dict[str, Instance]) -> None:
    assert set(instances["drawn"].as_sent()) == {"gains", "steps", "episodes"}
    assert set(instances["pinned"].as_sent()) == {"gains", "steps", "episodes", "dynamics"}


@pytest.mark.parametrize("which", ["pinned", "drawn"])
def test_the_harness_finds_the_returns_of_the_environment(
    which: str, metrics: Any, environments: Any, instances: dict[str, Instance]
) -> None:
    instance = instances[which].as_seen()
    dynamics = instance.get("served", instance)["dynamics"]
    env = gymnasium.make(ID, dynamics=dynamics)
    returns = [swim(env, metrics._Oscillators(gait, instance["gains"]), 11 + row) for row, gait in enumerate(GAITS)]
    outputs = {"tried": GAITS, "returns": np.array(returns), "chosen": GAITS[0]}
    assert metrics.history_error(outputs, instance | {"steps": STEPS}, {}, metered(returns)) < 1e-9
    wrong = outputs | {"tried": GAITS[[0, 2, 1]]}
    assert metrics.history_error(wrong, instance | {"steps": STEPS}, {}, metered(returns)) > 0.1
    elsewhere = instance | {"steps": STEPS, "served": {"dynamics": dynamics | {"gear": 100.0}}}
    assert metrics.history_error(outputs, elsewhere, {}, metered(returns)) > 0.1


def test_roundings_do_not_grow_where_a_swimmer_magnifies_them(metrics: Any, environments: Any) -> None:
    """A drawn Swimmer on which torques that are not rounded to float32 earn up to 0.4 more or less in 200 steps."""
    masses, gains = [0.84, 1.36, 0.78], {"kd": 0.485, "kp": 11.67}
    dynamics = {"damping": 4.04, "density": 3165.59, "gear": 204.88, "viscosity": 1.66, "masses": masses}
    instance = {"served": {"dynamics": dynamics | {"mirrored": 2, "direction": -1}}, "gains": gains}
    env = gymnasium.make(ID, dynamics=instance["served"]["dynamics"])
    for seed, gait in enumerate(
        [[0.41, 0.252, 1.333, 1.221], [0.423, 0.902, 0.887, 1.45], [0.406, 0.978, 0.414, 1.279]]
    ):
        there = swim(env, metrics._Oscillators(gait, gains), seed, steps=200)
        assert metrics._gait_return(instance, gait, metrics._start(seed), 200) == pytest.approx(there, abs=1e-9)


def metered(returns: Any) -> dict[str, Any]:
    """The log of a run that stepped some episodes of STEPS actions, from the seeds 11, 12, and so on."""
    count = len(returns)
    return {"return": np.array(returns), "length": np.full(count, STEPS), "seed": 11 + np.arange(count)}


def test_whatever_was_stepped_is_handed_in_and_nothing_else(metrics: Any, instances: dict[str, Instance]) -> None:
    instance = instances["drawn"].as_seen() | {"steps": STEPS}
    own = [metrics._gait_return(instance, gait, metrics._start(11 + row), STEPS) for row, gait in enumerate(GAITS)]
    outputs = {"tried": GAITS, "returns": np.array(own), "chosen": GAITS[0]}

    def error(log: dict[str, Any], **changed: Any) -> float:
        return float(metrics.history_error(outputs | changed, instance, {}, log))

    assert error(metered(own)) == 0.0
    assert error(metered([*own, 0.0])) == 1  # an episode was left out
    assert error(metered(own[:2])) == 1  # an episode was made up
    assert error(metered([])) == 3
    assert error(metered(own), returns=np.array([own[0], own[1] + 0.5, own[2]])) == pytest.approx(0.5)


def test_what_cannot_be_run_again_is_refused(metrics: Any, instances: dict[str, Instance]) -> None:
    instance = instances["drawn"].as_seen() | {"steps": STEPS}
    outputs = {"tried": GAITS[:1], "returns": np.array([1.0]), "chosen": GAITS[0]}
    log = metered([1.0])
    with pytest.raises(ValueError, match="expected episodes of 40 steps, the harness metered one of 39"):
        metrics.history_error(outputs, instance, {}, log | {"length": np.array([39])})
    with pytest.raises(ValueError, match="one began without a seed"):
        metrics.history_error(outputs, instance, {}, log | {"seed": np.array([-1])})
    with pytest.raises(ValueError, match="expected 1 to 96 gaits and a return for each, got 1 and 0"):
        metrics.history_error(outputs | {"returns": np.zeros(0)}, instance, {}, log)


def test_a_short_evaluation_is_the_beginning_of_a_long_one(metrics: Any, instances: dict[str, Instance]) -> None:
    instance, start = instances["pinned"].as_seen(), metrics._start(1)
    metrics._RETURNS.clear()
    short = metrics._gait_return(instance, GAITS[0], start, 30)
    long = metrics._gait_return(instance, GAITS[0], start, 60)
    assert metrics._gait_return(instance, GAITS[0], start, 30) == short != long
    assert len(metrics._RETURNS) == 1

"""The same trajectory as in process, single and vector, infos included; and what Gymnasium's own checker says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gateway.served import HERE, INFOS, Huge, Informed, Odd, Run, running, served
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

CLASSIC = ("CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1", "Acrobot-v1")
TOY = ("Blackjack-v1", "FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1", "Taxi-v4")
MUJOCO = ("Swimmer-v5",)
SLOW = (
    "Hopper-v5",
    "Ant-v5", "HalfCheetah-v5", "Humanoid-v5", "HumanoidStandup-v5", "InvertedPendulum-v5", "InvertedDoublePendulum-v5",
    "Pusher-v5", "Reacher-v5", "Walker2d-v5",
)  # fmt: skip
EVERY = [*CLASSIC, *TOY, *MUJOCO, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One server for all; environments are made when they are opened."""
    every = {name.replace("-", "_"): served(name) for name in (*CLASSIC, *TOY, *MUJOCO, *SLOW)}
    every |= {kind.__name__: served(f"{HERE}:{kind.__name__}") for kind in (Odd, Informed, Huge)}
    every["Short"] = served("CartPole-v1", limit=7)
    with running(tmp_path_factory.mktemp("identity") / "run", **every) as run:
        yield run


def id_of(name: str) -> str:
    return f"reproof/{name.replace('-', '_')}-v0"


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, through dictionaries and tuples; NaN equals itself."""
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, list):
        return a == b
    if isinstance(a, np.ndarray) and a.dtype == object:
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray) and a.dtype.kind == "U":
        return a.tolist() == b.tolist()
    if isinstance(a, np.ndarray | float | np.floating):
        return np.array_equal(a, b, equal_nan=True) and np.asarray(a).dtype == np.asarray(b).dtype
    return bool(a == b)


def types(value: Any) -> Any:
    """The types of everything in infos."""
    return {key: types(below) for key, below in value.items()} if isinstance(value, dict) else type(value)


def alike(ours: Any, theirs: Any, steps: int) -> int:
    """Step two environments side by side and compare everything; gives the number of episodes that ended."""
    single = not isinstance(theirs, gymnasium.vector.VectorEnv)
    theirs.action_space.seed(5)
    assert same(theirs.reset(seed=3), ours.reset(seed=3))
    ended = 0
    for step in range(steps):
        action = theirs.action_space.sample()
        wanted, got = theirs.step(action), ours.step(action)
        assert same(wanted[0], got[0]), (step, wanted, got)
        assert same(wanted[4], got[4]), (step, wanted[4], got[4])
        assert types(wanted[4]) == types(got[4])
        assert [np.asarray(part).tolist() for part in wanted[1:4]] == [np.asarray(part).tolist() for part in got[1:4]]
        over = np.logical_or(wanted[2], wanted[3])
        ended += int(np.sum(over))
        if single and over:
            assert same(theirs.reset(), ours.reset())
    return ended


@pytest.mark.parametrize("name", EVERY)
def test_a_single_environment_is_the_one_in_process(run: Run, name: str) -> None:
    ours, theirs = run.env(id_of(name)), gymnasium.make(name)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    alike(ours, theirs, 120)
    ours.close()


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("name", EVERY)
def test_several_are_those_in_process(run: Run, name: str, mode: AutoresetMode) -> None:
    ours = run.vector(3, id_of(name), autoreset_mode=mode)
    theirs = gymnasium.make_vec(name, num_envs=3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode})
    assert ours.observation_space == theirs.observation_space
    assert ours.metadata["autoreset_mode"] == mode
    alike(ours, theirs, 60)
    ours.close()


@pytest.mark.parametrize("mode", [None, AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_every_kind_of_space_and_of_info_passes(run: Run, mode: AutoresetMode | None) -> None:
    ours = run.env(id_of("Odd")) if mode is None else run.vector(3, id_of("Odd"), autoreset_mode=mode)
    theirs = Odd() if mode is None else SyncVectorEnv([Odd] * 3, autoreset_mode=mode)
    assert alike(ours, theirs, 30) >= 6
    ours.close()


@pytest.mark.parametrize("mode", [None, AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_infos_keep_their_types_whatever_comes_before_and_after(run: Run, mode: AutoresetMode | None) -> None:
    ours = run.env(id_of("Informed")) if mode is None else run.vector(3, id_of("Informed"), autoreset_mode=mode)
    theirs = Informed() if mode is None else SyncVectorEnv([Informed] * 3, autoreset_mode=mode)
    assert alike(ours, theirs, 5 * len(INFOS)) >= 2
    ours.close()


def test_integers_of_any_size_are_told(run: Run) -> None:
    assert alike(run.env(id_of("Huge")), Huge(), 40) >= 3


def test_an_episode_is_cut_where_the_paper_says(run: Run) -> None:
    ours, theirs = run.env(id_of("Short")), gymnasium.make("CartPole-v1", max_episode_steps=7)
    assert alike(ours, theirs, 70) >= 10
    ours.close()


@pytest.mark.parametrize("name", ["CartPole-v1", "Taxi-v4", "Swimmer-v5", "Odd"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_gymnasium_s_own_checker_passes(run: Run, name: str) -> None:
    env = run.env(id_of(name))
    check_env(env, skip_render_check=True)
    env.close()


def test_wrappers_go_on_top(run: Run) -> None:
    env = gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.wrappers.TimeLimit(run.env(id_of("CartPole-v1")), 5))
    env.reset(seed=1)
    *_, truncated, infos = [env.step(0) for _ in range(5)][-1]
    assert truncated
    assert infos["episode"]["l"] == 5
    env.close()


def test_many_environments_step_by_turns(run: Run) -> None:
    ours = [run.env(id_of("CartPole-v1")) for _ in range(5)]
    theirs = [gymnasium.make("CartPole-v1") for _ in range(5)]
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert same(one.reset(seed=number)[0], other.reset(seed=number)[0])
    for step in range(5):
        for one, other in zip(ours, theirs, strict=True):
            assert same(one.step(step % 2)[0], other.step(step % 2)[0])
    for one in ours:
        one.close()

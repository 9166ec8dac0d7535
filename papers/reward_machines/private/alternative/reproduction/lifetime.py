"""Experiments `multi` and `single`: a life of learning in the office, then a greedy walk of each task."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import environments
import gymnasium
import numpy as np

from reproduction.agents import Agent, fresh
from reproduction.bundle import Bundle
from reproduction.tables import Move, Rates

OFFICE = "reproof/Office-v0"


class Episode(NamedTuple):
    """What became of an episode."""

    paid: float
    length: int
    ended: bool


def live(instance: Mapping[str, Any], parameters: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Learn for the given steps, walk each task greedily, and list the training episodes that ended."""
    environments.register(instance)
    generator = np.random.default_rng(seed)
    office = gymnasium.make(OFFICE)
    agent = fresh(
        parameters["learner"],
        Bundle(instance["machines"]),
        Rates(instance["discount"], instance["learning_rate"]),
        int(office.observation_space.n),
        instance["initial_value"],
    )
    episodes = [one for one in _train(office, agent, instance, generator) if one.ended]
    _show(agent, len(instance["machines"]), generator)
    return {
        "returns": np.array([one.paid for one in episodes], dtype=np.float64),
        "lengths": np.array([one.length for one in episodes], dtype=np.int64),
    }


def _train(
    office: gymnasium.Env, agent: Agent, instance: Mapping[str, Any], generator: np.random.Generator
) -> Iterator[Episode]:
    left = instance["steps"]
    while left:
        episode = _walk(office, agent, instance["epsilon"], generator, learning=True, at_most=left)
        left -= episode.length
        yield episode


def _show(agent: Agent, tasks: int, generator: np.random.Generator) -> None:
    office = gymnasium.make(OFFICE, phase="evaluation")
    for _ in range(tasks):
        _walk(office, agent, 0.0, generator, learning=False)


def _walk(
    office: gymnasium.Env,
    agent: Agent,
    epsilon: float,
    generator: np.random.Generator,
    *,
    learning: bool,
    at_most: float = np.inf,
) -> Episode:
    cell, info = office.reset()
    agent.begin(info["task"])
    paid, length, ended = 0.0, 0, False
    while not ended and length < at_most:
        action = agent.act(cell, epsilon, generator)
        there, reward, terminated, truncated, info = office.step(action)
        reaction = agent.bundle.react(info.get("events", ()))
        if learning:
            agent.learn(Move(cell, action, there), reaction)
        agent.advance(reaction)
        cell, paid, length, ended = there, paid + reward, length + 1, terminated or truncated
    return Episode(paid, length, ended)

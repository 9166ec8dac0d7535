"""The environments of a run: how they are made, whose seeds they take, and how their steps are counted."""

from __future__ import annotations

import copy
import hashlib
import heapq
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium

from harness.gateway.log import ABANDONED, TERMINATED, TRUNCATED, UNSEEDED, EpisodeLog
from harness.gateway.offer import Served
from harness.paper.plugin import load_plugin


class Refusal(Exception):
    """The client asked for something it cannot have; it is told, and may go on."""

    def __init__(self, kind: str, text: str) -> None:
        """`kind` decides what is raised in the client."""
        super().__init__(text)
        self.kind, self.text = kind, text


class Fault(Exception):
    """Something of ours failed; the run does not count."""


def make(served: Served) -> tuple[gymnasium.Env[Any, Any], int | None]:
    """Make an environment as it is offered, without the wrappers whose work is done here.

    Returns:
        The environment, and the number of steps after which its episodes are truncated.
    """
    file, colon, name = served.make.rpartition(":")
    if colon and file.endswith(".py"):
        return getattr(load_plugin(Path(file)), name)(**served.keywords), served.max_episode_steps
    spec = copy.copy(gymnasium.spec(served.make))
    limit = served.max_episode_steps or spec.max_episode_steps
    spec.order_enforce, spec.max_episode_steps = False, None
    return gymnasium.make(spec, disable_env_checker=True, **served.keywords), limit


@dataclass(slots=True)
class Purse:
    """The steps that all streams of an offer may take together."""

    most: int | None
    """None: as many as the streams allow."""
    used: int = 0

    def spend(self, steps: int) -> bool:
        """Count steps, if there are so many left."""
        if self.most is not None and self.used + steps > self.most:
            return False
        self.used += steps
        return True


@dataclass(slots=True, kw_only=True)
class Stream:
    """The episodes of one environment for one purpose, over all clients of the run."""

    id: str
    environment: int
    """Number of the id."""
    number: int
    """Number of the stream; 1 is the evaluation's."""
    limit: int
    """Steps."""
    secret: str
    log: EpisodeLog
    began: float
    purse: Purse
    used: int = 0
    exhausted: bool = False
    _next: int = 0
    _returned: list[int] = field(default_factory=list)

    @property
    def evaluates(self) -> bool:
        """Whether its seeds are the server's."""
        return self.number == 1

    def seed(self, *what: object) -> int:
        """A seed that nobody can know without the run's secret."""
        text = "|".join(map(str, (self.secret, self.id, self.number, *what)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])

    def take_number(self) -> int:
        """The number of the next episode: the smallest that nobody has stepped in."""
        if self._returned:
            return heapq.heappop(self._returned)
        self._next += 1
        return self._next - 1

    def give_back(self, number: int) -> None:
        """Let an episode in which nobody stepped be the next one, so that nobody can look for a lucky one."""
        heapq.heappush(self._returned, number)

    def spend(self, steps: int) -> None:
        """Count steps that are about to be done.

        Raises:
            Refusal: They would pass the budget.
        """
        if self.used + steps > self.limit:
            self.exhausted = True
            name = "evaluation" if self.evaluates else "training"
            said = f"the {name} budget of {self.id} is spent: {self.used} of {self.limit} steps"
            raise Refusal("budget", f"{said}; save what you have")
        if not self.purse.spend(steps):
            self.exhausted = True
            said = f"what was granted of the attempt's budget is spent: {self.purse.used} of {self.purse.most} steps"
            raise Refusal("budget", f"{said}; save what you have")
        self.used += steps


@dataclass(slots=True, kw_only=True)
class Play:
    """One environment, and the episode it is in."""

    env: gymnasium.Env[Any, Any]
    stream: Stream
    index: int
    """Which of all environments that the run has opened."""
    limit: int | None
    """Steps after which an episode is truncated."""
    seeded: bool = False
    running: bool = False
    episode: int = -1
    """Number in the stream, -1 before the first."""
    seed: int = UNSEEDED
    length: int = 0
    total: float = 0.0

    def reset(self, seed: int | None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: What the client asks for; in the evaluation stream it decides nothing.
        """
        self.leave()
        self.episode, self.length, self.total = self.stream.take_number(), 0, 0.0
        if self.stream.evaluates:
            seed = self.stream.seed(self.episode)
        elif seed is None and not self.seeded:
            seed = self.stream.seed("first", self.index)
        self.seeded, self.seed = True, UNSEEDED if seed is None else seed
        started = self.env.reset(seed=seed)
        self.running = True
        return started

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step, and keep its account."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        reward, terminated = float(reward), bool(terminated)
        self.length += 1
        self.total += reward
        truncated = bool(truncated) or self.length == self.limit
        if terminated or truncated:
            self._end(TERMINATED if terminated else TRUNCATED)
        return observation, reward, terminated, truncated, info

    def leave(self) -> None:
        """End the episode where it is; one without a step never was."""
        if self.running and self.length:
            self._end(ABANDONED)
        elif self.running:
            self.stream.give_back(self.episode)
            self.running = False

    def close(self) -> None:
        """Leave the episode, and the environment."""
        self.leave()
        self.env.close()

    def _end(self, outcome: int) -> None:
        self.running = False
        stream = self.stream
        stream.log.add(
            stream.environment, stream.number, outcome, self.index, self.episode, self.length, self.seed, self.total,
            stream.used, time.monotonic() - stream.began,
        )  # fmt: skip

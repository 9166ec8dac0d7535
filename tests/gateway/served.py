"""Servers without a clean room, for tests of what passes between client and server; and odd environments to serve."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from harness.gateway import client, wire
from harness.gateway.host import Gateway, serving
from harness.gateway.log import read_metered
from harness.gateway.offer import Closing, Offer, Served

HERE = Path(__file__)


def served(
    make: str, *, steps: int = 10**6, evaluation_steps: int = 0, limit: int | None = None, **keywords: Any
) -> Served:
    return Served(make=make, keywords=keywords, steps=steps, evaluation_steps=evaluation_steps, max_episode_steps=limit)


class Run:
    """A server of some environments, whose client is this very process."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.gateway, self.folder = gateway, folder
        self.ids = list(gateway.offer.environments)

    def env(self, id: str | None = None, **keywords: Any) -> client.GatewayEnv:
        return client.GatewayEnv(id or self.ids[0], **keywords)

    def vector(self, count: int, id: str | None = None, **keywords: Any) -> client.GatewayVectorEnv:
        return client.GatewayVectorEnv(id or self.ids[0], num_envs=count, **keywords)

    def end(self) -> tuple[Closing, dict[str, Any]]:
        closing = self.gateway.end(self.folder / "table.npy")
        return closing, dict(read_metered(self.folder / "table.npy", self.ids))


@contextlib.contextmanager
def running(folder: Path, secret: str = "secret", **environments: Served) -> Iterator[Run]:
    """Serve some environments, `reproof/NAME-v0` by name."""
    folder.mkdir(exist_ok=True)
    offered = {f"reproof/{name}-v0": value for name, value in environments.items()}
    with serving(Offer(environments=offered, secret=secret, log=str(folder)), folder) as gateway:
        before = os.environ.get(wire.VARIABLE)
        os.environ[wire.VARIABLE] = str(gateway.handle)
        try:
            yield Run(gateway, folder)
        finally:
            os.environ.pop(wire.VARIABLE)
            if before is not None:
                os.environ[wire.VARIABLE] = before


class Odd(gymnasium.Env[Any, Any]):
    """Every kind of space, nested, with infos of every kind."""

    observation_space = spaces.Dict(
        {
            "box": spaces.Box(-1, 1, (2, 3), np.float32),
            "pair": spaces.Tuple((spaces.Discrete(3, start=-1), spaces.MultiDiscrete([2, 5]))),
            "word": spaces.Text(6, charset="abcä"),
            "bits": spaces.MultiBinary(4),
        }
    )
    action_space = observation_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.count = 0
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return self.observation_space.sample(), {"text": "begun", "nested": {"array": np.arange(3)}}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        infos: dict[str, Any] = {"last": action["word"], "sum": float(action["box"].sum()), "none": None}
        return action, self.count / 10, self.count >= 4, False, infos if self.count % 2 else {}


class Tells(gymnasium.Env[Any, Any]):
    """An environment that says what its process is told."""

    observation_space = action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return 0, {"told": sorted(os.environ)}


INFOS: list[dict[str, Any]] = [
    {"a": 1.5, "b": 2, "c": True, "d": np.float64(0.1), "e": np.float32(0.1), "f": np.int8(-3), "g": np.uint64(2**63)},
    {
        "a": -0.0,
        "b": -1,
        "c": False,
        "d": np.float64("nan"),
        "e": np.float32("inf"),
        "f": np.int8(5),
        "g": np.uint64(0),
    },
    {"array": np.arange(6, dtype=np.float32).reshape(2, 3), "none": np.zeros((0, 2)), "flat": np.array(3.0)},
    {"array": np.full((2, 3), 7, dtype=np.float32), "none": np.zeros((0, 2)), "flat": np.array(4.0)},
    {"array": np.arange(6, dtype=np.float64), "big": np.arange(3, dtype=">i4")},
    {"array": np.arange(4, dtype=np.float64), "big": np.arange(3, dtype=">i4")},
    {"flag": np.bool_(True), "complex": np.complex64(1j), "half": np.float16(0.5)},
    {"flag": np.bool_(False)},
    {"flag": np.bool_(True)},
    {"b": 2, "a": 1.5},
    {"a": 1.5, "b": 2},
    {"a": 2, "b": 1.5},
    {"text": "t", "nothing": None, "nested": {"x": 1.0, "deep": {"y": np.arange(2)}}, "list": [1, 2]},
    {"text": "u", "nothing": None, "nested": {"x": 2.0, "deep": {"y": np.arange(2)}}, "list": [3]},
    {"objects": np.array([None, "x"], dtype=object), "words": np.array(["a", "bc"])},
    {"final_obs": np.ones(2), "_a": 1.0, "a": 2.0},
    {"final_obs": np.zeros(2), "_a": 3.0, "a": 4.0},
    *({f"key {number}": float(number)} for number in range(70)),
    {},
]
"""One a step; several kinds come twice, since the second time they travel in a layout."""


class Informed(gymnasium.Env[Any, Any]):
    """Gives infos of every kind, one a step."""

    observation_space = action_space = spaces.Discrete(2)
    infos = INFOS

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.count = 0
        return 0, {"begun": 1.0}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.count += 1
        return 0, 0.0, self.count == 2 * len(self.infos), False, self.infos[(self.count - 1) % len(self.infos)]


class Huge(Informed):
    """Gives integers for which Gymnasium's own vector environments have no place."""

    infos = [{"huge": 2**80}, {"huge": 3}, {"huge": 4}, {"huge": -(2**63)}, {"huge": 2**63}]  # noqa: RUF012


class Broken(gymnasium.Env[Any, Any]):
    """Fails on its third step."""

    observation_space = action_space = spaces.Discrete(2)
    count = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.count += 1
        if self.count == 3:
            raise RuntimeError("it broke")
        return 0, 0.0, False, False, {}

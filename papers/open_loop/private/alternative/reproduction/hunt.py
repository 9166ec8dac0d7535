"""The search: eight Swimmers at a time, gaits proposed by Thompson sampling, and a final among the most promising."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import environments  # noqa: F401 -- registers the Swimmer where nobody else has
import gymnasium
import numpy as np

from reproduction.fleet import ANGLES, SPEEDS
from reproduction.plan import Array, Gait, pull, unroll
from reproduction.space import Space
from reproduction.surrogate import Surrogate, fit

LANES = 8
OPENING, FINAL = 0.25, (4, 2)
"""The part of the rounds that scatters gaits, and how many finalists swim in each of the last rounds."""
AFAR, NEARBY, WIDTHS = 256, 128, (0.15, 0.05)
"""Candidates anywhere, and candidates about the best ones at each of these widths."""


@dataclass
class Logbook:
    """Every episode in order: the point of the cube and the return."""

    units: list[Array] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)

    def add(self, units: Array, returns: Array) -> None:
        """Write down a round."""
        self.units.extend(units)
        self.returns.extend(returns.tolist())

    def fitted(self, space: Space) -> Surrogate:
        """What is to be believed after these episodes."""
        return fit(space, np.array(self.units), np.array(self.returns))


class Pool:
    """Eight lanes in which gaits are swum at once, each from a random start."""

    def __init__(self, gains: Mapping[str, float], steps: int, rng: np.random.Generator) -> None:
        """Open it: `gains` of the controller, `steps` of an episode, `rng` for the starts."""
        self._lanes = gymnasium.make_vec("reproof/Swimmer-v0", num_envs=LANES)
        self._gains, self._steps, self._rng = gains, steps, rng

    def race(self, gaits: Array) -> Array:
        """The returns of eight gaits."""
        desired = unroll(Gait.of_swimmer(gaits), self._steps).desired
        observations, _ = self._lanes.reset(seed=self._rng.integers(2**31, size=LANES).tolist())
        total = np.zeros(LANES)
        for row in desired:
            torques = pull(row, observations[:, ANGLES], observations[:, SPEEDS], self._gains)
            observations, rewards, *_ = self._lanes.step(torques.astype(np.float32))
            total += rewards
        return total

    def close(self) -> None:
        """Let the water out."""
        self._lanes.close()


def search(instance: Mapping[str, Any], *, phases: str, frequencies: str, seed: int) -> dict[str, Array]:
    """Experiment `search`."""
    rng = np.random.default_rng(seed)
    space = Space(shifted=phases == "shifted", separate=frequencies == "separate")
    pool, book = Pool(instance["gains"], instance["steps"], rng), Logbook()
    rounds = instance["episodes"] // LANES
    opening = round(OPENING * rounds)
    for units in np.split(space.scattered(opening * LANES, rng), opening):
        book.add(units, pool.race(space.gaits(units)))
    while len(book.units) < (rounds - len(FINAL)) * LANES:
        units = _proposals(book.fitted(space), rng)
        book.add(units, pool.race(space.gaits(units)))
    chosen = _final(space, pool, book)
    pool.close()
    return {"tried": space.gaits(np.array(book.units)), "returns": np.array(book.returns), "chosen": chosen}


def _proposals(belief: Surrogate, rng: np.random.Generator) -> Array:
    """Eight gaits, each the best by a function that may well be the true one."""
    space = belief.space
    leaders = belief.units[np.argsort(-belief.expected(belief.units))[:LANES]]
    crowd = np.tile(leaders, (NEARBY // LANES, 1))
    candidates = np.vstack([rng.random((AFAR, space.dimension)), *(space.near(crowd, width, rng) for width in WIDTHS)])
    return candidates[belief.imagined(candidates, LANES, rng).argmax(axis=1)]


def _final(space: Space, pool: Pool, book: Logbook) -> Array:
    """The winner of rounds in which ever fewer gaits, at first those most believed in, swim from ever more starts."""
    tried, belief = np.array(book.units), book.fitted(space)
    finalists = tried[np.argsort(-belief.expected(tried))[: FINAL[0]]]
    earned = np.empty((len(finalists), 0))
    for count in FINAL:
        order = np.argsort(-earned.mean(axis=1))[:count] if earned.size else np.arange(count)
        finalists, earned = finalists[order], earned[order]
        units = np.repeat(finalists, LANES // count, axis=0)
        returns = pool.race(space.gaits(units))
        book.add(units, returns)
        earned = np.hstack([earned, returns.reshape(count, -1)])
    return space.gaits(finalists)[earned.mean(axis=1).argmax()]

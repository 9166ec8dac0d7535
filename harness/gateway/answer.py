"""What a channel answers: one environment, or several that step as one with Gymnasium's two ways of resetting."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Sequence
from typing import Any

from gymnasium.vector import AutoresetMode, VectorEnv

from harness.gateway import wire
from harness.gateway.frame import NO_SEED, Frame
from harness.gateway.owned import Play, Refusal
from harness.gateway.spaces import cells, refusal


class Fault(Exception):
    """Something of ours failed; the run does not count."""


class Answer:
    """The memories of a channel, and what happens between a request and its reply."""

    def __init__(self, plays: Sequence[Play], *, mode: AutoresetMode | None) -> None:
        """Make the memories.

        Args:
            plays: The environments.
            mode: How several are reset; None: it is a single one, which the client resets.

        Raises:
            Fault: The environments cannot be served.
        """
        self._plays, self._mode = plays, mode
        self.count = len(plays)
        env = plays[0].env
        for space in (env.observation_space, env.action_space):
            if (wrong := refusal(space)) is not None:
                raise Fault(f"{plays[0].stream.id} cannot be served: {wrong}")
        self._frame = Frame(env.observation_space, env.action_space, len(plays))
        self._group: VectorEnv[Any, Any, Any] = VectorEnv()
        self._group.num_envs = len(plays)
        with contextlib.ExitStack() as undo:
            self._request_handle, self.request = wire.shared(self._frame.request_size, writable=True)
            undo.callback(os.close, self._request_handle)
            self._reply_handle, self.reply = wire.shared(self._frame.reply_size, writable=False)
            undo.pop_all()
        self._own = memoryview(bytearray(self._frame.request_size))
        self._asked, self._told = self._frame.request(self._own), self._frame.reply(self.reply)
        told = self._told
        self._cells = cells(told.rewards), cells(told.terminated), cells(told.truncated)
        self._words = self.reply.cast("Q")
        self._over = [False] * len(plays)

    def describe(self) -> dict[str, int]:
        """Leave the spaces where notes are left; gives the place and the length."""
        env = self._plays[0].env
        told = pickle.dumps((env.observation_space, env.action_space))
        self.note(told)
        return {"at": self._frame.note_at, "length": len(told)}

    def take_handles(self) -> list[int]:
        """The descriptors for the client, to be closed by whoever asks."""
        return [self._request_handle, self._reply_handle]

    def reset(self) -> None:
        """Begin an episode in each environment.

        Raises:
            Refusal: A seed is out of range.
        """
        self._copy(wire.SEEDS_AT, self._frame.actions_at)
        seeds = [None if seed == NO_SEED else seed for seed in self._asked.seeds.tolist()]
        if any(seed is not None and seed < 0 for seed in seeds):
            raise Refusal("seed", f"expected seeds of at least 0, got {min(self._asked.seeds)}")
        started = [self._guarded(play.reset, seed) for play, seed in zip(self._plays, seeds, strict=True)]
        self._over = [False] * len(self._plays)
        infos: dict[str, Any] = {}
        for row, (observation, info) in enumerate(started):
            self._told.observations.put(row, observation)
            infos = self._gathered(infos, info, row)
        self._note_infos(infos)

    def step(self) -> None:
        """Take the actions, and step every environment whose episode is under way.

        Raises:
            Refusal: An action is none, an episode is over, or the budget is spent.
        """
        self._copy(self._frame.actions_at, self._frame.request_size)
        wrong = self._asked.actions.strangers()
        if wrong is not None:
            raise Refusal("action", wrong)
        if self._mode is None:
            self._step_one()
        else:
            self._step_all()

    def close(self) -> None:
        """Leave the environments."""
        for play in self._plays:
            self._guarded(play.close)

    def _copy(self, begin: int, end: int) -> None:
        """Read what the client wrote, once: it may go on writing."""
        self._own[begin:end] = self.request[begin:end]

    def _step_one(self) -> None:
        play = self._plays[0]
        if not play.running:
            raise Refusal("order", "this episode is over, or has not begun: call reset() before step()")
        play.stream.spend(1)
        infos = self._take(play, 0)[1]
        self._note_infos(infos)

    def _step_all(self) -> None:
        same = self._mode is AutoresetMode.SAME_STEP
        if not all(play.running or over for play, over in zip(self._plays, self._over, strict=True)):
            raise Refusal("order", "call reset() before step()")
        self._plays[0].stream.spend(len(self._plays) - sum(self._over))
        infos: dict[str, Any] = {}
        for row, play in enumerate(self._plays):
            if self._over[row]:
                info = self._begin_again(row)
            else:
                observation, info = self._take(play, row)
                if not play.running and same:
                    infos = self._gathered(infos, {"final_obs": observation, "final_info": info}, row)
                    observation, info = self._guarded(play.reset, None)
                    self._told.observations.put(row, observation)
                self._over[row] = not play.running
            infos = self._gathered(infos, info, row)
        self._note_infos(infos)

    def _begin_again(self, row: int) -> dict[str, Any]:
        observation, info = self._guarded(self._plays[row].reset, None)
        self._told.observations.put(row, observation)
        self._told.rewards[row] = 0.0
        self._told.terminated[row] = self._told.truncated[row] = False
        self._over[row] = False
        return info  # type: ignore[no-any-return]

    def _take(self, play: Play, row: int) -> tuple[Any, dict[str, Any]]:
        """Step one environment, keep its account, and write its answer."""
        action = self._asked.actions.get(row)
        observation, reward, terminated, truncated, info = self._guarded(play.env.step, action)
        reward, terminated, truncated = float(reward), bool(terminated), bool(truncated)
        play.count(reward, terminated, truncated)
        rewards, terminations, truncations = self._cells
        rewards[row], terminations[row], truncations[row] = reward, terminated, truncated
        self._told.observations.put(row, observation)
        return observation, info

    def _guarded(self, call: Any, *words: Any) -> Any:
        """An environment that fails on what it should take is a fault of the paper's, not of who steps it."""
        try:
            return call(*words)
        except Exception as error:
            raise Fault(f"{self._plays[0].stream.id} failed: {type(error).__name__}: {error}") from error

    def _gathered(self, infos: dict[str, Any], info: dict[str, Any], row: int) -> dict[str, Any]:
        if self._mode is None:
            return info
        return self._group._add_info(infos, info, row) if info else infos

    def _note_infos(self, infos: dict[str, Any]) -> None:
        if infos:
            self.note(pickle.dumps(infos, protocol=pickle.HIGHEST_PROTOCOL))
        else:
            self._words[wire.NOTE_LENGTH] = 0

    def note(self, text: bytes) -> None:
        """Leave something of no fixed size."""
        if len(text) > len(self._told.note):
            raise Fault(f"{self._plays[0].stream.id} failed: its infos take {len(text)} bytes")
        self._told.note[: len(text)] = text
        self._words[wire.NOTE_LENGTH] = len(text)

"""What a channel answers: one environment, or several that step as one with Gymnasium's two ways of resetting."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from gymnasium.vector import AutoresetMode

from harness.gateway import wire
from harness.gateway.frame import NO_SEED, Frame
from harness.gateway.infos import Info
from harness.gateway.notes import Notes
from harness.gateway.owned import Fault, Play, Refusal
from harness.gateway.spaces import Stranger, cells, refusal


class Answer(ABC):
    """The memories of a channel, and what happens between a request and its reply."""

    def __init__(self, plays: Sequence[Play]) -> None:
        """Make the memories.

        Raises:
            Fault: The environments cannot be served.
        """
        self._plays = plays
        self.count = len(plays)
        env = plays[0].env
        for space in (env.observation_space, env.action_space):
            if (wrong := refusal(space)) is not None:
                raise Fault(f"{plays[0].stream.id} cannot be served: {wrong}")
        self._frame = Frame(env.observation_space, env.action_space, len(plays))
        with contextlib.ExitStack() as undo:
            self._request_handle, self.request = wire.shared(self._frame.request_size, writable=True)
            undo.callback(os.close, self._request_handle)
            self._reply_handle, self.reply = wire.shared(self._frame.reply_size, writable=False)
            undo.pop_all()
        asked, told = self._frame.request(self.request), self._frame.reply(self.reply)
        self._seeds, self._actions = asked.seeds, asked.actions
        self._observations = told.observations
        self._rewards, self._terminated, self._truncated = map(cells, (told.rewards, told.terminated, told.truncated))
        self._notes = Notes(told.note, self.reply.cast("Q"), self.count, whose=plays[0].stream.id)

    def describe(self) -> dict[str, int]:
        """Leave the spaces where notes are left; gives the place and the length."""
        env = self._plays[0].env
        spaces = env.observation_space, env.action_space
        return {"at": self._frame.note_at, "length": self._notes.write(wire.NOTHING, spaces)}

    def refuse(self, refusal: Refusal) -> None:
        """Leave why nothing was done."""
        self._notes.write(wire.REFUSED, (refusal.kind, refusal.text))

    def take_handles(self) -> list[int]:
        """The descriptors for the client, to be closed by whoever asks."""
        return [self._request_handle, self._reply_handle]

    def reset(self) -> None:
        """Begin an episode in each environment.

        Raises:
            Refusal: A seed is out of range.
        """
        seeds = [None if seed == NO_SEED else seed for seed in self._seeds.tolist()]  # read once: they may change
        if any(seed is not None and seed < 0 for seed in seeds):
            raise Refusal("seed", f"expected seeds of at least 0, got {seeds}")
        started = [self._guarded(play.reset, seed) for play, seed in zip(self._plays, seeds, strict=True)]
        for row, (observation, _) in enumerate(started):
            self._observations.put(row, observation)
        self._begun([info for _, info in started])

    @abstractmethod
    def step(self) -> None:
        """Take the actions, and step every environment whose episode is under way.

        Raises:
            Refusal: An action is none, an episode is over, or the budget is spent.
        """

    def close(self) -> None:
        """Leave the environments."""
        for play in self._plays:
            self._guarded(play.close)

    @abstractmethod
    def _begun(self, infos: list[Info]) -> None:
        """Write the infos with which episodes have begun."""

    def _action(self, row: int) -> Any:
        """The action of one environment, which the client cannot change any more."""
        try:
            return self._actions.take(row)
        except Stranger as stranger:
            raise Refusal("action", f"expected a value of {self._frame.action}, got {stranger}") from None

    def _advance(self, play: Play, row: int, action: Any) -> tuple[Any, Info]:
        """Step one environment, and write its answer."""
        try:
            observation, reward, terminated, truncated, info = play.step(action)
        except Exception as error:
            raise self._broken(error) from error
        self._rewards[row], self._terminated[row], self._truncated[row] = reward, terminated, truncated
        self._observations.put(row, observation)
        return observation, info

    def _guarded(self, call: Any, *words: Any) -> Any:
        try:
            return call(*words)
        except Exception as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> Fault:
        """An environment that fails on what it should take is a fault of the paper's, not of who steps it."""
        return Fault(f"{self._plays[0].stream.id} failed: {type(error).__name__}: {error}")


class Single(Answer):
    """One environment, which the client resets."""

    def _begun(self, infos: list[Info]) -> None:
        self._notes.write_info(infos[0])

    def step(self) -> None:
        """Step it."""
        play, action = self._plays[0], self._action(0)
        if not play.running:
            raise Refusal("order", "this episode is over, or has not begun: call reset() before step()")
        play.stream.spend(1)
        _, info = self._advance(play, 0, action)
        self._notes.write_info(info)


class Group(Answer):
    """Several environments that step as one, and begin again by themselves."""

    def __init__(self, plays: Sequence[Play], mode: AutoresetMode) -> None:
        """Begin with no episode under way."""
        super().__init__(plays)
        self._same = mode is AutoresetMode.SAME_STEP
        self._over = [False] * len(plays)

    def _begun(self, infos: list[Info]) -> None:
        self._over = [False] * self.count
        self._notes.write_infos(list(enumerate(infos)))

    def step(self) -> None:
        """Step them; none is, unless all actions are some."""
        actions = list(map(self._action, range(self.count)))
        if not all(play.running or over for play, over in zip(self._plays, self._over, strict=True)):
            raise Refusal("order", "call reset() before step()")
        self._plays[0].stream.spend(self.count - sum(self._over))
        parts: list[tuple[int, Info]] = []
        for row, play in enumerate(self._plays):
            if self._over[row]:
                parts.append((row, self._begin_again(row)))
                continue
            observation, info = self._advance(play, row, actions[row])
            if not play.running and self._same:
                parts.append((row, {"final_obs": observation, "final_info": info}))
                info = self._renew(row)
            self._over[row] = not play.running
            parts.append((row, info))
        self._notes.write_infos(parts)

    def _begin_again(self, row: int) -> Info:
        """What a step gives after one that ended an episode."""
        self._rewards[row], self._terminated[row], self._truncated[row] = 0.0, False, False
        self._over[row] = False
        return self._renew(row)

    def _renew(self, row: int) -> Info:
        observation, info = self._guarded(self._plays[row].reset, None)
        self._observations.put(row, observation)
        return info  # type: ignore[no-any-return]

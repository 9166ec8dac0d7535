"""The environments of the gateway as Gymnasium sees them from inside the clean room.

This file is laid into the clean room, where `harness` is not: it imports the standard library, numpy and Gymnasium.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
from typing import Any

import gymnasium
import numpy as np
from gymnasium import error
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from . import wire
from .frame import NO_SEED, Frame
from .infos import Layouts
from .spaces import cells

_OPENS_WITHIN = 120.0
"""Seconds until the server has made an environment; it may have to start first."""


class StepsExhausted(RuntimeError):
    """The budget of environment steps is spent: nothing more can be learned, what is known can still be saved."""


class ActionRefused(ValueError):
    """An action that is none of the action space."""


class GatewayError(RuntimeError):
    """The gateway cannot do this, or is gone."""


class RenderingRefused(GatewayError, TypeError):
    """The gateway renders nothing; a learner that tries an environment with pictures first goes on without."""


_RAISED: dict[str, type[Exception]] = {
    "budget": StepsExhausted,
    "action": ActionRefused,
    "order": error.ResetNeeded,
    "seed": error.Error,
}


class _Channel:
    """The client's end of what is opened: asks, waits, and raises what was refused."""

    def __init__(self, id: str, count: int, phase: str, autoreset: AutoresetMode, keywords: dict[str, Any]) -> None:
        if phase not in ("training", "evaluation"):
            raise ValueError(f"phase: expected 'training' or 'evaluation', got {phase!r}")
        wanted = {"id": id, "count": count, "phase": phase, "autoreset": autoreset.value, "keywords": keywords}
        ours, request, reply, (self.observation_space, self.action_space) = _open(wanted)
        frame = Frame(self.observation_space, self.action_space, max(count, 1))
        self._sequence, self._count, self._layouts = 0, count, Layouts()
        self._end: wire.End | None = wire.End(request, reply, ours, asks=True)
        asked, told = frame.request(request), frame.reply(reply)
        self.seeds, self.actions = asked.seeds, asked.actions
        self.rewards, self.terminated, self.truncated = told.rewards, told.terminated, told.truncated
        self.observations, self._note = told.observations, told.note
        self.cells = cells(told.rewards), cells(told.terminated), cells(told.truncated)

    def ask(self, what: int) -> dict[str, Any]:
        """Send what was written, wait for the answer, and give its infos."""
        end = self._end
        if end is None:
            raise error.ClosedEnvironmentError("this environment was closed")
        self._sequence += 1
        end.mine[wire.ASKED] = what
        try:
            end.ask(self._sequence)
        except wire.Hangup:
            raise GatewayError("the gateway has ended this environment: it broke, or it was misused") from None
        said = end.theirs[wire.SAID]
        return self._heard(said, end.theirs[wire.LENGTH]) if said else {}

    def _heard(self, said: int, length: int) -> dict[str, Any]:
        """The infos in a note."""
        if said > wire.INFOS:
            layout = self._layouts[said - wire.INFOS]
            return layout.get_all(self._note, self._count) if self._count else layout.get(self._note)
        text: Any = pickle.loads(self._note[:length])
        if said == wire.REFUSED:
            raise _RAISED.get(text[0], GatewayError)(text[1])
        infos, learned = text
        self._layouts.keep(learned)
        return infos  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let the server know that nobody will ask again."""
        if self._end is not None:
            self._end.other.close()
            self._end = None

    def __del__(self) -> None:
        if hasattr(self, "_end"):
            self.close()


def _open(wanted: dict[str, Any]) -> tuple[socket.socket, memoryview, memoryview, Any]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(_OPENS_WITHIN)
    with theirs, socket.socket(fileno=os.dup(int(os.environ[wire.VARIABLE]))) as control:
        try:
            socket.send_fds(control, [_encoded(wanted)], [theirs.fileno()])
        except OSError as problem:
            raise GatewayError(f"the gateway is gone: {problem}") from None
    try:
        message, handles, _, _ = socket.recv_fds(ours, wire.LARGEST_MESSAGE, 2)
    except OSError as problem:
        ours.close()
        raise GatewayError(f"the gateway does not answer: {problem}") from None
    told = json.loads(message) if message else {"refused": "the gateway is gone"}
    if "refused" in told:
        ours.close()
        raise GatewayError(told["refused"])
    request, reply = wire.mapped(handles[0], writable=True), wire.mapped(handles[1], writable=False)
    ours.setblocking(False)
    at, length = int(told["at"]), int(told["length"])
    return ours, request, reply, pickle.loads(reply[at : at + length])


def _encoded(wanted: dict[str, Any]) -> bytes:
    message = json.dumps(wanted).encode()
    if len(message) > wire.LARGEST_MESSAGE:
        raise GatewayError(f"a request of {len(message)} bytes, expected at most {wire.LARGEST_MESSAGE}")
    return message


def _seed(value: int | None) -> int:
    if value is None:
        return NO_SEED
    if not isinstance(value, int | np.integer) or not 0 <= value < 2**63:
        raise error.Error(f"seed: expected an integer from 0 to 2**63 - 1, got {value!r}")
    return int(value)


def _refuse(options: Any, render_mode: Any) -> None:
    if options:
        raise GatewayError("the gateway takes no options of reset(): the harness decides how an episode begins")
    if render_mode is not None:
        raise RenderingRefused(f"the gateway renders nothing: expected render_mode=None, got {render_mode!r}")


class GatewayEnv(gymnasium.Env[Any, Any]):
    """One environment that the harness owns."""

    metadata = {"render_modes": []}  # noqa: RUF012 -- Gymnasium declares it so

    def __init__(
        self, served: str, *, phase: str = "training", render_mode: str | None = None, **keywords: Any
    ) -> None:
        """Open it."""
        _refuse(None, render_mode)
        self.render_mode = None
        self._channel = _Channel(served, 0, phase, AutoresetMode.NEXT_STEP, keywords)
        self.observation_space, self.action_space = self._channel.observation_space, self._channel.action_space
        self._cells = self._channel.cells

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        _refuse(options, None)
        channel = self._channel
        channel.seeds[0] = _seed(seed)
        super().reset(seed=None if seed is None else int(seed))
        infos = channel.ask(wire.RESET)
        return channel.observations.get(0), infos

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one step."""
        channel = self._channel
        try:
            channel.actions.put(0, action)
        except (TypeError, ValueError, LookupError, OverflowError, AttributeError) as problem:
            raise ActionRefused(f"expected a value of {self.action_space}, got {action!r} ({problem})") from None
        infos = channel.ask(wire.STEP)
        rewards, terminated, truncated = self._cells
        return channel.observations.get(0), rewards[0], terminated[0], truncated[0], infos

    def render(self) -> None:
        """Refuse to."""
        raise RenderingRefused("the gateway renders nothing; watch the environment outside the clean room")

    def close(self) -> None:
        """Leave it; an episode under way counts as abandoned."""
        if hasattr(self, "_channel"):
            self._channel.close()


class GatewayVectorEnv(VectorEnv[Any, Any, Any]):
    """Several environments that the harness owns, stepped by one message."""

    def __init__(
        self,
        served: str,
        *,
        num_envs: int = 1,
        phase: str = "training",
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **keywords: Any,
    ) -> None:
        """Open them."""
        _refuse(None, render_mode)
        mode = AutoresetMode(autoreset_mode)
        if mode is AutoresetMode.DISABLED:
            raise GatewayError("autoreset_mode: expected NEXT_STEP or SAME_STEP, got DISABLED")
        self.num_envs, self.render_mode = num_envs, None
        self.metadata = {"render_modes": [], "autoreset_mode": mode}
        self._channel = _Channel(served, num_envs, phase, mode, keywords)
        self.single_observation_space = self._channel.observation_space
        self.single_action_space = self._channel.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in each."""
        _refuse(options, None)
        channel = self._channel
        if seed is None or isinstance(seed, int | np.integer):
            seed = [None if seed is None else int(seed) + row for row in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"seed: expected {self.num_envs} of them, got {len(seed)}")
        channel.seeds[:] = [_seed(value) for value in seed]
        infos = channel.ask(wire.RESET)
        return channel.observations.get_all(), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take one step in each."""
        channel = self._channel
        try:
            channel.actions.put_all(actions)
        except (TypeError, ValueError, LookupError, OverflowError, AttributeError) as problem:
            raise ActionRefused(f"expected a value of {self.action_space}, got {actions!r} ({problem})") from None
        infos = channel.ask(wire.STEP)
        return (
            channel.observations.get_all(),
            channel.rewards.copy(),
            channel.terminated.copy(),
            channel.truncated.copy(),
            infos,
        )

    def render(self) -> None:
        """Refuse to."""
        raise RenderingRefused("the gateway renders nothing; watch the environments outside the clean room")

    def close_extras(self, **kwargs: Any) -> None:
        """Leave them; episodes under way count as abandoned."""
        if hasattr(self, "_channel"):
            self._channel.close()

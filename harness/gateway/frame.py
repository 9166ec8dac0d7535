"""Where everything lies in the two memories of a channel, for both of its ends.

This file is laid into the clean room as well, where `harness` is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .spaces import Values, extent, lay
from .wire import ANSWER_AT, SEEDS_AT, aligned

NO_SEED = -1
NOTE, NOTE_EACH = 1 << 20, 1 << 14
"""Bytes for what has no fixed size (infos, refusals): of a channel, and for each of its environments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client writes."""

    seeds: NDArray[np.int64]
    actions: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the server writes."""

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    observations: Values
    note: memoryview


class Frame:
    """The layout for some number of environments with the same spaces."""

    def __init__(self, observation: Any, action: Any, count: int) -> None:
        """Measure everything."""
        self.observation, self.action, self.count = observation, action, count
        self.actions_at = aligned(SEEDS_AT + 8 * count)
        self.request_size = extent(action, self.actions_at, count)
        self._terminated_at = aligned(ANSWER_AT + 8 * count)
        self._truncated_at = aligned(self._terminated_at + count)
        self._observations_at = aligned(self._truncated_at + count)
        self.note_at = extent(observation, self._observations_at, count)
        self.reply_size = self.note_at + NOTE + NOTE_EACH * count

    def request(self, memory: memoryview) -> Request:
        """Find what a client writes, in shared or private memory."""
        return Request(
            seeds=np.frombuffer(memory, dtype=np.int64, count=self.count, offset=SEEDS_AT),
            actions=lay(self.action, memory, self.actions_at, self.count),
        )

    def reply(self, memory: memoryview) -> Reply:
        """Find what the server writes."""
        return Reply(
            rewards=np.frombuffer(memory, dtype=np.float64, count=self.count, offset=ANSWER_AT),
            terminated=np.frombuffer(memory, dtype=np.bool_, count=self.count, offset=self._terminated_at),
            truncated=np.frombuffer(memory, dtype=np.bool_, count=self.count, offset=self._truncated_at),
            observations=lay(self.observation, memory, self._observations_at, self.count),
            note=memory[self.note_at : self.reply_size],
        )

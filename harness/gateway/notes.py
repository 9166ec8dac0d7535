"""What the server tells a client that has no fixed size: spaces, refusals, and above all infos."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from typing import Any

from gymnasium.vector import VectorEnv

from harness.gateway import wire
from harness.gateway.infos import Info, Layout, Layouts
from harness.gateway.owned import Fault


class Notes:
    """Writes into the note of a reply."""

    def __init__(self, memory: memoryview, words: memoryview, count: int, *, whose: str) -> None:
        """Begin with nothing said.

        Args:
            memory: Of the note alone.
            words: The whole reply, by words of eight bytes.
            count: Of the environments.
            whose: Their id.
        """
        self._memory, self._words, self._count, self._whose = memory, words, count, whose
        self._said = wire.NOTHING
        self._layouts = Layouts()
        self._group: VectorEnv[Any, Any, Any] = VectorEnv()
        self._group.num_envs = count

    def write(self, kind: int, said: object) -> int:
        """Leave anything, pickled; gives its length in bytes.

        Args:
            kind: `wire.REFUSED` or `wire.INFOS`.
            said: The reason, or the infos and what has to be learned of them.

        Raises:
            Fault: It is too long, or something in it cannot be pickled.
        """
        try:
            text = pickle.dumps(said, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            raise Fault(f"{self._whose}: its infos cannot be sent: {type(error).__name__}: {error}") from error
        if len(text) > len(self._memory):
            raise Fault(f"{self._whose}: its infos take {len(text)} bytes, expected at most {len(self._memory)}")
        self._memory[: len(text)] = text
        self._words[wire.LENGTH] = len(text)
        self._say(kind)
        return len(text)

    def _say(self, kind: int) -> None:
        if kind != self._said:
            self._said = self._words[wire.SAID] = kind

    def write_info(self, info: Info) -> None:
        """Leave the infos of a single environment."""
        if not info:
            self._say(wire.NOTHING)
        elif not self._lay((info,), batched=False):
            self.write(wire.INFOS, (info, self._layouts.learn(info)))

    def write_infos(self, parts: Sequence[tuple[int, Info]]) -> None:
        """Leave the infos of several, gathered as Gymnasium's vector environments gather them.

        Args:
            parts: Row and infos, in the order in which they were given; a row may have several.
        """
        infos = [info for _, info in parts]
        if not any(infos):
            self._say(wire.NOTHING)
        elif len(parts) != self._count or not self._lay(infos, batched=True):
            gathered: Info = {}
            for row, info in parts:
                gathered = self._group._add_info(gathered, info, row)
            self.write(wire.INFOS, (gathered, self._layouts.learn(infos[0])))

    def _lay(self, infos: Sequence[Info], *, batched: bool) -> bool:
        """Leave the infos of every row as numbers; False: they cannot be."""
        number, layout = self._layouts.find(infos)
        if layout is None or (batched and not layout.batches) or layout.size * len(infos) > len(self._memory):
            return False
        return self._put(infos, layout, number)

    def _put(self, infos: Sequence[Info], layout: Layout, number: int) -> bool:
        try:
            for row, info in enumerate(infos):
                layout.put(self._memory, row, info)
        except struct.error:  # an integer of more than 64 bits
            return False
        self._say(wire.INFOS + number)
        return True

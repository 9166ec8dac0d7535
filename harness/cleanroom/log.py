"""A job's log: its head and its tail, whatever its length, harmless to look at."""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Callable

HEAD = 64 * 1024
TAIL = 192 * 1024


class CappedLog:
    """Bytes of which only the first HEAD and the last TAIL are kept."""

    def __init__(self, *, head: int = HEAD, tail: int = TAIL, listener: Callable[[bytes], None] | None = None) -> None:
        """Start empty; `head` and `tail` are bytes, `listener` gets everything as it comes."""
        self._listener = listener
        self._head_room, self._tail_room = head, tail
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0

    def feed(self, data: bytes) -> bool:
        """Add what was read, in constant memory; True, since it always wants more."""
        if self._listener is not None:
            self._listener(data)
        room = self._head_room - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return True
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) >= self._tail_room:
            self._drop(len(self._tail.popleft()))
        return True

    def _drop(self, size: int) -> None:
        self._tail_size -= size
        self._dropped += size

    def text(self) -> str:
        """Head and tail as text, with a line between them saying how many bytes were left out."""
        tail = b"".join(self._tail)
        excess = max(0, len(tail) - self._tail_room)
        dropped = self._dropped + excess
        if not dropped:
            return legible(bytes(self._head) + tail)
        return f"{legible(bytes(self._head))}\n[... {dropped} bytes left out ...]\n{legible(tail[excess:])}"


def legible(data: bytes) -> str:
    r"""Decode, with everything that could steer a terminal or turn text round written out.

    >>> legible(b"a\x1b[31mb\tc\n")
    'a\\x1b[31mb\tc\n'
    """
    text = data.decode("utf-8", errors="replace")
    return text.translate(_ESCAPES)


def _written(code: int) -> str:
    return chr(code).encode("unicode_escape").decode("ascii")


class _Escapes(dict[int, str]):
    """Filled as characters are met, so that importing costs nothing."""

    def __missing__(self, code: int) -> str:
        # Cc: control; Cf: invisible, among them those that reorder text; Zl, Zp: line breaks in disguise
        char = chr(code)
        harmless = char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cf", "Zl", "Zp"}
        self[code] = char if harmless else _written(code)
        return self[code]


_ESCAPES = _Escapes()

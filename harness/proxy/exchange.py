"""One exchange with a model, and the journal that keeps them all.

A request repeats the whole conversation, so the journal does not: each value is written once, and a conversation is a
branch of a tree whose nodes name values. Lines are

    {"value": V}                     the next value, counted from 0
    {"exchange": E, "lists": {"messages": {"after": N, "add": [3, 4]}}, "values": {"system": 0}}

where "add" makes the next nodes, counted from 0, each after the one before, the first after node N (-1: the root), and
the last of them, or N, is where the list ends.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from harness.record.files import Slip, damaged, private_file

Format = Literal["chat", "responses", "messages", "generate"]
"""OpenAI's chat completions and responses, Anthropic's messages, Gemini's generateContent."""
Ended = Literal["done", "refused", "failed", "cut"]
"""The answer came whole; we refused; the provider answered with an error; the answer or its reader broke off."""
JOURNAL = "exchanges.jsonl"
ROOT = -1
CONVERSATION: dict[Format, str] = {
    "chat": "messages",
    "responses": "input",
    "messages": "messages",
    "generate": "contents",
}
"""The field of a request that holds the conversation."""
_LISTS = ("messages", "input", "contents", "tools")
_VALUES = ("system", "instructions", "systemInstruction")
_BEFORE, _AFTER = b'{"value":', b"}\n"
_SMALL = 64
"""Bytes: what is shorter is written where it stands."""


class Tokens(Slip, frozen=True, kw_only=True):
    """What an exchange took."""

    input: int = 0
    """All tokens of the prompt, those from and into a cache included."""
    cached: int = 0
    """Of them, read from a cache."""
    written: int = 0
    """Of them, written into a cache."""
    lasting: int = 0
    """Of those written, the ones that are kept for an hour, which costs more."""
    output: int = 0
    """All tokens of the answer, reasoning included."""
    reasoning: int = 0
    """Of them, reasoning."""

    @property
    def total(self) -> int:
        """What counts against a budget of tokens."""
        return self.input + self.output

    def __add__(self, other: Tokens) -> Tokens:
        """Both together."""
        return Tokens(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Exchange(Slip, frozen=True, kw_only=True):
    """A request, what was answered, and what it cost."""

    number: int
    """From 0."""
    at: str
    """When it arrived: ISO 8601, UTC."""
    seconds: float
    """From its arrival to the end of its answer."""
    waited: float = 0.0
    """Seconds of them in which the provider was busy or away."""
    format: Format
    model: str
    request: dict[str, Any] = msgspec.field(default_factory=dict)
    """The body as the agent sent it; empty if it was none."""
    answer: dict[str, Any] | None = None
    """The body in the shape of an answer that was not streamed, put together where it was."""
    status: int
    """Of HTTP, as the agent saw it."""
    ended: Ended
    said: str = ""
    """Why it was refused, failed or cut."""
    tokens: Tokens = Tokens()
    dollars: float | None = None
    """None: no price is known."""
    estimated: bool = False
    """The answer did not tell its tokens; they are reckoned by us."""


@dataclass(frozen=True, slots=True)
class Known:
    """A value by its text; in a list, it stands for itself."""

    text: bytes
    """JSON in one line."""
    digest: bytes

    @classmethod
    def of(cls, text: bytes) -> Self:
        """A value by its text."""
        return cls(text, hashlib.blake2b(text, digest_size=16).digest())


class _Branch(Slip, frozen=True, kw_only=True):
    after: int
    add: list[int]


class _Line(Slip, frozen=True, kw_only=True):
    value: Any = msgspec.UNSET
    exchange: Exchange | None = None
    lists: dict[str, _Branch] = msgspec.field(default_factory=dict)
    values: dict[str, int] = msgspec.field(default_factory=dict)


class _Tree:
    """Values and nodes as a reader finds them."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.values: list[Any] = []
        self.nodes: list[tuple[int, int]] = []

    def value(self, number: int) -> Any:
        """A value by its number."""
        if number < 0:
            raise IndexError(number)
        return self.values[number]

    def grow(self, branch: _Branch) -> int:
        """Make the nodes of a branch; returns where it ends."""
        node = branch.after
        if not ROOT <= node < len(self.nodes):
            raise IndexError(node)
        for value in branch.add:
            self.nodes.append((node, value))
            node = len(self.nodes) - 1
        return node

    def listed(self, node: int) -> list[Any]:
        """The list that ends at a node."""
        found = []
        while node != ROOT:
            node, value = self.nodes[node]
            found.append(self.value(value))
        return found[::-1]

    def whole(self, line: _Line) -> Exchange:
        """The exchange of a line, with its lists and values."""
        assert line.exchange is not None
        request = dict(line.exchange.request)
        request |= {name: self.listed(self.grow(branch)) for name, branch in line.lists.items()}
        request |= {name: self.value(value) for name, value in line.values.items()}
        return msgspec.structs.replace(line.exchange, request=request)


def exchanges(path: Path) -> Iterator[Exchange]:
    """The exchanges of a journal, oldest first, one at a time; equal parts of their requests are the same objects.

    Raises:
        RecordError: A line is damaged. A torn last line is left out.
    """
    tree = _Tree()
    for _, line in _texts(path):
        if line.exchange is None:
            tree.values.append(line.value)
            continue
        try:
            yield tree.whole(line)
        except IndexError:
            raise damaged(path, "references to what was written before", f"exchange {line.exchange.number}") from None


def _texts(path: Path) -> Iterator[tuple[bytes, _Line]]:
    """The whole lines of a journal, as they stand and as they are read."""
    decoder = msgspec.json.Decoder(_Line)
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if not text.endswith(b"\n"):
                return
            try:
                yield text, decoder.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise damaged(f"{path}:{number}", "a line of the journal", str(error)) from None


class Journal:
    """Writes exchanges; one write each, so that a killed process leaves whole lines and at most one torn one."""

    def __init__(self, path: Path, *, most: int) -> None:
        """Open a journal, and go on where an earlier process has left it.

        Args:
            path: of the file; made with mode 0600.
            most: bytes that it may have.

        Raises:
            RecordError: What stands there is damaged.
        """
        self._values: dict[bytes, int] = {}
        self._nodes: dict[tuple[int, int], int] = {}
        self.count = 0
        """The number that the next exchange should have."""
        self._path, self._most, self._size = path, most, 0
        self._handle = private_file(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.ftruncate(self._handle, _whole(path))
        self._recall_all()

    @property
    def full(self) -> bool:
        """Whether nothing more should be begun."""
        return self._size >= self._most

    def write(self, exchange: Exchange) -> None:
        """Append an exchange."""
        rest = dict(exchange.request)
        lines: list[bytes] = []
        lists = {name: self._branch(rest.pop(name), lines) for name in _LISTS if isinstance(rest.get(name), list)}
        known = {name: _known(rest[name]) for name in _VALUES if name in rest}
        values = {name: self._value(one, lines) for name, one in known.items() if len(one.text) >= _SMALL}
        for name in values:
            del rest[name]
        line = {"exchange": msgspec.structs.replace(exchange, request=rest), "lists": lists, "values": values}
        self._append(b"".join([*lines, msgspec.json.encode(line), b"\n"]))

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _append(self, text: bytes) -> None:
        left = text
        try:
            while left:
                left = left[os.write(self._handle, left) :]
        except OSError:  # half a line would spoil the next one, and so would references to what was not written
            os.ftruncate(self._handle, self._size)
            self._recall_all()
            raise
        self._size += len(text)

    def _value(self, known: Known, lines: list[bytes]) -> int:
        """The number of a value, which is written if it is new."""
        if known.digest not in self._values:
            self._values[known.digest] = len(self._values)
            lines += [_BEFORE, known.text, _AFTER]
        return self._values[known.digest]

    def _branch(self, elements: list[Any], lines: list[bytes]) -> _Branch:
        """Follow the tree as far as it goes, and grow what is new."""
        values = [self._value(_known(element), lines) for element in elements]
        after = ROOT
        for place, value in enumerate(values):
            node = self._nodes.get((after, value))
            if node is None:
                self._grow(after, values[place:])
                return _Branch(after=after, add=values[place:])
            after = node
        return _Branch(after=after, add=[])

    def _grow(self, after: int, values: list[int]) -> None:
        for value in values:
            node = len(self._nodes)
            self._nodes[after, value] = node
            after = node

    def _recall_all(self) -> None:
        """Know what the file holds, and nothing else."""
        self._values.clear()
        self._nodes.clear()
        for text, line in _texts(self._path):
            self._recall(text, line)
        self._size = os.fstat(self._handle).st_size

    def _recall(self, text: bytes, line: _Line) -> None:
        if line.exchange is None:
            self._values[Known.of(text.removeprefix(_BEFORE).removesuffix(_AFTER)).digest] = len(self._values)
            return
        self.count = max(self.count, line.exchange.number + 1)
        for branch in line.lists.values():
            self._grow(branch.after, branch.add)


def _known(value: Any) -> Known:
    return value if isinstance(value, Known) else Known.of(msgspec.json.encode(value))


def _whole(path: Path) -> int:
    """Bytes up to the end of the last whole line."""
    with path.open("rb") as file:
        return sum(len(line) for line in file if line.endswith(b"\n"))

"""YAML with a memory of its lines: values as YAML 1.2 reads numbers, duplicate keys refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import PaperError

Where = tuple[str | int, ...]
LARGEST_FILE, MOST_NODES = 2**20, 200_000
"""Characters, and keys and values with every alias written out; a config is not a data set."""

_LONGEST_INTEGER, _LONGEST_NUMBER = 128, 400
"""Bits, since Python cannot even write out an integer of thousands of digits; and characters, since PyYAML takes
quadratic time for one in base sixty."""
_DEEPEST = 100
"""Lists and mappings within one another: libyaml recurses, and takes quadratic time for a hundred thousand."""
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Loader(yaml.CSafeLoader):
    """Safe, and `1e-4` is a number (YAML 1.1 calls it a text)."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node; where the library trips over a scalar, that is told as what is wrong with the file.

        Raises:
            ConstructorError: It is not what its tag, or its form, says.
        """
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            problem = f"a number of {len(node.value)} characters, where {_LONGEST_NUMBER} do"
            raise yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark)
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, ArithmeticError):
            problem = f"this is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark) from None
        if isinstance(value, int) and value.bit_length() > _LONGEST_INTEGER:
            problem = f"an integer of {value.bit_length()} bits, where {_LONGEST_INTEGER} do"
            raise yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark)
        return value


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A parsed file: its value, and the place of every key and item in it."""

    path: Path
    value: Any
    lines: dict[Where, int]
    texts: dict[Where, tuple[int, int]]
    """Where each value that is no mapping or list begins and ends, in characters from the file's first."""

    def line(self, where: Where) -> int:
        """The line, from 1, of the nearest thing that stands in the file."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def place(self, where: Where) -> str:
        """`file:line path` for an error message."""
        dotted = ".".join(map(str, where))
        return f"{self.path}:{self.line(where)}{' ' if dotted else ''}{dotted}"


def read(path: Path) -> Source:
    """Parse a YAML file.

    Raises:
        PaperError: It cannot be read, is no YAML, or says a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PaperError("this file is missing", where=path, remedy="every paper's folder needs one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PaperError("this file cannot be read", where=path, expected="UTF-8 text", got=error) from None
    if len(text) > LARGEST_FILE:
        raise PaperError(
            "this file is too large", where=path, expected=f"at most {LARGEST_FILE} characters", got=len(text)
        )
    return _parse(path, text)


def _parse(path: Path, text: str) -> Source:
    loader = None
    try:
        _ensure_small(path, text)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise PaperError("this file is empty", where=path)
        lines = dict(_bounded(path, _lines(path, node, ())))
        return Source(path=path, value=loader.construct_document(node), lines=lines, texts=dict(_texts(node, ())))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else path
        raise PaperError("this is not YAML", where=where, got=error.problem or error.context) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise PaperError("this is not YAML", where=path, got=error) from None
    finally:
        if loader is not None:
            loader.dispose()


def _ensure_small(path: Path, text: str) -> None:
    """See that its tree can be made: in little memory, and by recursion.

    Raises:
        PaperError: There is too much of it, or it is too deep.
        YAMLError: It is no YAML.
    """
    depth = count = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        count += isinstance(event, yaml.NodeEvent)
        if depth > _DEEPEST:
            where = f"{path}:{event.start_mark.line + 1}" if event.start_mark else path
            expected = f"lists and mappings at most {_DEEPEST} deep"
            raise PaperError("this file is too deep", where=where, expected=expected)
        if count > MOST_NODES:
            raise _too_much(path)


def _too_much(path: Path) -> PaperError:
    return PaperError("this file unfolds to too much", where=path, expected=f"at most {MOST_NODES} keys and values")


def _bounded(path: Path, lines: Iterator[tuple[Where, int]]) -> Iterator[tuple[Where, int]]:
    """Stop at a file whose aliases would unfold without end, before anything is made of them."""
    for count, line in enumerate(lines):
        if count > MOST_NODES:
            raise _too_much(path)
        yield line


def _lines(path: Path, node: yaml.Node, at: Where) -> Iterator[tuple[Where, int]]:
    yield at, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise PaperError("this key is no text", where=f"{path}:{key.start_mark.line + 1}")
            if key.value in seen:
                raise PaperError("this key stands twice", where=f"{path}:{key.start_mark.line + 1}", got=key.value)
            seen.add(key.value)
            below = (*at, key.value)
            yield from _lines(path, value, below)
            yield below, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _lines(path, item, (*at, index))


def _texts(node: yaml.Node, at: Where) -> Iterator[tuple[Where, tuple[int, int]]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _texts(value, (*at, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _texts(item, (*at, index))
    else:
        yield at, (node.start_mark.index, node.end_mark.index)

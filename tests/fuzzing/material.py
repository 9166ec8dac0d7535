# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""What strangers may send: JSON values of every shape, and true values and true files changed at any place."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

Place = tuple[Any, ...]
Draw = Callable[[st.SearchStrategy[Any]], Any]
TEXTS = (
    "", " ", "\n", "\t", "\0", "\x1b[2J", "\x7f", "\x85", "\u2028", "\ufeff", "\u202etxt.exe", "\ud800", "\udfff\ud83d",
    "é", "e\u0301", "\U0001f600", "a" * 300, "a" * 20_000, "/", "..", "../../etc/passwd", "/etc/passwd", "a/../b", "C:\\",
    "-", "--json", "-rf", "$(id)", "`id`", "${oc.env:HOME}", "${paper}", "%s%n", "{0}", "{", "<script>alert(1)</script>",
    "=cmd()", "null", "true", "nan", "NaN", "-Infinity", "1e999", "0x10", "1_000", "1 TiB", "-1 s", "1e400 s", "9" * 400,
    "2026-01-31T12:00:00Z", "2026-01-31T12:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-30", "[1]", '{"a": 1}',
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 7, 255, 256, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1,
    10**18, 10**30, 10**400, -(10**400), 0.0, -0.0, 0.5, 1e-320, 5e-324, 1e-300, 1e300, 1.7976931348623157e308, -1e300,
)  # fmt: skip
NOT_FINITE = (math.nan, math.inf, -math.inf)
"""Numbers that YAML and Python's JSON have, and true JSON has not."""


def scalars(*, finite: bool = False) -> st.SearchStrategy[Any]:
    """What holds nothing else."""
    odd = NUMBERS if finite else (*NUMBERS, *NOT_FINITE)
    return st.one_of(
        st.none(), st.booleans(), st.sampled_from(odd), st.integers(), st.floats(allow_nan=not finite,
        allow_infinity=not finite), st.sampled_from(TEXTS), st.text(max_size=12),
    )  # fmt: skip


def values(*, finite: bool = False, keys: Sequence[str] = ()) -> st.SearchStrategy[Any]:
    """JSON values of every shape, and some that are nested deep."""
    names = st.sampled_from([*keys, *TEXTS]) | st.text(max_size=6)
    shaped = st.recursive(
        scalars(finite=finite),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=8,
    )
    return shaped | st.builds(nested, shaped, st.sampled_from([5, 70, 120]), st.booleans())


def nested(value: Any, depth: int, lists: bool) -> Any:
    """A value beneath so many levels."""
    for _ in range(depth):
        value = [value] if lists else {"a": value}
    return value


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Where anything stands in a value, the whole first."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*at, key))


@st.composite
def changed(draw: Draw, whole: Any, *, finite: bool = False, most: int = 3) -> Any:
    """A true value, changed in up to `most` places."""
    value = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, most))):
        value = _changed_once(draw, value, finite)
    return value


def _changed_once(draw: Draw, value: Any, finite: bool) -> Any:
    at = draw(st.sampled_from(list(places(value))))
    if not at:
        return draw(st.one_of(st.just(value), st.just(value), values(finite=finite)))
    outer = value
    for part in at[:-1]:
        outer = outer[part]
    _change(draw, outer, at[-1], finite)
    return value


def _change(draw: Draw, outer: Any, key: Any, finite: bool) -> None:
    match draw(st.sampled_from(["other", "other", "other", "gone", "again", "renamed", "wrapped", "longer"])):
        case "other":
            outer[key] = draw(values(finite=finite))
        case "gone":
            del outer[key]
        case "again":
            more = copy.deepcopy(outer[key])
            outer.append(more) if isinstance(outer, list) else outer.update({draw(st.sampled_from(TEXTS)): more})
        case "renamed" if isinstance(outer, dict):
            outer[draw(st.sampled_from(TEXTS) | st.text(max_size=5))] = outer.pop(key)
        case "longer" if isinstance(outer[key], str | list):
            outer[key] = outer[key] * draw(st.sampled_from([0, 2, 50]))
        case _:
            outer[key] = nested(outer[key], draw(st.sampled_from([1, 2, 100])), draw(st.booleans()))


@st.composite
def damaged(draw: Draw, whole: bytes, *, marks: Sequence[bytes] = (), at: Sequence[int] = ()) -> bytes:
    """A true file with bytes turned over, cut out, written over, laid in or doubled.

    Args:
        draw: of hypothesis.
        whole: the file.
        marks: what means something in its format, and may be laid in anywhere.
        at: places of structure, which are hit as often as all others together.
    """
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        anywhere = st.integers(0, max(0, len(data) - 1))
        near = st.sampled_from(at).flatmap(lambda place: st.integers(place - 2, place + 2)) if at else anywhere
        place = min(max(0, draw(near | anywhere)), max(0, len(data) - 1))
        length = draw(st.sampled_from([1, 1, 2, 4, 8, 64, 512]))
        odd = st.sampled_from([*marks, b"\0", b"\xff" * 8, b"\x80", b"\n", b"-1", b"9" * 30]) | st.binary(max_size=12)
        match draw(st.sampled_from(["flip", "flip", "cut", "end", "write", "write", "lay", "lay", "double", "swap"])):
            case "flip" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[place : place + length]
            case "end":
                del data[place:]
            case "write":
                more = draw(odd)
                data[place : place + len(more)] = more
            case "double":
                data[place:place] = data[place : place + length]
            case "swap":
                other = draw(anywhere)
                data[place : place + length], data[other : other + length] = (
                    data[other : other + length], data[place : place + length])  # fmt: skip
            case _:
                data[place:place] = draw(odd)
    return bytes(data)

"""What a submission says that it measured itself: reported.json, read strictly, and believed never."""

from __future__ import annotations

import difflib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from harness.attempt.plumbing import Files
from harness.paper.claims import Claim, CurveClaim, OrderingClaim, Probe, selections
from harness.paper.load import Paper

FILE = "reported.json"
"""In the root of a submission; nobody needs to write it."""
LARGEST = 64 * 2**10
"""Bytes of the file."""
LONGEST = 40
"""Characters of a number."""
LONGEST_NAME = 80
"""Characters of a name that are repeated to people."""
_TOLD = 10
"""Problems that are told one by one."""
_PARTS = ("final", "area")
"""Of a curve: those that are numbers of the metric; the shape is in standard errors of the rerun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number as it was written."""

    value: float
    rounding: float
    """Half a unit of its last digit: what is printed so says no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a submission's reported.json says."""

    figures: Mapping[str, Figure] = field(default_factory=dict)
    """By leaf, or part of a curve."""
    problems: tuple[str, ...] = ()
    """What in it is not taken, a sentence each."""


NOTHING = Reported()


@dataclass(frozen=True, slots=True)
class _Odd:
    """A token that only looks like a number."""

    why: str


class _Object(tuple[tuple[str, object], ...]):
    """A JSON object as it was written: names may repeat."""


def read_reported(files: Files, paper: Paper) -> Reported:
    """Read the numbers that a submission reports, whatever else stands there.

    Args:
        files: The submission's.
        paper: Whose leaves may be reported on.

    Returns:
        The numbers that can be compared with measured ones, and why others are not taken.
    """
    if FILE not in files:
        return NOTHING
    try:
        pairs = _parsed(files[FILE].data)
    except ValueError as error:
        return Reported(problems=(f"{FILE} cannot be read: {error}",))
    counts, known = Counter(name for name, _ in pairs), reportable(paper)
    taken = {name: value for name, value in pairs if isinstance(value, Figure) and counts[name] == 1 and name in known}
    left = {name: value for name, value in pairs if name not in taken}
    return Reported(figures=taken, problems=tuple(_told(left, counts, paper)))


def reportable(paper: Paper) -> list[str]:
    """The leaves on which a number may be reported: what anybody can measure beforehand, and what has one number."""
    return [id for name, leaf in paper.spec.leaves() if _why_not(leaf) is None for id in _ids(name, leaf)]


def _ids(name: str, leaf: Claim | Probe) -> list[str]:
    return [f"{name}.{part}" for part in _PARTS] if isinstance(leaf, CurveClaim) else [name]


def _why_not(leaf: Claim | Probe) -> str | None:
    if isinstance(leaf, Probe):
        return "a probe compares outputs with the reference's, which is no number to report"
    if isinstance(leaf, OrderingClaim):
        return "an ordering compares two sides, which is no single number to report"
    if any(selection.instance == "held_out" for selection in selections(leaf)):
        return "it is measured on instances drawn for the submission, which nobody can have measured on beforehand"
    return None


def _parsed(data: bytes) -> _Object:
    """The names and values of a flat JSON object.

    Raises:
        ValueError: It is none; the message says why, in our words and JSON's.
    """
    if len(data) > LARGEST:
        raise ValueError(f"it has {len(data)} bytes, and at most {LARGEST} are read")
    try:
        found = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_Object,
            parse_float=_figure,
            parse_int=_figure,
            parse_constant=_constant,
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply; expected one flat object") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(found, _Object):
        raise ValueError(f'expected an object such as {{"leaf": 0.81}}, got {_kind(found)}')
    return found


def _figure(text: str) -> Figure | _Odd:
    """A number from its text, with half a unit of its last digit.

    >>> _figure("0.81").rounding, _figure("1.5e3").rounding
    (0.005, 50.0)
    """
    if len(text) > LONGEST:
        return _Odd(f"a number of {len(text)} characters, where {LONGEST} do")
    if not math.isfinite(value := float(text)):
        return _Odd(f"{text}, which is no finite number")
    digits, _, power = text.lower().partition("e")
    last = int(power or 0) - len(digits.partition(".")[2])
    return Figure(value=value, rounding=float(f"5e{last - 1}"))


def _constant(text: str) -> _Odd:
    return _Odd(f"{text}, which JSON does not know")


def _kind(value: object) -> str:
    if isinstance(value, _Odd):
        return value.why
    names = {str: "a text", bool: "true or false", type(None): "null", list: "a list", _Object: "an object"}
    return names.get(type(value), "a number")


def _told(left: Mapping[str, object], counts: Mapping[str, int], paper: Paper) -> Iterator[str]:
    """The first ones in words: there may be thousands, and their names are a stranger's."""
    for name, value in islice(left.items(), _TOLD):
        why = f"it stands there {counts[name]} times" if counts[name] > 1 else _problem(name, value, paper)
        yield f"{FILE}: {_shown(name)} is not taken: {why}"
    if len(left) > _TOLD:
        yield f"{FILE}: {len(left) - _TOLD} more are not taken"


def _shown(name: str) -> str:
    return ascii(name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}...")


def _problem(name: str, value: object, paper: Paper) -> str:
    leaves = dict(paper.spec.leaves())
    whole, _, part = name.partition(".")
    leaf = leaves.get(whole)
    if leaf is None or (part and not isinstance(leaf, CurveClaim)):
        return _no_leaf(name, paper)
    if why := _why_not(leaf):
        return why
    if part == "shape":
        return "the shape of a curve is measured in standard errors of the rerun, which nobody else has"
    if name not in _ids(whole, leaf):
        return f"of a curve, report {' and '.join(_ids(whole, leaf))}"
    return f"expected a number, got {_kind(value)}"


def _no_leaf(name: str, paper: Paper) -> str:
    near = difflib.get_close_matches(name, reportable(paper), n=1) if len(name) <= LONGEST_NAME else []
    return f"the paper has no such leaf{f'; did you mean {near[0]}?' if near else ''}"

"""Rules by which a request's body is let through: what is not named is refused.

A rule takes a value and where it stands, and gives the value to send on, or `DROPPED`, or raises `Refused`. Null stands
for a field that is not there, and passes wherever its name is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.proxy.refusal import Refused

Rule = Callable[[Any, str], Any]
DROPPED = object()
"""In place of a value that is left out without a word."""
MOST_DEPTH = 64
"""Of what is free in its form: a schema, the arguments of a call."""
_DATA = re.compile(r"data:[\w.+-]{1,64}/[\w.+-]{1,64}(;[\w.+=-]{1,64}){0,4},")
TOOLS = "what a provider runs or looks up itself would be the internet by another door"
LINKS = "only what stands in the request itself is let through, as data:"
KEPT = "nothing may be kept with the provider, or refer to what is kept there"
DEARER = "it changes what a request costs"


def refused(why: str) -> Rule:
    """Nothing is let through."""

    def rule(value: Any, at: str) -> Any:
        raise Refused(f"{at} is not let through: {why}")

    return rule


def dropped(value: Any, at: str) -> Any:
    """Left out: it changes nothing for the agent."""
    return DROPPED


def text(value: Any, at: str) -> Any:
    """A string."""
    return _is(value, str, at, "a string")


def flag(value: Any, at: str) -> Any:
    """True or false."""
    return _is(value, bool, at, "true or false")


def number(value: Any, at: str) -> Any:
    """A number."""
    if isinstance(value, bool):
        raise Refused(f"{at}: expected a number")
    return _is(value, (int, float), at, "a number")


def count(value: Any, at: str) -> Any:
    """A whole number from 1 on."""
    if type(value) is not int or value < 1:
        raise Refused(f"{at}: expected a whole number from 1 on")
    return value


def data(value: Any, at: str) -> Any:
    """A `data:` address."""
    if not _DATA.match(text(value, at)):
        raise Refused(f"{at} is not let through: {LINKS}")
    return value


def free(value: Any, at: str) -> Any:
    """Anything that is not nested too deep."""
    if deep(value):
        raise Refused(f"{at} is nested too deep: more than {MOST_DEPTH} levels")
    return value


def schema(value: Any, at: str) -> Any:
    """A JSON schema that refers to nothing outside of itself."""
    level = [free(value, at)]
    while level:
        for outer in level:
            if isinstance(outer, dict) and isinstance(to := outer.get("$ref"), str) and not to.startswith("#"):
                raise Refused(f"{at} refers to {to[:100]!r}: {LINKS}")
        level = [inner for outer in level for inner in _inside(outer)]
    return value


def deep(value: Any) -> bool:
    """Whether a value is nested too deep for others to read."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def only(*values: object, why: str) -> Rule:
    """One of these values."""

    def rule(value: Any, at: str) -> Any:
        if not any(type(value) is type(each) and value == each for each in values):
            raise Refused(f"{at} is not let through unless it is {' or '.join(map(repr, values))}: {why}")
        return value

    return rule


def each(inner: Rule) -> Rule:
    """A list."""

    def rule(value: Any, at: str) -> Any:
        kept = (inner(one, f"{at}[{place}]") for place, one in enumerate(_is(value, list, at, "a list")))
        return [one for one in kept if one is not DROPPED]

    return rule


def shape(fields: Mapping[str, Rule], *, named: Callable[[str], str] = str) -> Rule:
    """An object with these fields and no others.

    Args:
        fields: a rule for each name.
        named: the name under which a field is looked up and sent on.
    """

    def rule(value: Any, at: str) -> Any:
        kept: dict[str, Any] = {}
        for told, one in _is(value, dict, at, "an object").items():
            name = named(told)
            where = f"{at}.{name[:60]}" if at else name[:60]
            inner = fields.get(name)
            if inner is None:
                raise Refused(f"the field {where!r} is not known here, and not let through")
            if name in kept:
                raise Refused(f"the field {where!r} stands there twice")
            sent_on = None if one is None else inner(one, where)
            if sent_on is not DROPPED:
                kept[name] = sent_on
        return kept

    return rule


def by_type(rules: Mapping[str, Rule], *, missing: str | None = None, why: str) -> Rule:
    """An object whose `type` says which rule holds.

    Args:
        rules: by type.
        missing: the type of an object that does not say.
        why: why no other type is let through.
    """

    def rule(value: Any, at: str) -> Any:
        kind = _is(value, dict, at, "an object").get("type", missing)
        inner = rules.get(kind) if isinstance(kind, str) else None
        if inner is None:
            raise Refused(f"{at}.type: {str(kind)[:60]!r} is not let through: {why}")
        return inner(value, at)

    return rule


def text_or(inner: Rule) -> Rule:
    """A string, or something else."""
    return lambda value, at: value if isinstance(value, str) else inner(value, at)


def _is(value: Any, kinds: type | tuple[type, ...], at: str, said: str) -> Any:
    if not isinstance(value, kinds):
        raise Refused(f"{at or 'the body'}: expected {said}")
    return value


def _inside(value: Any) -> list[Any]:
    """What of a value may be nested on."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for one in inner if isinstance(one, dict | list)]

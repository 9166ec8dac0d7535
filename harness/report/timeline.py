"""How the work went, in the order of time: what was said, called and answered, commits, and the score then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from harness.attempt.ledger import Event
from harness.errors import UsageError
from harness.overtime import Point
from harness.trajectory.atif import ObservationResult, Step, ToolCall, Trajectory

MAIN = "main"
EntryKind = Literal["system", "user", "agent", "commit", "event"]
_COMMANDS = ("command", "cmd")
"""What a call's arguments are about."""
_EVENTS = ("paused", "resumed", "executed", "submitted", "withdrawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What an agent wanted done, and what came back."""

    name: str
    asked: str
    came_back: str | None
    """None: nothing did."""
    failed: bool
    began: str
    """Conversations that the call began, by their place; empty for most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry."""

    at: datetime
    since: float
    """Seconds since the attempt began."""
    kind: EntryKind
    number: str
    """`12`, or `3.12` in the third conversation; empty for what is no step."""
    text: str
    thought: str = ""
    calls: tuple[Call, ...] = ()
    figures: str = ""
    """What it cost."""
    trouble: str = ""
    """How the exchange ended where it did not end well, and how long the provider kept us waiting."""
    copied: bool = False
    """Whether the agent's program put it into the model's mouth."""
    tone: str = ""
    """A class of templates/style.css, for the score at a commit."""


def conversations(found: Trajectory) -> list[Trajectory]:
    """All conversations, the main one first."""
    return [found, *(found.subagent_trajectories or [])]


def entries_of(found: Trajectory, *, began: datetime) -> list[Entry]:
    """The steps of all conversations, by time; those of one conversation stay in their order."""
    told = []
    places = {item.trajectory_id: place for place, item in enumerate(conversations(found), 1)}
    for place, item in enumerate(conversations(found), 1):
        told += [_step(step, place, places, began=began) for step in item.steps]
    return sorted(told, key=lambda entry: entry.at)


def step_of(found: Trajectory, number: str, *, began: datetime) -> Entry:
    """One step by its number.

    Raises:
        UsageError: There is none of that number.
    """
    place, _, step = number.rpartition(".")
    everyone = conversations(found)
    numbers = all(part.isascii() and part.isdecimal() and len(part) < 9 for part in (place or "1", step))
    if numbers and 1 <= int(place or 1) <= len(everyone):
        steps = everyone[int(place or 1) - 1].steps
        if 1 <= int(step) <= len(steps):
            places = {item.trajectory_id: at for at, item in enumerate(everyone, 1)}
            return _step(steps[int(step) - 1], int(place or 1), places, began=began)
    expected = f"1 to {len(found.steps)}"
    if len(everyone) > 1:
        expected += f", or CONVERSATION.STEP with a conversation from 2 to {len(everyone)}, as in 2.1"
    raise UsageError("the trajectory has no such step", expected=expected, got=number[:40])


def _step(step: Step, place: int, places: Mapping[str, int], *, began: datetime) -> Entry:
    at, extra = datetime.fromisoformat(step.timestamp), step.extra or {}
    said = step.message or step.reasoning_content or step.tool_calls or step.source != "agent"
    back = {result.source_call_id: result for result in (step.observation.results if step.observation else ())}
    return Entry(
        at=at,
        since=(at - began).total_seconds(),
        kind=step.source,
        number=f"{step.step_id}" if place == 1 else f"{place}.{step.step_id}",
        text=step.message if said else "(an empty answer)",
        thought=step.reasoning_content or "",
        calls=tuple(_call(call, back.get(call.tool_call_id), places) for call in step.tool_calls or ()),
        figures=_figures(step),
        trouble=_trouble(step),
        copied=step.source == "agent" and step.llm_call_count == 0,
        tone="bad" if extra.get("ended") else "",
    )


def _call(call: ToolCall, result: ObservationResult | None, places: Mapping[str, int]) -> Call:
    refs = (result.subagent_trajectory_ref if result else None) or []
    began = [str(places[ref.trajectory_id]) for ref in refs if ref.trajectory_id in places]
    return Call(
        name=call.function_name,
        asked=asked(call.arguments),
        came_back=None if result is None else result.content or "",
        failed=bool(result and (result.extra or {}).get("failed")),
        began=", ".join(began),
    )


def asked(arguments: Mapping[str, Any]) -> str:
    r"""The arguments of a call as people read them: a command, or a lone text, as it is, others by their names.

    >>> asked({"timeout": 5, "command": "ls -l"}), asked({"path": "a.py", "lines": [1, 2]})
    ('ls -l\ntimeout: 5', 'path: a.py\nlines: [1,2]')
    """
    first = next((name for name in _COMMANDS if name in arguments), None)
    if first is None and len(arguments) == 1:
        first = next(iter(arguments))
    lines = [] if first is None else [_value(arguments[first])]
    return "\n".join([*lines, *(f"{name}: {_value(value)}" for name, value in arguments.items() if name != first)])


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return " ".join(value) if len(value) > 1 else value[0]
    return msgspec.json.encode(value).decode()


def _figures(step: Step) -> str:
    cost = step.metrics
    if cost is None or not (cost.prompt_tokens or cost.completion_tokens):
        return ""
    dollars = "" if cost.cost_usd is None else f", ${cost.cost_usd:.4f}"
    about = "about " if (cost.extra or {}).get("estimated") else ""
    return f"{about}{cost.prompt_tokens or 0:,} tokens in, {cost.completion_tokens or 0:,} out{dollars}"


def _trouble(step: Step) -> str:
    extra, parts = step.extra or {}, list[str]()
    if extra.get("waited"):
        parts.append(f"waited {extra['waited']:.0f} s for the provider")
    if extra.get("ended") == "cut" and step.source == "agent":
        parts.append(f"the answer broke off: {extra.get('said', '')}")
    return "; ".join(parts)


def moments(events: Iterable[Event], points: Sequence[Point], *, began: datetime, last: int) -> Iterator[Entry]:
    """What the ledger says of the time of work: commits with what they earn, commands, and how it ended.

    Args:
        events: Of the ledger.
        points: The score over time.
        began: When the attempt began.
        last: Number of the last event that counts.
    """
    known = {point.commit: point for point in points}
    for event in events:
        if event.number > last or (event.kind not in _EVENTS and event.kind != "committed"):
            continue
        at = datetime.fromisoformat(event.time)
        text, tone = _commit(event, known) if event.kind == "committed" else (_event(event), "")
        yield Entry(
            at=at,
            since=(at - began).total_seconds(),
            kind="commit" if event.kind == "committed" else "event",
            number="",
            text=text,
            tone=tone,
        )


def _commit(event: Event, known: Mapping[str, Point]) -> tuple[str, str]:
    commit = str(event.data.get("commit", ""))
    point = known.get(commit)
    head = f"commit {commit[:12]}"
    if point is None or point.score is None:
        return head, ""
    worth = point.score
    tone = {"PASS": "good", "FAIL": "bad"}.get(point.verdict or "", "open")
    return f"{head}: score {worth.value:.3f} [{worth.low:.3f}, {worth.high:.3f}], {point.verdict}", tone


def _event(event: Event) -> str:
    data = event.data
    match event.kind:
        case "executed":
            cost = f", {data['cpu']:.1f} s of CPU time" if isinstance(data.get("cpu"), int | float) else ""
            return f"ran in the clean room: {data.get('command', '')}: {data.get('ended', 'done')}{cost}"
        case "paused":
            return f"the clock stopped: {data.get('reason', '')}"
        case "resumed":
            return "the clock started"
        case "submitted":
            return f"handed in: {str(data.get('commit', data.get('refused', '')))[:12]}"
        case _:
            return f"{event.kind} {data.get('reason', '')}".strip()


def clock(seconds: float) -> str:
    """Time since the beginning.

    >>> clock(3725.0)
    '1:02:05'
    """
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def summary(found: Trajectory) -> str:
    """What all of it came to, in one sentence."""
    extra = found.extra or {}
    tokens = extra.get("tokens") or {}
    count, requests = len(conversations(found)), extra.get("requests", len(found.steps))
    models = sorted({item.agent.model_name or "?" for item in conversations(found)})
    said = f"{requests:,} request{'s' if requests != 1 else ''} to {', '.join(models[:5])}"
    said += f" in {count:,} conversation{'s' if count != 1 else ''}"
    taken, cached = tokens.get("input", 0), tokens.get("cached", 0)
    if taken:
        said += f": {taken:,} tokens in ({cached / taken:.0%} of them from a cache), {tokens.get('output', 0):,} out"
    said += "" if extra.get("dollars") is None else f", ${extra['dollars']:,.4g}"
    return said + (f"; {extra['waited']:,.0f} s spent waiting for the provider" if extra.get("waited") else "") + "."


def beside(found: Trajectory) -> Iterator[str]:
    """A sentence on each conversation beside the main one."""
    places = {item.trajectory_id: place for place, item in enumerate(conversations(found), 1)}
    words = {
        "subagent": "begun by a call in conversation {of}",
        "continuation": "goes on from what conversation {of} had come to",
        "fork": "forks off from conversation {of}",
        "side": "held beside the work",
    }
    for place, item in enumerate(conversations(found)[1:], 2):
        extra = item.extra or {}
        why = words.get(extra.get("kind", "side"), words["side"]).format(of=places.get(extra.get("of", ""), 1))
        yield f"{place}: {why}, {len(item.steps):,} step{'s' if len(item.steps) != 1 else ''}"

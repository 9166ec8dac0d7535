"""Exchanges to one trajectory: the conversation in which the work was done, and beside it all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal

import msgspec

from harness.errors import RecordError
from harness.proxy.exchange import Exchange, Tokens
from harness.trajectory.atif import VERSION, Agent, FinalMetrics, Step, SubagentRef, Trajectory
from harness.trajectory.formats import READERS
from harness.trajectory.heard import Heard, Hearing
from harness.trajectory.steps import Allowance, steps_of
from harness.trajectory.tame import tame_name, tame_text
from harness.trajectory.threads import Thread, told_apart

MOST_LOOKS = 20_000_000
"""Elements of requests that are looked at in all; exchanges after that are left out."""
MOST_EXCHANGES = 50_000
_MOST_TOOLS = 1 << 20
"""Bytes of the definitions of functions."""
_NEAR = 32
"""Exchanges before a conversation's first one in which its cause is looked for."""
_MOST_LINKED, _MOST_CAUSES = 200, 500
"""Conversations whose cause is looked for, and texts that are looked at for each."""
_MOST_WORDS = 20_000
"""Characters of a conversation's beginning in which it is looked for."""
_TELLING = 24
"""Characters of a text that is no chance if it stands in two places."""
Kind = Literal["subagent", "continuation", "fork", "side"]
"""A call began it; it begins with what another had come to; it repeats another's beginning; none of these."""


def derive(exchanges: Iterable[Exchange], *, attempt: str, agent: str, version: str) -> Trajectory | None:
    """The trajectory of an agent's exchanges with models.

    Args:
        exchanges: As the journal has them, oldest first; a journal that is damaged is taken up to the damage.
        attempt: Its name.
        agent: Its participant's name.
        version: Of the agent's program.

    Returns:
        None where nothing was exchanged.
    """
    heard, notes = _heard(exchanges)
    if not heard:
        return None
    heard, apart = _conversing(heard)
    notes += apart
    threads, allowance = told_apart(heard), Allowance()
    main = max(threads, key=_weight)
    who = Agent(name=tame_name(agent) or "agent", version=tame_name(version) or "unknown")
    made = {id(thread): _trajectory(thread, who, allowance, main=thread is main) for thread in threads}
    _link(threads, made, main, {item.exchange.number: item for item in heard})
    root = made.pop(id(main))
    root.session_id, root.extra = attempt, {"requests": len(heard), **_sums(item.exchange for item in heard)}
    root.subagent_trajectories = list(made.values()) or None
    assert root.final_metrics is not None
    root.final_metrics.total_cost_usd = root.extra["dollars"]
    if allowance.short:
        notes.append(f"{allowance.short} texts are shortened: together they are too long to be kept")
    root.notes = "; ".join(notes) or None
    return root


def _heard(exchanges: Iterable[Exchange]) -> tuple[list[Heard], list[str]]:
    """What can be taken apart, and notes on what cannot."""
    hearing, heard, looks = Hearing(), list[Heard](), 0
    source, notes = iter(exchanges), list[str]()
    try:
        for exchange in source:
            heard.append(hearing.hear(exchange))
            looks += len(heard[-1].elements)
            if looks > MOST_LOOKS or len(heard) >= MOST_EXCHANGES:
                left = sum(1 for _ in source)
                notes += [f"the last {left} exchanges are left out: there are too many"] if left else []
                break
    except RecordError as error:
        notes.append(f"the journal is damaged after {len(heard)} exchanges: {error.message}")
    return heard, notes


def _conversing(heard: list[Heard]) -> tuple[list[Heard], list[str]]:
    """Exchanges that say anything, and a note on the others: what was refused before it was read, for instance."""
    kept = [item for item in heard if item.elements or item.opening or item.answered]
    if not kept or len(kept) == len(heard):
        return heard, []
    first = next(item for item in heard if not (item.elements or item.opening or item.answered))
    count = len(heard) - len(kept)
    were = f"{count} requests belong" if count > 1 else "1 request belongs"
    return kept, [f"{were} to no conversation (the first: {tame_text(first.exchange.said, 200) or 'empty'})"]


def _weight(thread: Thread) -> tuple[bool, int, int]:
    """The conversation that the work was done in is the first with calls, or else the longest."""
    calls = any(piece.kind == "call" for turn in thread.turns for piece in turn.heard.answer.pieces)
    return calls, 0 if calls else len(thread.turns), -thread.first


def _trajectory(thread: Thread, who: Agent, allowance: Allowance, *, main: bool) -> Trajectory:
    first = thread.turns[0].heard.exchange
    steps = steps_of(thread, allowance)
    sums = _sums(turn.heard.exchange for turn in thread.turns)
    model = tame_name(first.model)
    agent = Agent(name=who.name, version=who.version, model_name=model, tool_definitions=_tools(first))
    for step in steps:  # what is the agent's own model need not be said at each step
        step.model_name = None if step.model_name == model else step.model_name
    return Trajectory(
        schema_version=VERSION,
        trajectory_id="main" if main else f"from exchange {first.number}",
        agent=agent,
        steps=steps or [Step(step_id=1, timestamp=first.at, source="system", message="(nothing was said)")],
        final_metrics=FinalMetrics(
            total_prompt_tokens=sums["tokens"]["input"],
            total_completion_tokens=sums["tokens"]["output"],
            total_cached_tokens=sums["tokens"]["cached"],
            total_cost_usd=sums["dollars"],
            total_steps=max(1, len(steps)),
        ),
    )


def _tools(exchange: Exchange) -> list[dict[str, Any]] | None:
    """The functions that were offered, as long as their definitions are of a size to keep."""
    found, left = list[dict[str, Any]](), _MOST_TOOLS
    for tool in READERS[exchange.format].tools(exchange.request):
        left -= len(msgspec.json.encode(tool))
        if left < 0:
            break
        found.append(tool)
    return found or None


def _sums(exchanges: Iterable[Exchange]) -> dict[str, Any]:
    """Tokens, dollars (None: some price is not known) and seconds waited."""
    tokens, dollars, waited, known = Tokens(), 0.0, 0.0, True
    for exchange in exchanges:
        tokens += exchange.tokens
        dollars += exchange.dollars or 0.0
        waited += exchange.waited
        known = known and (exchange.dollars is not None or not exchange.tokens.total)
    counted = {name: getattr(tokens, name) for name in ("input", "cached", "output", "reasoning")}
    return {"tokens": counted, "dollars": round(dollars, 6) if known else None, "waited": round(waited, 3)}


def _link(threads: Sequence[Thread], made: dict[int, Trajectory], main: Thread, heard: dict[int, Heard]) -> None:
    """Say of each conversation beside the main one where it came from."""
    owner = {turn.heard.exchange.number: made[id(thread)] for thread in threads for turn in thread.turns}
    answers = {id(found): _answers(found) for found in made.values()}
    beside = [thread for thread in threads if thread is not main]
    for thread in beside[:_MOST_LINKED]:
        kind, cause = _cause(thread, heard)
        extra: dict[str, Any] = {"kind": kind}
        if cause is not None:
            parent = owner[cause]
            extra |= {"of": parent.trajectory_id, "exchange": cause}
            if kind == "subagent":
                _refer(answers[id(parent)][cause], made[id(thread)], _first_words(thread))
        made[id(thread)].extra = extra


def _answers(found: Trajectory) -> dict[int, Step]:
    """The steps that models said, by the number of their exchange."""
    return {step.extra["exchange"]: step for step in found.steps if step.llm_call_count and step.extra}


def _cause(thread: Thread, heard: dict[int, Heard]) -> tuple[Kind, int | None]:
    """What a conversation came from, and the number of the exchange."""
    if thread.after is not None:
        return "fork", thread.after
    words = _first_words(thread)
    for kind, number, text in islice(_causes(thread, heard), _MOST_CAUSES):
        if _told(text, words):
            return kind, number
    return "side", None


def _causes(thread: Thread, heard: dict[int, Heard]) -> Iterator[tuple[Kind, int, object]]:
    """What models said shortly before a conversation began, the latest first."""
    for number in range(thread.first - 1, max(-1, thread.first - 1 - _NEAR), -1):
        for piece in heard[number].answer.pieces if number in heard else ():
            if piece.kind == "call":
                yield from (("subagent", number, value) for value in piece.arguments.values())
            elif piece.kind == "text":
                yield "continuation", number, piece.text


def _first_words(thread: Thread) -> str:
    """What a conversation begins with, instructions left out."""
    return "\n".join(_texts(thread))[:_MOST_WORDS]


def _texts(thread: Thread) -> Iterator[str]:
    for element in thread.turns[0].heard.elements:
        for piece in element.pieces:
            if piece.source == "user" and piece.kind == "text":
                yield piece.text


def _told(text: object, words: str) -> bool:
    return isinstance(text, str) and len(text.strip()) >= _TELLING and text.strip() in words


def _refer(step: Step, child: Trajectory, words: str) -> None:
    """Name a conversation at what came back to the call that began it."""
    began = {call.tool_call_id for call in step.tool_calls or [] if _began(call.arguments, words)}
    for result in step.observation.results if step.observation else ():
        if result.source_call_id in began:
            refs = result.subagent_trajectory_ref or []
            result.subagent_trajectory_ref = [*refs, SubagentRef(trajectory_id=child.trajectory_id)]


def _began(arguments: dict[str, Any], words: str) -> bool:
    return any(_told(value, words) for value in arguments.values())

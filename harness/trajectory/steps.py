"""The steps of one thread: who said what, what was called, what came back, and what each answer cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.proxy.exchange import Exchange
from harness.trajectory.atif import Metrics, Observation, ObservationResult, Source, Step, ToolCall
from harness.trajectory.heard import Element
from harness.trajectory.piece import Piece
from harness.trajectory.tame import shortened, tame_text
from harness.trajectory.threads import Thread, Turn

MOST_CHARACTERS = 1 << 26
"""Of all the texts of an attempt; what comes later is shortened."""
_AFTER_THAT = 200
"""Characters of a text that are kept once those are used up."""


class Allowance:
    """Characters that may still be kept."""

    def __init__(self, most: int = MOST_CHARACTERS) -> None:
        """Begin with all of them."""
        self._left = most
        self.short = 0
        """Texts that were shortened because nothing was left."""

    def take(self, text: str) -> str:
        """A text, or what may be kept of it."""
        if self._left < len(text) > 2 * _AFTER_THAT:
            self.short += 1
            return shortened(text, _AFTER_THAT)
        self._left -= len(text)
        return text


def steps_of(thread: Thread, allowance: Allowance) -> list[Step]:
    """The steps of a thread, numbered from 1."""
    writer = _Writer(allowance)
    for turn in thread.turns:
        writer.request(turn)
        writer.answer(turn.heard.exchange, turn.heard.answer)
    return writer.steps


class _Writer:
    """Writes steps, and puts what comes back to the call that it belongs to."""

    def __init__(self, allowance: Allowance) -> None:
        self.steps: list[Step] = []
        self._allowance = allowance
        self._open: dict[str, tuple[Step, str]] = {}
        """Calls that nothing has come back to: by identifier, their step, and the function's name."""
        self._returned: set[str] = set()
        """Identifiers of calls that something has come back to."""
        self._made = 0

    def request(self, turn: Turn) -> None:
        """What a request says that was not said before."""
        exchange = turn.heard.exchange
        if not self.steps:
            for element in turn.heard.opening:
                self._speak(exchange, element.pieces)
        fresh = turn.heard.elements[turn.new :]
        for element in fresh[_repeated(fresh, turn.echoed) :]:
            self._speak(exchange, element.pieces, rewritten=turn.rewritten)

    def _speak(self, exchange: Exchange, pieces: Iterable[Piece], *, rewritten: bool = False) -> None:
        """Pieces of a request; those of the agent were put there by its program."""
        run: list[Piece] = []
        for piece in pieces:
            if piece.kind == "result" and rewritten and piece.id in self._returned:
                continue  # it stands once more in a conversation that the client has put together anew
            if piece.kind == "result":
                self._return(exchange, piece)
            elif run and run[0].source != piece.source:
                self._add(exchange, run)
                run = [piece]
            else:
                run.append(piece)
        if run:
            self._add(exchange, run)

    def _add(self, exchange: Exchange, pieces: Sequence[Piece]) -> None:
        source = pieces[0].source
        step = self._step(_later(exchange.at), source, pieces, {"exchange": exchange.number})
        if source == "agent":
            step.llm_call_count, step.is_copied_context, step.reasoning_content = 0, True, None

    def answer(self, exchange: Exchange, answer: Element) -> None:
        """What a model said, or why nobody did."""
        extra: dict[str, Any] = {"exchange": exchange.number, "seconds": round(exchange.seconds, 3)}
        if exchange.waited:
            extra["waited"] = round(exchange.waited, 3)
        if exchange.ended != "done":
            extra |= {"ended": exchange.ended, "status": exchange.status, "said": tame_text(exchange.said, 2000)}
        at = _later(exchange.at, exchange.seconds)
        if not answer.pieces and exchange.ended != "done":
            said = f"No answer, {exchange.ended}: {extra['said']}"
            self._step(at, "system", [Piece(kind="text", source="system", text=said)], extra)
            return
        step = self._step(at, "agent", answer.pieces, extra)
        step.model_name, step.llm_call_count = tame_text(exchange.model, 200), 1
        step.metrics = metrics(exchange)

    def _step(self, at: str, source: Source, pieces: Sequence[Piece], extra: dict[str, Any]) -> Step:
        take = self._allowance.take
        thoughts = "\n\n".join(piece.text for piece in pieces if piece.kind == "thought")
        step = Step(
            step_id=len(self.steps) + 1,
            timestamp=at,
            source=source,
            message=take("\n\n".join(piece.text for piece in pieces if piece.kind == "text")),
            reasoning_content=take(thoughts) or None,
            extra=extra,
        )
        calls = [self._call(step, piece) for piece in pieces if piece.kind == "call"]
        step.tool_calls = calls or None
        self.steps.append(step)
        return step

    def _call(self, step: Step, piece: Piece) -> ToolCall:
        self._made += 1
        id = piece.id or f"call {self._made}"
        self._open[id] = (step, piece.name)
        return ToolCall(tool_call_id=id, function_name=piece.name, arguments=self._kept(piece.arguments))

    def _kept(self, arguments: Any) -> dict[str, Any]:
        take = self._allowance.take
        return {key: take(value) if isinstance(value, str) else value for key, value in arguments.items()}

    def _return(self, exchange: Exchange, piece: Piece) -> None:
        """What came back: to the call of its name, else to the first that waits and has the same function."""
        id = piece.id if piece.id in self._open else self._waiting(piece.name)
        text = self._allowance.take(piece.text)
        if id is None:
            said = [Piece(kind="text", source="user", text=text)]
            self._step(_later(exchange.at), "user", said, {"exchange": exchange.number, "unknown_call": piece.id})
            return
        step, _ = self._open.pop(id)
        self._returned.add(id)
        extra: dict[str, Any] = {"timestamp": _later(exchange.at), **({"failed": True} if piece.failed else {})}
        step.observation = step.observation or Observation(results=[])
        step.observation.results.append(ObservationResult(source_call_id=id, content=text, extra=extra))

    def _waiting(self, name: str) -> str | None:
        return next((id for id, (_, function) in self._open.items() if name and function == name), None)


def _repeated(elements: Sequence[Element], echoed: frozenset[bytes]) -> int:
    """How many elements at the beginning only repeat the last answer."""
    for place, element in enumerate(elements):
        spoken = any(piece.kind != "thought" for piece in element.pieces)
        if element.pieces and not (element.by_agent and (not spoken or element.marks & echoed)):
            return place
    return len(elements)


def metrics(exchange: Exchange) -> Metrics:
    """What an answer cost."""
    tokens = exchange.tokens
    more = {"reasoning_tokens": tokens.reasoning, "cache_write_tokens": tokens.written, "estimated": exchange.estimated}
    return Metrics(
        prompt_tokens=tokens.input,
        completion_tokens=tokens.output,
        cached_tokens=tokens.cached,
        cost_usd=exchange.dollars,
        extra={name: value for name, value in more.items() if value} or None,
    )


def stamp(moment: datetime) -> str:
    """A moment as every step has it: ISO 8601 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _later(at: str, seconds: float = 0.0) -> str:
    """A moment some seconds after another."""
    return stamp(datetime.fromisoformat(at) + timedelta(seconds=seconds))

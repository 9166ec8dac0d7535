"""Conversations with scripted models in all four formats, as the proxy's journal would have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harness.proxy.exchange import Exchange, Format, Journal, Tokens

BEGAN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
Turn = tuple[str, str, str]
"""What a model says, the command that it calls (or nothing), and what comes back."""


def exchange(
    number: int, format: Format, request: dict[str, Any], answer: dict[str, Any] | None, **more: Any
) -> Exchange:
    facts: dict[str, Any] = {
        "at": (BEGAN + timedelta(seconds=10 * number)).isoformat().replace("+00:00", "Z"), "seconds": 2.5,
        "model": "scripted", "status": 200, "ended": "done", "dollars": 0.01,
        "tokens": Tokens(input=100, cached=40, output=20, reasoning=5),
    }  # fmt: skip
    return Exchange(number=number, format=format, request=request, answer=answer, **{**facts, **more})


class Talk:
    """One conversation, in one format, that grows as an agent's does."""

    def __init__(self, format: Format, *, system: str = "You are an agent.", first: str = "Read BRIEF.md.") -> None:
        self.format = format
        self.list: list[dict[str, Any]] = []
        self.system = system
        self.user(first)

    def user(self, text: str) -> None:
        match self.format:
            case "generate":
                self.list = [*self.list, {"role": "user", "parts": [{"text": text}]}]
            case "responses":
                said = [{"type": "input_text", "text": text}]
                self.list = [*self.list, {"type": "message", "role": "user", "content": said}]
            case _:
                self.list = [*self.list, {"role": "user", "content": text}]

    @property
    def request(self) -> dict[str, Any]:
        tool = {"name": "shell", "description": "Runs a command.", "parameters": {"type": "object"}}
        match self.format:
            case "chat":
                told = [{"role": "system", "content": self.system}]
                return {"messages": [*told, *self.list], "tools": [{"type": "function", "function": tool}]}
            case "responses":
                return {"instructions": self.system, "input": self.list, "tools": [{"type": "function", **tool}]}
            case "messages":
                shape = {"name": "shell", "description": "Runs a command.", "input_schema": {"type": "object"}}
                return {"system": [{"type": "text", "text": self.system}], "messages": self.list, "tools": [shape]}
            case "generate":
                told = {"parts": [{"text": self.system}]}
                return {"systemInstruction": told, "contents": self.list, "tools": [{"functionDeclarations": [tool]}]}

    def answer(self, text: str, command: str, id: str) -> dict[str, Any]:
        """What the model answers; the conversation is as it was."""
        arguments = {"command": command}
        match self.format:
            case "chat":
                call = {"id": id, "type": "function", "function": {"name": "shell", "arguments": json.dumps(arguments)}}
                said = {"role": "assistant", "content": text, "reasoning_content": f"thinking: {text}"}
                return {"choices": [{"message": {**said, **({"tool_calls": [call]} if command else {})}}]}
            case "responses":
                thought = {
                    "type": "reasoning",
                    "id": "r",
                    "summary": [{"type": "summary_text", "text": f"thinking: {text}"}],
                }
                said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
                call = {"type": "function_call", "call_id": id, "name": "shell", "arguments": json.dumps(arguments)}
                return {"output": [thought, said, *([call] if command else [])]}
            case "messages":
                blocks = [{"type": "thinking", "thinking": f"thinking: {text}"}, {"type": "text", "text": text}]
                call = {"type": "tool_use", "id": id, "name": "shell", "input": arguments}
                return {"role": "assistant", "content": [*blocks, *([call] if command else [])]}
            case "generate":
                parts = [{"text": f"thinking: {text}", "thought": True}, {"text": text}]
                call = {"functionCall": {"name": "shell", "args": arguments}}
                return {"candidates": [{"content": {"role": "model", "parts": [*parts, *([call] if command else [])]}}]}

    def go_on(self, answer: dict[str, Any], back: str, id: str) -> None:
        """The answer, as clients repeat it, and what came back to its call."""
        match self.format:
            case "chat":
                said = {
                    key: value for key, value in answer["choices"][0]["message"].items() if key != "reasoning_content"
                }
                result = {"role": "tool", "tool_call_id": id, "content": back}
                self.list = [*self.list, said, result]
            case "responses":
                result = {"type": "function_call_output", "call_id": id, "output": back}
                self.list = [*self.list, *answer["output"], result]
            case "messages":
                result = {"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": back}]}
                said = {"role": "assistant", "content": answer["content"]}
                self.list = [*self.list, said, {"role": "user", "content": [result]}]
            case "generate":
                parts = [part for part in answer["candidates"][0]["content"]["parts"] if not part.get("thought")]
                result = {"functionResponse": {"id": f"made-up-{id}", "name": "shell", "response": {"output": back}}}
                self.list = [*self.list, {"role": "model", "parts": parts}, {"role": "user", "parts": [result]}]

    def turns(self, turns: Sequence[Turn], *, start: int = 0, step: int = 1) -> Iterator[Exchange]:
        """An exchange for each turn."""
        for place, (text, command, back) in enumerate(turns):
            number = start + place * step
            answer = self.answer(text, command, f"c{number}")
            yield exchange(number, self.format, self.request, answer)
            self.go_on(answer, back, f"c{number}")


def write_journal(path: Path, exchanges: Sequence[Exchange]) -> None:
    """A journal as the proxy leaves it."""
    journal = Journal(path, most=1 << 40)
    for item in exchanges:
        journal.write(item)
    journal.close()

"""The four wire formats as a scripted model speaks them: what a request says, and how a turn is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
Events = Iterator[tuple[str | None, Body]]
"""Of a stream: the name of each event, where the format has one, and its data."""


@dataclass(frozen=True)
class Call:
    """A tool that the model uses."""

    id: str
    tool: str
    arguments: Body | str
    """Text: the input of a tool that takes no JSON."""


@dataclass(frozen=True)
class Turn:
    """What the model says: a text, tools, or both; and what it counts."""

    text: str
    calls: tuple[Call, ...]
    input: int
    output: int


@dataclass(frozen=True)
class Asked:
    """What a request says, whatever its format."""

    turns: int
    """Answers of the model with a tool in them, so far."""
    tools: dict[str, Body]
    """What it may use, by name: the parameters' schema."""
    text: str
    """All that the request holds, as text."""
    answers: int
    """All answers of the model so far."""
    replies: tuple[str, ...] = ()
    """What tools have answered."""


def text_of(value: Any) -> str:
    """The texts within a content, joined."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(text_of(item) for item in value)
    if isinstance(value, dict):
        return "\n".join(text_of(value[key]) for key in ("text", "content", "output", "response") if key in value)
    return ""


def dumped(arguments: Body | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


# OpenAI's chat completions


def read_chat(body: Body) -> Asked:
    messages = body["messages"]
    tools = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in body.get("tools") or []}
    said = [message for message in messages if message["role"] == "assistant"]
    return Asked(
        turns=sum(bool(message.get("tool_calls")) for message in said), tools=tools, text=json.dumps(messages),
        answers=len(said), replies=tuple(text_of(m["content"]) for m in messages if m["role"] == "tool"),
    )  # fmt: skip


def _chat_usage(turn: Turn) -> Body:
    return {
        "prompt_tokens": turn.input, "completion_tokens": turn.output, "total_tokens": turn.input + turn.output,
        "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip


def _chat_calls(turn: Turn, *, indexed: bool) -> list[Body]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.tool, "arguments": dumped(call.arguments)}}
        | ({"index": place} if indexed else {})
        for place, call in enumerate(turn.calls)
    ]


def answer_chat(turn: Turn, body: Body) -> Body:
    message = {"role": "assistant", "content": turn.text}
    if turn.calls:
        message["tool_calls"] = _chat_calls(turn, indexed=False)
    ended = "tool_calls" if turn.calls else "stop"
    choice = {"index": 0, "message": message, "finish_reason": ended}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice],
        "usage": _chat_usage(turn),
    }  # fmt: skip


def stream_chat(turn: Turn, body: Body) -> Events:
    shared = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}

    def chunk(delta: Body, ended: str | None = None) -> tuple[None, Body]:
        return None, {**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": ended}]}

    yield chunk({"role": "assistant", "content": ""})
    if turn.text:
        yield chunk({"content": turn.text})
    for call in _chat_calls(turn, indexed=True):
        arguments = call["function"]["arguments"]
        half = len(arguments) // 2
        yield chunk({"tool_calls": [{**call, "function": {**call["function"], "arguments": arguments[:half]}}]})
        yield chunk({"tool_calls": [{"index": call["index"], "function": {"arguments": arguments[half:]}}]})
    yield chunk({}, "tool_calls" if turn.calls else "stop")
    if (body.get("stream_options") or {}).get("include_usage"):
        yield None, {**shared, "choices": [], "usage": _chat_usage(turn)}


# OpenAI's responses


def read_responses(body: Body) -> Asked:
    items = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    tools: dict[str, Body] = {}
    for tool in body.get("tools") or []:
        tools[tool.get("name", tool["type"])] = tool.get("parameters") or {"freeform": tool["type"] == "custom"}
    used = [item for item in items if item.get("type") in ("function_call", "custom_tool_call")]
    said = [item for item in items if item.get("role") == "assistant"]
    replies = [text_of(item["output"]) for item in items if str(item.get("type")).endswith("_call_output")]
    return Asked(
        turns=len(used), tools=tools, text=json.dumps(items), answers=len(used) + len(said), replies=tuple(replies)
    )


def _items(turn: Turn) -> Iterator[Body]:
    if turn.text:
        content = [{"type": "output_text", "text": turn.text, "annotations": []}]
        yield {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content}
    for call in turn.calls:
        named = {"id": f"fc_{call.id}", "call_id": call.id, "name": call.tool, "status": "completed"}
        if isinstance(call.arguments, str):
            yield {**named, "type": "custom_tool_call", "input": call.arguments}
        else:
            yield {**named, "type": "function_call", "arguments": dumped(call.arguments)}


def answer_responses(turn: Turn, body: Body) -> Body:
    usage = {
        "input_tokens": turn.input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": turn.output,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": turn.input + turn.output,
    }  # fmt: skip
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": body["model"],
        "output": list(_items(turn)), "usage": usage, "error": None, "incomplete_details": None,
    }  # fmt: skip


def stream_responses(turn: Turn, body: Body) -> Events:
    whole = answer_responses(turn, body)
    events: list[Body] = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}}
    ]
    for place, item in enumerate(whole["output"]):
        events.append({"type": "response.output_item.added", "output_index": place, "item": item})
        if item["type"] == "message":
            part = {"item_id": item["id"], "output_index": place, "content_index": 0, "delta": turn.text}
            events.append({"type": "response.output_text.delta", **part})
        events.append({"type": "response.output_item.done", "output_index": place, "item": item})
    events.append({"type": "response.completed", "response": whole})
    for number, event in enumerate(events):
        yield event["type"], {**event, "sequence_number": number}


# Anthropic's messages


def read_messages(body: Body) -> Asked:
    tools = {tool["name"]: tool.get("input_schema", {}) for tool in body.get("tools") or []}
    blocks = [
        (message["role"], block)
        for message in body["messages"]
        for block in (message["content"] if isinstance(message["content"], list) else [])
    ]
    turns = sum(block["type"] == "tool_use" for _, block in blocks)
    replies = [text_of(block.get("content")) for _, block in blocks if block["type"] == "tool_result"]
    answers = sum(message["role"] == "assistant" for message in body["messages"])
    whole = json.dumps([body.get("system"), body["messages"]])
    return Asked(turns=turns, tools=tools, text=whole, answers=answers, replies=tuple(replies))


def answer_messages(turn: Turn, body: Body) -> Body:
    content: list[Body] = [{"type": "text", "text": turn.text}] if turn.text else []
    content += [{"type": "tool_use", "id": call.id, "name": call.tool, "input": call.arguments} for call in turn.calls]
    usage = {
        "input_tokens": turn.input, "output_tokens": turn.output,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
    }  # fmt: skip
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": content,
        "stop_reason": "tool_use" if turn.calls else "end_turn", "stop_sequence": None, "usage": usage,
    }  # fmt: skip


def stream_messages(turn: Turn, body: Body) -> Events:
    whole = answer_messages(turn, body)
    start = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    events: list[Body] = [{"type": "message_start", "message": start}]
    for place, block in enumerate(whole["content"]):
        here = {"index": place}
        if block["type"] == "text":
            events.append({"type": "content_block_start", **here, "content_block": {"type": "text", "text": ""}})
            delta = {"type": "text_delta", "text": block["text"]}
        else:
            events.append({"type": "content_block_start", **here, "content_block": {**block, "input": {}}})
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        events.append({"type": "content_block_delta", **here, "delta": delta})
        events.append({"type": "content_block_stop", **here})
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": turn.output}})
    events.append({"type": "message_stop"})
    for event in events:
        yield event["type"], event


# Gemini's generateContent


def read_generate(body: Body) -> Asked:
    tools = {
        tool["name"]: tool.get("parametersJsonSchema") or tool.get("parameters") or {}
        for group in body.get("tools") or []
        for tool in group.get("functionDeclarations", [])
    }
    parts = [part for content in body["contents"] for part in content.get("parts", [])]
    turns = sum("functionCall" in part for part in parts)
    replies = [json.dumps(part["functionResponse"]["response"]) for part in parts if "functionResponse" in part]
    answers = sum(content.get("role") == "model" for content in body["contents"])
    return Asked(turns=turns, tools=tools, text=json.dumps(parts), answers=answers, replies=tuple(replies))


def answer_generate(turn: Turn, body: Body) -> Body:
    parts: list[Body] = [{"text": turn.text}] if turn.text else []
    parts += [{"functionCall": {"id": call.id, "name": call.tool, "args": call.arguments}} for call in turn.calls]
    usage = {
        "promptTokenCount": turn.input, "candidatesTokenCount": turn.output,
        "totalTokenCount": turn.input + turn.output,
    }  # fmt: skip
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted", "responseId": "r1"}


def stream_generate(turn: Turn, body: Body) -> Events:
    yield None, answer_generate(turn, body)


@dataclass(frozen=True)
class Format:
    """One wire format."""

    path: re.Pattern[str]
    read: Callable[[Body], Asked]
    answer: Callable[[Turn, Body], Body]
    stream: Callable[[Turn, Body], Events]


FORMATS = {
    "chat": Format(re.compile(r"/v1/chat/completions$"), read_chat, answer_chat, stream_chat),
    "responses": Format(re.compile(r"/v1/responses$"), read_responses, answer_responses, stream_responses),
    "messages": Format(re.compile(r"/v1/messages$"), read_messages, answer_messages, stream_messages),
    "generate": Format(
        re.compile(r"/v1(?:beta)?/models/[^/]+:(?:stream)?[gG]enerateContent$"),
        read_generate, answer_generate, stream_generate,
    ),
}  # fmt: skip

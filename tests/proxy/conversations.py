"""What each provider answers to one question, streamed and not: reasoning, text and a call of a tool."""

from __future__ import annotations

from typing import Any

from harness.proxy.exchange import Format, Tokens

MODELS = {"chat": "gpt-5", "responses": "gpt-5", "messages": "claude-sonnet-4-5", "generate": "gemini-2.5-pro"}
PROVIDERS = {"chat": "openai", "responses": "openai", "messages": "anthropic", "generate": "gemini"}
FORMATS: tuple[Format, ...] = ("chat", "responses", "messages", "generate")
TOKENS: dict[Format, Tokens] = {
    "chat": Tokens(input=100, cached=60, output=30, reasoning=10),
    "responses": Tokens(input=100, cached=60, output=30, reasoning=10),
    "messages": Tokens(input=100, cached=60, written=30, lasting=20, output=30),
    "generate": Tokens(input=100, cached=60, output=30, reasoning=10),
}
DOLLARS: dict[Format, float] = {
    "chat": (40 * 1.25 + 60 * 0.125 + 30 * 10) / 1e6,
    "responses": (40 * 1.25 + 60 * 0.125 + 30 * 10) / 1e6,
    "messages": (10 * 3 + 60 * 0.3 + 10 * 3.75 + 20 * 6 + 30 * 15) / 1e6,
    "generate": (40 * 1.25 + 60 * 0.125 + 30 * 10) / 1e6,
}


def path(format: Format, *, streams: bool = False) -> str:
    if format == "generate":
        verb = "streamGenerateContent?alt=sse" if streams else "generateContent"
        return f"/v1beta/models/{MODELS[format]}:{verb}"
    return {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}[format]


def question(format: Format, *, streams: bool = False, text: str = "What is a return?") -> dict[str, Any]:
    if format == "generate":
        return {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    said = {"role": "user", "content": text}
    body: dict[str, Any] = {"model": MODELS[format], ("input" if format == "responses" else "messages"): [said]}
    if format == "messages":
        body["max_tokens"] = 1000
    return {**body, "stream": True} if streams else body


_ARGUMENTS = '{"path": "return.py"}'
_CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "read", "arguments": _ARGUMENTS}}
_ITEMS = [
    {"type": "reasoning", "id": "r1", "summary": []},
    {"type": "message", "id": "m1", "role": "assistant", "content": [{"type": "output_text", "text": "A sum."}]},
    {"type": "function_call", "id": "f1", "call_id": "call_1", "name": "read", "arguments": _ARGUMENTS},
]
_BLOCKS = [
    {"type": "thinking", "thinking": "Hm. A sum?", "signature": "c2ln"},
    {"type": "text", "text": "A sum."},
    {"type": "tool_use", "id": "call_1", "name": "read", "input": {"path": "return.py"}},
]
_PARTS = [
    {"text": "Hm. A sum?", "thought": True},
    {"text": "A sum."},
    {"functionCall": {"name": "read", "args": {"path": "return.py"}}, "thoughtSignature": "c2ln"},
]
_USAGE: dict[Format, dict[str, Any]] = {
    "chat": {
        "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 10},
    },
    "responses": {
        "input_tokens": 100, "output_tokens": 30, "total_tokens": 130,
        "input_tokens_details": {"cached_tokens": 60}, "output_tokens_details": {"reasoning_tokens": 10},
    },
    "messages": {
        "input_tokens": 10, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 30, "output_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    },
    "generate": {
        "promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 20, "thoughtsTokenCount": 10,
        "totalTokenCount": 130,
    },
}  # fmt: skip
ANSWERS: dict[Format, dict[str, Any]] = {
    "chat": {
        "id": "c1", "object": "chat.completion", "model": "gpt-5",
        "choices": [{
            "index": 0, "finish_reason": "tool_calls",
            "message": {
                "role": "assistant", "content": "A sum.", "reasoning_content": "Hm. A sum?", "tool_calls": [_CALL],
            },
        }],
        "usage": _USAGE["chat"],
    },
    "responses": {
        "id": "r1", "object": "response", "status": "completed", "output": _ITEMS, "usage": _USAGE["responses"],
    },
    "messages": {
        "id": "m1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": _BLOCKS,
        "stop_reason": "tool_use", "stop_sequence": None, "usage": _USAGE["messages"],
    },
    "generate": {
        "candidates": [{"content": {"role": "model", "parts": _PARTS}, "finishReason": "STOP"}],
        "usageMetadata": _USAGE["generate"], "modelVersion": "gemini-2.5-pro",
    },
}  # fmt: skip


def _chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None, **more}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "gpt-5", "choices": [choice]}


def _called(**function: str) -> dict[str, Any]:
    return _chunk({"tool_calls": [{"index": 0, "function": function}]})


def _started() -> dict[str, Any]:
    usage = {**_USAGE["messages"], "output_tokens": 1}
    message = {**ANSWERS["messages"], "content": [], "stop_reason": None, "usage": usage}
    return {"type": "message_start", "message": message}


def _block(place: int, begun: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": place, "content_block": begun},
        *({"type": "content_block_delta", "index": place, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": place},
    ]


def _generated(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, **more}
    counted = {"promptTokenCount": 100, "candidatesTokenCount": 1, "totalTokenCount": 101}
    usage = _USAGE["generate"] if more else counted
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-pro"}


EVENTS: dict[Format, list[Any]] = {
    "chat": [
        _chunk({"role": "assistant", "content": None, "reasoning_content": "Hm. "}),
        _chunk({"reasoning_content": "A sum?"}),
        _chunk({"content": "A "}),
        _chunk({"content": "sum."}),
        _chunk({"tool_calls": [{**_CALL, "function": {"name": "read", "arguments": ""}}]}),
        _called(arguments=_ARGUMENTS[:9]),
        _called(arguments=_ARGUMENTS[9:]),
        _chunk({}, finish_reason="tool_calls"),
        {"id": "c1", "object": "chat.completion.chunk", "model": "gpt-5", "choices": [], "usage": _USAGE["chat"]},
        "[DONE]",
    ],
    "responses": [
        {
            "type": "response.created",
            "response": {"id": "r1", "object": "response", "status": "in_progress", "output": []},
        },
        *({"type": "response.output_item.done", "output_index": n, "item": item} for n, item in enumerate(_ITEMS)),
        {"type": "response.completed", "response": ANSWERS["responses"]},
    ],
    "messages": [
        _started(),
        *_block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm. "},
            {"type": "thinking_delta", "thinking": "A sum?"},
            {"type": "signature_delta", "signature": "c2ln"},
        ),
        {"type": "ping"},
        *_block(
            1,
            {"type": "text", "text": ""},
            {"type": "text_delta", "text": "A "},
            {"type": "text_delta", "text": "sum."},
        ),
        *_block(
            2,
            {"type": "tool_use", "id": "call_1", "name": "read", "input": {}},
            {"type": "input_json_delta", "partial_json": _ARGUMENTS[:9]},
            {"type": "input_json_delta", "partial_json": _ARGUMENTS[9:]},
        ),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 30},
        },
        {"type": "message_stop"},
    ],
    "generate": [
        _generated({"text": "Hm. ", "thought": True}),
        _generated({"text": "A sum?", "thought": True}),
        _generated({"text": "A "}),
        _generated({"text": "sum."}, _PARTS[2], finishReason="STOP"),
    ],
}

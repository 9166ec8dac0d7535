"""What is let through of Anthropic's messages."""

from __future__ import annotations

import re
from typing import Any

from harness.proxy.rules import (
    DEARER,
    LINKS,
    TOOLS,
    Rule,
    by_type,
    count,
    dropped,
    each,
    flag,
    free,
    number,
    only,
    refused,
    schema,
    shape,
    text,
    text_or,
)

_CACHE = shape({"type": text, "ttl": text, "scope": text})
_LOCAL = re.compile(r"(bash|text_editor|memory)_20\d{6}")
"""Tools that Anthropic describes and the agent runs."""
_INLINE = shape({"type": text, "media_type": text, "data": text})
_TEXT = shape({"type": text, "text": text, "cache_control": _CACHE, "citations": free})
_IMAGE = shape({"type": text, "source": by_type({"base64": _INLINE}, why=LINKS), "cache_control": _CACHE})
_PLAIN: dict[str, Rule] = {"text": _TEXT, "image": _IMAGE}
_WRITTEN = shape({"type": text, "content": text_or(each(by_type(_PLAIN, why=LINKS)))})
_DOCUMENT = shape({
    "type": text, "source": by_type({"base64": _INLINE, "text": _INLINE, "content": _WRITTEN}, why=LINKS),
    "title": text, "context": text, "citations": shape({"enabled": flag}), "cache_control": _CACHE,
})  # fmt: skip
_NAMED = shape({"type": text, "tool_name": text, "cache_control": _CACHE})
_INSIDE: dict[str, Rule] = {**_PLAIN, "document": _DOCUMENT, "tool_reference": _NAMED}
_CALLER = by_type({"direct": shape({"type": text})}, why=TOOLS)
_BLOCK = by_type(
    {
        **_PLAIN,
        "document": _DOCUMENT,
        "thinking": shape({"type": text, "thinking": text, "signature": text}),
        "redacted_thinking": shape({"type": text, "data": text}),
        "tool_use": shape({
            "type": text, "id": text, "name": text, "input": free, "cache_control": _CACHE, "caller": _CALLER,
        }),
        "tool_result": shape({
            "type": text, "tool_use_id": text, "content": text_or(each(by_type(_INSIDE, why=LINKS))),
            "is_error": flag, "cache_control": _CACHE,
        }),
    },
    why="only text, images, documents, thoughts, and calls of tools that the agent runs itself are",
)  # fmt: skip
_TOOL = shape({
    "type": text, "name": text, "description": text, "input_schema": schema, "cache_control": _CACHE, "strict": flag,
    "eager_input_streaming": flag, "defer_loading": flag, "input_examples": free, "max_characters": number,
    "allowed_callers": each(only("direct", why=TOOLS)),
})  # fmt: skip


def tool(value: Any, at: str) -> Any:
    """A tool that the agent runs."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind in (None, "custom") or (isinstance(kind, str) and _LOCAL.fullmatch(kind)):
        return _TOOL(value, at)
    return refused(TOOLS)(value, f"{at}.type: {str(kind)[:60]!r}")


_EDIT = by_type(
    {
        kind: shape({
            "type": text, "keep": free, "trigger": free, "clear_at_least": free, "exclude_tools": free,
            "clear_tool_inputs": free,
        })
        for kind in ("clear_thinking_20251015", "clear_tool_uses_20250919")
    },
    why=DEARER,
)  # fmt: skip
_FORMAT = shape({"type": text, "schema": schema, "name": text})
MESSAGE = shape({"role": text, "content": text_or(each(_BLOCK))})
MESSAGES = shape({
    "model": text,
    "messages": each(MESSAGE),
    "system": text_or(each(by_type({"text": _TEXT}, why="only text is"))),
    "tools": each(tool),
    "tool_choice": shape({"type": text, "name": text, "disable_parallel_tool_use": flag}),
    "max_tokens": count,
    "stop_sequences": each(text),
    "stream": flag,
    "temperature": number,
    "top_k": number,
    "top_p": number,
    "thinking": shape({"type": text, "budget_tokens": number, "display": text}),
    "context_management": shape({"edits": each(_EDIT)}),
    "output_config": shape({"effort": text, "format": _FORMAT}),
    "output_format": _FORMAT,
    "cache_control": _CACHE,
    "metadata": dropped,
    "speed": only("standard", why=DEARER),
    "service_tier": only("standard_only", why=DEARER),
    "inference_geo": refused(DEARER),
    "container": refused(TOOLS),
    "mcp_servers": refused(TOOLS),
})  # fmt: skip

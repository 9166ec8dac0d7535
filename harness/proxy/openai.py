"""What is let through of OpenAI's two formats: chat completions and responses."""

from __future__ import annotations

from typing import Any

from harness.proxy.rules import (
    DEARER,
    KEPT,
    LINKS,
    TOOLS,
    Rule,
    by_type,
    count,
    data,
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

_UNSENT = "what is not text, an image, sound or a file in the request itself is not known here"
_CACHE = shape({"type": text, "ttl": text})
_FORMAT = shape({
    "type": text, "name": text, "description": text, "schema": schema, "strict": flag,
    "json_schema": shape({"name": text, "description": text, "schema": schema, "strict": flag}),
})  # fmt: skip
_GRAMMAR = shape({
    "type": text, "syntax": text, "definition": text, "grammar": shape({"syntax": text, "definition": text}),
})  # fmt: skip
_NUMBERS: dict[str, Rule] = dict.fromkeys(
    ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed",
     "top_logprobs"), number,
)  # fmt: skip
_BOTH: dict[str, Rule] = {
    **_NUMBERS,
    "model": text,
    "stream": flag,
    "parallel_tool_calls": flag,
    "prompt_cache_key": text,
    "metadata": dropped,
    "user": dropped,
    "safety_identifier": dropped,
    "prompt_cache_retention": dropped,
    "client_metadata": dropped,
    "store": only(False, why=KEPT),
    "service_tier": only("default", why=DEARER),
    "n": only(1, why=DEARER),
    "background": only(False, why=KEPT),
}

_PART = by_type(
    {
        "text": shape({"type": text, "text": text, "cache_control": _CACHE}),
        "refusal": shape({"type": text, "refusal": text}),
        "image_url": shape({
            "type": text, "image_url": shape({"url": data, "detail": text}), "cache_control": _CACHE,
        }),
        "input_audio": shape({"type": text, "input_audio": shape({"data": text, "format": text})}),
        "file": shape({
            "type": text,
            "file": shape({"file_data": data, "filename": text, "file_id": refused(KEPT)}),
        }),
    },
    why=_UNSENT,
)  # fmt: skip
_CALLED = shape({"name": text, "arguments": text})
_CALL = shape({
    "id": text, "type": text, "index": number, "function": _CALLED, "custom": shape({"name": text, "input": text}),
    "extra_content": free, "provider_specific_fields": dropped,
})  # fmt: skip
MESSAGE = shape({
    "role": text, "content": text_or(each(_PART)), "name": text, "refusal": text, "tool_call_id": text,
    "tool_calls": each(_CALL), "function_call": _CALLED, "reasoning_content": text, "reasoning": text,
    "reasoning_details": free, "thinking_blocks": dropped, "provider_specific_fields": dropped, "annotations": dropped,
    "images": dropped, "cache_control": _CACHE, "audio": refused(KEPT),
})  # fmt: skip
_FUNCTION = shape({"name": text, "description": text, "parameters": schema, "strict": flag})
CHAT_TOOL = by_type(
    {
        "function": shape({"type": text, "function": _FUNCTION, "cache_control": _CACHE}),
        "custom": shape({
            "type": text, "custom": shape({"name": text, "description": text, "format": _GRAMMAR}),
        }),
    },
    why=TOOLS,
)  # fmt: skip
_CHAT_CHOICE = text_or(
    by_type(
        {
            "function": shape({"type": text, "function": shape({"name": text})}),
            "custom": shape({"type": text, "custom": shape({"name": text})}),
            "allowed_tools": shape({"type": text, "allowed_tools": free}),
        },
        why=TOOLS,
    )
)
CHAT = shape({
    **_BOTH,
    "messages": each(MESSAGE),
    "tools": each(CHAT_TOOL),
    "tool_choice": _CHAT_CHOICE,
    "functions": each(_FUNCTION),
    "function_call": text_or(shape({"name": text})),
    "max_tokens": count,
    "max_completion_tokens": count,
    "stream_options": shape({"include_usage": flag, "include_obfuscation": flag}),
    "response_format": _FORMAT,
    "reasoning_effort": text,
    "reasoning": shape({"effort": text, "max_tokens": number, "exclude": flag, "enabled": flag}),
    "verbosity": text,
    "stop": text_or(each(text)),
    "logprobs": flag,
    "logit_bias": free,
    "chat_template_kwargs": free,
    "usage": dropped,
    "modalities": each(only("text", why=DEARER)),
    "web_search_options": refused(TOOLS),
    "audio": refused(DEARER),
    "prediction": refused(DEARER),
})  # fmt: skip


def _image(value: Any, at: str) -> Any:
    return data(value, at) if isinstance(value, str) else refused(LINKS)(value, at)


_ITEM_PART = by_type(
    {
        "input_text": shape({"type": text, "text": text}),
        "output_text": shape({"type": text, "text": text, "annotations": dropped, "logprobs": dropped}),
        "text": shape({"type": text, "text": text}),
        "refusal": shape({"type": text, "refusal": text}),
        "summary_text": shape({"type": text, "text": text}),
        "reasoning_text": shape({"type": text, "text": text}),
        "encrypted_content": shape({"type": text, "encrypted_content": text}),
        "input_image": shape({"type": text, "image_url": _image, "detail": text, "file_id": refused(KEPT)}),
        "input_file": shape({
            "type": text, "file_data": data, "filename": text, "detail": text, "file_id": refused(KEPT),
            "file_url": refused(LINKS),
        }),
    },
    why=_UNSENT,
)  # fmt: skip
_SAID = text_or(each(_ITEM_PART))
_IS: dict[str, Rule] = {
    "type": text, "id": text, "status": text, "call_id": text, "name": text, "namespace": text, "phase": text,
    "internal_chat_message_metadata_passthrough": dropped, "metadata": dropped, "created_by": dropped,
}  # fmt: skip
_COMMAND = shape({
    "type": text, "command": free, "env": free, "timeout_ms": number, "user": text, "working_directory": text,
})  # fmt: skip
ITEM = by_type(
    {
        "message": shape({**_IS, "role": text, "content": _SAID}),
        "function_call": shape({**_IS, "arguments": text}),
        "function_call_output": shape({**_IS, "output": _SAID}),
        "custom_tool_call": shape({**_IS, "input": text}),
        "custom_tool_call_output": shape({**_IS, "output": _SAID}),
        "local_shell_call": shape({**_IS, "action": _COMMAND}),
        "local_shell_call_output": shape({**_IS, "output": text}),
        "reasoning": shape({**_IS, "summary": _SAID, "content": _SAID, "encrypted_content": text}),
        "compaction": shape({**_IS, "encrypted_content": text}),
    },
    missing="message",
    why="only messages, reasoning, and calls of tools that the agent runs itself are",
)
_PLAIN: dict[str, Rule] = {
    "function": shape({
        "type": text, "name": text, "description": text, "parameters": schema, "strict": flag, "defer_loading": flag,
        "output_schema": schema,
    }),
    "custom": shape({"type": text, "name": text, "description": text, "format": _GRAMMAR, "defer_loading": flag}),
    "local_shell": shape({"type": text}),
}  # fmt: skip
_NAMESPACE = shape({"type": text, "name": text, "description": text, "tools": each(by_type(_PLAIN, why=TOOLS))})
TOOL = by_type({**_PLAIN, "namespace": _NAMESPACE}, why=TOOLS)
_CHOICE = text_or(
    by_type(
        {
            "function": shape({"type": text, "name": text}),
            "custom": shape({"type": text, "name": text}),
            "allowed_tools": shape({"type": text, "mode": text, "tools": free}),
        },
        why=TOOLS,
    )
)
RESPONSES = shape({
    **_BOTH,
    "input": text_or(each(ITEM)),
    "instructions": text,
    "tools": each(TOOL),
    "tool_choice": _CHOICE,
    "max_output_tokens": count,
    "max_tool_calls": number,
    "reasoning": shape({"effort": text, "summary": text, "generate_summary": text, "context": text}),
    "include": each(only("reasoning.encrypted_content", "message.output_text.logprobs", why=TOOLS)),
    "text": shape({"format": _FORMAT, "verbosity": text}),
    "truncation": text,
    "stream_options": shape({"include_obfuscation": flag}),
    "previous_response_id": refused(KEPT),
    "conversation": refused(KEPT),
    "prompt": refused(KEPT),
})  # fmt: skip

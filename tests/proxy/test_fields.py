"""What of a request is let through: what real clients send passes, and every other door is shut, by name."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from proxy import conversations

from harness.proxy.exchange import Format
from harness.proxy.fields import cleaned
from harness.proxy.refusal import Refused

URL = "https://example.org/x.png"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
USER: dict[str, Any] = {"role": "user"}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {"tools": [tool]}


def _said(format: Format, part: dict[str, Any]) -> dict[str, Any]:
    if format == "generate":
        return {"contents": [{"role": "user", "parts": [part]}]}
    return {("input" if format == "responses" else "messages"): [{**USER, "content": [part]}]}


def _item(**item: Any) -> dict[str, Any]:
    return {"input": [item]}


DOORS: list[tuple[Format, dict[str, Any], str]] = [
    ("chat", {"web_search_options": {}}, "web_search_options"),
    ("chat", _tool({"type": "web_search"}), "tools[0].type"),
    ("chat", _tool({"type": "mcp", "server_url": URL}), "tools[0].type"),
    ("chat", _tool({"googleSearch": {}}), "tools[0].type"),
    ("chat", {"plugins": [{"id": "web"}]}, "plugins"),
    ("chat", {"models": ["another"]}, "models"),
    ("chat", {"n": 2}, "n is not"),
    ("chat", {"n": True}, "n is not"),
    ("chat", {"store": True}, "store"),
    ("chat", {"service_tier": "priority"}, "service_tier"),
    ("chat", {"modalities": ["text", "audio"]}, "modalities[1]"),
    ("chat", {"audio": {"voice": "alloy"}}, "audio"),
    ("chat", {"prediction": {"type": "content", "content": "x"}}, "prediction"),
    ("chat", {"max_tokens": -1}, "max_tokens"),
    ("chat", {"stream": "yes"}, "stream"),
    ("chat", _said("chat", {"type": "image_url", "image_url": {"url": URL}}), "image_url.url"),
    ("chat", _said("chat", {"type": "image_url", "image_url": URL}), "image_url"),
    ("chat", _said("chat", {"type": "file", "file": {"file_id": "file-1"}}), "file_id"),
    ("chat", _said("chat", {"type": "file", "file": {"file_data": URL}}), "file_data"),
    ("chat", _said("chat", {"type": "video_url", "video_url": {"url": URL}}), "video_url"),
    ("chat", {"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "audio"),
    ("chat", {"messages": [{**USER, "content": "x", "url": URL}]}, "messages[0].url"),
    ("chat", _tool({"type": "function", "function": {"name": "f", "url": URL}}), "function.url"),
    ("chat", _tool({"type": "function", "function": {"name": "f", "parameters": {"a": {"$ref": URL}}}}), "refers to"),
    ("responses", _tool({"type": "web_search"}), "web_search"),
    ("responses", _tool({"type": "web_search_preview"}), "web_search_preview"),
    ("responses", _tool({"type": "file_search", "vector_store_ids": ["v"]}), "file_search"),
    ("responses", _tool({"type": "code_interpreter", "container": {"type": "auto"}}), "code_interpreter"),
    ("responses", _tool({"type": "computer_use_preview"}), "computer_use_preview"),
    ("responses", _tool({"type": "computer"}), "computer"),
    ("responses", _tool({"type": "image_generation"}), "image_generation"),
    ("responses", _tool({"type": "mcp", "server_label": "x", "server_url": URL}), "mcp"),
    ("responses", _tool({"type": "shell", "environment": {"type": "container_auto"}}), "shell"),
    ("responses", _tool({"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}), "tools[0].tools[0].type"),
    ("responses", {"tool_choice": {"type": "web_search"}}, "tool_choice"),
    ("responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
    ("responses", {"conversation": "conv_1"}, "conversation"),
    ("responses", {"prompt": {"id": "pmpt_1"}}, "prompt"),
    ("responses", {"store": True}, "store"),
    ("responses", {"background": True}, "background"),
    ("responses", {"service_tier": "flex"}, "service_tier"),
    ("responses", {"include": ["web_search_call.action.sources"]}, "include[0]"),
    ("responses", _said("responses", {"type": "input_image", "image_url": URL}), "image_url"),
    ("responses", _said("responses", {"type": "input_image", "file_id": "file-1"}), "file_id"),
    ("responses", _said("responses", {"type": "input_file", "file_url": URL}), "file_url"),
    ("responses", _said("responses", {"type": "input_file", "file_id": "file-1"}), "file_id"),
    ("responses", _item(type="item_reference", id="msg_1"), "item_reference"),
    ("responses", _item(type="web_search_call", id="ws_1"), "web_search_call"),
    ("responses", _item(type="computer_call_output", call_id="c", output={"image_url": URL}), "computer_call_output"),
    ("responses", _item(type="mcp_approval_response", approve=True), "mcp_approval_response"),
    ("responses", _item(type="function_call_output", call_id="c", output=[{"type": "input_image", "image_url": URL}]),
     "image_url"),
    ("messages", _tool({"type": "web_search_20250305", "name": "web_search"}), "web_search_20250305"),
    ("messages", _tool({"type": "web_fetch_20250910", "name": "web_fetch"}), "web_fetch_20250910"),
    ("messages", _tool({"type": "code_execution_20250825", "name": "code_execution"}), "code_execution_20250825"),
    ("messages", _tool({"type": "computer_20250124", "name": "computer"}), "computer_20250124"),
    ("messages", _tool({"type": "tool_search_tool_regex_20251119", "name": "t"}), "tool_search_tool_regex_20251119"),
    ("messages", _tool({"type": "mcp_toolset", "mcp_server_name": "x"}), "mcp_toolset"),
    ("messages", _tool({"name": "f", "input_schema": {}, "allowed_callers": ["code_execution_20250825"]}),
     "allowed_callers"),
    ("messages", {"mcp_servers": [{"type": "url", "url": URL}]}, "mcp_servers"),
    ("messages", {"container": {"skills": []}}, "container"),
    ("messages", {"service_tier": "auto"}, "service_tier"),
    ("messages", {"speed": "fast"}, "speed"),
    ("messages", {"inference_geo": "us"}, "inference_geo"),
    ("messages", {"context_management": {"edits": [{"type": "compact_20260112"}]}}, "compact_20260112"),
    ("messages", _said("messages", {"type": "image", "source": {"type": "url", "url": URL}}), "source.type"),
    ("messages", _said("messages", {"type": "image", "source": {"type": "file", "file_id": "f"}}), "source.type"),
    ("messages", _said("messages", {"type": "document", "source": {"type": "url", "url": URL}}), "source.type"),
    ("messages", _said("messages", {"type": "document", "source": {"type": "content", "content": [
        {"type": "image", "source": {"type": "url", "url": URL}}]}}), "source.type"),
    ("messages", _said("messages", {"type": "container_upload", "file_id": "f"}), "container_upload"),
    ("messages", _said("messages", {"type": "server_tool_use", "id": "s", "name": "web_search"}), "server_tool_use"),
    ("messages", _said("messages", {"type": "tool_result", "tool_use_id": "t", "content": [
        {"type": "image", "source": {"type": "url", "url": URL}}]}), "source.type"),
    *(("generate", _tool({name: {}}), f"tools[0].{name}") for name in (
        "googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "computerUse", "fileSearch",
        "googleMaps", "mcpServers",
    )),
    ("generate", _tool({"google_search": {}}), "googleSearch"),
    ("generate", _tool({"url_context": {}}), "urlContext"),
    ("generate", _tool({"code_execution": {}}), "codeExecution"),
    ("generate", _said("generate", {"fileData": {"fileUri": URL}}), "fileData"),
    ("generate", _said("generate", {"file_data": {"file_uri": URL}}), "fileData"),
    ("generate", {"systemInstruction": {"parts": [{"fileData": {"fileUri": URL}}]}}, "systemInstruction.parts[0]"),
    ("generate", _said("generate", {"functionResponse": {"name": "f", "parts": [{"fileData": {"fileUri": URL}}]}}),
     "fileData"),
    ("generate", _said("generate", {"executableCode": {"code": "x"}}), "executableCode"),
    ("generate", {"cachedContent": "cachedContents/1"}, "cachedContent"),
    ("generate", {"cached_content": "cachedContents/1"}, "cachedContent"),
    ("generate", {"serviceTier": "priority"}, "serviceTier"),
    ("generate", {"generationConfig": {"candidateCount": 2}}, "candidateCount"),
    ("generate", {"generationConfig": {"responseModalities": ["IMAGE"]}}, "responseModalities"),
    ("generate", {"generationConfig": {"speechConfig": {}}}, "speechConfig"),
    ("generate", {"toolConfig": {"retrievalConfig": {}}}, "retrievalConfig"),
    ("generate", {"safetySettings": [], "safety_settings": []}, "twice"),
]  # fmt: skip


@pytest.mark.parametrize(("format", "more", "named"), DOORS)
def test_a_door_is_shut_by_name(format: Format, more: dict[str, Any], named: str) -> None:
    with pytest.raises(Refused) as refused:
        cleaned(format, {**conversations.question(format), **more})
    assert named in refused.value.said
    assert len(refused.value.said) < 400


@pytest.mark.parametrize("format", conversations.FORMATS)
@pytest.mark.parametrize("value", [{}, [], URL, 1, True])
def test_an_unknown_field_is_refused_by_name(format: Format, value: object) -> None:
    with pytest.raises(Refused, match="the field 'surprise' is not known here"):
        cleaned(format, {**conversations.question(format), "surprise": value})


PASSING: list[tuple[Format, dict[str, Any]]] = [
    ("chat", {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"$ref": "#/a"}}}]}),
    ("chat", _said("chat", {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}})),
    ("chat", {"max_tokens": 32000, "reasoning_effort": "medium", "tool_choice": "auto", "stop": ["x"], "n": None}),
    ("chat", {"store": False, "n": 1, "service_tier": "default", "response_format": {"type": "json_object"}}),
    ("chat", {"messages": [
        {**USER, "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"index": 0, "id": "c", "type": "function", "function": {"name": "bash", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "5"},
    ]}),
    ("responses", {"tools": [
        {"type": "function", "name": "f", "strict": False, "parameters": {}}, {"type": "local_shell"},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "function", "name": "g"}]},
    ], "include": ["reasoning.encrypted_content"], "store": False, "reasoning": {"summary": "auto"}}),
    ("responses", {"input": [
        {"type": "message", "id": "m", "role": "developer", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "abc"},
        {"type": "function_call", "status": "completed", "name": "f", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "id": "o", "call_id": "c", "output": "5"},
    ]}),
    ("responses", _said("responses", {"type": "input_image", "image_url": PIXEL})),
    ("messages", {"tools": [
        {"name": "Bash", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
        {"type": "bash_20250124", "name": "bash"}, {"type": "text_editor_20250728", "name": "edit"},
    ], "thinking": {"type": "enabled", "budget_tokens": 4000}, "system": [{"type": "text", "text": "x"}],
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}),
    ("messages", {"messages": [
        {**USER, "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "ls"}}]},
        {**USER, "content": [{"type": "tool_result", "tool_use_id": "t", "content": "5", "is_error": False}]},
    ]}),
    ("messages", _said("messages", {
        "type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}})),
    ("generate", {"systemInstruction": {"role": "user", "parts": [{"text": "x"}]}, "generationConfig": {
        "temperature": 1, "topP": 0.95, "topK": 64, "thinkingConfig": {"includeThoughts": True}}}),
    ("generate", {"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {}}]}]}),
    ("generate", _said("generate", {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}})),
    ("generate", {"contents": [
        {"role": "model", "parts": [{"functionCall": {"id": "c", "name": "f", "args": {"file_data": 1}},
                                     "thoughtSignature": "s"}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "c", "name": "f", "response": {"output": "5"}}}]},
    ]}),
]  # fmt: skip


@pytest.mark.parametrize(("format", "more"), PASSING)
def test_what_real_clients_send_passes_unchanged(format: Format, more: dict[str, Any]) -> None:
    body = {**conversations.question(format), **more}
    before = copy.deepcopy(body)
    assert cleaned(format, body) == before
    assert body == before


@pytest.mark.parametrize(
    ("format", "field"),
    [
        ("chat", "user"), ("chat", "metadata"), ("chat", "safety_identifier"), ("responses", "client_metadata"),
        ("responses", "metadata"), ("messages", "metadata"), ("generate", "labels"),
    ],
)  # fmt: skip
def test_what_says_who_asks_is_left_out_without_a_word(format: Format, field: str) -> None:
    body = conversations.question(format)
    assert cleaned(format, {**body, field: {"who": "me"}}) == body


def test_what_has_no_form_of_its_own_is_not_nested_without_end() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"a": deep}
    tool = {"type": "function", "function": {"name": "f", "parameters": deep}}
    with pytest.raises(Refused, match="nested too deep"):
        cleaned("chat", {**conversations.question("chat"), "tools": [tool]})

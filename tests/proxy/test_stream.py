"""What a stream tells, however it is cut into chunks, and whatever nonsense is in it."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from proxy import scripted
from proxy.conversations import ANSWERS, EVENTS, FORMATS, TOKENS, _block, _chunk

from harness.proxy.asking import lenient
from harness.proxy.exchange import Format, Tokens
from harness.proxy.stream import Telling, WithoutUsage
from harness.proxy.usage import told


def _fed(format: Format, stream: bytes, sizes: list[int]) -> Telling:
    telling = Telling(format)
    for size in sizes:
        telling.feed(stream[:size])
        stream = stream[size:]
    telling.feed(stream)
    return telling


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_it_does_not_matter_how_it_is_cut(format: Format, newline: bytes) -> None:
    stream = b": hello\n\nevent: x\n" + scripted.told(*EVENTS[format])
    stream = stream.replace(b"\n", newline)
    for seed in range(20):
        sizes = [random.Random(seed).randrange(1, 40) for _ in range(60)]
        telling = _fed(format, stream, sizes)
        assert (telling.answer, telling.ended) == (ANSWERS[format], True)
        assert told(format, telling.answer) == TOKENS[format]


@pytest.mark.parametrize("format", FORMATS)
def test_its_beginning_tells_what_was_said_so_far(format: Format) -> None:
    telling = _fed(format, scripted.told(*EVENTS[format][:2]), [])
    assert telling.answer is not None
    assert not telling.ended


NONSENSE: list[Any] = [
    {"choices": [{"index": {}, "delta": 5}]},
    {"choices": [{"index": 0, "delta": {"tool_calls": [5, {"index": [], "function": []}]}}]},
    {"type": "content_block_delta", "index": 99, "delta": {"type": "text_delta", "text": 5}},
    {"type": "content_block_delta", "index": [], "delta": {"type": "input_json_delta", "partial_json": "{"}},
    {"type": "message_start", "message": []},
    {"type": "response.completed", "response": []},
    {"type": "response.output_item.done"},
    {"candidates": [{"index": {}, "content": {"parts": [5, {"text": {}}]}}]},
    {"usage": {"prompt_tokens": "x"}, "usageMetadata": []},
    5, [], "x", "{", None, "[DONE",
]  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_nonsense_in_between_harms_nothing(format: Format) -> None:
    telling = _fed(format, scripted.told(*NONSENSE, *EVENTS[format], *NONSENSE[:5]), [])
    assert telling.answer is not None
    assert _fed(format, b"\x00\xff\n\n" + scripted.told(*EVENTS[format]), []).answer == ANSWERS[format]


@pytest.mark.parametrize(
    "usage",
    [
        {}, [], None, {"prompt_tokens": -1, "completion_tokens": 1}, {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1}, {"prompt_tokens": 10**11, "completion_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": "1"}},
        {"completion_tokens": 1},
    ],
)  # fmt: skip
def test_counts_that_cannot_be_are_not_believed(usage: object) -> None:
    assert told("chat", {"usage": usage}) is None


def test_counts_of_other_servers_are_read() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": None, "prompt_cache_hit_tokens": 4}
    assert told("chat", {"usage": usage}) == Tokens(input=9, cached=4, output=1)
    usage = {"promptTokenCount": 9, "toolUsePromptTokenCount": 2, "totalTokenCount": 11}
    assert told("generate", {"usageMetadata": usage}) == Tokens(input=11)


def test_a_long_stream_takes_time_in_proportion() -> None:
    def seconds(count: int) -> float:
        stream = scripted.told(*(_chunk({"content": "word " * 20}) for _ in range(count)))
        began = time.process_time()
        telling = _fed("chat", stream, [1000] * (len(stream) // 1000))
        assert len(telling.answer["choices"][0]["message"]["content"]) == 100 * count
        return time.process_time() - began

    assert seconds(16_000) < 12 * seconds(2_000) + 0.5


@pytest.mark.parametrize("depth", [100, 900, 100_000])
def test_what_is_nested_too_deep_to_be_kept_is_left_out(depth: int) -> None:
    nested = '{"a": ' * depth + "1" + "}" * depth
    part = f'{{"candidates": [{{"content": {{"parts": [{{"functionCall": {{"args": {nested}}}}}]}}}}]}}'
    assert _fed("generate", scripted.told(part, *EVENTS["generate"]), []).answer == ANSWERS["generate"]
    answer = _fed("messages", scripted.told(*EVENTS["messages"][:1], *_block(0, {"input": {}}, {
        "type": "input_json_delta", "partial_json": nested})), []).answer  # fmt: skip
    assert answer is not None
    assert answer["content"][0]["input"] == nested
    assert lenient(nested.encode()) == {}


def test_an_event_without_end_is_cut() -> None:
    telling = Telling("chat")
    for _ in range(16):
        telling.feed(b"x" * (1 << 20))
    with pytest.raises(ValueError, match="too long"):
        telling.feed(b"x")


def test_only_the_chunk_with_the_usage_is_taken_out() -> None:
    events = [*EVENTS["chat"][:-2], {"choices": [], "usage": None}, {"usage": {}, "choices": [{"delta": {}}]}]
    stream = scripted.told(*events)
    for size in (1, 7, 1000):
        strip = WithoutUsage()
        whole = scripted.told(*events, EVENTS["chat"][-2])
        pieces = [strip.feed(whole[at : at + size]) for at in range(0, len(whole), size)]
        assert b"".join(pieces) + strip.end() == stream
    strip = WithoutUsage()
    assert strip.feed(b"data: [DONE]\n") + strip.end() == b"data: [DONE]\n"

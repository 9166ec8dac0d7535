"""Reading a trajectory that another harness, or another lab's, has written: ATIF of any version, taken for hostile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from harness.record.files import damaged
from harness.trajectory.atif import (
    VERSION,
    Agent,
    FinalMetrics,
    Metrics,
    Observation,
    ObservationResult,
    Source,
    Step,
    SubagentRef,
    ToolCall,
    Trajectory,
)
from harness.trajectory.piece import entries, items, words
from harness.trajectory.steps import stamp
from harness.trajectory.tame import tame_name, tame_text, tame_value

LARGEST = 256 << 20
"""Bytes of a file."""
MOST_STEPS, MOST_BESIDE = 200_000, 20_000
_MOST_PARTS = 10_000
"""Calls, or results, of one step."""
_COUNTS = ("exchange", "seconds", "waited", "status", "requests", "dollars", "journal_bytes")
_WORDS = ("ended", "said", "kind", "of", "timestamp", "unknown_call")
_TOKENS = ("input", "cached", "output", "reasoning")


def read_trajectory(data: bytes, *, where: object, began: datetime) -> Trajectory:
    """A trajectory as we would have written it; what does not fit is left out.

    Args:
        data: ATIF.
        where: It comes from, for errors.
        began: When the attempt began; steps without a time take that of the step before.

    Raises:
        RecordError: It is no trajectory.
    """
    if len(data) > LARGEST:
        raise damaged(where, f"at most {LARGEST} bytes", f"{len(data)} bytes")
    try:
        told = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise damaged(where, "an ATIF trajectory", str(error)) from None
    version = entries(told).get("schema_version")
    if not isinstance(version, str) or not version.startswith("ATIF-v1."):
        raise damaged(where, "an ATIF trajectory of version 1", repr(version)[:100])
    root = _trajectory(told, began, where)
    names = {root.trajectory_id}
    for beside in items(told.get("subagent_trajectories"))[:MOST_BESIDE]:
        if not items(entries(beside).get("steps")):
            continue
        found = _trajectory(entries(beside), began, where)
        if found.trajectory_id not in names:
            names.add(found.trajectory_id)
            root.subagent_trajectories = [*(root.subagent_trajectories or []), found]
    return root


def _trajectory(told: Mapping[str, Any], began: datetime, where: object) -> Trajectory:
    agent = entries(told.get("agent"))
    steps, last = list[Step](), began
    for number, step in enumerate(items(told.get("steps"))[:MOST_STEPS], 1):
        last = _time(entries(step).get("timestamp"), last)
        steps.append(_step(entries(step), number, last))
    if not steps:
        raise damaged(where, "a trajectory with steps", "none")
    return Trajectory(
        schema_version=VERSION,
        session_id=tame_name(told.get("session_id")) or None,
        trajectory_id=tame_name(told.get("trajectory_id")) or "main",
        agent=Agent(
            name=tame_name(agent.get("name")) or "agent",
            version=tame_name(agent.get("version")) or "unknown",
            model_name=tame_name(agent.get("model_name")) or None,
            tool_definitions=[tame_value(tool) for tool in items(agent.get("tool_definitions"))[:_MOST_PARTS]] or None,
        ),
        steps=steps,
        notes=tame_text(told.get("notes"), 2000) or None,
        final_metrics=_final(entries(told.get("final_metrics"))),
        extra=_extra(told.get("extra")),
    )


def _step(told: Mapping[str, Any], number: int, at: datetime) -> Step:
    source = told.get("source")
    step = Step(
        step_id=number,
        timestamp=stamp(at),
        source=_source(source),
        message=words(told.get("message")),
        observation=_observation(entries(told.get("observation"))),
        extra=_extra(told.get("extra")),
    )
    if source == "agent":
        step.model_name = tame_name(told.get("model_name")) or None
        step.reasoning_content = tame_text(told.get("reasoning_content")) or None
        step.tool_calls = [_call(entries(call)) for call in items(told.get("tool_calls"))[:_MOST_PARTS]] or None
        step.metrics = _metrics(entries(told.get("metrics")))
        step.is_copied_context = True if told.get("is_copied_context") is True else None
        step.llm_call_count = _count(told.get("llm_call_count"))
    return step


def _source(value: object) -> Source:
    return "agent" if value == "agent" else "system" if value == "system" else "user"


def _call(told: Mapping[str, Any]) -> ToolCall:
    given = tame_value(entries(told.get("arguments")))
    return ToolCall(
        tool_call_id=tame_name(told.get("tool_call_id")),
        function_name=tame_name(told.get("function_name")),
        arguments=given,
    )


def _observation(told: Mapping[str, Any]) -> Observation | None:
    results = [_result(entries(result)) for result in items(told.get("results"))[:_MOST_PARTS]]
    return Observation(results=results) if results else None


def _result(told: Mapping[str, Any]) -> ObservationResult:
    refs = [tame_name(entries(ref).get("trajectory_id")) for ref in items(told.get("subagent_trajectory_ref"))[:20]]
    return ObservationResult(
        source_call_id=tame_name(told.get("source_call_id")) or None,
        content=words(told.get("content")),
        subagent_trajectory_ref=[SubagentRef(trajectory_id=ref) for ref in refs if ref] or None,
        extra=_extra(told.get("extra")),
    )


def _metrics(told: Mapping[str, Any]) -> Metrics | None:
    found = Metrics(
        prompt_tokens=_count(told.get("prompt_tokens")),
        completion_tokens=_count(told.get("completion_tokens")),
        cached_tokens=_count(told.get("cached_tokens")),
        cost_usd=_number(told.get("cost_usd")),
        extra=_spent(entries(told.get("extra"))),
    )
    return found if found != Metrics() else None


def _spent(told: Mapping[str, Any]) -> dict[str, Any] | None:
    counts = {name: _count(told.get(name)) for name in ("reasoning_tokens", "cache_write_tokens")}
    kept = {**counts, "estimated": told.get("estimated") is True}
    return {name: item for name, item in kept.items() if item} or None


def _final(told: Mapping[str, Any]) -> FinalMetrics | None:
    found = FinalMetrics(
        total_prompt_tokens=_count(told.get("total_prompt_tokens")),
        total_completion_tokens=_count(told.get("total_completion_tokens")),
        total_cached_tokens=_count(told.get("total_cached_tokens")),
        total_cost_usd=_number(told.get("total_cost_usd")),
        total_steps=_count(told.get("total_steps")),
    )
    return found if found != FinalMetrics() else None


def _extra(value: object) -> dict[str, Any] | None:
    """Of what others add, the keys that we know, with values of the kind that we write."""
    told = entries(value)
    kept: dict[str, Any] = {name: _number(told.get(name)) for name in _COUNTS}
    kept |= {name: tame_text(told.get(name), 2000) or None for name in _WORDS}
    kept["failed"] = True if told.get("failed") is True else None
    tokens = {name: _count(entries(told.get("tokens")).get(name)) or 0 for name in _TOKENS}
    kept["tokens"] = tokens if any(tokens.values()) else None
    return {name: item for name, item in kept.items() if item is not None} or None


def _number(value: object) -> float | int | None:
    """A figure that is none below zero; None for what is no such figure."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < 1e18 and math.isfinite(value) else None


def _count(value: object) -> int | None:
    found = _number(value)
    return int(found) if isinstance(found, int) else None


def _time(value: object, last: datetime) -> datetime:
    """A moment in UTC; that of the step before where none is told."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else last
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return last

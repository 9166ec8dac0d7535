"""ATIF 1.8, Harbor's format of trajectories, as far as we write it; what is ours alone stands in `extra`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

VERSION: Literal["ATIF-v1.8"] = "ATIF-v1.8"
Source = Literal["system", "user", "agent"]


class _Part(msgspec.Struct, omit_defaults=True):
    """A part of the file; what says nothing is left out."""


class ToolCall(_Part, kw_only=True):
    """What an agent wanted done."""

    tool_call_id: str
    function_name: str
    arguments: dict[str, Any]


class SubagentRef(_Part, kw_only=True):
    """Names a trajectory embedded in the same file."""

    trajectory_id: str


class ObservationResult(_Part, kw_only=True):
    """What came back."""

    source_call_id: str | None = None
    """A call of the same step; None: of no call that is known."""
    content: str | None = None
    subagent_trajectory_ref: list[SubagentRef] | None = None
    extra: dict[str, Any] | None = None


class Observation(_Part, kw_only=True):
    """All that came back to one step."""

    results: list[ObservationResult]


class Metrics(_Part, kw_only=True):
    """What one answer of a model cost."""

    prompt_tokens: int | None = None
    """Those from and into a cache included."""
    completion_tokens: int | None = None
    """Reasoning included."""
    cached_tokens: int | None = None
    cost_usd: float | None = None
    extra: dict[str, Any] | None = None
    """`reasoning_tokens`, `cache_write_tokens`, `estimated`."""


class Step(_Part, kw_only=True):
    """One turn."""

    step_id: int
    """From 1, without gaps."""
    timestamp: str
    """ISO 8601, in UTC: when it was said."""
    source: Source
    model_name: str | None = None
    message: str
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    observation: Observation | None = None
    metrics: Metrics | None = None
    is_copied_context: bool | None = None
    llm_call_count: int | None = None
    """1: a model said it; 0: the agent's program put it in the model's mouth."""
    extra: dict[str, Any] | None = None
    """`exchange`, `seconds`, `waited`, and how it ended where it did not end well."""


class Agent(_Part, kw_only=True):
    """Who did it."""

    name: str
    version: str
    model_name: str | None = None
    tool_definitions: list[dict[str, Any]] | None = None


class FinalMetrics(_Part, kw_only=True):
    """Sums over a trajectory; the dollars of the outermost one include the embedded ones."""

    total_prompt_tokens: int | None = None
    total_completion_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_cost_usd: float | None = None
    total_steps: int | None = None


class Trajectory(_Part, kw_only=True):
    """A conversation with a model, and in the outermost one all others that the agent held beside it."""

    schema_version: Literal["ATIF-v1.8"]
    session_id: str | None = None
    """The attempt."""
    trajectory_id: str
    agent: Agent
    steps: list[Step]
    notes: str | None = None
    """What was shortened or left out."""
    final_metrics: FinalMetrics | None = None
    extra: dict[str, Any] | None = None
    subagent_trajectories: list[Trajectory] | None = None

"""Gemini CLI of Google, over Gemini's generateContent."""

from __future__ import annotations

import json
from typing import Any

from harness.attempt.installed import Installation, find, reached
from harness.attempt.participant import Assignment, Outcome

INSTALLATION = Installation(registry="npm", package="@google/gemini-cli", version="0.61.0", program="gemini")
SPEAKS = "generate"
SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},  # without it, it asks, and ends with 41
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "tools": {"exclude": ["google_web_search", "web_fetch"], "shell": {"inactivityTimeout": 3600}},
}
SIDE = (
    "classifier", "prompt-completion", "fast-ack-helper", "edit-corrector", "summarizer-default", "summarizer-shell",
    "loop-detection", "loop-detection-double-check", "llm-edit-fixer", "next-speaker-checker", "context-snapshotter",
    "chat-compression-3-pro", "chat-compression-3-flash", "chat-compression-3.1-flash-lite",
    "chat-compression-2.5-pro", "chat-compression-2.5-flash", "chat-compression-2.5-flash-lite",
    "chat-compression-default", "agent-history-provider-summarizer",
)  # fmt: skip
"""What it asks beside the work, of models of its own choice; here it asks the one model."""


def work(assignment: Assignment) -> Outcome:
    """Let it work until it says that it is done, without the tools that would need a network."""
    gemini, model = find(INSTALLATION, assignment.options), reached(assignment.endpoint)
    return assignment.live(
        gemini.launch(
            "--yolo", "--output-format", "stream-json", "--model", model.model,
            last=("--prompt", assignment.brief),
            environment={
                "GOOGLE_GEMINI_BASE_URL": model.base,
                "GEMINI_API_KEY": model.key,
                "GEMINI_CLI_TRUST_WORKSPACE": "true",
                "GEMINI_TELEMETRY_ENABLED": "false",
            },
            files={".gemini/settings.json": json.dumps(_settings(model.model), indent=2)},
        )
    )  # fmt: skip


def _settings(model: str) -> dict[str, Any]:
    side = {name: {"extends": "base", "modelConfig": {"model": model}} for name in SIDE}
    return {**SETTINGS, "modelConfigs": {"customAliases": side}}

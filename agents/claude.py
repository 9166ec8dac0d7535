"""Claude Code of Anthropic, over Anthropic's messages."""

from __future__ import annotations

from harness.attempt.installed import Installation, find, reached
from harness.attempt.participant import Assignment, Outcome
from harness.attempt.work import WORKSPACE

INSTALLATION = Installation(registry="npm", package="@anthropic-ai/claude-code", version="2.1.197", program="claude")
SPEAKS = "messages"
SESSION = "00000000-0000-4000-8000-000000000000"
"""The name of its session, so that its own record of it can be found."""
MODELS = (
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
)
"""What it would send elsewhere goes to the one model, too."""


def work(assignment: Assignment) -> Outcome:
    """Let it work until it says that it is done, without the tools that would need a network."""
    claude, model = find(INSTALLATION, assignment.options), reached(assignment.endpoint)
    return assignment.live(
        claude.launch(
            "--print", "--output-format", "stream-json", "--verbose", "--session-id", SESSION,
            "--permission-mode", "bypassPermissions", "--disallowedTools", "WebSearch,WebFetch",
            "--strict-mcp-config", "--model", model.model,
            last=("--", assignment.brief),
            environment={
                "ANTHROPIC_BASE_URL": model.base,
                "ANTHROPIC_API_KEY": model.key,
                "IS_SANDBOX": "1",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                "BASH_DEFAULT_TIMEOUT_MS": "600000",
                "BASH_MAX_TIMEOUT_MS": "3600000",
                **dict.fromkeys(MODELS, model.model),
            },
            trajectory=f".claude/projects/{WORKSPACE.replace('/', '-')}/{SESSION}.jsonl",
        )
    )  # fmt: skip

"""Aider, over OpenAI's chat completions: it edits by the text of its answers, and commits and checks by itself."""

from __future__ import annotations

from collections.abc import Iterator

from harness.attempt.installed import Installation, find, reached
from harness.attempt.participant import Assignment, Outcome
from harness.attempt.quarters import HOME
from harness.attempt.task import start_files

INSTALLATION = Installation(registry="pip", package="aider-chat", version="0.86.2", program="aider")
SPEAKS = "chat"
TRAJECTORY = "chat.md"


def work(assignment: Assignment) -> Outcome:
    """Let it answer the brief; after each edit it runs `reproof check`, and what that says is its next task."""
    aider, model = find(INSTALLATION, assignment.options), reached(assignment.endpoint)
    name = f"openai/{model.model}"
    return assignment.live(
        aider.launch(
            "--model", name, "--weak-model", name, "--yes-always", "--no-stream", "--no-pretty", "--no-fancy-input",
            "--no-check-update", "--no-show-release-notes", "--no-show-model-warnings", "--analytics-disable",
            "--no-gitignore", "--no-detect-urls", "--no-suggest-shell-commands", "--disable-playwright",
            "--chat-history-file", f"{HOME}/{TRAJECTORY}", "--input-history-file", f"{HOME}/input.txt",
            "--map-tokens", "0",  # all files are in the chat, and the map would leave its cache in the workspace
            "--auto-test", "--test-cmd", "reproof check",
            *_files(assignment),
            last=("--message", assignment.brief),
            environment={
                "OPENAI_API_BASE": f"{model.base}/v1",
                "OPENAI_API_KEY": model.key,
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            },
            trajectory=TRAJECTORY,
        )
    )  # fmt: skip


def _files(assignment: Assignment) -> Iterator[str]:
    """What it may edit, and what it shall read: it opens nothing that was not named to it."""
    for name in sorted(start_files(assignment.paper)):
        if name.endswith((".py", ".md", ".yaml")):
            yield from ("--file" if name.startswith("reproduction/") else "--read", name)

"""Codex CLI of OpenAI, over OpenAI's responses."""

from __future__ import annotations

import json

from harness.attempt.installed import Installation, find, reached
from harness.attempt.participant import Assignment, Outcome

INSTALLATION = Installation(registry="npm", package="@openai/codex", version="0.169.0", program="codex")
SPEAKS = "responses"
CONFIG = """\
model = {model}
model_provider = "reproof"
approval_policy = "never"
sandbox_mode = "danger-full-access" # the clean room is the sandbox, and sandboxes do not nest
web_search = "disabled"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.reproof]
name = "reproof"
base_url = {base}
env_key = "OPENAI_API_KEY"
wire_api = "responses" # it refuses "chat"
"""


def work(assignment: Assignment) -> Outcome:
    """Let it work until it says that it is done."""
    codex, model = find(INSTALLATION, assignment.options), reached(assignment.endpoint)
    config = CONFIG.format(model=json.dumps(model.model), base=json.dumps(f"{model.base}/v1"))
    return assignment.live(
        codex.launch(
            "exec", "--json", "--skip-git-repo-check",
            last=("--dangerously-bypass-approvals-and-sandbox", assignment.brief),
            environment={"OPENAI_API_KEY": model.key},
            files={".codex/config.toml": config},
        )
    )  # fmt: skip

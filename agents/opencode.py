"""OpenCode, over OpenAI's chat completions."""

from __future__ import annotations

import json

from harness.attempt.installed import Installation, find, reached
from harness.attempt.participant import Assignment, Outcome

INSTALLATION = Installation(registry="npm", package="opencode-ai", version="1.18.33", program="opencode")
SPEAKS = "chat"
PROVIDER = "reproof"


def work(assignment: Assignment) -> Outcome:
    """Let it work until it says that it is done, and fetch nothing by itself."""
    opencode, model = find(INSTALLATION, assignment.options), reached(assignment.endpoint)
    name = f"{PROVIDER}/{model.model}"
    options = {"baseURL": f"{model.base}/v1", "apiKey": model.key}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {model.model: {}}}
    config = {
        "model": name, "small_model": name, "provider": {PROVIDER: provider}, "enabled_providers": [PROVIDER],
        "autoupdate": False, "share": "disabled", "lsp": False,
        "permission": {"*": "allow", "webfetch": "deny", "websearch": "deny"},
    }  # fmt: skip
    return assignment.live(
        opencode.launch(
            "run", "--format", "json", "--auto", "--title", "reproof", "--model", name,
            last=(assignment.brief,),
            environment={
                "OPENCODE_DISABLE_MODELS_FETCH": "1",
                "OPENCODE_DISABLE_AUTOUPDATE": "1",
                "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
                "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
                "OPENCODE_DISABLE_SHARE": "1",
                "OPENCODE_EXPERIMENTAL_BASH_DEFAULT_TIMEOUT_MS": "600000",
            },
            files={".config/opencode/opencode.json": json.dumps(config, indent=2)},
        )
    )  # fmt: skip

"""mini-swe-agent: a loop around one tool, bash, over OpenAI's chat completions."""

from __future__ import annotations

from harness.attempt.installed import Installation, find, reached
from harness.attempt.participant import Assignment, Outcome
from harness.attempt.quarters import HOME

INSTALLATION = Installation(
    registry="pip", package="mini-swe-agent", version="2.4.6", program="mini", also=("mcp",)
)  # without mcp, litellm fails at every answer
SPEAKS = "chat"
TRAJECTORY = "trajectory.json"
LONGEST = 3600
"""Seconds that one command may take; 30 unless said."""


def work(assignment: Assignment) -> Outcome:
    """Let it work until it says that it is done; the harness counts what it costs, so its own limit is off."""
    mini, model = find(INSTALLATION, assignment.options), reached(assignment.endpoint)
    return assignment.live(
        mini.launch(
            "--yolo", "--exit-immediately", "--cost-limit", "0", "--output", f"{HOME}/{TRAJECTORY}",
            "--model", f"openai/{model.model}", "--config", "mini.yaml", "--config", f"environment.timeout={LONGEST}",
            last=("--task", assignment.brief),
            environment={
                "OPENAI_API_BASE": f"{model.base}/v1",
                "OPENAI_API_KEY": model.key,
                "MSWEA_CONFIGURED": "true",
                "MSWEA_COST_TRACKING": "ignore_errors",
                "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "3",  # the proxy tries again for it, and ends at the budget
                "MSWEA_GLOBAL_CONFIG_DIR": f"{HOME}/.mini",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            },
            trajectory=TRAJECTORY,
        )
    )  # fmt: skip

# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""Jobs of Harbor's, as somebody else's machine has left them."""

from __future__ import annotations

import json
from pathlib import Path

from fuzzing.effort import Effort, answered
from fuzzing.material import changed, damaged

from harness.errors import UsageError
from harness.exchange.harbor_job import RESULT, Trial, Unreadable, bundle_of, read_job, trajectory_of

WHOLE = {
    "id": "0" * 32, "task_name": "reproof/tiny", "trial_name": "tiny__1", "agent_info": {"name": "codex", "version": "1", "model_info":
    {"name": "m", "provider": "p"}}, "agent_result": {"n_input_tokens": 1, "n_output_tokens": 2, "cost_usd": 0.5}, "verifier_result":
    {"rewards": {"reward": 0.5}}, "exception_info": {"exception_type": "AgentTimeoutError"}, "agent_execution":
    {"started_at": "2026-11-23T08:00:00Z", "finished_at": "2026-11-23T09:00:00Z"},
}  # fmt: skip
MIXED = {**WHOLE, "agent_execution": {"started_at": "2026-11-23T08:00:00", "finished_at": "2026-11-23T09:00:00Z"}}
"""One moment with a zone and one without."""


def test_results(effort: Effort, tmp_path: Path) -> None:
    folder = tmp_path / "job" / "trial"
    (folder / "agent").mkdir(parents=True)
    whole = json.dumps(WHOLE).encode()
    marks = [b"{", b"[" * 3000, b'"\\ud800"', b"1e999", b"NaN", b"9" * 5000]

    @effort.over(
        changed(WHOLE).map(lambda value: json.dumps(value).encode()) | damaged(whole, marks=marks),
        few=30,
        cases=[json.dumps(MIXED).encode()],
    )
    def check(data: bytes) -> None:
        (folder / RESULT).write_bytes(data)
        (folder / "agent/trajectory.json").write_bytes(data)
        for trial in answered(lambda: list(read_job(tmp_path / "job")), UsageError) or ():
            assert len(trial.why) < 500 if isinstance(trial, Unreadable) else trial.fault
            if isinstance(trial, Trial):
                assert json.dumps(trial.reported(), allow_nan=False)
                bundle_of(trial), trajectory_of(trial)

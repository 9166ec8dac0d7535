"""What the tests of the exchange import from each other."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handmade import commit, git
from tiny_paper import WORK

from harness.attempt.workspace import create_workspace
from harness.exchange.harbor_job import BUNDLES
from harness.paper.load import load_paper
from harness.pipeline import rerun, score
from harness.road import Road
from harness.scoring.score import Score

Cli = Callable[..., subprocess.CompletedProcess[str]]
MadeTrial = Callable[..., Path]


def finish(road: Road) -> Score:
    """From a submission to its score, without what people look at."""
    rerun(road)
    return score(road)


def solution(paper: Path, workspace: Path) -> bytes:
    """A bundle of commits that reproduce the tiny or the lean paper, made in a new workspace."""
    start = create_workspace(load_paper(paper), workspace)
    commit(workspace, {"reproduction/work.py": WORK}, "all of it")
    git(workspace, "bundle", "create", "-q", "--version=2", str(workspace / "b"), "HEAD", f"^{start}")
    return (workspace / "b").read_bytes()


def lay_trial(job: Path, name: str = "lean__abc", bundle: bytes | None = b"", **more: Any) -> Path:
    """A trial's folder in a job, as Harbor 0.24 lays it out; `more` of its result."""
    folder = job / name
    folder.mkdir(parents=True)
    result = {
        "id": str(uuid.uuid4()),
        "task_name": "reproof/lean",
        "trial_name": name,
        "agent_info": {"name": "solver", "version": "3", "model_info": {"name": "m-1", "provider": "p"}},
        "agent_result": {"n_input_tokens": 1000, "n_cache_tokens": 10, "n_output_tokens": 50, "cost_usd": 0.5},
        "verifier_result": {"rewards": {"reward": 1.0}},
        "exception_info": None,
        "agent_execution": {"started_at": "2026-11-23T07:00:00Z", "finished_at": "2026-11-23T07:02:00Z"},
        **more,
    }
    (folder / "result.json").write_text(json.dumps(result))
    if bundle is not None:
        (folder / BUNDLES[0]).parent.mkdir(parents=True)
        (folder / BUNDLES[0]).write_bytes(bundle)
    return folder

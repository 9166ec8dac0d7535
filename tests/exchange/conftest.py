"""What the tests of the exchange share: guests of the lean paper, and trials of Harbor's made by hand."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from guests import MadeTrial
from handmade import commit, git
from tiny_paper import WORK

from harness.attempt.workspace import create_workspace
from harness.exchange.harbor_job import BUNDLES
from harness.paper.load import load_paper


@pytest.fixture
def papers(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny papers, known by their names."""
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(home / "papers"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    return home / "papers"


@pytest.fixture(scope="session")
def solved(home: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A bundle of commits that reproduce the lean paper."""
    folder = tmp_path_factory.mktemp("solved") / "workspace"
    start = create_workspace(load_paper(home / "papers" / "lean"), folder)
    commit(folder, {"reproduction/work.py": WORK}, "all of it")
    git(folder, "bundle", "create", "-q", "--version=2", str(folder / "b"), "HEAD", f"^{start}")
    return (folder / "b").read_bytes()


@pytest.fixture
def trial(tmp_path: Path) -> MadeTrial:
    """A trial's folder in the job `jobs/monday`, as Harbor 0.24 lays it out."""

    def make(name: str = "lean__abc", bundle: bytes | None = b"", **more: Any) -> Path:
        folder = tmp_path / "jobs" / "monday" / name
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

    return make

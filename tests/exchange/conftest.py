"""What the tests of the exchange share: guests of the lean paper, and trials of Harbor's made by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from guests import MadeTrial, lay_trial, solution


@pytest.fixture
def papers(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny papers, known by their names."""
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(home / "papers"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    return home / "papers"


@pytest.fixture(scope="session")
def solved(home: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A bundle of commits that reproduce the lean paper."""
    return solution(home / "papers" / "lean", tmp_path_factory.mktemp("solved") / "workspace")


@pytest.fixture
def trial(tmp_path: Path) -> MadeTrial:
    """A trial's folder in the job `jobs/monday`, as Harbor 0.24 lays it out."""
    return partial(lay_trial, tmp_path / "jobs" / "monday")

"""A small paper, the real sandbox, and Git run by hand as a participant would."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.attempt.task import start_commit_of
from harness.attempt.workspace import create_workspace
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Sandbox
from harness.paper.load import Paper, load_paper

PAPER = """\
title: A small paper
authors: [A. Nobody]
venue: ICML
year: 2021
award: {name: None, source: a fixture}
summary: The loss of a constant is zero.
budgets: {standard: {working: 1 h, wall: 2 h, cpu: 10 min}}
experiments:
  descent:
    summary: descend
    cases: [{method: plain}]
    instances: {pinned: {start: 1.0}}
    outputs: {theta: {file: theta.npy, dtype: float64, shape: [3]}}
    limits: {cpu: 10 s}
metrics:
  loss: {summary: the loss, trust: recomputed}
claims:
  first: &claim
    statement: The loss after descent is zero.
    kind: exact
    metric: loss
    of: {experiment: descent, method: plain}
    target: {value: 0.0, tolerance: 1e-6, provenance: {kind: derived, where: by hand}}
    weight: 1
    core: true
  second: {<<: *claim}
  third: {<<: *claim, core: false}
rubric:
  all: {statement: Everything., weight: 1, leaves: [first, second, third]}
"""
MUTATIONS = """\
- name: wrong_sign
  file: reproduction/descent.py
  old: theta - rate
  new: theta + rate
  why: An ascent looks like a descent until it is run.
  fails: [first]
- name: in_the_starter
  file: reproduction/__main__.py
  old: "'stub'"
  new: "'other'"
  why: A file that the reference leaves as it was.
  fails: [first, second]
"""

Git = Callable[..., str]


@pytest.fixture
def paper_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "papers" / "small"
    files = {
        "paper.yaml": PAPER,
        "brief.md": "# Brief\n\nDescend.\n",
        "metrics.py": "def loss(outputs, instance, parameters):\n    return 0.0\n",
        "starter/reproduction/__init__.py": "",
        "starter/reproduction/__main__.py": "print('stub')\n",
        "starter/reproduction/descent.py": "raise NotImplementedError\n",
        "starter/run.sh": "#!/bin/sh\nexec python -m reproduction\n",
        "starter/.hidden": "never handed out",
        "starter/reproduction/__pycache__/descent.pyc": "never handed out",
        "private/reference/reproduction/descent.py": "theta = 1.0\ntheta = theta - rate\n",
        "private/reference/reproduction/extra.py": "rate = 0.5\n",
        "private/mutations.yaml": MUTATIONS,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "starter/run.sh").chmod(0o755)
    return folder


@pytest.fixture
def paper(paper_folder: Path) -> Paper:
    return load_paper(paper_folder)


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    return open_sandbox()


@pytest.fixture
def workspace(paper: Paper, tmp_path: Path) -> Path:
    create_workspace(paper, tmp_path / "workspace")
    return tmp_path / "workspace"


@pytest.fixture
def base(paper: Paper) -> str:
    return start_commit_of(paper)


@pytest.fixture
def git(workspace: Path) -> Git:
    """Git as a participant runs it in the workspace (or in `folder`), without the machine's configuration."""
    plain = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": os.environ["PATH"]}

    def run(*words: str, folder: Path = workspace, stdin: bytes = b"", **environment: str) -> str:
        command = ["git", "-C", str(folder), "-c", "protocol.file.allow=always", *words]
        done = subprocess.run(command, input=stdin, capture_output=True, env=plain | environment)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode(errors="replace").strip()

    return run

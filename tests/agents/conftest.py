"""What the tests with real agents share: each program, installed, and attempts with a scripted model behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agents.scripted import Raw, Say, Script, Shell, Step, Write, scripted

from harness.attempt.attempt import HandedIn
from harness.attempt.installed import Installation, find, folder_of, install_commands, install_line
from harness.attempt.participant import open_agent
from harness.attempt.task import reference_files, start_files
from harness.attempt.work import WORKSPACE
from harness.config import Settings, compose, quoted
from harness.errors import UsageError
from harness.handing_in import hand_in
from harness.handing_out import hand_out, work_on
from harness.paper.load import Paper
from harness.pipeline import rerun, score
from harness.road import Road
from harness.scoring.score import Score

AGENTS = tuple(os.environ.get("REPROOF_TRY_AGENTS", "mini,codex,claude,gemini,opencode,aider").split(","))
PROVIDERS = {"claude": "anthropic", "gemini": "gemini", "codex": "openai"}
"""Whose formats an agent speaks, where it is not any server's that speaks OpenAI's."""
SECRET = "sk-a-key-of-the-lab"
AMPLE = ("budget.working=900", "budget.wall=900", "budget.cpu=900")
"""Seconds, enough for the slowest start on a busy machine; what is not tested shall not end an agent."""
CHECK, COMMIT = Shell("reproof check"), Shell("git add -A && git commit -qm 'a step' && git log --oneline | head -1")


def pieces(paper: Paper) -> list[Write]:
    """The reference's files, as an agent would write them one by one."""
    start = start_files(paper)
    changed = {name: file for name, file in reference_files(paper).items() if start.get(name) != file}
    return [Write(name, file.data.decode()) for name, file in changed.items()]


def solution(paper: Paper) -> list[Step]:
    """Read the brief, write the reference piece by piece, check, commit, end."""
    read = Shell("cat BRIEF.md && reproof status")
    return [read, *(step for piece in pieces(paper) for step in (piece, COMMIT)), CHECK, Say("It is done.")]


@dataclass(frozen=True)
class Lived:
    """An attempt that an agent has gone through."""

    road: Road
    handed: HandedIn
    script: Script

    def scored(self) -> Score:
        rerun(self.road)
        return score(self.road)

    @property
    def said(self) -> str:
        """What the program has written."""
        return (self.road.folder / "agent.log").read_text(errors="replace")


Lives = Callable[..., Lived]


def ensure_installed(installation: Installation) -> None:
    """Install an agent where CI asks for it, else skip the test with the command that does."""
    try:
        find(installation, {})
        return
    except UsageError:
        if os.environ.get("REPROOF_CI") != "1":
            pytest.skip(f"{installation.program} is not installed: {install_line(installation)}")
    folder = folder_of(installation)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for words in install_commands(installation, installation.version, folder):
        subprocess.run(words, check=True, timeout=600)


@pytest.fixture(params=AGENTS)
def agent(request: pytest.FixtureRequest) -> str:
    """Each of the real agents, installed."""
    adapter: Any = open_agent(request.param)
    ensure_installed(adapter.INSTALLATION)
    return str(request.param)


@pytest.fixture
def lives(agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lives:
    """Let the agent live through an attempt at a paper, with a model that follows a script."""

    def run(
        steps: Sequence[Step], paper: Path, *more: str, endless: bool = False, results: Path | None = None
    ) -> Lived:
        with scripted(steps, root=WORKSPACE, endless=endless) as script:
            words = overrides(agent, paper, script.base, results or tmp_path / "results")
            [settings] = compose([*words, *(word for word in AMPLE if not _given(word, more)), *more])
            road, handed = go(settings, monkeypatch)
        return Lived(road, handed, script)

    return run


def _given(word: str, more: Sequence[str]) -> bool:
    return any(other.partition("=")[0] == word.partition("=")[0] for other in more)


def go(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> tuple[Road, HandedIn]:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, SECRET)
    road = hand_out(settings, tell=print)
    return road, hand_in(road, work_on(road, settings))


def overrides(agent: str, paper: Path, upstream: str, results: Path) -> list[str]:
    provider = PROVIDERS.get(agent, "local")
    return [
        f"paper={quoted(paper)}",
        f"participant={agent}",
        "participant.model=scripted-1",
        f"models={provider}",
        f"models.upstream={upstream}",
        *(["models.key=OPENAI_API_KEY"] if provider == "local" else []),
        f"results={quoted(results)}",
        "tracking=none",
    ]


__all__ = ["CHECK", "COMMIT", "SECRET", "Raw"]

"""What most tests share: the tiny paper, the real clean room, and attempts that ran over the whole road."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypotheses
from tiny_paper import Edit, lean, write_paper
from watching import alive, soon

from harness.config import (
    BudgetSettings,
    EngineSettings,
    ParticipantSettings,
    SandboxChoice,
    Settings,
    TrackingSettings,
)
from harness.handing_in import hand_in
from harness.handing_out import hand_out, work
from harness.paper.load import Paper, load_paper
from harness.pipeline import attempt, rerun, score
from harness.road import Road
from harness.scoring.score import Score

WritePaper = Callable[..., Path]
Attempted = tuple[Road, Score]
Begin = Callable[..., Road]
Cli = Callable[..., subprocess.CompletedProcess[str]]


def pytest_configure() -> None:
    """A shell starts what runs in its background deaf to interrupts; the tests send some, to themselves and others."""
    hypotheses.register_profile("reproof", deadline=None)  # a busy machine is no failure of what is tested
    hypotheses.load_profile("reproof")
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    return write_paper(tmp_path / "papers" / "tiny")


@pytest.fixture
def tiny(tiny_folder: Path) -> Paper:
    return load_paper(tiny_folder)


@pytest.fixture
def lean_folder(tmp_path: Path) -> Path:
    return write_paper(tmp_path / "papers" / "lean", lean)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Paper]:
    """The tiny paper, loaded after an edit of its paper.yaml."""

    def load(edit: Edit | None = None, **files: str) -> Paper:
        return load_paper(write_paper(tmp_path / "papers" / "edited", edit, **files))

    return load


def settings_for(folder: Path, results: Path, adapter: str = "reference", **rest: Any) -> Settings:
    """Settings of an attempt, as Hydra would compose them."""
    name = rest.pop("name", adapter)
    who = ParticipantSettings.model_validate(
        {"adapter": adapter, "kind": adapter, "name": name, **rest.pop("options", {})}
    )
    return Settings(
        paper=str(folder), participant=who, budget=BudgetSettings(name="standard"),
        sandbox=SandboxChoice(backend=rest.pop("backend", "bubblewrap")), engine=EngineSettings(),
        tracking=TrackingSettings(uri="none"), results=results, **rest,
    )  # fmt: skip


@pytest.fixture(scope="session")
def settings() -> Callable[..., Settings]:
    return settings_for


def attempt_in(folder: Path, results: Path, adapter: str = "reference", **rest: Any) -> Attempted:
    """From brief to score, in silence."""
    return attempt(settings_for(folder, results, adapter, **rest), tell=lambda text: None)


@pytest.fixture(scope="session")
def attempted() -> Callable[..., Attempted]:
    return attempt_in


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny and the lean paper in `papers`, and room for `results`; nobody changes the papers."""
    home = tmp_path_factory.mktemp("home")
    write_paper(home / "papers" / "tiny")
    write_paper(home / "papers" / "lean", lean)
    return home


@pytest.fixture(scope="session")
def finished(home: Path) -> Attempted:
    """The reference's attempt at the tiny paper; nobody changes its records."""
    return attempt_in(home / "papers" / "tiny", home / "results")


HAND = """\
\"\"\"Writes the files its options hold into the workspace, links where they begin with an arrow.\"\"\"

from harness.attempt.participant import Outcome


def work(assignment):
    for name, text in assignment.options["files"].items():
        path = assignment.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(text[2:]) if text.startswith("->") else path.write_text(text)
    return Outcome(note="written by hand")
"""


@pytest.fixture(scope="session")
def agents_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the adapter `hand`, which hands in given files."""
    folder = tmp_path_factory.mktemp("agents")
    (folder / "hand.py").write_text(HAND)
    return folder


@pytest.fixture(scope="session")
def lean_finished(home: Path) -> Attempted:
    """The reference's attempt at the lean paper; its plan may be copied."""
    return attempt_in(home / "papers" / "lean", home / "lean")


@pytest.fixture
def submit(lean_finished: Attempted, agents_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Attempted]:
    """Hand in given files for the lean paper, on the plan of the reference's attempt, which is answered already."""
    monkeypatch.setenv("REPROOF_AGENTS_PATH", str(agents_folder))

    def over_the_road(files: dict[str, str], *, folder: Path | None = None, **rest: Any) -> Attempted:
        road = hand_out(
            settings_for(
                folder or lean_finished[0].paper.folder,
                lean_finished[0].store.root,
                "hand",
                options={"files": files},
                **rest,
            ),
            tell=lambda text: None,
        )
        hand_in(road, work(road, {"files": files}))
        shutil.copytree(lean_finished[0].private, road.private, dirs_exist_ok=True)
        rerun(road)
        return road, score(road)

    return over_the_road


@pytest.fixture(scope="session")
def begin(home: Path, lean_finished: Attempted) -> Begin:
    """Begin a person's attempt at the lean paper, where the reference's runs lie, with time enough for slow machines.

    Further words are figures of the budget in seconds and bytes.
    """

    def begun(name: str = "ada", *, folder: Path | None = None, results: Path | None = None, **rest: Any) -> Road:
        figures = {"working": 3600.0, "wall": 86_400.0, "cpu": 600.0} | {
            item: rest.pop(item) for item in ("working", "wall", "cpu", "disk") if item in rest
        }
        settings = settings_for(
            folder or home / "papers" / "lean", results or lean_finished[0].store.root, rest.pop("adapter", "human"),
            name=name, condition="human", **rest,
        )  # fmt: skip
        budget = BudgetSettings(name="standard", **figures)
        return hand_out(settings.model_copy(update={"budget": budget}), tell=lambda text: None)

    return begun


@pytest.fixture(scope="session")
def answered(lean_finished: Attempted) -> Callable[[Road], Road]:
    """Give a submission the plan of the reference's attempt, whose runs need not be done again."""

    def give(road: Road) -> Road:
        shutil.copytree(lean_finished[0].private, road.private, dirs_exist_ok=True)
        return road

    return give


@pytest.fixture
def no_keeper_survives(tmp_path: Path) -> Iterator[None]:
    """End the keepers of clocks that a test has started."""
    yield
    token = f"clock\0keep\0{tmp_path}"
    for keeper in alive(token):
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGKILL)
    assert soon(lambda: not alive(token))


@pytest.fixture(scope="session")
def environment(home: Path) -> dict[str, str]:
    """The environment of a command line that knows the tiny papers, and whose notes of workspaces are nobody else's."""
    more = {"REPROOF_PAPERS_PATH": str(home / "papers"), "COLUMNS": "120", "XDG_STATE_HOME": str(home / "state")}
    return {**os.environ, **more}


@pytest.fixture
def cli(environment: dict[str, str], tmp_path: Path) -> Cli:
    """`reproof` in a process of its own."""

    def run(*words: object, folder: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from harness.cli.start import main; main()", *map(str, words)]
        return subprocess.run(
            command, cwd=folder or tmp_path, env={**environment, **more}, capture_output=True, text=True, timeout=100
        )

    return run

"""Somebody types a verb in a hostile participant's folder: nothing that lies there is imported, started or obeyed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import traps
from hostility import SECRET
from scripted_model import scripted
from watching import soon

from harness.attempt.registry import remember
from harness.proxy.access import Access
from harness.proxy.host import proxying
from harness.road import Road
from harness.scoring.score import Score

Attempted = tuple[Road, Score]
CLONE = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Typist:
    """Somebody with a folder full of traps as the current one, and the attempt whose workspace it may be."""

    folder: Path
    mark: Path
    road: Road
    environment: dict[str, str]
    program: Path

    def types(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A verb, as the installed command begins: what lies beside its file is searched, not the current folder."""
        command = [sys.executable, str(self.program), *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=100
        )
        assert "Traceback" not in done.stderr
        return done

    @property
    def sprung(self) -> list[str]:
        return traps.marks(self.mark)


@pytest.fixture
def typist(lean_finished: Attempted, environment: dict[str, str], tmp_path: Path) -> Typist:
    """In a copy of the reference's finished attempt's records, and in a folder that knows them all."""
    results, mark, program = tmp_path / "results", tmp_path / "mark", tmp_path / "bin" / "reproof"
    shutil.copytree(
        lean_finished[0].store.root, results, symlinks=True, ignore=shutil.ignore_patterns("mlflow", "locks")
    )
    name = lean_finished[0].attempt.id
    for other in (results / "attempts").iterdir():
        if other.name != name:
            shutil.rmtree(other)
    mark.mkdir()
    program.parent.mkdir()
    program.write_text("from harness.cli.start import main\nmain()\n")
    more = {"PYTHONPATH": str(CLONE), "HOSTILE_KEY": SECRET, "XDG_STATE_HOME": str(tmp_path / "state")}
    desk = type(lean_finished[0].desk)(folder=results / "attempts" / name)
    road = Road(
        paper=lean_finished[0].paper, store=type(lean_finished[0].store)(results), desk=desk,
        tell=lambda text: None, progress=lean_finished[0].progress,
    )  # fmt: skip
    folder = tmp_path / "theirs"
    traps.lay(folder, mark=mark)
    traps.lay_configs(folder, mark=mark)
    traps.lay_records(folder, desk.folder, mark=mark)
    return Typist(folder=folder, mark=mark, road=road, environment={**environment, **more}, program=program)


WORKSPACE, *OTHERS = "a workspace", "a copy of one", "an agent's in the records"
PLACES = [WORKSPACE, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]


@pytest.fixture(params=PLACES)
def there(request: pytest.FixtureRequest, typist: Typist, monkeypatch: pytest.MonkeyPatch) -> Typist:
    """In a participant's folder, of three kinds, without the brief where something else tells it."""
    from dataclasses import replace

    monkeypatch.setenv("XDG_STATE_HOME", typist.environment["XDG_STATE_HOME"])
    if request.param == WORKSPACE:
        remember(typist.folder, typist.road.folder)
    elif request.param == OTHERS[0]:
        (typist.folder / "BRIEF.md").write_text("The brief.\n")
    else:
        place = typist.road.folder / "workspace"
        shutil.rmtree(place, ignore_errors=True)
        typist.folder.rename(place)
        return replace(typist, folder=place)
    return typist


def test_the_traps_would_spring(typist: Typist) -> None:
    """Otherwise nothing below could fail."""
    subprocess.run([sys.executable, "-c", "import ssl"], cwd=typist.folder, check=False, capture_output=True)
    assert typist.sprung, "a module is searched in the current folder"
    before = len(typist.sprung)
    done = typist.types("attempt", "paper=lean", "participant=reference", "results=elsewhere")
    assert len(typist.sprung) > before, done.stderr
    assert "adapter" in typist.sprung, "settings laid over ours name programs: a feature, in a folder of one's own"
    done = typist.types("rescore", typist.road.attempt.id)
    assert "metrics" in typist.sprung, done.stderr


QUICK = ("status", "rescore", "attempt")
VERBS: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    "attempts": ("attempts",),
    "report": ("report", "$name"),
    "rescore": ("rescore", "$name"),
    "attempt": ("attempt", "paper=lean", "participant=reference", "results=$elsewhere", "tracking=none"),
    "attempt, records beside": ("attempt", "paper=lean", "participant=reference"),
    "rerun": ("rerun", "$name"),
    "score": ("score", "$name"),
    "track": ("track", "$name"),
    "track all": ("track", "--all"),
    "pack": ("pack", "$name", "--to", "$elsewhere.tar"),
    "leaderboard": ("leaderboard", "--json"),
    "papers": ("papers",),
    "paper show": ("paper", "show", "lean"),
    "validate": ("paper", "validate", "lean", "--mutation", "nothing_of_that_name"),
    "start": ("start", "lean", "--as", "eve", "--workspace", "$elsewhere", "--licence", "MIT", "--consent", "--json"),
    "clock": ("clock", "start"),
    "timesheet": ("timesheet",),
    "exec": ("exec", "--", "true"),
    "check": ("check",),
    "submit": ("submit",),
    "agents": ("agents",),
    "plans": ("plan", "list"),
    "trajectory": ("trajectory", "$name"),
    "disputes": ("dispute", "list", "$name"),
    "mlflow": ("mlflow", "--print"),
    "export": ("export", "harbor", "lean", "--to", "$elsewhere"),
    "completion": ("completion", "bash"),
    "doctor": ("doctor", "--json"),
    "demo": ("demo",),
}
CASES = [pytest.param(words, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, words in VERBS.items()]


@pytest.mark.parametrize("words", CASES)
def test_nothing_there_is_obeyed(there: Typist, words: tuple[str, ...]) -> None:
    said = {"$name": there.road.attempt.id}
    elsewhere = str(there.mark.parent / "elsewhere")
    before = (there.road.folder / "attempt.json").read_bytes()
    done = there.types(*(said.get(word, word).replace("$elsewhere", elsewhere) for word in words))
    assert there.sprung == []
    assert SECRET not in done.stdout + done.stderr
    assert done.returncode == 0 or done.stderr.strip(), "what is refused is refused in words"
    assert (there.road.folder / "attempt.json").read_bytes() == before
    assert not list(there.mark.glob("stolen*"))
    for record in there.mark.parent.glob("elsewhere/attempts/*/attempt.json"):
        assert '"bubblewrap"' in record.read_text()


@pytest.mark.slow
def test_records_that_lie_there_are_refused_in_words(typist: Typist) -> None:
    (typist.folder / "BRIEF.md").write_text("The brief.\n")
    done = typist.types("rescore", typist.road.attempt.id)
    assert done.returncode == 2
    assert "records that lie in a participant's folder are not asked" in done.stderr
    assert "--results FOLDER" in done.stderr
    done = typist.types("report", typist.road.attempt.id, "--results", str(typist.road.store.root))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_no_records_are_laid_into_a_participant_s_folder(there: Typist) -> None:
    """They would hold seeds, and whoever works there could read them."""
    shutil.rmtree(there.folder / "results")
    done = there.types("attempt", "paper=lean", "participant=reference", "results=records")
    assert done.returncode == 2
    assert "the records would lie in a participant's folder" in done.stderr
    assert not (there.folder / "records").exists()


@pytest.mark.slow
def test_settings_of_another_user_are_refused_in_words(typist: Typist) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(typist.folder / "configs", 12345, -1)
    done = typist.types("attempt", "paper=lean", "participant=reference", "results=elsewhere")
    assert done.returncode == 2
    assert "belongs to another user" in done.stderr
    assert typist.sprung == []


def test_the_process_that_holds_the_key_imports_nothing_there(
    typist: Typist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(typist.folder)
    monkeypatch.setenv("HOSTILE_KEY", SECRET)
    with scripted(lambda count: (200, "x")) as model:
        access = Access(format="openai", upstream=model.url, key=SECRET, models=("scripted-1",))
        with proxying(access, socket=tmp_path / "s", journal=tmp_path / "journal" / "exchanges.jsonl") as proxy:
            assert proxy.pid
    assert typist.sprung == []


@pytest.mark.slow
def test_mlflow_imports_nothing_there(typist: Typist) -> None:
    assert typist.types("track", typist.road.attempt.id, "--results", str(typist.road.store.root)).returncode == 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["mlflow", "--results", str(typist.road.store.root), "--port", str(port)]
    command = [sys.executable, str(typist.program), *words]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(command, cwd=typist.folder, env=typist.environment, **quiet)  # type: ignore[call-overload]

    def answers() -> bool:
        with suppress(OSError):
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=5).read())
        return child.poll() is not None

    try:
        assert soon(answers, within=90)
        assert child.poll() is None, "it serves"
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(30)
    assert typist.sprung == []


PLOT = """
import numpy as np
from harness.report.plots import plot
from harness.report.trajectories import Family, Line
x = np.arange(3.0)
line = Line(name="paper", slots=3, x=x, mean=x, low=x, high=x)
print(plot(Family(metric="m", lines=(line,), connected=True, logarithmic=False, case="x")))
"""


@pytest.mark.slow
def test_how_plots_look_is_not_said_there(typist: Typist) -> None:
    command = [sys.executable, "-P", "-c", PLOT]
    done = subprocess.run(command, cwd=typist.folder, env=typist.environment, capture_output=True, text=True)
    assert "<svg" in done.stdout, done.stderr
    assert "ff00ff" not in done.stdout.lower()

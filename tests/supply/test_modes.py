"""What the harness writes is its owner's alone: under a umask that takes nothing away, every file is looked at."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.attempt import ledger
from harness.attempt.registry import remember
from harness.plan import journal
from harness.record.files import locked_file, private_folder, write_text

Attempt = Callable[..., object]
Verb = Callable[..., subprocess.CompletedProcess[str]]
OPEN = 0o077
"""What must be in no mode."""
EXACT = ("workspace", "trees")
"""In these, modes are those of Git's files; the folder itself is closed."""


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def verb(environment: dict[str, str], tmp_path: Path) -> Verb:
    """`reproof` in a process of its own, which begins with a umask that takes nothing away."""
    place = {"HOME": str(tmp_path / "home"), "XDG_STATE_HOME": str(tmp_path / "state")}

    def run(*words: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from harness.cli.start import main; main()", *map(str, words)]
        more = {"cwd": folder or tmp_path, "env": {**environment, **place}, "umask": 0, "text": True}
        return subprocess.run(command, capture_output=True, timeout=100, **more)

    return run


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(root: Path) -> list[Path]:
    """Files and folders that somebody else may read, write or enter, the folder itself among them."""
    found = [root] if mode_of(root) & OPEN else []
    for path in root.iterdir():
        if path.is_symlink():
            continue
        if path.name in EXACT:
            found += [path] if mode_of(path) & OPEN else []
        elif path.is_dir():
            found += open_to_others(path)
        elif mode_of(path) & OPEN:
            found.append(path)
    return found


@pytest.mark.usefixtures("no_umask")
def test_writers_ask_no_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "made/home/state"))
    root = private_folder(tmp_path / "made" / "on" / "the" / "way")
    write_text(root / "further" / "record.json", "{}")
    ledger.append(root / ledger.FILE, "started", {})
    with (root / ledger.FILE).open("a") as file:
        file.write("torn")
    ledger.read(root / ledger.FILE)
    journal.note(root / "journal.jsonl", "done")
    with locked_file(root / "some.lock"):
        pass
    remember(tmp_path, root)
    assert len(list((tmp_path / "made").rglob("*"))) >= 10
    assert any(path.name.startswith("ledger.jsonl.torn") for path in root.iterdir())
    assert open_to_others(tmp_path / "made") == []


@pytest.mark.usefixtures("no_umask")
def test_folders_keep_others_out_where_python_calls_us(lean_folder: Path, tmp_path: Path, attempted: Attempt) -> None:
    """They have a umask of their own."""
    attempted(lean_folder, tmp_path / "results")
    folders = [path for path in [tmp_path / "results", *(tmp_path / "results").rglob("*")] if path.is_dir()]
    kept = [path for path in folders if not {"workspace", "trees"} & {*path.relative_to(tmp_path).parts[:-1]}]
    assert [path for path in kept if mode_of(path) & OPEN] == []
    assert len(kept) > 10


def test_a_results_folder_is_its_owners_alone(verb: Verb, tmp_path: Path) -> None:
    """Mirrored, packed and shown: SQLite, MLflow, Git, the clean room and we ourselves have written."""
    (tmp_path / "results").mkdir(mode=0o755)
    (tmp_path / "results/README.md").write_text("as in a clone\n")
    done = verb("attempt", "paper=lean", "participant=reference")
    assert done.returncode == 0, done.stderr
    [name] = [path.name for path in (tmp_path / "results/attempts").iterdir()]
    for words in (["report", name, "--page", "page.html"], ["pack", name, "--to", "packed.tar.gz"]):
        assert verb(*words).returncode == 0
    assert (tmp_path / "results/mlflow/mlflow.db").stat().st_size > 0
    assert open_to_others(tmp_path / "results") == [tmp_path / "results", tmp_path / "results/README.md"]
    assert [mode_of(tmp_path / file) for file in ("page.html", "packed.tar.gz")] == [0o600, 0o600]

"""What the harness writes is its owner's alone: under a umask that takes nothing away, every file is looked at."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted_model import ASK, scripted
from tiny_paper import WORK

from harness.attempt import ledger
from harness.attempt.registry import remember
from harness.plan import journal
from harness.record.files import locked_file, private_folder, write_text
from harness.record.privacy import objection

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
        return subprocess.run(command, capture_output=True, timeout=200, **more)

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


@pytest.mark.slow
def test_a_results_folder_is_its_owners_alone(verb: Verb, tmp_path: Path) -> None:
    """SQLite, MLflow, Git, the clean room and we ourselves have written into it."""
    (tmp_path / "results").mkdir(mode=0o755)
    (tmp_path / "results/README.md").write_text("as in a clone\n")
    verb("attempt", "paper=lean", "participant=starter")
    assert (tmp_path / "results/mlflow/mlflow.db").stat().st_size > 0
    assert open_to_others(tmp_path / "results") == [tmp_path / "results", tmp_path / "results/README.md"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whatever_any_verb_writes_is_its_owners_alone(verb: Verb, tmp_path: Path) -> None:
    """A plan of agents that ask a model, a person's attempt, an archive, a verification, pages."""
    for name in ("home", "state"):
        (tmp_path / name).mkdir()
    asks = f"import os; exec(os.environ['ASK']); print(ask('x')); open('reproduction/work.py', 'w').write({WORK!r})"
    who = {
        "adapter": "command",
        "kind": "agent",
        "name": "asker",
        "model": "m",
        "mounts": [],
        "environment": {"ASK": ASK},
    }
    (tmp_path / "configs/participant").mkdir(parents=True)
    (tmp_path / "configs/participant/asker.yaml").write_text(yaml.safe_dump({**who, "run": ["python", "-c", asks]}))
    with scripted(lambda count: (200, "yes")) as model:
        local = ["participant=asker", "models=local", f"models.upstream={model.url}", "participant.repeats=2"]
        verb("attempt", "paper=lean", *local, "tracking=none")
    verb("start", "lean", "--as", "ada", "--workspace", "work/ada", "--consent", "--licence", "MIT")
    for words in (["clock", "start"], ["exec", "--", "sh", "-c", "umask; echo x > made"], ["check"], ["submit"]):
        verb(*words, folder=tmp_path / "work/ada")
    [name] = [path.name for path in (tmp_path / "results/attempts").glob("*-ada-*")]
    verb("report", name, "--page", "page.html")
    verb("pack", name, "--to", "packed.tar.gz")
    verb("verify", "packed.tar.gz")
    verb("leaderboard", "--page", "board.html")
    assert open_to_others(tmp_path / "results") == []
    assert [mode_of(tmp_path / file) for file in ("page.html", "board.html", "packed.tar.gz")] == [0o600] * 3
    assert mode_of(tmp_path / "work/ada") == mode_of(tmp_path / "work") == 0o700
    assert mode_of(tmp_path / "work/ada/made") == 0o600
    assert [path for path in open_to_others(tmp_path / "state") if path != tmp_path / "state"] == []


def test_the_doctor_names_a_results_folder_that_others_can_read(verb: Verb, tmp_path: Path) -> None:
    results = private_folder(tmp_path / "results")
    write_text(results / "README.md", "as in a clone")

    def said() -> dict[str, Any]:
        found = json.loads(verb("doctor", "--sandbox", "process", "--json").stdout)
        return next(row for row in found if row["name"] == "private results")

    assert said()["ok"]
    private_folder(results / "mlflow").chmod(0o755)
    results.chmod(0o755)
    (results / "README.md").chmod(0o644)
    row = said()
    assert (row["ok"], row["waivable"]) == (False, False)
    assert "mlflow: others may read it" in row["detail"]
    assert "README" not in row["detail"]
    assert f"chmod -R go-rwx {results}" in row["remedy"]
    (results / "mlflow").chmod(0o700)
    assert said()["ok"]


def test_what_is_objected_to(tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert objection(results) is None  # there is none yet
    private_folder(results / "attempts").chmod(0o777)
    assert objection(results) is None  # nobody comes as far as that
    results.chmod(0o755)
    assert objection(results) == "attempts: others may write to it"
    results.chmod(0o757)
    assert "others may write to it, and so put other records" in str(objection(results))
    assert "it belongs to user" in str(objection(results, user=os.geteuid() + 1))
    (tmp_path / "link").symlink_to(results)
    assert objection(tmp_path / "link") == objection(results)

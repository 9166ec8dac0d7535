"""Reproof from a wheel, installed in the odd places that labs choose: what is private stays out of every clean room."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostility import SECRET
from installed import build_wheel, install, lab
from tiny_paper import lean, write_paper

SEARCH = """
import os
found = []
for place in {places!r}:
    for folder, folders, files in os.walk(place):
        for name in files:
            try:
                if {secret!r} in open(os.path.join(folder, name), errors="replace").read():
                    found.append(os.path.join(folder, name))
            except OSError:
                pass
    print("looked", place, os.access(place, os.R_OK))
print("FOUND", found)
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="install the `test` extra")
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a lab keeps what."""

    environment: Path
    papers: Path
    private: Path | None
    """None: in the papers' own folders."""
    results: Path


PLACES: dict[str, Callable[[Path], Places]] = {
    "all apart": lambda home: Places(
        environment=home / "venv", papers=home / "papers", private=home / "private", results=home / "results"
    ),
    "results in the environment": lambda home: Places(
        environment=home / "venv", papers=home / "papers", private=home / "private", results=home / "venv" / "results"
    ),
    "all in the environment": lambda home: Places(
        environment=home, papers=home / "papers", private=home / "private", results=home / "results"
    ),
    "private parts among the packages": lambda home: Places(
        environment=home / "venv", papers=home / "papers", results=home / "results",
        private=home / "venv" / "lib" / "private",
    ),
    "the environment in the results": lambda home: Places(
        environment=home / "results" / "venv", papers=home / "papers", private=None, results=home / "results"
    ),
    "papers in the environment, whole": lambda home: Places(
        environment=home / "venv", papers=home / "venv" / "papers", private=None, results=home / "results"
    ),
}  # fmt: skip
QUICK = ("private parts among the packages",)
CASES = [pytest.param(make, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, make in PLACES.items()]


def furnish(places: Places) -> None:
    """Two papers with a secret in their private parts, and records of somebody else's with one too."""
    for name in ("lean", "other"):
        paper = write_paper(places.papers / name, lean)
        (paper / "private" / "reference" / "reproduction" / "answer.py").write_text(f"# {SECRET}\n")
        if places.private is not None:
            places.private.mkdir(parents=True, exist_ok=True)
            shutil.move(places.papers / name / "private", places.private / name)
    plan = places.results / "attempts" / "somebody" / "submissions" / "001" / "private" / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text(SECRET)


@pytest.mark.parametrize("make", CASES)
def test_nothing_private_is_seen_wherever_it_lies(wheel: Path, tmp_path: Path, make: Callable[[Path], Places]) -> None:
    places = make(tmp_path / "home")
    made = install(wheel, places.environment)
    furnish(places)
    outside = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and SECRET in _text(path)]
    assert len(outside) >= 3, "it is there, for who may see it"
    searched = [str(path) for path in (tmp_path / "home", made.folder, places.results, places.papers) if path]
    own = {"REPROOF_PAPERS_PATH": str(places.papers)}
    with lab(made, paper="lean", results=places.results, private_path=places.private, **own) as at:
        assert Path(at.told["private"]).is_dir(), "the harness itself finds them"
        done = at.run(("python", "-I", "-S", "-c", SEARCH.format(places=searched, secret=SECRET)))
    assert done["log"].rstrip().endswith("FOUND []"), done["log"]
    assert f"looked {made.folder} True" in done["log"], "the environment is shown"
    assert SECRET not in done["log"]


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.stat().st_size < 1 << 16 else ""

"""An archive of the reference's attempt at the lean paper, archives that somebody has changed, and an installation."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archives import Change, corrected, in_order, members_of, write_tar

from harness.archive.pack import Packed, pack
from harness.archive.verify import Verifier
from harness.road import Road, resume


@pytest.fixture(scope="session")
def packed(lean_finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return pack(lean_finished[0], tmp_path_factory.mktemp("packed") / "lean.tar.gz")


@pytest.fixture
def changed(packed: Packed, tmp_path: Path) -> Callable[..., Path]:
    """The archive after a change of its members, its manifest corrected unless it is to be caught lying."""

    def make(change: Change, *, correct: bool = True) -> Path:
        members = members_of(packed.archive)
        change(members)
        return write_tar(tmp_path / "changed.tar.gz", in_order(corrected(members) if correct else members))

    return make


@pytest.fixture
def own(lean_finished: Any, tmp_path: Path) -> Road:
    """The reference's attempt in a results folder that a test may change."""
    road, _ = lean_finished
    results = tmp_path / "own"
    for name in (f"attempts/{road.attempt.id}", "runs", "trees"):
        shutil.copytree(road.store.root / name, results / name)
    return resume(road.attempt.id, results, tell=lambda text: None)


@pytest.fixture
def verifier(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verifier:
    """An installation that has the lean paper, and no record of anything."""
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(home / "papers"))
    return Verifier(results=tmp_path / "elsewhere")

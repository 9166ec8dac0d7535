"""Workspaces of a hostile participant on the real road, and places of the host that hold what they want."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostility import SECRET
from tiny_paper import write_paper

from harness.road import Road


@pytest.fixture
def road(begin: object, tmp_path: Path) -> Road:
    """An attempt of somebody's own, its clock running."""
    road: Road = begin(results=tmp_path / "results")  # type: ignore[operator]
    road.desk.start_clock()
    return road


@pytest.fixture
def inside_python(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder inside the environment that every clean room shows, as `python -m venv .` in a clone would make it.

    It holds papers, whose private folders hold a secret.
    """
    folder = Path(tempfile.mkdtemp(prefix=".hostile-", dir=sys.prefix))
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(folder / "papers"))
    write_paper(folder / "papers" / "other", work=f"# {SECRET}\n")
    write_paper(folder / "papers" / "lean", work=f"# {SECRET}\n")
    yield folder
    shutil.rmtree(folder)

"""Where papers lie, without opening any of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import harness

PAPERS_PATH = "REPROOF_PAPERS_PATH"
"""Environment variable: further folders of papers, separated as PATH is."""


def papers_folders() -> list[Path]:
    """Folders in which papers are looked for: those named by the environment, and ours."""
    named = [Path(part) for part in os.environ.get(PAPERS_PATH, "").split(os.pathsep) if part]
    package = Path(harness.__file__).parent
    return [*named, package.parent / "papers", package / "papers"]


def find_papers(folders: Iterable[Path] | None = None) -> dict[str, Path]:
    """Every paper's folder by its id; of two with one id the first folder's is taken."""
    found: dict[str, Path] = {}
    for folder in papers_folders() if folders is None else folders:
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if (path / "paper.yaml").is_file():
                    found.setdefault(path.name, path.resolve())
    return dict(sorted(found.items()))

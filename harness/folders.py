"""Where papers and configs are looked for: yours, and ours beside the package in a clone or inside it in a wheel."""

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


def private_folders() -> list[Path]:
    """The private folder of every paper in reach, of papers that another of their name covers too."""
    named = [path for folder in papers_folders() if folder.is_dir() for path in folder.iterdir()]
    return sorted({(path / "private").resolve() for path in named if (path / "private").is_dir()})


def configs_folder() -> Path:
    """Our own configs: beside the package in a clone, inside it in a wheel."""
    package = Path(harness.__file__).parent
    beside = package.parent / "configs"
    return beside if (beside / "config.yaml").is_file() else package / "configs"


def own_configs() -> Path | None:
    """`./configs`, unless it is ours or a participant's: resolving theirs would read our environment."""
    own = Path("configs")
    in_workspace = any((folder / "BRIEF.md").exists() for folder in (Path.cwd(), *Path.cwd().parents))
    return own if own.is_dir() and not in_workspace and own.resolve() != configs_folder().resolve() else None

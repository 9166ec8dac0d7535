"""Where papers and configs are looked for: yours, and ours beside the package in a clone or inside it in a wheel.

And whose folder one is, since what lies in a participant's is looked for nowhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import harness

PAPERS_PATH = "REPROOF_PAPERS_PATH"
"""Environment variable: further folders of papers, separated as PATH is."""


def papers_folders() -> list[Path]:
    """Folders in which papers are looked for: those named by the environment, and ours."""
    named = [Path(part) for part in os.environ.get(PAPERS_PATH, "").split(os.pathsep) if part]
    return [*named, ours("papers")]


def ours(name: str) -> Path:
    """A folder of ours: inside the package in a wheel, where what lies beside it is other packages'; else beside it."""
    package = Path(harness.__file__).parent
    return package / name if (package / name).is_dir() else package.parent / name


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
    return ours("configs")


STATE = "XDG_STATE_HOME"
"""Environment variable: the folder for the state of programs; `~/.local/state` unless set."""


def state_folder() -> Path:
    """Where the state of this user's harness lies, beside all results; nobody may have made it yet."""
    return Path(os.environ.get(STATE) or Path.home() / ".local" / "state") / "reproof"


def note_of(workspace: Path) -> Path:
    """The file in which it is noted, in the user's own state folder, that a folder is a workspace."""
    name = hashlib.sha256(os.fsencode(workspace)).hexdigest()[:32]
    return state_folder() / "workspaces" / f"{name}.json"


def workspace_above(folder: Path) -> Path | None:
    """The participant's folder that this one is or lies in; None: as far as can be told, it is nobody's.

    What tells it lies outside and is out of a participant's reach, but for the brief, which is there for copies.
    """
    here = folder.resolve()
    return next((place for place in (here, *here.parents) if _is_participants(place)), None)


def _is_participants(place: Path) -> bool:
    if note_of(place).is_file() or (place / "BRIEF.md").exists():
        return True
    above = place.parent
    return (above / "attempt.json").is_file() or (above.name == "trees" and (above.parent / "attempts").is_dir())


def own_configs() -> Path | None:
    """`./configs`, unless it is ours or a participant's.

    It may name adapters, which run with our rights, and resolving it reads our environment.
    """
    own = Path("configs")
    if not own.is_dir() or own.resolve() == configs_folder().resolve():
        return None
    return own if workspace_above(Path.cwd()) is None else None

"""A folder full of traps: whatever in it is imported, started or obeyed leaves a mark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

SHADOWS = (
    "sitecustomize", "usercustomize", "numpy", "json", "ssl", "socket", "asyncio", "mlflow", "uvicorn", "torch", "yaml",
    "hydra", "git", "matplotlib", "msgspec", "click", "conftest", "setup", "hydra_plugins",
)  # fmt: skip
"""Modules that are searched in the current folder by whoever searches there at all."""
PROGRAMS = ("git", "bwrap", "sh", "python", "python3", "tar", "cc", "node")
START = "PYTHONSTARTUP"


def marks(folder: Path) -> list[str]:
    """What was sprung."""
    return sorted(path.read_text() for path in folder.iterdir())


def lay(folder: Path, *, mark: Path) -> None:
    """Lay every trap that we know into a folder; `mark` is the folder that receives a file for each one sprung."""
    folder.mkdir(parents=True, exist_ok=True)
    spring = "import os, sys\nopen(os.path.join({mark!r}, os.urandom(9).hex()), 'w').write({name!r} + str(sys.argv))\n"

    def write(name: str, text: str = "") -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text or spring.format(mark=str(mark), name=name))

    for name in SHADOWS:
        write(f"{name}.py")
    for name in ("harness", "harness/proxy", "harness/gateway", "harness/cli", "reproduction", "encodings"):
        write(f"{name}/__init__.py")
    for name in ("harness/proxy/server.py", "harness/gateway/server.py", "gunicorn.conf.py", ".pythonrc.py", "x.pth"):
        write(name)
    for name in PROGRAMS:
        write(name, f"#!/bin/sh\necho {name} >{mark}/$$-{name}\nexit 3\n")
        (folder / name).chmod(0o755)
    write(
        "matplotlibrc", "svg.image_inline: True\nfont.family: nonsense\nlines.color: ff00ff\naxes.facecolor: ff00ff\n"
    )
    for name in (".env", ".flaskenv"):
        write(name, f"MLFLOW_TRACKING_URI={folder}/stolen\nREPROOF_PAPERS_PATH={folder}/papers\nPATH={folder}\n")
    for name in ("setup.cfg", "pyproject.toml", ".gitconfig", ".pdbrc", "alembic.ini", "basic_auth.ini"):
        write(name, "[alembic]\nscript_location = .\n")
    (folder / "mlruns").mkdir(exist_ok=True)


def lay_configs(folder: Path, *, mark: Path) -> None:
    """Settings that would have an adapter of the folder's own run, in no clean room, and send the records elsewhere."""
    files: Mapping[str, str] = {
        "participant/reference.yaml": "adapter: owned\nkind: agent\nname: ${oc.env:HOSTILE_KEY}\nrun: [id]\n",
        "sandbox/bubblewrap.yaml": "backend: process\nwaive: [network, seccomp, userns]\n",
        "tracking/sqlite.yaml": f"uri: sqlite:///{mark}/stolen.db\nexperiment_prefix: x\n",
        "budget/standard.yaml": "name: standard\nworking: 99 h\n",
    }
    for name, text in files.items():
        (folder / "configs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "configs" / name).write_text(text)
    ours = "defaults: [_self_, {participant: reference}, {budget: standard}, {models: none}, {sandbox: bubblewrap},"
    ours += (
        " {engine: local}, {tracking: sqlite}]\npaper: ???\nresults: results\nprivate_path: null\nslots: curtailed\n"
    )
    ours += "condition: null\nterms: {licence: null, consent: false}\nworkspace: null\nparticipant: {repeats: 1}\n"
    (folder / "configs" / "config.yaml").write_text(f"{ours}agents_path: {folder}/agents\n")
    (folder / "agents").mkdir(exist_ok=True)
    adapter = f"open({str(mark / 'adapter')!r}, 'w').write('adapter')\nraise SystemExit(9)\n"
    (folder / "agents" / "owned.py").write_text(adapter)


def lay_records(folder: Path, road_folder: Path, *, mark: Path) -> None:
    """Records of an attempt, forged after a real one, whose paper is a program of the folder's own."""
    import shutil

    forged = folder / "results" / "attempts" / road_folder.name
    shutil.copytree(road_folder, forged, ignore=shutil.ignore_patterns("workspace"))
    found = json.loads((forged / "attempt.json").read_text())
    paper = folder / "papers" / Path(found["paper_folder"]).name
    shutil.copytree(found["paper_folder"], paper)
    metrics = (paper / "metrics.py").read_text()
    (paper / "metrics.py").write_text(f"open({str(mark / 'metrics')!r}, 'w').write('metrics')\n{metrics}")
    stolen = {"paper_folder": str(paper), "sandbox": "process", "tracking_uri": f"sqlite:///{mark}/stolen.db"}
    (forged / "attempt.json").write_text(json.dumps({**found, **stolen}))

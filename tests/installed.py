"""Reproof as a lab installs it: a wheel in a virtual environment, driven from a process of that environment."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DRIVER = """
import json, sys
from pathlib import Path
import harness
from harness import config
from harness.handing_out import hand_out
from harness.road import resume
asked = json.loads(sys.stdin.readline())
results, private, tell = Path(asked["results"]), asked["private_path"], lambda text: None
settings = config.Settings(
    paper=asked["paper"], results=results, private_path=None if private is None else Path(private),
    participant=config.ParticipantSettings(adapter="human", kind="human", name="eve"),
    budget=config.BudgetSettings(name="standard", working=3600.0, wall=86400.0, cpu=600.0),
    sandbox=config.SandboxChoice(backend="bubblewrap"), engine=config.EngineSettings(),
    tracking=config.TrackingSettings(uri="none"))
begun = hand_out(settings, tell=tell)
begun.desk.start_clock()
road = resume(begun.attempt.id, results, tell=tell)
told = {"package": harness.__file__, "own": str(road.folder), "private": str(road.paper.private)}
print(json.dumps(told), flush=True)
for line in sys.stdin:
    done = road.bench.run(tuple(json.loads(line)))
    last = [event.data for event in road.desk.events() if event.kind == "executed"][-1]
    told = {"log": done.log, "exit": done.exit, "last": [last["exit"], last["ended"]]}
    print(json.dumps({**told, "running": road.desk.account().running}), flush=True)
"""


def build_wheel(into: Path) -> Path:
    """The wheel of this clone."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    [wheel] = into.glob("*.whl")
    return wheel


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A virtual environment with the wheel; what Reproof needs is borrowed from the environment of the tests."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        return self.folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"

    def environment(self, **more: str) -> dict[str, str]:
        """Of a process that knows nothing of the clone."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return {**kept, **more}


def install(wheel: Path, folder: Path) -> Installation:
    """Install a wheel as pip does."""
    venv.create(folder, with_pip=False, symlinks=True)
    made = Installation(folder=folder)
    pip = [sys.executable, "-m", "pip", "-q", "--python", str(made.python), "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-compile", str(wheel)], check=True, env=made.environment(), cwd="/", capture_output=True)
    borrowed = next(path for path in map(Path, sys.path) if (path / "msgspec").is_dir())
    (made.packages / "borrowed.pth").write_text(f"{borrowed}\n")
    return made


@dataclass(frozen=True, kw_only=True)
class Lab:
    """An attempt that is kept open in an installation's own process, whose commands run in its clean room."""

    process: subprocess.Popen[str]
    told: Mapping[str, Any]

    def run(self, command: Sequence[str]) -> dict[str, Any]:
        """What became of a command."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(list(command)) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


@contextlib.contextmanager
def lab(
    made: Installation, *, paper: str, results: Path, private_path: Path | None = None, **environment: str
) -> Iterator[Lab]:
    """Begin an attempt from an installation."""
    process = subprocess.Popen(
        [made.python, "-P", "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=results.parent,
        env=made.environment(**environment),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    asked = {"paper": paper, "results": str(results), "private_path": private_path and str(private_path)}
    try:
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        assert Path(told["package"]).is_relative_to(made.folder), "it is the wheel that runs"
        yield Lab(process=process, told=told)
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()

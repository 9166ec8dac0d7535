"""What is published of Reproof holds the harness, and nothing that is private to a lab or to whoever built it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IN_WHEEL = ("harness/*", "reproof-*.dist-info/*")
NEVER = ("*/private/*", "*/results/*", "*.pyc", "*.log", "*.jsonl", "*.db", "*.env", "*/.git/*")


def built(kind: str, into: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(into)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [file] = into.iterdir()
    return file


def test_a_wheel_holds_the_harness_and_what_is_public(tmp_path: Path) -> None:
    with zipfile.ZipFile(built("wheel", tmp_path)) as wheel:
        held = wheel.namelist()
    assert [name for name in held if not any(fnmatch(name, allowed) for allowed in IN_WHEEL)] == []
    assert [name for name in held if any(fnmatch(f"/{name}", never) for never in NEVER)] == []
    wanted = ("cli/start.py", "configs/config.yaml", "agents/mini.py", "papers/tree_search/paper.yaml")
    assert [name for name in wanted if f"harness/{name}" not in held] == []
    assert not any("test_" in name for name in held)


@pytest.mark.slow
def test_a_source_distribution_holds_no_reference(tmp_path: Path) -> None:
    with tarfile.open(built("sdist", tmp_path)) as source:
        held = source.getnames()
    inside = [name.partition("/")[2] for name in held if not name.endswith("/results/README.md")]
    assert {"pyproject.toml", "harness/cli/start.py", "locked.txt", "hatch_build.py"} <= {*inside}
    assert [name for name in inside if any(fnmatch(f"/{name}", never) for never in NEVER)] == []

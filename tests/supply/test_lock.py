"""The lock: whole, in step with pyproject.toml and with constraints.txt, and what is installed is what was locked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from supply import installed
from supply.pins import CONSTRAINTS, MORE, Pin, constraints, locked, normal, pins, public, with_more, written

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11.9", "3.12.4", "3.13.5")


def project() -> dict[str, list[str]]:
    """Everything that pyproject.toml asks for, by where it stands."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = found["project"]["optional-dependencies"]
    return {"run": found["project"]["dependencies"], "test": extras["test"], "build": found["build-system"]["requires"]}


def environment(python: str) -> dict[str, str]:
    return {
        "python_version": python.rpartition(".")[0], "python_full_version": python, "sys_platform": "linux",
        "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64", "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }  # fmt: skip


def pinned(python: str) -> dict[str, str]:
    """The one version of each package for a Python."""
    fitting = [pin for pin in locked() if pin.marker is None or Marker(pin.marker).evaluate(environment(python))]
    assert len({pin.name for pin in fitting}) == len(fitting)
    return {pin.name: pin.version for pin in fitting}


@pytest.mark.parametrize("python", PYTHONS)
def test_every_bound_of_the_project_is_kept(python: str) -> None:
    versions = pinned(python)
    wanted = [Requirement(text) for texts in project().values() for text in texts]
    assert len(wanted) > 35
    wrong = [str(one) for one in wanted if not one.specifier.contains(versions.get(normal(one.name), "0"))]
    assert wrong == [], "run supply/lock"


def test_constraints_are_the_lock_without_hashes() -> None:
    assert CONSTRAINTS.read_text() == constraints(locked()), "run `python -m supply.pins`"
    assert all(len(digest) == 64 for pin in locked() for digest in pin.hashes)


def test_what_is_installed_for_us_is_locked_to_the_last_package() -> None:
    """From what the project asks for along what each package asks for; in CI the versions too."""
    python = ".".join(map(str, sys.version_info[:3]))
    versions, seen = pinned(python), set[tuple[str, frozenset[str]]]()
    todo = [Requirement(text) for group in ("run", "test") for text in project()[group]]
    missing, other = set(), set()
    while todo:
        wanted = todo.pop()
        name, extras = normal(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name not in versions:
            missing.add(name)
        elif public(metadata.version(name)) != versions[name]:
            other.add(f"{name} {metadata.version(name)}, {versions[name]} locked")
        for text in metadata.requires(name) or ():
            below = Requirement(text)
            if below.marker is None or any(below.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                todo.append(below)
    assert missing == set()
    assert len(seen) > 100
    if os.environ.get("REPROOF_CI"):
        assert other == set()


def test_a_line_that_is_no_pin_is_refused() -> None:
    digest = "0" * 64
    assert pins(f"# why\na.b_c==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:{digest}\n") == [
        Pin(name="a-b-c", version="1.0", marker="sys_platform == 'linux'", hashes=frozenset([digest]))
    ]
    for text in ("a==1.0", f"a>=1.0 --hash=sha256:{digest}", f"a @ https://x/y.whl --hash=sha256:{digest}", "-e ."):
        with pytest.raises(ValueError, match="expected a pin with hashes"):
            pins(text)
    assert pins(written(locked())) == locked()


def test_wheels_of_elsewhere_are_named_with_their_pin() -> None:
    text = MORE.read_text()
    assert with_more(locked(), text) == locked(), "run supply/lock"
    versions = {pin.name: pin.version for pin in locked()}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, version, _, file = line.split()
            assert versions[name] == version
            assert file.startswith(f"{name}-{version}")


def test_pip_s_report_is_held_against_the_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = next(pin for pin in locked() if pin.name == "torch")

    def item(name: str, version: str, digest: str) -> dict[str, object]:
        info = {"archive_info": {"hashes": {"sha256": digest}}}
        return {"metadata": {"name": name, "version": version}, "download_info": info}

    good = item("torch", f"{torch.version}+cpu", min(torch.hashes))
    own = {"metadata": {"name": "reproof", "version": "0.1.0"}, "download_info": {"dir_info": {"editable": True}}}
    bad = [
        item("torch", torch.version, "f" * 64),
        item("torch", "9.0", min(torch.hashes)),
        item("typosquat", "1.0", "a" * 64),
    ]
    assert installed.differences({"install": [good, own]}, locked()) == []
    assert installed.differences({"install": [good, *bad]}, locked()) == [
        f"torch {torch.version} came from a file that is not locked: SHA-256 {'f' * 64}",
        f"torch 9.0 was installed, and {torch.version} is locked",
        "typosquat 1.0 was installed, and nothing is locked",
    ]
    (tmp_path / "report.json").write_text(json.dumps({"install": [good, *bad]}))
    assert installed.main(str(tmp_path / "report.json")) == 1
    assert "typosquat" in capsys.readouterr().err


def test_pip_itself_holds_to_the_hashes(tmp_path: Path) -> None:
    """`pip install --require-hashes -r locked.txt`, with a file that is not the one that was locked."""
    [pin] = [pin for pin in locked() if pin.name == "threadpoolctl"]
    (tmp_path / "files").mkdir()
    (tmp_path / f"files/{pin.name}-{pin.version}-py3-none-any.whl").write_bytes(b"not what it was")
    words = ["--no-index", "--no-deps", "--require-hashes", "--find-links", "files", "-d", "to", "-r", "locked.txt"]
    command = [sys.executable, "-m", "pip", "download", "--isolated", "--disable-pip-version-check", *words]
    (tmp_path / "locked.txt").write_text(written([pin]))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr

"""What is tried here, by root too, changes nothing outside of the tests' own folders."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user owns a home, and nothing drawn names it")
@pytest.mark.parametrize("place", ["/", "/etc", "/usr/bin", "/var/tmp", str(Path.home())])
def test_nothing_of_the_machine_s_can_be_written(place: str) -> None:
    with pytest.raises(OSError, match="Read-only"):
        (Path(place) / "reproof-was-here").write_text("x")
    done = subprocess.run(["touch", f"{place}/reproof-was-here"], capture_output=True, check=False)
    assert done.returncode != 0


def test_the_tests_own_folders_can(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert Path.cwd().is_dir()

"""Compiles harness/gateway/_turn.c when Reproof is built or installed, where there is a compiler.

Without it harness/gateway/turn.py does the same, slower. Hatchling runs this file, without `harness`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("harness", "gateway")
STABLE = "0x030b0000"
"""The oldest Python whose stable interface is used."""
PURE = "REPROOF_PURE_PYTHON"


class Compile(BuildHookInterface[Any]):
    """Adds the library to a wheel, or to the folder of an editable installation."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say in the wheel's name that it holds something compiled."""
        if self.target_name != "wheel" or os.environ.get(PURE):
            return
        built = FOLDER / "_turn.abi3.so"
        if not compiled(Path(self.root, FOLDER, "_turn.c"), Path(self.root, built)):
            self.app.display_warning("no C compiler or no Python.h: the gateway will be pure Python, and slower")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data.update(pure_python=False, tag=f"cp311-abi3-{platform}")
        build_data["artifacts"].append(str(built))


def compiled(source: Path, library: Path) -> bool:
    """Compile a file; whether it went well. What was there before is replaced at once or stays."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    fresh = library.with_name(f"{library.name}.{os.getpid()}")
    command = [*compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", f"-DPy_LIMITED_API={STABLE}",
               "-I", sysconfig.get_paths()["include"], "-o", str(fresh), str(source)]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return False
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        fresh.unlink(missing_ok=True)
        return False
    fresh.replace(library)
    return True

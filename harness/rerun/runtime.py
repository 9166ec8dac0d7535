"""What the clean room computes with: the interpreter, the installed packages, the processor's family."""

from __future__ import annotations

import hashlib
import platform
import sys
from functools import lru_cache
from pathlib import Path

from harness.record.files import canonical

_NAMED = ("reproof", "numpy", "torch", "gymnasium", "mujoco", "scipy")


@lru_cache(maxsize=1)
def packages() -> dict[str, str]:
    """Versions of everything installed beside the harness, which is what the clean room mounts.

    Read off the names of the metadata folders: importlib.metadata would parse each of them, for a fifth of a second.
    """
    folders = [path for entry in sys.path if entry for path in Path(entry).glob("*.dist-info")]
    parts = (path.name.removesuffix(".dist-info").split("-") for path in folders)
    return dict(sorted((name, version) for name, version, *_ in parts))


def circumstances(isolation_digest: str) -> str:
    """Digest of runtime and isolation together: a run is only the same run under the same circumstances."""
    facts = [sys.version, platform.machine(), packages(), isolation_digest]
    return hashlib.sha256(canonical(facts)).hexdigest()


def runtime_summary() -> dict[str, str]:
    """The versions people ask for first."""
    known = packages()
    found = {name: known[name] for name in _NAMED if name in known}
    return {"python": platform.python_version(), "machine": platform.machine()} | found

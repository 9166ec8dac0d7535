"""Other harnesses to measure against, each installed once into a virtual environment of its own in the cache folder."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another harness, in a virtual environment of its own."""

    name: str
    requirements: tuple[str, ...]
    python: Path | None = None
    """None: absent."""
    absent: str = ""
    """Why it is absent."""

    def program(self, name: str) -> str:
        """The path of one of its console scripts."""
        assert self.python is not None
        return str(self.python.with_name(name))


PEERS = {
    "inspect-ai": (("inspect-ai==0.3.285",), (3, 11)),
    "harbor": (("harbor==0.24.0",), (3, 12)),
}
"""What pip is asked for, and the oldest Python it runs on."""


def chosen_peers(chosen: argparse.Namespace) -> list[Peer]:
    """The peers that the options of a script leave in, installed where needed."""
    if chosen.no_peers:
        return []
    return [
        peer_environment(name, *words, oldest=oldest, python=getattr(chosen, f"{name.replace('-', '_')}_python"))
        for name, (words, oldest) in PEERS.items()
    ]


def peer_environment(
    name: str, *requirements: str, python: Path | None = None, oldest: tuple[int, int] = (3, 11)
) -> Peer:
    """A peer in its own virtual environment in the cache folder, installed by pip at the first call.

    Args:
        name: The peer's name, which is its main distribution's too.
        requirements: What pip is asked for, versions included.
        python: An interpreter that has the peer already; then nothing is installed.
        oldest: The oldest Python the peer runs on; a newer one is looked for where ours is older.

    Returns:
        The peer, absent with the reason if there is no such Python or pip could not install it.
    """
    if python is not None:
        given = Peer(name=name, requirements=requirements, python=python.absolute())
        return given if _installed(given) else replace(given, python=None, absent=f"{python} does not have it")
    place = _cache() / "-".join(requirements[0].replace("==", "-").split())
    inside = place / "bin" / "python"
    if not (place / "complete").exists():
        interpreter = _interpreter(oldest)
        if interpreter is None:
            return Peer(name=name, requirements=requirements, absent=f"no Python >= {_dotted(oldest)} here")
        print(f"installing {', '.join(requirements)} into {place}", file=sys.stderr)
        subprocess.run([interpreter, "-m", "venv", "--clear", place], check=True)
        done = subprocess.run(
            [inside, "-m", "pip", "install", "--quiet", *requirements], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return Peer(name=name, requirements=requirements, absent=f"pip could not install it: {last[:300]}")
        (place / "complete").touch()
    return Peer(name=name, requirements=requirements, python=inside)


def _interpreter(oldest: tuple[int, int]) -> Path | None:
    """Ours if it is new enough, else the first one that is on PATH or among pyenv's versions."""
    places = [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    places += sorted((Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions").glob("*/bin"))
    names = [f"python3.{minor}" for minor in range(oldest[1], oldest[1] + 5)]
    check = f"import sys, venv; sys.exit(sys.version_info < {oldest})"
    for found in [Path(sys.executable), *(place / name for name in names for place in places)]:
        # asked, not believed: pyenv puts a shim on PATH for versions that are switched off, too
        if os.access(found, os.X_OK) and subprocess.run([found, "-c", check], capture_output=True).returncode == 0:
            return found
    return None


def _dotted(numbers: tuple[int, int]) -> str:
    return ".".join(map(str, numbers))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reproof"


def tried(peer: Peer, call: Callable[[Peer], object]) -> Peer:
    """The peer as it is, or absent with the reason if a first call of it fails."""
    if peer.python is None:
        return peer
    try:
        call(peer)
    except (OSError, RuntimeError) as error:
        return replace(peer, python=None, absent=" ".join(str(error).split())[-300:])
    return peer


def version_of(peer: Peer) -> str:
    """The installed version of a peer, or why it is absent."""
    return f"absent: {peer.absent}" if peer.python is None else _installed(peer) or "unknown"


def _installed(peer: Peer) -> str:
    """The version of the peer's distribution in its environment; empty if there is none."""
    code = f"import importlib.metadata as m; print(m.version({peer.name!r}))"
    done = subprocess.run([str(peer.python), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()

"""Finding the place in this machine's control group hierarchies where jobs can be counted."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.cleanroom.cgroup import PREFIX, Host, HostV1, HostV2, sweep, write
from harness.errors import HarnessFault, SandboxError

_HARNESS_LEAF = f"{PREFIX}-harness"
_V1 = ("memory", "pids", "cpuacct")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """One cgroup file system, and where this process stands in it."""

    version: int
    controllers: frozenset[str]
    """Empty for version 2: there each folder says what it has."""
    top: Path
    own: Path


def mounted(cgroups: str, mounts: str) -> list[Mounted]:
    """Read the text of /proc/self/cgroup and /proc/self/mountinfo (cgroups(7), proc(5))."""
    paths = dict(_own_paths(cgroups))
    found = []
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        root, point = (_unescape(word) for word in before.split()[3:5])
        version = 2 if kind == "cgroup2" else 1
        controllers = frozenset() if version == 2 else frozenset(options.split(",")) - {"rw", "ro"}
        own = next((path for names, path in paths.items() if names == controllers or names & controllers), None)
        if own is not None:
            found.append(
                Mounted(version=version, controllers=controllers, top=Path(point), own=_below(point, root, own))
            )
    return found


def _own_paths(cgroups: str) -> Iterator[tuple[frozenset[str], str]]:
    for line in cgroups.splitlines():
        _, names, path = line.split(":", 2)
        yield frozenset(filter(None, names.split(","))), path


def _below(point: str, root: str, own: str) -> Path:
    # in a container without a cgroup namespace both paths are the host's; the mount shows the part below `root`
    if root != "/" and (own == root or own.startswith(root + "/")):
        own = own[len(root) :]
    return Path(point) if own.startswith("/..") else Path(point, own.lstrip("/"))


def _unescape(word: str) -> str:
    return word.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def find_host() -> Host:
    """The place where groups can be made: version 2 if its controllers are ours to use, else version 1.

    Tried out for real with a group that one process joins; groups of dead harnesses are swept on the way.

    Raises:
        SandboxError: neither can be had; says why and what to do.
    """
    places = mounted(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    reasons = []
    for candidate in (_host_v2, _host_v1):
        try:
            host = candidate(places)
            _try_out(host)
        except (OSError, HarnessFault, subprocess.SubprocessError, LookupError) as error:
            reasons.append(f"{candidate.__name__.removeprefix('_host_')}: {error}")
            continue
        sweep(host)
        return host
    raise SandboxError(
        "no control group of our own",
        where="metering",
        expected="memory, pids and CPU accounting in a folder this process may write",
        got="; ".join(reasons),
        remedy="start it with `systemd-run --user --scope -p Delegate=yes reproof ...` (or as root), or waive "
        "exact metering by name (sandbox.waive=[metering]): usage is then estimated, and the record says so",
    )


def _host_v1(places: list[Mounted]) -> Host:
    own = {name: place.own for place in places for name in _V1 if name in place.controllers}
    missing = set(_V1) - set(own)
    if missing:
        raise LookupError(f"not mounted: {', '.join(sorted(missing))}")
    return HostV1({name: own[name] for name in _V1})


def _host_v2(places: list[Mounted]) -> Host:
    place = next((place for place in places if place.version == 2), None)
    if place is None:
        raise LookupError("not mounted")
    own = place.own.parent if place.own.name == _HARNESS_LEAF else place.own
    beside = [own.parent] if own != place.top else []
    for base in [own, *beside]:
        if _hands_down(base) and os.access(base, os.W_OK):
            return HostV2(base)
    if _is_ours(own, top=place.top):
        _hand_down(own)
        return HostV2(own)
    if _hands_down(place.top) and os.access(place.top, os.W_OK):
        return HostV2(place.top)
    raise LookupError(f"memory and pids are not delegated to {own}")


def _hands_down(folder: Path) -> bool:
    """Whether groups made in this folder get memory and pids."""
    with contextlib.suppress(OSError):
        return {"memory", "pids"} <= set((folder / "cgroup.subtree_control").read_text().split())
    return False


def _is_ours(folder: Path, *, top: Path) -> bool:
    """Whether the folder was given to us to arrange: to a user, by systemd, or as a container's root."""
    if not {"memory", "pids"} <= set((folder / "cgroup.controllers").read_text().split()):
        return False
    if folder == top:
        return os.access(folder, os.W_OK)
    if os.geteuid() != 0:
        return folder.stat().st_uid == os.geteuid()
    return any(_attribute(folder, name) == b"1" for name in ("user.delegate", "trusted.delegate"))


def _attribute(folder: Path, name: str) -> bytes | None:
    with contextlib.suppress(OSError):
        return os.getxattr(folder, name)
    return None


def _hand_down(folder: Path) -> None:
    """Give the folder's controllers to its children, which it may only do while it holds no process itself."""
    control = folder / "cgroup.subtree_control"
    with contextlib.suppress(OSError):
        write(control, "+memory +pids")
        return
    leaf = folder / _HARNESS_LEAF
    leaf.mkdir(exist_ok=True)
    for pid in (folder / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            write(leaf / "cgroup.procs", pid)
    write(control, "+memory +pids")


def _try_out(host: Host) -> None:
    group = host.create(memory=64 << 20, processes=8)
    try:
        script = 'for door; do echo 0 > "$door" || exit 1; done'
        subprocess.run(["/bin/sh", "-c", script, "sh", *group.doors], check=True, capture_output=True, timeout=10)
        if group.read().cpu <= 0:
            raise HarnessFault("a control group that does not count CPU time", where=group.doors[0])
    finally:
        group.close()


_lock = threading.Lock()
_found: list[Host] = []


def host() -> Host:
    """The place found once per process.

    Raises:
        SandboxError: as `find_host`.
    """
    with _lock:
        if not _found:
            _found.append(find_host())
        return _found[0]

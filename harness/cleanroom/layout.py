"""What a bubblewrap sandbox shows and hides: the list of arguments that describes its file system."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.cleanroom.sandbox import Job
from harness.errors import HarnessFault

VERSION = "2"
"""Raised whenever what a sandbox shows, hides or allows changes: it is part of the isolation's digest."""
USER = "65534"
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("/etc/ld.so.cache", "/etc/alternatives")
_SMALL = 1 << 20


def arguments(job: Job, *, waive: frozenset[str] = frozenset(), records: tuple[Path, ...] = ()) -> list[str]:
    """The arguments of bwrap for a job, up to the command.

    Args:
        job: what is to be run.
        waive: walls that are left out.
        records: folders that stay hidden, but for those of their parts that the job mounts.

    Raises:
        HarnessFault: a mount's source does not exist, or is itself hidden.
    """
    shown = [(path, str(path), False) for path in _foundation()]
    shown += [(mount.source, mount.target, mount.writable) for mount in job.mounts]
    never = frozenset(path.resolve() for path in job.hidden)
    parts = frozenset(path.resolve() for path in records)
    words = [*_walls(waive), *_system(job), *_masks(Path("/usr"), "/usr", never=never, parts=parts)]
    for source, target, writable in shown:
        if not source.exists():
            raise HarnessFault("nothing there to mount", where=source)
        words += ["--bind" if writable else "--ro-bind", str(source), target]
        words += _masks(source, target, never=never, parts=parts)  # at once: a later mount may cover the place
    if job.collect is not None:
        words += ["--size", _bytes(job.limits.disk), "--tmpfs", job.collect.directory]
    # /proc too: a harness run as root shares its uid with the job, and the kernel lets that uid write /proc/sys
    words += ["--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/"]
    words += ["--chdir", job.folder]
    for name, value in environment(job).items():
        words += ["--setenv", name, value]
    return words


def _walls(waive: frozenset[str]) -> Iterator[str]:
    yield from ("--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--clearenv")
    yield from ("--cap-drop", "ALL", "--uid", USER, "--gid", USER, "--hostname", "sandbox")
    if "network" in waive:
        yield "--share-net"
    if "userns" not in waive:
        yield "--disable-userns"


@functools.cache
def _programs() -> tuple[str, ...]:
    return tuple(_find_programs())


def _find_programs() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    for name in _ETC:
        yield from ("--ro-bind-try", name, name)


def _system(job: Job) -> Iterator[str]:
    yield from _programs()
    yield from ("--proc", "/proc", "--dev", "/dev")
    yield from ("--size", _bytes(job.limits.memory // 2), "--perms", "1777", "--tmpfs", "/dev/shm")
    yield from ("--size", _bytes(job.limits.disk), "--perms", "1777", "--tmpfs", "/tmp")
    yield from ("--size", str(_SMALL), "--tmpfs", "/run")


def _bytes(size: int) -> str:
    return str(max(size, 4096))  # tmpfs takes 0 for "no limit"


@functools.cache
def _foundation() -> tuple[Path, ...]:
    """The Python installation and its virtual environment, wherever links on the way to them lead."""
    found = [Path(sys.base_prefix), Path(sys.prefix)]
    link = Path(sys.executable)
    while link.is_symlink():
        link = link.parent / link.readlink()
        found.append(link.parent.parent)
    found += [path.resolve() for path in found]
    fresh = dict.fromkeys(path for path in found if path.is_absolute() and not path.is_relative_to("/usr"))
    return tuple(sorted(path for path in fresh if path != Path("/")))


def _masks(source: Path, target: str, *, never: frozenset[Path], parts: frozenset[Path]) -> Iterator[str]:
    """What covers, in a mount just made, whatever is hidden in it."""
    if not never and not parts:
        return
    source, masked = source.resolve(), list[Path]()
    for path in never:
        if source.is_relative_to(path):
            raise HarnessFault("a mount would show what must stay hidden", where=source, got=path)
    for path in sorted(never | parts):
        if path.is_relative_to(source) and path.exists() and not any(map(path.is_relative_to, masked)):
            masked.append(path)
            yield from _mask(path, str(Path(target, path.relative_to(source))))


def _mask(path: Path, place: str) -> tuple[str, ...]:
    if path.is_dir():
        return ("--perms", "0000", "--size", "4096", "--tmpfs", place, "--remount-ro", place)
    return ("--ro-bind", "/dev/null", place)


def environment(job: Job, *, scratch: str = "/tmp") -> dict[str, str]:
    """Every variable the command sees: the defaults, overridden by the job's own; `scratch` is its home."""
    defaults = {
        "PATH": f"{Path(sys.prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin",
        "HOME": scratch,
        "TMPDIR": scratch,
        "USER": "sandbox",
        "LOGNAME": "sandbox",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
    }
    return defaults | dict(job.environment)

"""What `reproof doctor` runs inside a sandbox: it tries what must not work there, and prints what came of it.

A program of its own, for the standard library alone; its arguments are JSON (see `doctor.Outside`).
"""

import contextlib
import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

MARK = "PROBE"
"""Stands before the JSON object that is printed: name -> [whether it worked, what was said]."""
_LIBC = ctypes.CDLL(None, use_errno=True)
_PTRACE_ATTACH = 16
_NEW_USER = 0x10000000


def main() -> None:
    """Try everything, each thing whatever became of the one before."""
    outside = json.loads(sys.argv[1])
    status = _status()  # before a new user namespace, where it can be had, changes it
    tried: dict[str, Callable[[], object]] = {
        "loopback": lambda: _connect(("127.0.0.1", outside["port"])),
        "outside": lambda: _connect(("192.0.2.1", 53)),
        "abstract": lambda: _connect_unix("\0" + outside["socket"]),
        "ptrace": lambda: _refused(_LIBC.ptrace(_PTRACE_ATTACH, 0, 0, 0)),
        "userns": lambda: _refused(_LIBC.unshare(_NEW_USER)),
        "system": lambda: _write(Path("/usr/reproof-probe")),
        "root": lambda: _write(Path("/reproof-probe")),
        "kernel": lambda: _open_to_write("/proc/sys/kernel/core_pattern"),
        "private": Path("/probe/private/secret").read_text,
        "private_file": Path("/probe/secret").read_text,
        "public": Path("/probe/public").read_text,
        "elsewhere": Path(outside["elsewhere"]).read_text,
        "variables": lambda: _some([name for name in outside["variables"] if name in os.environ]),
        "descriptors": lambda: _some(_descriptors()),
        "processes": lambda: _some([path.name for path in Path("/proc").glob("[0-9]*") if _alien(int(path.name))]),
        "namespaces": lambda: _some(
            [name for name, inode in outside["namespaces"].items() if _namespace(name) == inode]
        ),
        "tmp": lambda: _fill(Path("/tmp/big")),
        "shm": lambda: _fill(Path("/dev/shm/big")),
        "run": lambda: _fill(Path("/run/big")),
    }
    said = {name: _attempt(act) for name, act in tried.items()} | {"status": (True, json.dumps(status))}
    print(MARK + json.dumps(said))


def _attempt(act: Callable[[], object]) -> tuple[bool, str]:
    try:
        return True, str(act())
    except Exception as error:
        return False, f"{type(error).__name__}: {error}"


def _some(found: list[str]) -> str:
    if not found:
        raise LookupError("none")
    return ", ".join(found)


def _connect(place: tuple[str, int]) -> str:
    with socket.create_connection(place, timeout=1):
        return "connected"


def _connect_unix(place: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(place)
    return "connected"


def _refused(outcome: int) -> str:
    if outcome == 0:
        return "allowed"
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _write(path: Path) -> str:
    path.touch()
    return "written"


def _open_to_write(path: str) -> str:
    with open(path, "r+"):  # noqa: PTH123 - so that nothing is created
        return "opened for writing"


def _fill(path: Path) -> str:
    with path.open("wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    return "64 MiB written"


def _descriptors() -> list[str]:
    """Open files beyond the three that everybody has."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found.append(f"{path.name}: {path.readlink()}")
    return [line for line in found if int(line.partition(":")[0]) > 2]


def _alien(pid: int) -> bool:
    """Whether it is neither the first process of the sandbox nor this one nor one between them."""
    own = os.getpid()
    while own > 1:
        if own == pid:
            return False
        own = int(Path(f"/proc/{own}/stat").read_text().rpartition(")")[2].split()[1])
    return pid != 1


def _namespace(name: str) -> int:
    return Path(f"/proc/self/ns/{name}").stat().st_ino


def _status() -> dict[str, str]:
    pairs = (line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {key: value.strip() for key, value in pairs if key in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}


if __name__ == "__main__":
    main()

"""What this machine can and cannot guarantee: each property of the clean room, tried out."""

from __future__ import annotations

import json
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness.cleanroom import hierarchy
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.binary import find_binary
from harness.cleanroom.sandbox import (
    METERING,
    WAIVABLE,
    Completed,
    Job,
    Limits,
    Mount,
    Sandbox,
    SandboxSettings,
)
from harness.errors import HarnessFault, ReproofError, SandboxError
from harness.scratch import scratch

_LIMITS = Limits(cpu=5, wall=15, memory=96 << 20, processes=24, disk=2 << 20)
_INSIDE = r"""
import ctypes, errno, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
said = {}
def attempt(name, act):
    try:
        said[name] = [True, str(act())]
    except Exception as error:
        said[name] = [False, f"{type(error).__name__}: {error}"]
def connect(place):
    with socket.create_connection(place, timeout=1):
        return "connected"
def fill(path):
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    return "64 MiB written"
def create(path):
    with open(path, "w"):
        return "written"
def refused(outcome):
    if outcome == 0:
        return "allowed"
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
said["status"] = [True, json.dumps({key: status[key].strip() for key in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")})]
attempt("loopback", lambda: connect(("127.0.0.1", int(sys.argv[1]))))
attempt("outside", lambda: connect(("192.0.2.1", 53)))
attempt("ptrace", lambda: refused(libc.ptrace(16, 0, 0, 0)))
attempt("userns", lambda: refused(libc.unshare(0x10000000)))
attempt("system", lambda: create("/usr/reproof-probe"))
attempt("root", lambda: create("/reproof-probe"))
attempt("kernel", lambda: open("/proc/sys/kernel/core_pattern", "r+") and "opened for writing")
attempt("private", lambda: open("/probe/private/secret").read())
attempt("private_file", lambda: open("/probe/secret").read())
attempt("public", lambda: open("/probe/public").read())
attempt("tmp", lambda: fill("/tmp/big"))
attempt("shm", lambda: fill("/dev/shm/big"))
attempt("run", lambda: fill("/run/big"))
print("PROBE" + json.dumps(said))
"""


_KEEP = "take it out of sandbox.waive if it stands there; otherwise do not run untrusted code on this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property of the clean room on this machine."""

    name: str
    ok: bool
    detail: str
    """What was tried and what came of it."""
    remedy: str | None
    waivable: bool
    """Whether the settings may do without it (by this name)."""


def examine(settings: SandboxSettings | None = None) -> list[Property]:
    """Try out every property, most of them from inside a sandbox; about a second.

    Properties that the settings waive are tried as well, and reported as missing if they are not in force.
    """
    settings = settings or SandboxSettings()
    if settings.backend == "process":
        return [_no_isolation(), _metering(), *_limits(open_sandbox(settings))]
    found = [
        _tried("bubblewrap", lambda: str(find_binary())),
        _metering(),
    ]
    sandbox = open_sandbox(replace(settings, waive=tuple({*settings.waive, METERING})))
    try:
        sandbox.description()
    except (SandboxError, HarnessFault) as error:
        return [*found, _property("sandbox", ok=False, detail=error.message, remedy=_advice(error))]
    return [*found, *_isolation(sandbox, settings), *_limits(sandbox)]


def _property(name: str, *, ok: bool, detail: str, remedy: str | None = None) -> Property:
    return Property(name=name, ok=ok, detail=detail, remedy=None if ok else remedy, waivable=name in WAIVABLE)


def _advice(error: ReproofError) -> str | None:
    return "\n".join(filter(None, (error.got, error.remedy))) or None


def _tried(name: str, act: Callable[[], str]) -> Property:
    try:
        return _property(name, ok=True, detail=act())
    except SandboxError as error:
        return _property(name, ok=False, detail=error.message, remedy=_advice(error))


def _metering() -> Property:
    def where() -> str:
        host = hierarchy.host()
        return f"cgroup v{host.version} in {', '.join(map(str, host.bases))}"

    return _tried(METERING, where)


def _no_isolation() -> Property:
    return _property(
        "isolation",
        ok=False,
        detail="the backend 'process' isolates nothing",
        remedy="use sandbox.backend=bubblewrap; what ran in 'process' can never pass",
    )


def _isolation(sandbox: Sandbox, settings: SandboxSettings) -> Iterator[Property]:
    said = _look_inside(sandbox)
    status = json.loads(said["status"][1])
    yield _closed("network", said, ("loopback", "outside"))
    caps = {status["CapEff"], status["CapBnd"]} == {"0" * 16} and status["NoNewPrivs"] == "1"
    yield _property("capabilities", ok=caps, detail=f"{status}", remedy="use a bubblewrap that is not setuid")
    active = status["Seccomp"] == "2" and "PermissionError" in said["ptrace"][1]
    yield _property("seccomp", ok=active, detail=f"mode {status['Seccomp']}; ptrace: {said['ptrace'][1]}", remedy=_KEEP)
    # the filter refuses unshare by itself, so the kernel's own refusal shows only without the filter
    bare = open_sandbox(replace(settings, waive=tuple({*settings.waive, METERING, "seccomp"})))
    yield _closed("userns", _look_inside(bare), ("userns",))
    yield _closed("read-only system", said, ("system", "root", "kernel"))
    yield _closed("private paths", said, ("private", "private_file"), open_too=("public",))
    yield _closed("size caps", said, ("tmp", "shm", "run"))


def _closed(
    name: str, said: dict[str, tuple[bool, str]], tried: tuple[str, ...], open_too: tuple[str, ...] = ()
) -> Property:
    ok = all(_refused(said[key]) for key in tried) and all(said[key][0] for key in open_too)
    return _property(name, ok=ok, detail="; ".join(f"{key}: {said[key][1]}" for key in tried), remedy=_KEEP)


def _refused(outcome: tuple[bool, str]) -> bool:
    return not outcome[0]


def _look_inside(sandbox: Sandbox) -> dict[str, tuple[bool, str]]:
    """Run the probe: for each thing attempted, whether it worked, and what was said."""
    with scratch("doctor") as folder, socket.create_server(("127.0.0.1", 0)) as server:
        (folder / "private").mkdir()
        for path in ("private/secret", "secret", "public"):
            (folder / path).write_text("readable")
        done = sandbox.run(
            Job(
                command=(sys.executable, "-I", "-S", "-c", _INSIDE, str(server.getsockname()[1])),
                limits=_LIMITS,
                mounts=(Mount(source=folder, target="/probe"),),
                hidden=(folder / "private", folder / "secret"),
            )
        )
    if done.exit != 0 or "PROBE" not in done.log:
        raise HarnessFault("the probe did not run in the sandbox", where="doctor", got=done.log[-2000:])
    said: dict[str, tuple[bool, str]] = json.loads(done.log.rpartition("PROBE")[2])
    return said


def _limits(sandbox: Sandbox) -> Iterator[Property]:
    hog = _python(sandbox, "data = bytearray(200 << 20)\nimport time; time.sleep(9)")
    yield _property(
        "memory limit",
        ok=hog.killed_by == "memory" or "MemoryError" in hog.log,
        detail=_ending(hog, "200 MiB under 96 MiB"),
    )
    few = replace(_LIMITS, processes=8, wall=1.5)
    bomb = sandbox.run(
        Job(command=("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 9 & done; wait"), limits=few)
    )
    held = "processes" in bomb.limits_hit or bomb.killed_by == "processes" or "fork" in bomb.log.lower()
    yield _property("process limit", ok=held, detail=_ending(bomb, "12 processes under 8"))
    burner = _python(sandbox, "while True: pass", cpu=0.2)
    yield _property(
        "cpu limit",
        ok=burner.killed_by == "cpu" and 0.2 <= burner.usage.cpu < 0.5,
        detail=_ending(burner, "an endless loop under 0.2 s") + f", {burner.usage.cpu:.2f} s counted",
    )
    yield _tree(sandbox)


def _tree(sandbox: Sandbox) -> Property:
    token = f"reproof-{uuid.uuid4().hex}"
    sandbox.run(Job(command=("sh", "-c", f"setsid sh -c 'sleep 60; : {token}' & sleep 0.05"), limits=_LIMITS))
    left = [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and _carries(path, token)]
    return _property("tree dies", ok=not left, detail=f"a daemon left behind: {left or 'gone'}")


def _carries(process: Path, token: str) -> bool:
    try:
        return token.encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False


def _python(sandbox: Sandbox, code: str, *, cpu: float = 5) -> Completed:
    return sandbox.run(Job(command=(sys.executable, "-I", "-S", "-c", code), limits=replace(_LIMITS, cpu=cpu)))


def _ending(done: Completed, what: str) -> str:
    end = f"killed by {done.killed_by}" if done.killed_by else f"exit {done.exit}"
    return f"{what}: {end}" + (f", ran into {', '.join(done.limits_hit)}" if done.limits_hit else "")

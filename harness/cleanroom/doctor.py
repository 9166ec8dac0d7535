"""What this machine can and cannot guarantee: each property of the clean room, tried out."""

from __future__ import annotations

import json
import os
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.cleanroom import hierarchy, layout, probe
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
_NEVER = "do not run untrusted code on this machine"


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
    advice = remedy or (f"take it out of sandbox.waive, or {_NEVER}" if name in WAIVABLE else _NEVER)
    return Property(name=name, ok=ok, detail=detail, remedy=None if ok else advice, waivable=name in WAIVABLE)


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
    yield _closed("allow-list", said, ("elsewhere", "variables", "descriptors"))
    yield _closed("other processes", said, ("processes", "namespaces"))
    yield _closed("network", said, ("loopback", "outside", "abstract"))
    caps = {status["CapEff"], status["CapBnd"]} == {"0" * 16} and status["NoNewPrivs"] == "1"
    yield _property("capabilities", ok=caps, detail=f"{status}", remedy="use a bubblewrap that is not setuid")
    active = status["Seccomp"] == "2" and "PermissionError" in said["ptrace"][1]
    yield _property("seccomp", ok=active, detail=f"mode {status['Seccomp']}; ptrace: {said['ptrace'][1]}")
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
    return _property(name, ok=ok, detail="; ".join(f"{key}: {said[key][1]}" for key in tried))


def _refused(outcome: tuple[bool, str]) -> bool:
    return not outcome[0]


def _look_inside(sandbox: Sandbox) -> dict[str, tuple[bool, str]]:
    """Run the probe: for each thing attempted, whether it worked, and what was said."""
    with scratch("doctor") as made, _listening() as (port, abstract):
        folder = made / "mounted"
        (folder / "private").mkdir(parents=True)
        for path in ("private/secret", "secret", "public", "../elsewhere"):
            (folder / path).write_text("readable")
        job = Job(
            command=(sys.executable, "-I", "-S", "-c", Path(probe.__file__).read_text(), ""),
            limits=_LIMITS,
            mounts=(Mount(source=folder, target="/probe"),),
            hidden=(folder / "private", folder / "secret"),
        )
        outside = {
            "port": port,
            "socket": abstract,
            "elsewhere": str(made / "elsewhere"),
            "variables": sorted(set(os.environ) - {*layout.environment(job), "PWD"}),
            "namespaces": {kind: Path(f"/proc/self/ns/{kind}").stat().st_ino for kind in ("pid", "ipc", "mnt", "uts")},
        }
        done = sandbox.run(replace(job, command=(*job.command[:-1], json.dumps(outside))))
    if done.exit != 0 or probe.MARK not in done.log:
        raise HarnessFault("the probe did not run in the sandbox", where="doctor", got=done.log[-2000:])
    said: dict[str, tuple[bool, str]] = json.loads(done.log.rpartition(probe.MARK)[2])
    return said


@contextmanager
def _listening() -> Iterator[tuple[int, str]]:
    """A port on the loopback and an abstract socket that anybody on this machine can reach."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        name = f"reproof-{uuid.uuid4().hex}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        yield server.getsockname()[1], name


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
    burner = _python(sandbox, "while True: pass", limits=replace(_LIMITS, cpu=0.2))
    yield _property(
        "cpu limit",
        ok=burner.killed_by == "cpu" and 0.2 <= burner.usage.cpu < 0.5,
        detail=_ending(burner, "an endless loop under 0.2 s") + f", {burner.usage.cpu:.2f} s counted",
    )
    sleeper = _python(sandbox, "import time; time.sleep(9)", limits=replace(_LIMITS, wall=0.3))
    yield _property("wall limit", ok=sleeper.killed_by == "wall", detail=_ending(sleeper, "9 s of sleep under 0.3 s"))
    yield _disk(sandbox)
    yield _tree(sandbox)


def _disk(sandbox: Sandbox) -> Property:
    """Write into a folder of the host that may be written, which no tmpfs limits."""
    with scratch("doctor") as folder:
        code = "open('big', 'wb').write(bytes(32 << 20))\nimport time; time.sleep(3)"
        mount = Mount(source=folder, target="/probe", writable=True)
        command = (sys.executable, "-I", "-S", "-c", code)
        done = sandbox.run(Job(command=command, limits=_LIMITS, mounts=(mount,), cwd="/probe"))
    return _property("disk limit", ok=done.killed_by == "disk", detail=_ending(done, "32 MiB under 2 MiB"))


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


def _python(sandbox: Sandbox, code: str, *, limits: Limits = _LIMITS) -> Completed:
    return sandbox.run(Job(command=(sys.executable, "-I", "-S", "-c", code), limits=limits))


def _ending(done: Completed, what: str) -> str:
    end = f"killed by {done.killed_by}" if done.killed_by else f"exit {done.exit}"
    return f"{what}: {end}" + (f", ran into {', '.join(done.limits_hit)}" if done.limits_hit else "")

"""Commands of a participant, run as `reproof exec` runs them that try to read, reach, kill or become another."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import pytest
from handmade import data_of
from hostility import SECRET
from installed import build_wheel, install, lab

from harness.cleanroom import seccomp
from harness.road import Road
from harness.scoring.score import Score

Begin = Callable[..., Road]
Attempted = tuple[Road, Score]

PRELUDE = """
import ctypes, errno, fcntl, os, signal, socket, struct, sys, threading, time
from pathlib import Path
C = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    done = C.syscall(ctypes.c_long(number), *words)
    if done < 0:
        raise OSError(ctypes.get_errno(), errno.errorcode[ctypes.get_errno()])
    return done
def tries(act):
    try:
        found = act()
    except BaseException as error:
        print("held:", type(error).__name__, error, flush=True)
        return
    print("ESCAPED" if found is not None else "nothing", repr(found)[:500], flush=True)
def dies(code):
    # How a child ends that runs machine code of its own: by a signal, or by what it found.
    pid = os.fork()
    if pid == 0:
        try:
            code()
        except BaseException:
            os._exit(77)
        os._exit(55)
    status = os.waitpid(pid, 0)[1]
    print("signal" if os.WIFSIGNALED(status) else "exit", os.waitstatus_to_exitcode(status), flush=True)
    return None if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 77 else status
def machine(code):
    # Run bytes as machine code, with what they return.
    import mmap
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_long)(address)()
def memory_program():
    # A program that lies in no file system: it runs, within the same walls.
    handle = os.memfd_create("x")
    os.write(handle, open("/usr/bin/id", "rb").read())
    if os.fork() == 0:
        os.execve(handle, ["id", "-u"], {})
    os.wait()
def first_program():
    # Overwrites the program of the first process, which is the clean room's own (as CVE-2019-5736 did).
    return os.open("/proc/1/exe", os.O_WRONLY)
def raised(kind, to):
    import resource
    resource.setrlimit(kind, (to, to))
    return resource.getrlimit(kind)
def shared(*words):
    return call(*words) and None
def tells(path):
    return os.access(path, os.R_OK) and b"$secret" in path.read_bytes()
def holds(path):
    return Path(path).read_bytes() or None
"""
GONE, DENIED = "FileNotFoundError", "PermissionError"
READS = {
    "the reference": ("holds('$private/reference/reproduction/work.py')", GONE),
    "the reference's generator": ("holds('$private/instances.py')", GONE),
    "the private folder": ("os.listdir('$private') or None", GONE),
    "seeds and held-out instances of another attempt": ("holds('$other/submissions/001/private/plan.json')", GONE),
    "another attempt's workspace": ("holds('$other/workspace/reproduction/work.py')", GONE),
    "its own record": ("holds('$own/attempt.json')", GONE),
    "its own ledger": ("holds('$own/ledger.jsonl')", GONE),
    "the results": ("os.listdir('$results')", GONE),
    "the runs of others": ("list(Path('$results/runs').rglob('*.npy')) or None", "nothing"),
    "the harness's own code in a clone": ("holds('$clone/harness/road.py')", GONE),
    "the papers in a clone": ("os.listdir('$clone/papers')", GONE),
    "what the user typed": ("holds('$home/.bash_history')", GONE),
    "keys of the user": ("holds('$home/.ssh/id_ed25519')", GONE),
    "passwords of the machine": ("holds('/etc/shadow')", GONE),
    "users of the machine": ("holds('/etc/passwd')", GONE),
    "variables of the harness": ("os.environ.get('HOSTILE_KEY')", "nothing"),
    "variables of any process": ("next(filter(tells, Path('/proc').glob('*/environ')), None)", "nothing"),
    "the temporary files of the host": ("next((p for p in Path('$tmp').rglob('*')), None)", "nothing"),
    "a link in the workspace": ("os.symlink('$private', 'door') or os.listdir('door')", GONE),
    "a link by way of /proc": ("os.listdir('/proc/self/root$private')", GONE),
    "the root of the first process": ("os.listdir('/proc/1/root$private')", "Error"),
    "the working folder's parents": ("os.listdir('/reproof/work/../../$private')", GONE),
    "a folder held open": ("[f for f in os.listdir('/proc/self/fd') if int(f) > 3] or None", "nothing"),
    "the kernel's memory": ("holds('/proc/kcore')", None),
    "disks": ("next(Path('/dev').glob('[sv]d*'), None) or next(Path('/dev').glob('nvme*'), None)", "nothing"),
    "the kernel's log": ("holds('/dev/kmsg')", GONE),
}
REACHES = {
    "a server on loopback": ("socket.create_connection(('127.0.0.1', $port), 2)", "Error"),
    "a server on this machine": ("socket.create_connection(('$address', $port), 2)", "Error"),
    "the internet": ("socket.create_connection(('192.0.2.1', 80), 2)", "OSError"),
    "names": ("socket.getaddrinfo('example.org', 80)", "gaierror"),
    "datagrams": ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))", "OSError"),
    "an abstract socket": ("socket.socket(socket.AF_UNIX).connect(chr(0) + '$abstract')", "ConnectionRefusedError"),
    "a socket of the host": ("socket.socket(socket.AF_UNIX).connect('$socket')", GONE),
    "raw packets": ("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "family not supported"),
    "the kernel's own sockets": ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", "family not supported"),
    "a pair made in another way": ("socket.socketpair(socket.AF_NETLINK)", "Error"),
    "another machine's abstract socket": ("socket.create_connection(('::1', $port), 2)", "Error"),
    "all who listen nearby": ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('224.0.0.1', 1))", "OSError"),
    "virtual machines": ("socket.socket(40, socket.SOCK_STREAM)", "family not supported"),
    "the kernel's ciphers": ("socket.socket(38, socket.SOCK_SEQPACKET)", "family not supported"),
}
ACTS = {
    "end every process": ("os.kill(-1, signal.SIGTERM)", None),
    "end the harness": ("os.kill($pid, signal.SIGKILL)", "ProcessLookupError"),
    "stop the harness": ("os.kill($pid, signal.SIGSTOP)", "ProcessLookupError"),
    "trace the first process": ("call($ptrace, 16, 1, 0, 0) if $ptrace else 1 / 0", DENIED),
    "read another's memory": ("call($process_vm_readv, 1, 0, 0, 0, 0, 0)", DENIED),
    "take another's file": ("call($pidfd_getfd, 1, 0, 0)", DENIED),
    "write the first process's memory": ("open('/proc/1/mem', 'wb')", "OSError"),
    "a user namespace": ("call($unshare, 0x10000000)", DENIED),
    "a mount namespace": ("call($unshare, 0x20000)", DENIED),
    "another's namespace": ("call($setns, os.open('/proc/self/ns/net', 0), 0)", DENIED),
    "mount": ("call($mount, b'none', b'/tmp', b'tmpfs', 0, 0)", DENIED),
    "unmount": ("call($umount2, b'/proc', 2)", DENIED),
    "another root": ("os.chroot('/tmp')", DENIED),
    "a device": ("os.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))", DENIED),
    "root": ("os.setuid(0)", "OSError"),
    "the kernel's keys": ("call($add_key, b'user', b'x', b'y', 1, -4)", DENIED),
    "a program in the kernel": ("call($bpf, 0, 0, 0)", DENIED),
    "a ring of calls": ("call($io_uring_setup, 8, 0)", DENIED),
    "faults by hand": ("call($userfaultfd, 0)", DENIED),
    "counters of the machine": ("call($perf_event_open, 0, 0, -1, -1, 0)", DENIED),
    "type into the terminal": ("fcntl.ioctl(0, 0x5412, b'x')", DENIED),
    "set the clock": ("time.clock_settime(time.CLOCK_REALTIME, time.time())", DENIED),
    "rename the machine": ("socket.sethostname(socket.gethostname())", DENIED),
    "jump the queue": ("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))", DENIED),
    "be nicer to itself": ("os.setpriority(os.PRIO_PROCESS, 0, -20)", DENIED),
    "write into the system": ("open('/usr/bin/git', 'ab')", "OSError"),
    "write into the environment": ("Path('$prefix/lib/x').write_text('x')", "OSError"),
    "write into the kernel's settings": ("open('/proc/sys/kernel/hostname', 'ab')", "OSError"),
    "find cgroups": ("os.listdir('/sys/fs/cgroup')", GONE),
    "leave its cgroup": ("Path('/sys/fs/cgroup/cgroup.procs').write_text('0')", GONE),
    "a call of 32 bits": (
        "dies(lambda: machine(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')) if $x86 else print('signal')",
        "signal",
    ),
    "a call of x32": ("dies(lambda: C.syscall(ctypes.c_long(0x40000000 + 39))) if $x86 else print('signal')", "signal"),
    "a program without a file": ("memory_program()", "65534"),
    "write another's memory": ("call($process_vm_writev, 1, 0, 0, 0, 0, 0)", DENIED),
    "the clean room's own program": ("first_program()", "Error"),
    "its own interpreter": ("os.open(os.path.realpath('/proc/self/exe'), os.O_WRONLY)", "OSError"),
    "more files than it may": ("raised(7, 1 << 30)", "Error"),
    "core files": ("raised(4, 1 << 30)", "ValueError"),
    "where cores go": ("open('/proc/sys/kernel/core_pattern', 'ab')", "OSError"),
    "never to be chosen when memory is short": ("Path('/proc/self/oom_score_adj').write_text('-1000')", "Error"),
    "the keys of its session": ("call($keyctl, 0, -3, 0)", DENIED),
    "a key that was asked for": ("call($request_key, b'user', b'x', 0, 0)", DENIED),
    "real time": ("os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))", DENIED),
    "a terminal": ("os.open('/dev/tty', os.O_RDWR)", "OSError"),
    "a terminal's font": ("fcntl.ioctl(0, 0x541C, b'x')", DENIED),
    "the machine's shared memory": ("[line for line in open('/proc/sysvipc/shm')][1:] or None", "nothing"),
    "the machine's queues": ("os.listdir('/dev/mqueue') if os.path.isdir('/dev/mqueue') else None", "nothing"),
    "a loop that mounts": ("os.open('/dev/loop-control', os.O_RDWR)", GONE),
    "a file system of its own": ("os.open('/dev/fuse', os.O_RDWR)", GONE),
    "virtual machines of its own": ("os.open('/dev/kvm', os.O_RDWR)", GONE),
    "the memory of the machine": ("os.open('/dev/mem', os.O_RDWR)", GONE),
    "the machine's restart": ("open('/proc/sysrq-trigger', 'ab')", "Error"),
    "a file by its number": ("call($open_by_handle_at, -100, 0, 0)", DENIED),
    "a new way to mount": ("call($fsopen, b'tmpfs', 0)", DENIED),
    "an old hole that was closed again": ("call($vmsplice, 1, 0, 0, 0)", DENIED),
    "load code into others": ("open('/etc/ld.so.preload', 'ab')", "OSError"),
}


def numbers() -> dict[str, int]:
    column = 0 if platform.machine() == "x86_64" else 1
    return {name: found[column] or 0 for name, found in seccomp._DENIED.items()}


Facts = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Host:
    """An attempt at work, and where on this machine that lies what it wants."""

    run: Callable[[Sequence[str]], Mapping[str, Any]]
    """Lets a command run at the attempt's expense: its log and exit, and what the ledger says of it."""
    facts: Facts

    def attack(self, code: str) -> Mapping[str, Any]:
        return self.run(("python", "-I", "-S", "-c", Template(PRELUDE + code).substitute(self.facts)))


@pytest.fixture(scope="module")
def wanted(lean_finished: Attempted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facts]:
    """What lies about on this machine, whoever runs the harness."""
    folder, other, name = tmp_path_factory.mktemp("host"), lean_finished[0], f"hostile-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("0.0.0.0", 0)))
        for place in (f"\0{name}", f"/tmp/{name}.sock"):
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(place)
            server.listen()
        stack.callback(Path(f"/tmp/{name}.sock").unlink)
        os.environ["HOSTILE_KEY"] = SECRET
        stack.callback(os.environ.pop, "HOSTILE_KEY")
        yield {
            "private": other.paper.private, "other": other.folder, "results": other.store.root,
            "clone": Path(__file__).parents[2], "home": Path.home(), "tmp": folder, "secret": SECRET,
            "port": tcp.getsockname()[1], "address": socket.gethostbyname(socket.gethostname()),
            "abstract": name, "socket": f"/tmp/{name}.sock", "pid": os.getpid(), "prefix": sys.prefix, **numbers(),
            "x86": platform.machine() == "x86_64",
        }  # fmt: skip


@pytest.fixture(scope="module")
def clone(begin: Begin, wanted: Facts) -> Host:
    """From a clone."""
    road = begin(results=Path(str(wanted["tmp"]), "results"))
    road.desk.start_clock()

    def run(command: Sequence[str]) -> Mapping[str, Any]:
        done = road.bench.run(tuple(command))
        last = data_of(road.desk, "executed")[-1]
        told = {"log": done.log, "exit": done.exit, "last": [last["exit"], last["ended"]]}
        return {**told, "running": road.desk.account().running}

    return Host(run=run, facts={**wanted, "own": road.folder})


@pytest.fixture(scope="module")
def wheel(wanted: Facts, lean_finished: Attempted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """From an installed wheel, whose papers have their private parts elsewhere, as a lab keeps them."""
    pytest.importorskip("hatchling", reason="install the `test` extra")
    home = tmp_path_factory.mktemp("lab")
    made = install(build_wheel(home), home / "venv")
    paper, private = home / "papers" / "lean", made.packages / "private" / "lean"
    shutil.copytree(lean_finished[0].paper.folder, paper, ignore=shutil.ignore_patterns("private"))
    shutil.copytree(lean_finished[0].paper.private, private)
    known = {"REPROOF_PAPERS_PATH": str(home / "papers"), "HOSTILE_KEY": SECRET}
    with lab(made, paper="lean", results=home / "results", private_path=private.parent, **known) as at:
        own = {"own": at.told["own"], "private": private, "prefix": made.folder, "pid": at.process.pid}
        yield Host(run=at.run, facts={**wanted, **own})


def gone(says: str | None, name: str, from_: str) -> str | None:
    """What is said: a private folder among packages that are shown is there, and closed."""
    closed = from_ == "wheel" and name in PRIVATE and says == GONE
    return DENIED if closed else says


PRIVATE = ("the reference", "the reference's generator", "the private folder", "a link in the workspace",
           "a link by way of /proc", "the working folder's parents")  # fmt: skip
KINDS = {"read": READS, "reach": REACHES, "act": ACTS}
QUICK = ("the reference", "its own record", "a server on loopback", "end the harness")
"""Cases that are tried from a wheel by default too."""
CASES = [
    pytest.param(from_, act, gone(says, name, from_), id=f"{from_}, {kind}: {name}",
                 marks=pytest.mark.slow if from_ == "wheel" and name not in QUICK else ())
    for from_ in ("clone", "wheel") for kind, cases in KINDS.items() for name, (act, says) in cases.items()
]  # fmt: skip


@pytest.mark.parametrize(("from_", "act", "says"), CASES)
def test_it_is_held(request: pytest.FixtureRequest, from_: str, act: str, says: str | None) -> None:
    host: Host = request.getfixturevalue(from_)
    done = host.attack(f"tries(lambda: {act})")
    assert "ESCAPED" not in done["log"]
    assert SECRET not in done["log"]
    assert (says or "") in done["log"]
    assert done["last"] == [done["exit"], "done" if done["exit"] == 0 else "failed"]
    assert done["running"]


@pytest.mark.parametrize("from_", ["clone", pytest.param("wheel", marks=pytest.mark.slow)])
def test_what_they_wanted_is_there(request: pytest.FixtureRequest, from_: str) -> None:
    """Otherwise the cases above could not fail."""
    host: Host = request.getfixturevalue(from_)
    facts = host.facts
    for place in ("reference/reproduction/work.py", "instances.py"):
        assert Path(str(facts["private"]), place).read_bytes()
    for place in ("submissions/001/private/plan.json", "workspace/reproduction/work.py"):
        assert Path(str(facts["other"]), place).read_bytes()
    assert list(Path(str(facts["results"]), "runs").rglob("*.npy"))
    assert Path(str(facts["own"]), "ledger.jsonl").read_bytes()
    assert Path(str(facts["clone"]), "harness/road.py").read_bytes()
    assert socket.create_connection(("127.0.0.1", int(str(facts["port"]))), 2).close() is None
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{facts['abstract']}")
    assert host.attack("tries(lambda: 42)")["log"] == "ESCAPED 42\n"

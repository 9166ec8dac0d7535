"""The system calls a job may not make, as a classic BPF program built without any library."""

from __future__ import annotations

import errno
import functools
import platform
import struct
from dataclasses import dataclass

from harness.errors import SandboxError

# number on (x86_64, aarch64); None: the machine has no such call
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # mounts, old and new
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    # namespaces (clone's flags are looked at below)
    "unshare": (272, 97),
    "setns": (308, 268),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # the kernel itself
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "memfd_secret": (447, 447),
    "vmsplice": (278, 75),
    "lookup_dcookie": (212, 18),
    "syslog": (103, 116),
    "acct": (163, 89),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "nfsservctl": (180, 42),
    "fanotify_init": (300, 262),
    "vhangup": (153, 58),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    # keys, handles, clocks, names
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
}

_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET (NEWTIME is for clone3 and unshare only)."""
_FAMILIES = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6: the others reach the machine past the network namespace (vsock, alg, netlink)."""
_PUSH_INTO_TERMINAL = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX."""
_PERSONALITIES = (0, 0xFFFFFFFF)
"""The default, and the question which one it is."""
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    column: int
    audit: int
    """AUDIT_ARCH_* of linux/audit.h."""
    clone: int
    clone3: int
    socket: int
    ioctl: int
    personality: int


_MACHINES = {
    "x86_64": _Machine(column=0, audit=0xC000003E, clone=56, clone3=435, socket=41, ioctl=16, personality=135),
    "aarch64": _Machine(column=1, audit=0xC00000B7, clone=220, clone3=435, socket=198, ioctl=29, personality=92),
}


@functools.cache
def program(machine: str | None = None) -> bytes:
    """The filter for `bwrap --seccomp`, as packed `struct sock_filter` entries.

    A foreign architecture (or an x32 number) kills the process; what is denied answers EPERM, except that
    clone3 answers ENOSYS (libraries fall back to clone, whose flags can be looked at) and a foreign socket
    family EAFNOSUPPORT.

    Raises:
        SandboxError: no table for this machine.
    """
    name = machine or platform.machine()
    if name not in _MACHINES:
        raise SandboxError(
            "no system call filter for this machine",
            where="seccomp",
            expected=" or ".join(_MACHINES),
            got=name,
            remedy="run on one of those, or waive it by name (sandbox.waive=[seccomp]): such a run never passes",
        )
    return b"".join(_instructions(_MACHINES[name]))


def _instructions(machine: _Machine) -> list[bytes]:
    code = [
        _op(_LOAD, _ARCH_AT),
        _op(_EQUAL, machine.audit, yes=1),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER_AT),
    ]
    if machine.column == 0:
        code += [_op(_AT_LEAST, _X32, no=1), _op(_RETURN, _KILL)]
    for numbers in _DENIED.values():
        number = numbers[machine.column]
        if number is not None:
            code += [_op(_EQUAL, number, no=1), _refuse(errno.EPERM)]
    code += [_op(_EQUAL, machine.clone3, no=1), _refuse(errno.ENOSYS)]
    code += _when(machine.clone, argument=0, checks=[_op(_ANY_BIT, _NEW_NAMESPACES, no=1), _refuse(errno.EPERM)])
    code += _when(machine.socket, argument=0, checks=_only(_FAMILIES, errno.EAFNOSUPPORT))
    code += _when(machine.personality, argument=0, checks=_only(_PERSONALITIES, errno.EPERM))
    code += _when(machine.ioctl, argument=1, checks=_never(_PUSH_INTO_TERMINAL, errno.EPERM))
    return [*code, _op(_RETURN, _ALLOW)]


def _when(number: int, *, argument: int, checks: list[bytes]) -> list[bytes]:
    """Look at the low half of an argument (the kernel ignores the rest of these) of one call, then allow it."""
    body = [_op(_LOAD, _ARGUMENTS_AT + 8 * argument), *checks, _op(_RETURN, _ALLOW)]
    return [_op(_EQUAL, number, no=len(body)), *body]


def _only(values: tuple[int, ...], error: int) -> list[bytes]:
    tests = [_op(_EQUAL, value, yes=len(values) - at) for at, value in enumerate(values)]
    return [*tests, _refuse(error)]


def _never(values: tuple[int, ...], error: int) -> list[bytes]:
    return [step for value in values for step in (_op(_EQUAL, value, no=1), _refuse(error))]


def _refuse(error: int) -> bytes:
    return _op(_RETURN, 0x00050000 | error)


def _op(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)

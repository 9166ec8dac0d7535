import re
import struct
from pathlib import Path

import pytest

from harness.cleanroom import seccomp
from harness.errors import SandboxError

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS, EAFNOSUPPORT = 0x50001, 0x50000 | 38, 0x50000 | 97
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMN = {"x86_64": 0, "aarch64": 1}


def outcome(machine, number, *arguments, arch=None):
    """Run the filter as the kernel would (linux/filter.h), on `struct seccomp_data`."""
    data = struct.pack("<iIQ6Q", number, arch or ARCH[machine], 0, *(*arguments, *[0] * (6 - len(arguments))))
    program = seccomp.program(machine)
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at = value = 0
    while True:
        kind, yes, no, constant = code[at]
        at += 1
        if kind == 0x06:
            return constant
        if kind == 0x20:
            value = struct.unpack_from("<I", data, constant)[0]
        else:
            holds = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[kind]
            at += yes if holds else no


@pytest.mark.parametrize("machine", ARCH)
def test_every_call_of_the_table_is_denied_and_its_neighbours_are_not(machine):
    denied = {numbers[COLUMN[machine]] for numbers in seccomp._DENIED.values()} - {None}
    clone3 = 435
    for number in range(480):
        expected = EPERM if number in denied else ENOSYS if number == clone3 else None
        found = outcome(machine, number)
        if expected is not None:
            assert found == expected, number
        elif number != {"x86_64": 41, "aarch64": 198}[machine]:
            assert found == ALLOW, number


@pytest.mark.parametrize("machine", ARCH)
def test_arguments_decide(machine):
    clone, socket, ioctl, personality = {"x86_64": (56, 41, 16, 135), "aarch64": (220, 198, 29, 92)}[machine]
    assert outcome(machine, clone, 0x11) == ALLOW
    assert outcome(machine, clone, 0x003D0F00) == ALLOW  # a thread, as the C library makes one
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert outcome(machine, clone, 0x11 | flag) == EPERM
        assert outcome(machine, clone, 0x11 | flag | 1 << 40) == EPERM
    for family in range(50):
        assert outcome(machine, socket, family) == (ALLOW if family in (1, 2, 10) else EAFNOSUPPORT)
    assert outcome(machine, ioctl, 0, 0x5412) == EPERM
    assert outcome(machine, ioctl, 0, 0x5412 | 1 << 32) == EPERM
    assert outcome(machine, ioctl, 0, 0x541C) == EPERM
    assert outcome(machine, ioctl, 0, 0x5413) == ALLOW
    assert outcome(machine, personality, 0) == outcome(machine, personality, 0xFFFFFFFF) == ALLOW
    assert outcome(machine, personality, 0x0400000) == EPERM


def test_foreign_architectures_die():
    assert outcome("x86_64", 0, arch=0x40000003) == KILL  # i386
    assert outcome("x86_64", 0x40000000 | 1) == KILL  # x32
    assert outcome("aarch64", 0, arch=ARCH["x86_64"]) == KILL


def test_an_unknown_machine_is_refused():
    with pytest.raises(SandboxError, match="riscv64") as caught:
        seccomp.program("riscv64")
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("column", "headers"),
    [
        (0, ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"]),
        (1, ["/usr/include/asm-generic/unistd.h"]),
    ],
)
def test_the_numbers_are_the_kernel_s(column, headers):
    header = next((Path(name) for name in headers if Path(name).exists()), None)
    if header is None:
        pytest.skip("the kernel's headers are not installed")
    known = dict(re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text(), re.MULTILINE))
    wrong = {
        name: (numbers[column], known[name])
        for name, numbers in seccomp._DENIED.items()
        if name in known and numbers[column] != int(known[name])
    }
    assert wrong == {}
    missing = {name for name, numbers in seccomp._DENIED.items() if numbers[column] and name not in known}
    assert missing <= {"open_tree_attr", "memfd_secret", "quotactl_fd"}  # younger than some headers


def test_inside_the_sandbox_the_kernel_agrees(python):
    done = python(
        "import ctypes, errno, os, socket\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def call(name, *arguments):\n"
        "    ctypes.set_errno(0)\n"
        "    result = libc.syscall(*arguments)\n"
        "    print(name, 'worked' if result >= 0 else errno.errorcode[ctypes.get_errno()])\n"
        "import platform\n"
        "n = 0 if platform.machine() == 'x86_64' else 1\n"
        "call('ptrace', (101, 117)[n], 16, 0, 0, 0)\n"
        "call('unshare', (272, 97)[n], 0x10000000)\n"
        "call('setns', (308, 268)[n], 0, 0)\n"
        "call('bpf', (321, 280)[n], 0, 0, 0)\n"
        "call('io_uring', 425, 1, 0)\n"
        "call('keyctl', (250, 219)[n], 0, 0)\n"
        "call('perf', (298, 241)[n], 0, 0, -1, -1, 0)\n"
        "call('clone3', 435, 0, 0)\n"
        "call('clone', (56, 220)[n], 0x10000011, 0, 0, 0, 0)\n"
        "call('personality', (135, 92)[n], 0xffffffff)\n"
        "call('randomize', (135, 92)[n], 0x40000)\n"
        "call('userfaultfd', (323, 282)[n], 1)\n"
        "call('process_vm_readv', (310, 270)[n], 1, 0, 0, 0, 0, 0)\n"
        "call('mount', (165, 40)[n], 0, 0, 0, 0, 0)\n"
        "call('ioctl', (16, 29)[n], 0, 0x5412, 0)\n"
        "for family in (16, 17, 38, 40):\n"
        "    kind = socket.SOCK_RAW if family < 20 else socket.SOCK_STREAM\n"
        "    try: socket.socket(family, kind); print('socket worked')\n"
        "    except OSError as error: print('socket', errno.errorcode[error.errno])\n"
    )
    refused = "ptrace unshare setns bpf io_uring keyctl perf clone randomize userfaultfd process_vm_readv mount ioctl"
    assert done.exit == 0, done.log
    said = done.log.strip().split("\n")
    assert set(said) == {f"{name} EPERM" for name in refused.split()} | {
        "clone3 ENOSYS",
        "personality worked",
        "socket EAFNOSUPPORT",
    }

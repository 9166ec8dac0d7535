import os
from pathlib import Path

import pytest

from harness.cleanroom import hierarchy
from harness.cleanroom.cgroup import HostV1, HostV2
from harness.cleanroom.hierarchy import Mounted, mounted
from harness.errors import SandboxError

HYBRID = """\
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
22 27 0:21 / /proc rw,relatime - proc proc rw
"""
OWN = "9:name=systemd:/\n8:pids:/a\n4:memory:/jobs/b\n2:cpu,cpuacct:/\n0::/\n"
PURE = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def own(places, controller):
    return next(place.own for place in places if controller in place.controllers)


def test_a_hybrid_machine():
    places = mounted(OWN, HYBRID)
    assert own(places, "memory") == Path("/sys/fs/cgroup/memory/jobs/b")
    assert own(places, "pids") == Path("/sys/fs/cgroup/pids/a")
    assert own(places, "cpuacct") == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert [place.own for place in places if place.version == 2] == [Path("/sys/fs/cgroup/unified")]


def test_a_machine_of_version_2_alone():
    (place,) = mounted("0::/user.slice/user-1000.slice/session-2.scope\n", PURE)
    assert place == Mounted(
        version=2,
        controllers=frozenset(),
        top=Path("/sys/fs/cgroup"),
        own=Path("/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope"),
    )


def test_a_container_that_sees_its_own_part_under_the_host_s_name():
    mounts = "30 23 0:26 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    assert own(mounted("4:memory:/docker/abc\n", mounts), "memory") == Path("/sys/fs/cgroup/memory")
    assert own(mounted("4:memory:/docker/abc/x\n", mounts), "memory") == Path("/sys/fs/cgroup/memory/x")
    assert own(mounted("4:memory:/docker/abcdef\n", mounts), "memory") == Path("/sys/fs/cgroup/memory/docker/abcdef")


def test_a_process_outside_of_its_namespace_s_root():
    (place,) = mounted("0::/../../other\n", PURE)
    assert place.own == Path("/sys/fs/cgroup")


def test_odd_names_are_understood():
    mounts = "35 31 0:32 / /sys/fs/my\\040cgroup rw - cgroup cgroup rw,memory\n"
    assert own(mounted("4:memory:/a:b\n", mounts), "memory") == Path("/sys/fs/my cgroup/a:b")


def test_version_1_wants_all_three():
    with pytest.raises(LookupError, match="cpuacct, memory"):
        hierarchy._host_v1(mounted("8:pids:/\n", HYBRID))
    assert isinstance(hierarchy._host_v1(mounted(OWN, HYBRID)), HostV1)


class Tree:
    """A version 2 hierarchy of ordinary files."""

    def __init__(self, top):
        self.top = top

    def add(self, name, *, controllers="cpu memory pids", subtree="", procs=""):
        folder = self.top / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.controllers").write_text(controllers)
        (folder / "cgroup.subtree_control").write_text(subtree)
        (folder / "cgroup.procs").write_text(procs)
        return folder

    def host(self, own):
        place = Mounted(version=2, controllers=frozenset(), top=self.top, own=self.top / own)
        return hierarchy._host_v2([place])


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "cgroup")


def test_a_group_that_hands_its_controllers_down_is_taken(tree):
    top = tree.add("", subtree="cpu memory pids")
    assert tree.host("") == HostV2(top)


def test_beside_ourselves_where_the_parent_hands_down(tree):
    tree.add("", subtree="memory pids")
    app = tree.add("user/app.slice", subtree="memory pids")
    tree.add("user/app.slice/run-1.scope", procs="1\n")
    assert tree.host("user/app.slice/run-1.scope") == HostV2(app)


def test_a_group_given_to_us_is_rearranged(tree, monkeypatch):
    tree.add("")
    tree.add("system.slice")
    ours = tree.add("system.slice/lab.service", procs="11\n12\n")
    tree.add("system.slice/lab.service/reproof-harness")
    monkeypatch.setattr(hierarchy, "_attribute", lambda folder, name: b"1" if folder == ours else None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    wrote = []

    def write(path, text):
        wrote.append((str(path.relative_to(ours)), text))
        if path.name == "cgroup.subtree_control" and len(wrote) == 1:
            raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(hierarchy, "write", write)
    assert tree.host("system.slice/lab.service") == HostV2(ours)
    assert wrote == [
        ("cgroup.subtree_control", "+memory +pids"),
        ("reproof-harness/cgroup.procs", "11"),
        ("reproof-harness/cgroup.procs", "12"),
        ("cgroup.subtree_control", "+memory +pids"),
    ]


def test_once_moved_the_parent_is_the_base(tree):
    tree.add("")
    tree.add("system.slice")
    ours = tree.add("system.slice/lab.service", subtree="memory pids")
    tree.add("system.slice/lab.service/reproof-harness", procs="11\n")
    assert tree.host("system.slice/lab.service/reproof-harness") == HostV2(ours)


def test_a_group_that_is_not_ours_is_left_alone(tree, monkeypatch):
    tree.add("")
    tree.add("user.slice")
    tree.add("user.slice/session-1.scope", procs="1\n")
    monkeypatch.setattr(hierarchy, "write", lambda path, text: pytest.fail("touched"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(LookupError, match="not delegated"):
        tree.host("user.slice/session-1.scope")


def test_a_group_without_the_controllers_is_no_use(tree):
    tree.add("", controllers="cpu io")
    with pytest.raises(LookupError, match="not delegated"):
        tree.host("")


def test_what_is_found_really_works():
    host = hierarchy.find_host()
    hierarchy._try_out(host)
    assert not [path for base in host.bases for path in base.glob(f"reproof-*-{os.getpid()}-*")]


def test_nothing_found_says_why_and_what_to_do(monkeypatch):
    monkeypatch.setattr(hierarchy, "mounted", lambda *_: [])
    with pytest.raises(SandboxError) as caught:
        hierarchy.find_host()
    assert caught.value.got == "v2: not mounted; v1: not mounted: cpuacct, memory, pids"
    assert "systemd-run --user --scope -p Delegate=yes" in caught.value.remedy
    assert "metering" in caught.value.remedy

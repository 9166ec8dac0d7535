import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from served_paper import write_served

from harness.attempt.plumbing import File, snapshot
from harness.attempt.reported import reportable
from harness.attempt.task import (
    agreed_start,
    overlay_tree,
    reference_files,
    start_commit_of,
    start_files,
)
from harness.errors import PaperError, UsageError
from harness.paper.load import Paper, load_paper
from harness.paper.mutations import Mutation, find_mutation, read_mutations

Git = Callable[..., str]


def test_start_files_are_what_is_public(paper: Paper) -> None:
    files = start_files(paper)
    assert list(files) == [
        ".gitignore",
        "BRIEF.md",
        "TASK.md",
        "metrics.py",
        "paper.yaml",
        "reproduction/__init__.py",
        "reproduction/__main__.py",
        "reproduction/descent.py",
        "run.sh",
    ]
    assert [path for path, file in files.items() if file.executable] == ["run.sh"]
    (paper.folder / "environments.py").write_text("")
    assert "environments.py" in start_files(paper)


def test_the_task_says_how_to_report_where_something_can_be_reported(tiny: Paper, paper: Paper) -> None:
    told = start_files(tiny)["TASK.md"].data.decode()
    assert "`reported.json` in the root" in told
    assert '{"number_published": 0.5}' in told
    assert "It earns nothing and costs nothing" in told
    assert ("reported.json" in start_files(paper)["TASK.md"].data.decode()) == bool(reportable(paper))


def test_starter_holds_plain_files_of_its_own_only(paper: Paper) -> None:
    (paper.starter / "BRIEF.md").write_text("another")
    with pytest.raises(PaperError, match=r"starter/BRIEF\.md"):
        start_files(paper)
    (paper.starter / "BRIEF.md").unlink()
    (paper.starter / "link.py").symlink_to("/etc/passwd")
    with pytest.raises(PaperError, match=r"link\.py"):
        start_files(paper)


def test_start_commit_is_pinned(paper: Paper) -> None:
    name, _ = agreed_start(paper)
    (paper.folder / "start_commit").write_text(f"{name}\n")
    assert agreed_start(paper)[0] == name == start_commit_of(paper)
    paper.brief_file.write_text("# Changed\n")
    with pytest.raises(PaperError, match="reproof paper sync small"):
        agreed_start(paper)


_MAKE_TEN = """\
import json, os, sys, time
from pathlib import Path
from harness.attempt.workspace import create_workspace
from harness.paper.load import load_paper
for index, (umask, variables) in enumerate(json.load(sys.stdin)):
    plain = {"PATH": os.environ["PATH"]} | variables
    os.environ.clear()
    os.environ.update(plain)
    time.tzset()
    os.umask(int(umask, 8))
    print(create_workspace(load_paper(Path(sys.argv[1])), Path(sys.argv[2], f"made-{index}")))
"""
_TRAP = "[core]\n\tautocrlf = true\n[i18n]\n\tcommitEncoding = latin1\n[commit]\n\tgpgSign = true\n[init]\n"
_ENVIRONMENTS = [
    {},
    {"GIT_AUTHOR_NAME": "Somebody", "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z"},
    {"GIT_CONFIG_GLOBAL": "{home}/.gitconfig", "HOME": "{home}"},
    {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.autocrlf", "GIT_CONFIG_VALUE_0": "true"},
    {"GIT_DIR": "{home}/other", "GIT_INDEX_FILE": "{home}/index", "GIT_WORK_TREE": "{home}"},
    {"GIT_OBJECT_DIRECTORY": "{home}/objects", "GIT_ALTERNATE_OBJECT_DIRECTORIES": "{home}/more"},
    {"GIT_DEFAULT_HASH": "sha256", "GIT_DEFAULT_REF_FORMAT": "reftable"},
    {"GIT_TEMPLATE_DIR": "{home}/template", "TZ": "Asia/Kathmandu"},
    {"LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE.UTF-8", "GIT_NAMESPACE": "other"},
    {"SOURCE_DATE_EPOCH": "1", "PYTHONHASHSEED": "7", "GIT_COMMON_DIR": "{home}/common"},
]


def test_ten_start_commits_agree_with_each_other_and_with_git(paper: Paper, tmp_path: Path, git: Git) -> None:
    home = tmp_path / "home"
    (home / "template/hooks").mkdir(parents=True)
    (home / "template/hooks/post-index-change").write_text("#!/bin/sh\ntouch " + f"{home}/canary\n")
    (home / ".gitconfig").write_text(_TRAP + f"\ttemplateDir = {home}/template\n")
    umasks = ["022", "077", "002", "027", "000"] * 2
    filled = [{key: value.format(home=home) for key, value in variables.items()} for variables in _ENVIRONMENTS]
    done = subprocess.run(
        [sys.executable, "-c", _MAKE_TEN, str(paper.folder), str(tmp_path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
        input=json.dumps(list(zip(umasks, filled, strict=True))),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    made = done.stdout.split()
    assert made == [_by_hand(paper, tmp_path / "by-hand", git)] * 10
    for index in range(10):
        workspace = tmp_path / f"made-{index}"
        assert git("status", "--porcelain", "--ignored", folder=workspace) == ""
        assert [(workspace / name).stat().st_mode & 0o777 for name in ("run.sh", "BRIEF.md")] == [
            0o755,
            0o644,
        ]
    assert not any((home / name).exists() for name in ("other", "index", "canary", "objects"))


def _by_hand(paper: Paper, folder: Path, git: Git) -> str:
    """The start commit as Git's own commands make it."""
    folder.mkdir()
    git("init", "-q", "--bare", folder=folder)
    for path, file in start_files(paper).items():
        blob = git("hash-object", "-w", "--stdin", folder=folder, stdin=file.data)
        git("update-index", "--add", "--cacheinfo", f"{file.mode},{blob},{path}", folder=folder)
    date = "2000-01-01T00:00:00+0000"
    who = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "Reproof"), ("EMAIL", "reproof@reproof.invalid"), ("DATE", date))
    }
    tree = git("write-tree", folder=folder)
    return git("commit-tree", tree, folder=folder, stdin=b"The start of a reproduction\n", **who)


def test_trees_hash_as_git_hashes_them(tmp_path: Path, git: Git) -> None:
    # Git sorts a folder as if its name ended in a slash: `a.b` before `a/`, `a0` after it.
    names = ["a/x", "a.b", "a0", "a-b/c/d", "ä/ö", "a/y/z", "z"]
    files = {name: File(name.encode(), executable=name == "z") for name in names}
    folder = tmp_path / "tree"
    folder.mkdir()
    git("init", "-q", "--bare", folder=folder)
    for path, file in files.items():
        blob = git("hash-object", "-w", "--stdin", folder=folder, stdin=file.data)
        git("update-index", "--add", "--cacheinfo", f"{file.mode},{blob},{path}", folder=folder)
    assert snapshot(files)[0] == git("write-tree", folder=folder)


def test_reference_lies_over_the_starter(paper: Paper) -> None:
    files = reference_files(paper)
    assert files["reproduction/descent.py"].data == b"theta = 1.0\ntheta = theta - rate\n"
    assert files["reproduction/__main__.py"] == start_files(paper)["reproduction/__main__.py"]
    assert "reproduction/extra.py" in files
    assert list(files) == sorted(files)


def test_mutation_changes_one_place(paper: Paper) -> None:
    mutated = overlay_tree(paper, find_mutation(paper, "wrong_sign"))
    reference = reference_files(paper)
    assert [path for path in reference if reference[path] != mutated[path]] == ["reproduction/descent.py"]
    assert mutated["reproduction/descent.py"].data == b"theta = 1.0\ntheta = theta + rate\n"
    assert overlay_tree(paper, find_mutation(paper, "in_the_starter")) != reference


@pytest.mark.parametrize(("old", "count"), [("theta", 3), ("nowhere", 0)])
def test_mutated_text_occurs_once(paper: Paper, old: str, count: int) -> None:
    made = {"name": "m", "file": "reproduction/descent.py", "old": old, "new": "x", "why": "because it is"}
    mutation = Mutation.model_validate(made | {"fails": ["first"]})
    with pytest.raises(PaperError, match=rf"descent\.py \(mutation m\).*\n?.*got {count}"):
        overlay_tree(paper, mutation)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("  colour: red", r"mutations\.yaml:1?\d+ 1\.colour"),
        (
            "  fails: [third]",
            r"mutations\.yaml:\d+ 1\.fails\.0: expected a core leaf \(first, second\), got 'third'",
        ),
        ("  file: reproduction/none.py", r"mutations\.yaml:\d+ 1\.file: expected a file of the reference"),
        ("  file: ../../paper.yaml", r"1\.file: expected a plain path"),
        ("- name: in_the_starter", r"1\.name: expected a name of its own, got 'wrong_sign' 2 times"),
        ("  name: Not-a-name", r"1\.name"),
    ],
)
def test_broken_mutations_name_their_line(paper: Paper, line: str, message: str) -> None:
    file = paper.private / "mutations.yaml"
    first, second = file.read_text().split("- name: in_the_starter\n")
    key = line.split(":")[0].strip(" -")
    lines = ["- name: in_the_starter", *second.splitlines()]
    if line.startswith("- name"):
        lines[0] = "- name: wrong_sign"
    elif key == "name":
        lines[0] = "- name: Not-a-name"
    else:
        lines = [other for other in lines if not other.strip().startswith(f"{key}:")] + [line]
    file.write_text(first + "\n".join(lines) + "\n")
    with pytest.raises(PaperError, match=message):
        read_mutations(paper)


def test_unknown_mutation_suggests(paper: Paper) -> None:
    with pytest.raises(UsageError, match="did you mean wrong_sign"):
        find_mutation(paper, "wrong_sgn")


def test_without_a_reference(paper: Paper) -> None:
    (paper.private / "reference").rename(paper.private / "elsewhere")
    with pytest.raises(PaperError, match="private_path"):
        reference_files(paper)


def test_environments_are_told_where_a_paper_has_some(tiny: Paper, tmp_path: Path) -> None:
    assert b"Environments" not in start_files(tiny)["TASK.md"].data

    def more(spec: dict[str, Any]) -> None:
        environments = spec["experiments"]["walking"]["environments"]
        environments["reproof/Pole-v1"] = {"make": "CartPole-v1", "steps": "20 000", "max_episode_steps": 1000}

    files = start_files(load_paper(write_served(tmp_path / "corridor", more)))
    task = files["TASK.md"].data.decode()
    assert "| `walking` | `reproof/Corridor-v0` | 400 | 60 | - |\n" in task
    assert "| `walking` | `reproof/Pole-v1` | 20,000 | none | 1,000 |\n" in task
    assert 'judged = gymnasium.make("reproof/Corridor-v0", phase="evaluation")' in task
    assert max(map(len, task.splitlines())) <= 125, "a title may be longer"
    assert "\n\n\n" not in task
    assert "{" not in task.replace('{"npy": "name.npy"}', "").replace('{"right_finds_it": 0.5}', "")
    assert "environments.py" in files


def test_a_file_of_environments_that_registers_by_a_call_is_told(tmp_path: Path) -> None:
    folder = write_served(tmp_path / "corridor")
    with (folder / "environments.py").open("a") as file:
        file.write("\n\ndef register(instance):\n    pass\n")
    task = start_files(load_paper(folder))["TASK.md"].data.decode()
    assert '    import environments\n    environments.register(run["instance"])  # outside' in task


def test_a_paper_of_gymnasium_s_own_environments_imports_nothing(tmp_path: Path) -> None:
    def plain(spec: dict[str, Any]) -> None:
        served = {"make": "CartPole-v1", "steps": 100}
        spec["experiments"]["walking"]["environments"] = {"reproof/Corridor-v0": served}

    folder = write_served(tmp_path / "corridor", plain)
    (folder / "environments.py").unlink()
    task = start_files(load_paper(folder))["TASK.md"].data.decode()
    assert "import environments" not in task
    assert "phase=" not in task
    assert "\n\n\n" not in task

"""A paper as a task of Harbor's, without Harbor: what is written, and that its scripts do what they say."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest
from guests import Cli

from harness.attempt.task import start_commit_of
from harness.errors import UsageError
from harness.exchange.guest import Origin, begin, guest_settings, open_room
from harness.exchange.harbor_export import export_task
from harness.paper.load import Paper, load_paper


@pytest.fixture
def lean(papers: Path) -> Paper:
    return load_paper(papers / "lean")


def test_a_task_holds_what_harbor_wants_and_nothing_private_but_the_oracle(lean: Paper, tmp_path: Path) -> None:
    found = export_task(lean, tmp_path / "tasks")
    assert (found.oracle, found.folder) == (True, tmp_path / "tasks" / "lean")
    files = {str(path.relative_to(found.folder)) for path in found.folder.rglob("*") if path.is_file()}
    assert files == {
        "task.toml", "instruction.md", "tests/test.sh", "solution/solve.sh", "solution/files/reproduction/work.py",
        "environment/Dockerfile", "environment/workspace.tar", "environment/reproof.json",
    }  # fmt: skip
    task = tomllib.loads((found.folder / "task.toml").read_text())
    assert (task["schema_version"], task["task"]["name"]) == ("1.4", "reproof/lean")
    assert task["metadata"]["start_commit"] == start_commit_of(lean)
    assert task["agent"]["timeout_sec"] == lean.spec.budgets["standard"].working
    assert task["environment"]["network_mode"] == "no-network"
    packed = (found.folder / "environment" / "workspace.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert {"./BRIEF.md", "./.git/HEAD", "./reproduction/work.py"} <= set(archive.getnames())
    text = packed + (found.folder / "instruction.md").read_bytes()
    assert b"struct.unpack" not in text  # of the reference alone
    assert b"doubled_step" not in text  # of the mutations


def test_without_the_private_part_there_is_no_oracle(lean: Paper, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "lean").mkdir(parents=True)
    bare = load_paper(lean.folder, private_path=tmp_path / "elsewhere")
    found = export_task(bare, tmp_path / "tasks")
    assert not found.oracle
    assert not (found.folder / "solution").exists()


def test_a_task_is_not_written_over_another(lean: Paper, tmp_path: Path) -> None:
    export_task(lean, tmp_path)
    with pytest.raises(UsageError, match="new folder"):
        export_task(lean, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lean"]


def test_the_verifier_deletes_what_the_agent_left_as_a_reward(lean: Paper, tmp_path: Path) -> None:
    script = (export_task(lean, tmp_path / "tasks").folder / "tests" / "test.sh").read_text()
    logs = tmp_path / "logs" / "verifier"
    logs.mkdir(parents=True)
    (logs / "reward.txt").write_text("1")
    (logs / "reward.json").symlink_to(tmp_path / "theirs.json")
    (tmp_path / "theirs.json").write_text('{"reward": 1}')
    subprocess.run(["sh", "-c", script.replace("/logs/", f"{tmp_path}/logs/")], check=True)
    assert [path.name for path in logs.iterdir()] == ["reward.json"]
    assert (logs / "reward.json").read_text() == '{"reward": 0, "scored": 0}\n'
    assert (tmp_path / "theirs.json").read_text() == '{"reward": 1}'


def test_the_oracle_and_the_hook_that_hands_in_work_in_a_room(lean: Paper, tmp_path: Path) -> None:
    task = export_task(lean, tmp_path / "tasks").folder
    hook = tomllib.loads((task / "task.toml").read_text())["verifier"]["collect"][0]["command"]
    origin = Origin(harness="harbor", job="j", trial="t", agent="oracle", start_commit=start_commit_of(lean))
    settings = guest_settings(origin, "lean", ["tracking=none", f"results={tmp_path / 'results'}"])
    road = begin(settings, origin, tell=lambda text: None)
    assert road.attempt.condition == "harness"
    guest = open_room(road, ["/logs", "/solution"])
    try:
        again = {"folder": "/reproof/work", "environment": {}}
        assert guest.room.execute(["sh", "-c", hook], **again).code == 0
        guest.room.get("/logs/artifacts/submission.bundle", tmp_path)
        assert (tmp_path / "submission.bundle").read_bytes() == b""  # the start commit, as it was
        guest.room.put(task / "solution", "/solution")
        assert guest.room.execute(["/solution/solve.sh"], **again).code == 0
        assert guest.room.execute(["sh", "-c", "echo more >note; " + hook], **again).code == 0
        guest.room.get("/logs/artifacts/submission.bundle", tmp_path)
    finally:
        guest.room.close()
    assert (tmp_path / "submission.bundle").read_bytes().startswith(b"# v2 git bundle")


def test_a_task_of_another_version_is_refused(lean: Paper, tmp_path: Path) -> None:
    origin = Origin(harness="harbor", job="j", trial="t", agent="solver", start_commit="0" * 40)
    settings = guest_settings(origin, "lean", ["tracking=none", f"results={tmp_path / 'results'}"])
    with pytest.raises(UsageError, match="another version"):
        begin(settings, origin, tell=lambda text: None)
    assert not (tmp_path / "results" / "attempts").exists()


def test_the_verb_writes_several_papers(cli: Cli, tmp_path: Path) -> None:
    done = cli("export", "harbor", "lean", "tiny", "tasks", "--json")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "tasks").iterdir()) == ["lean", "tiny"]
    assert cli("export", "harbor", "leen", "tasks").returncode == 2

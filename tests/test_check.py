"""The rehearsal: what stands in the workspace, run on pinned instances, with nothing held out and nothing changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from handmade import commit, data_of, git, kinds, snapshot
from tiny_paper import WORK, lean, write_paper

from harness.attempt.participant import Outcome
from harness.check import Check, check
from harness.errors import SubmissionError, UsageError
from harness.handing_in import hand_in
from harness.pipeline import planner_of
from harness.report.checked import checked_lines
from harness.road import Road

WORKFILE = "reproduction/work.py"
Begin = Callable[..., Road]


@pytest.fixture
def road(begin: Begin) -> Road:
    return begin()


def write(road: Road, text: str) -> None:
    (road.workspace / WORKFILE).write_text(text)


def status(road: Road) -> str:
    return git(road.workspace, "status", "--porcelain", "--ignored") + git(
        road.workspace, "log", "--format=%H", "--all"
    )


@pytest.fixture(scope="module")
def checked(begin: Begin, answered: Callable[[Road], Road]) -> tuple[Road, Check]:
    """Checked with work that was never committed, after a submission whose plan is drawn."""
    road = begin()
    commit(road.workspace, {"notes.txt": "of a rehearsal"})  # nobody else's tree, whose runs would be there
    road.desk.note("resumed")
    hand_in(road, Outcome(note="", ended="submitted"))
    answered(road)
    road.desk.note("resumed")
    write(road, WORK)
    before = status(road), snapshot(road.workspace)
    found = check(road)
    assert (status(road), snapshot(road.workspace)) == before
    return road, found


def test_what_is_not_committed_is_checked(checked: tuple[Road, Check]) -> None:
    _, found = checked
    assert found.ok
    assert [run.status for run in found.runs] == ["completed"] * 3
    assert {leaf.leaf for leaf in found.leaves} == {
        "number_published", "number_said", "exact_published", "threshold_below"
    }  # fmt: skip
    measured = {leaf.leaf: list(leaf.measured.values()) for leaf in found.leaves}
    assert measured["exact_published"] == [0.78125]
    assert measured["number_published"] == [pytest.approx(1.5625, rel=0.05)]
    assert found.not_checked == ["number_reference", "exact_reference"]


def test_nothing_that_is_held_out_is_shown(checked: tuple[Road, Check]) -> None:
    road, found = checked
    planner = planner_of(road, "x")
    held_out = [one for one in planner.instances["walk"] if one.which == "held_out"]
    assert held_out
    lines = "\n".join(checked_lines(found))
    records = "\n".join(path.read_text() for path in new_runs(road, found))
    for instance in held_out:
        secret = json.dumps(instance.as_seen(), default=str)
        goal = instance.as_seen()["goal"]
        assert str(goal)[:8] in secret
        for text in (found.model_dump_json(), lines, records):
            assert str(goal)[:8] not in text
            assert instance.digest not in text
    for seed in planner.plan.seeds:
        assert str(seed) not in found.model_dump_json()
    assert found.seed not in planner.plan.seeds


def new_runs(road: Road, found: Check) -> Iterator[Path]:
    """The records of the runs that are this rehearsal's."""
    for path in road.store.root.glob("runs/*/*/run.json"):
        if json.loads(path.read_text())["tree"] == found.tree and str(found.seed) in path.read_text():
            yield path


def test_a_rehearsal_is_metered_and_is_no_submission(checked: tuple[Road, Check]) -> None:
    road, found = checked
    executed = data_of(road.desk, "executed")
    assert len(executed) == len(found.runs)
    assert road.desk.account().used("cpu") == pytest.approx(sum(run.cpu for run in found.runs), rel=0.2)
    assert len(road.desk.submissions) == 1
    assert kinds(road.desk).count("submitted") == 1
    assert "rerun" not in kinds(road.desk)
    assert not (road.folder / "private").exists()


def test_a_report_is_read_as_the_rerun_reads_it(road: Road) -> None:
    assert check(road).reported == {}
    (road.workspace / "reported.json").write_text('{"exact_published": 0.75, "number_reference": 1, "\\u001b[2J": 1}')
    found = check(road, ["walk"])
    assert found.reported == {"exact_published": 0.75}
    assert ["drawn for the submission" in problem for problem in found.reported_problems] == [True, False]
    lines = list(checked_lines(found))
    place = lines.index("reported.json: 1 number to be shown beside what the rerun measures")
    assert [line[:4] for line in lines[place + 1 : place + 3]] == ["    ", "    "]
    assert not any("\x1b" in line for line in lines)


def test_lines_for_people(checked: tuple[Road, Check]) -> None:
    lines = list(checked_lines(checked[1]))
    assert lines[0].startswith("✔ walk method=noisy")
    assert "exact_published: to be 0.78125, up to 1e-09" in lines
    assert "    0.78125 measured on walk[pinned, method=still]" in lines
    assert any("not checked" in line and "exact_reference" in line for line in lines)
    assert "no verdict" in lines[-1]
    assert not any("reported.json" in line for line in lines)


def test_what_git_ignores_is_left_out_as_it_is_from_a_submission(road: Road) -> None:
    write(road, "from reproduction.real import work\n")
    (road.workspace / "reproduction/real.py").write_text(WORK)
    assert check(road).ok
    (road.workspace / ".gitignore").write_text("real.py\n")
    found = check(road)
    assert not found.ok
    assert {run.status for run in found.runs} == {"crashed"}
    assert "reproduction.real" in found.runs[0].problems[0]
    handed = hand_in(road, Outcome(note="", ended="submitted"))
    assert handed.tree == found.tree


def test_a_crash_is_told_with_its_log(road: Road) -> None:
    write(road, WORK.replace("def walk(", "def walk(*a): raise ValueError('\\x1b[2Jno luck')\n\n\ndef other("))
    found = check(road)
    assert not found.ok
    lines = list(checked_lines(found))
    assert lines[0].startswith("✘ walk")
    assert any("ValueError" in line for line in lines)
    assert not any("\x1b" in line for line in lines)
    assert any("nothing measured" in line for line in lines)
    assert all(None in leaf.measured.values() and leaf.problems for leaf in found.leaves)


def test_one_experiment_alone(begin: Begin, tmp_path: Path) -> None:
    def two(spec: dict[str, object]) -> None:
        lean(spec)
        experiments = spec["experiments"]
        assert isinstance(experiments, dict)
        experiments["run"] = {**experiments["walk"], "summary": "Run"}

    folder = write_paper(tmp_path / "papers" / "lean", two)
    road = begin(folder=folder, results=tmp_path / "results")
    write(road, WORK)
    assert {run.label.split()[0] for run in check(road, ["walk"]).runs} == {"walk"}
    unread = check(road, ["run"])  # no leaf reads it: it is run all the same, so that a crash shows before the rerun
    assert {run.label.split()[0] for run in unread.runs} == {"run"}
    assert not unread.ok
    assert (unread.leaves, unread.not_checked) == ([], [])
    with pytest.raises(UsageError, match="did you mean walk"):
        check(road, ["wlak"])


def test_an_experiment_without_pinned_instances_cannot_be_checked(begin: Begin, tiny_folder: Path) -> None:
    road = begin(folder=tiny_folder, results=tiny_folder.parents[1] / "results")
    with pytest.raises(UsageError, match="unknown experiment with pinned instances"):
        check(road, ["update"])


@pytest.mark.parametrize("target", ["/etc/passwd", "work.py", "nowhere"])
def test_a_link_is_refused_with_a_sentence(road: Road, target: str) -> None:
    (road.workspace / "reproduction" / "data.txt").symlink_to(target)
    with pytest.raises(SubmissionError, match=r"reproduction/data\.txt") as caught:
        check(road)
    assert caught.value.remedy
    assert data_of(road.desk, "executed") == []


def test_a_head_of_nothing_is_refused_with_a_sentence(road: Road) -> None:
    (road.workspace / ".git" / "HEAD").write_text("ref: refs/heads/nowhere\n")
    with pytest.raises(SubmissionError, match="cannot be looked at"):
        check(road)


def test_hooks_and_filters_of_the_workspace_change_nothing_outside(road: Road, tmp_path: Path) -> None:
    write(road, WORK)
    proof = tmp_path / "owned"
    hook = road.workspace / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {proof}\n")
    hook.chmod(0o755)
    git(road.workspace, "config", "core.fsmonitor", f"touch {proof}; false")
    (road.workspace / ".git/info").mkdir(exist_ok=True)
    (road.workspace / ".git/info/attributes").write_text("* filter=evil\n")
    git(road.workspace, "config", "filter.evil.clean", f"touch {proof}; cat")
    proof.unlink(missing_ok=True)
    assert check(road).ok
    assert not proof.exists()


def test_without_cpu_time_nothing_is_checked(begin: Begin) -> None:
    # Once: check promises a UsageError, but Bench.meter does not look at what is left before a command begins, and
    # what is run gets the experiment's limits: short runs go on and on beyond the budget.
    road = begin(cpu=1.0)
    write(road, WORK)
    road.desk.note("executed", job="x", command="earlier", cpu=1.5)
    with pytest.raises(UsageError, match="CPU time is used up"):
        check(road)


def test_the_head_is_seen(road: Road) -> None:
    head = commit(road.workspace, {WORKFILE: WORK})
    check(road)
    assert [data["commit"] for data in data_of(road.desk, "committed")] == [head]

"""A paper begun from nothing: it loads, it runs, it earns nothing, and what is not said yet passes for nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.attempt.task import reference_files, start_files
from harness.errors import UsageError
from harness.paper import scaffold
from harness.paper.load import load_paper
from harness.paper.mutations import read_mutations
from harness.paper.scaffold import create_paper
from harness.report.papers import described
from harness.validation.sync import generated_brief, synchronise

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "brief.md", "metrics.py", "paper.yaml", "private/instances.py", "private/mutations.yaml",
    "private/reference/reproduction/algorithm.py", "starter/reproduction/__init__.py",
    "starter/reproduction/__main__.py", "starter/reproduction/algorithm.py",
)  # fmt: skip
UNMARKED = {"starter/reproduction/__init__.py"}


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_scaffold_holds_every_file_and_loads(tmp_path: Path) -> None:
    made = create_paper("random_walk", tmp_path / "papers")
    assert made.paper == "random_walk"
    assert made.folder == tmp_path / "papers" / "random_walk"
    assert made.files == FILES
    assert sorted(str(p.relative_to(made.folder)) for p in made.folder.rglob("*") if p.is_file()) == sorted(FILES)
    assert names(tmp_path) == ["papers", *(f"papers/{name}" for name in ["random_walk", *(
        f"random_walk/{below}" for below in names(made.folder))])]  # fmt: skip
    paper = load_paper(made.folder)
    assert set(start_files(paper)) <= set(reference_files(paper))
    assert len(read_mutations(paper)) == 1
    assert synchronise(paper, write=True) == ["brief.md", "start_commit"]
    assert synchronise(load_paper(made.folder), write=False) == []


def test_every_file_says_what_is_left_in_it(tmp_path: Path) -> None:
    made = create_paper("random_walk", tmp_path)
    assert {name for name in made.files if "TODO" not in (made.folder / name).read_text()} == UNMARKED


def test_files_are_readable_by_everybody_and_as_the_linter_wants_them(tmp_path: Path) -> None:
    made = create_paper("random_walk", tmp_path)
    assert {(made.folder / name).stat().st_mode & 0o444 for name in made.files} == {0o444}
    assert made.folder.stat().st_mode & 0o555 == 0o555
    assert max(len(line) for name in made.files for line in (made.folder / name).read_text().splitlines()) <= 120
    ruff = Path(sys.executable).with_name("ruff")
    for words in (["check"], ["format", "--check"]):
        command = [ruff, *words, "--no-cache", "--config", ROOT / "pyproject.toml", made.folder]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_no_placeholder_passes_for_fact(tmp_path: Path) -> None:
    paper = load_paper(create_paper("random_walk", tmp_path).folder)
    found = described(paper)
    assert set(found["weight_by_provenance"]) == {"TODO", "reference"}
    assert all("TODO" in text for text in (found["title"], found["award"], found["venue"], found["summary"]))
    assert all(leaf["statement"].startswith("TODO") for leaf in found["leaves"])
    published = [row for row in generated_brief(paper).splitlines() if "error_of_proposed` of training[pinned" in row]
    assert all("| TODO |" in row for row in published)


@pytest.mark.slow
def test_its_reference_does_not_pass_and_its_starter_earns_nothing(
    tmp_path: Path, attempted: Callable[..., Any]
) -> None:
    folder = create_paper("random_walk", tmp_path / "papers").folder
    _, reference = attempted(folder, tmp_path / "results")
    assert reference.verdict == "FAIL"
    assert {claim.id for claim in reference.claims if claim.verdict != "certified"} == {"error_of_proposed"}
    _, starter = attempted(folder, tmp_path / "results", "starter")
    assert (starter.verdict, starter.score.value) == ("FAIL", 0.0)


@pytest.mark.parametrize(
    "title",
    [
        "On Walks: a \"study\" # of 'noise' {and} $id, 100 % \\n",
        "  wrapped\n over lines\t",
        "Über größere Schritte — 強化学習 🚶",
        "'",
        "- ? | >",
        "null",
        "1e-9",
    ],
)
def test_a_title_comes_back_as_it_was_given(tmp_path: Path, title: str) -> None:
    folder = create_paper("random_walk", tmp_path, title=title).folder
    assert load_paper(folder).spec.title == " ".join(title.split())
    assert (folder / "brief.md").read_text().splitlines()[0] == f"# {' '.join(title.split())}"


@pytest.mark.parametrize("title", ["", "  ", "bell\x07", "\udcff", "left\u202eright"])
def test_what_is_no_title_is_refused(tmp_path: Path, title: str) -> None:
    with pytest.raises(UsageError, match="no title"):
        create_paper("random_walk", tmp_path, title=title)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["", "Walk", "9walks", "a-walk", "../walk", "a/b", "walk\n", "wälk", ".", "_walk", "a b"]
)
def test_a_wrong_id_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        create_paper(name, tmp_path / "papers")
    assert (caught.value.expected or "").startswith("lower case")
    assert caught.value.got == repr(name)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_stands_there_is_left_alone(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "random_walk"
    if kind == "folder":
        place.mkdir()
    elif kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"exists already[\s\S]*--into") as caught:
        create_paper("random_walk", tmp_path)
    assert caught.value.where == str(place)
    assert names(tmp_path) == ["random_walk"]


def test_an_id_that_is_known_already_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="known already") as caught:
        create_paper("tree_search", tmp_path / "papers")
    assert "papers/tree_search" in str(caught.value.where)
    assert names(tmp_path) == []


def test_a_place_where_nothing_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        create_paper("random_walk", tmp_path / "file" / "papers")
    with pytest.raises(UsageError, match="too long"):
        create_paper("a" * 300, tmp_path / "papers")
    assert names(tmp_path) == ["file"]


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path, texts: dict[str, str]) -> None:
        write(folder, dict(list(texts.items())[:3]))
        raise KeyboardInterrupt

    write = scaffold._write
    monkeypatch.setattr(scaffold, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        create_paper("random_walk", tmp_path / "some" / "papers")
    assert names(tmp_path) == []


def test_of_two_at_once_one_is_refused_and_one_is_whole(tmp_path: Path) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def create(title: str) -> None:
        start.wait()
        try:
            create_paper("random_walk", tmp_path, title=title)
        except UsageError:
            outcomes.append("refused")
        else:
            outcomes.append(title)

    threads = [threading.Thread(target=create, args=(f"title {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (title,) = (outcome for outcome in outcomes if outcome != "refused")
    assert len(outcomes) == 4
    assert load_paper(tmp_path / "random_walk").spec.title == title
    assert [path.name for path in tmp_path.iterdir()] == ["random_walk"]


def test_a_wheel_carries_the_templates_and_nothing_private(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="install the `test` extra")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    held = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {str(path.relative_to(ROOT)) for path in scaffold.TEMPLATES.rglob("*") if path.is_file()} <= set(held)
    assert [name for name in held if "/private/" in name] == []

"""What is left to do in a paper's folder: a scaffold's marks one by one until it is fair, and missing parts."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_paper import BRIEF, PAPER, write_paper

import harness
from harness.paper.load import load_paper
from harness.paper.plugin import load_plugin
from harness.paper.scaffold import create_paper
from harness.validation.left import left_to_do
from harness.validation.sync import synchronise
from harness.validation.validate import validate

Cli = Callable[..., subprocess.CompletedProcess[str]]
PAPERS = sorted(path.parent for path in (Path(harness.__file__).parent.parent / "papers").glob("*/paper.yaml"))
PLACE = re.compile(r"([\w./]+):(\d+)(?: ([\w.]+))?: (.{10,})")
ANSWERS = (
    (r'"TODO: [^"]*"', '"Something that is said in a full sentence."'),
    (r"kind: TODO  #.*", "kind: reference"),
    (r"  # TODO.*", ""),
    (r"# TODO.*", "# done"),
    (r"TODO: .*?(?=$|\"\"\")", "It is said."),
)
"""How each kind of mark is filled in."""


def left(folder: Path) -> list[str]:
    return left_to_do(load_paper(folder))


def fill(folder: Path, sentence: str) -> None:
    """Do the one thing that a sentence asks for."""
    found = PLACE.fullmatch(sentence)
    assert found, sentence
    path, number = folder / found[1], int(found[2]) - 1
    lines = path.read_text().splitlines()
    assert lines[number].count("TODO") == 1, sentence
    pattern, answer = next(pair for pair in ANSWERS if re.search(pair[0], lines[number]))
    lines[number] = re.sub(pattern, answer, lines[number])
    path.write_text("\n".join(lines) + "\n")


def filled(folder: Path) -> Path:
    for sentence in left(folder):
        fill(folder, sentence)
    return folder


@pytest.fixture
def new_paper(tmp_path: Path) -> Path:
    return create_paper("random_walk", tmp_path / "papers").folder


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_nothing_is_left_in_our_papers(paper: Path) -> None:
    assert left(paper) == []


def test_every_mark_is_listed_and_goes_when_it_is_filled_in(new_paper: Path) -> None:
    remaining = left(new_paper)
    marks = sum(path.read_text().count("TODO") for path in new_paper.rglob("*.*") if path.suffix != ".pyc")
    assert len(remaining) == marks >= 40
    while remaining:
        first, *rest = remaining
        fill(new_paper, first)
        remaining = left(new_paper)
        assert remaining == rest


def test_award_provenance_and_targets_are_each_named(new_paper: Path) -> None:
    keys = {found[3] for sentence in left(new_paper) if (found := PLACE.fullmatch(sentence)) and found[3]}
    target = "claims.error_of_proposed.target"
    assert keys >= {
        "title", "authors.0", "venue", "year", "award.name", "award.source", "code", "summary",
        f"{target}.value", f"{target}.margin", f"{target}.n", f"{target}.spread", f"{target}.provenance.kind",
        f"{target}.provenance.where", "claims.proposed_beats_baseline.provenance.kind", "0.why",
    }  # fmt: skip


def test_validate_lists_it_and_runs_nothing(new_paper: Path, tmp_path: Path, cli: Cli) -> None:
    results = tmp_path / "results"
    done = cli("paper", "validate", new_paper, "--json", "--results", results)
    assert done.returncode == 1, done.stderr
    proof = json.loads(done.stdout)
    (check,) = (check for check in proof["checks"] if check["name"] == "nothing is left to do")
    assert check["problems"] == left(new_paper)
    assert (check["ok"], proof["fair"]) == (False, False)
    assert (proof["reference"], proof["starter"], proof["mutations"]) == (None, None, [])
    assert not results.exists()
    shown = cli("paper", "validate", new_paper, "--results", results)
    assert shown.returncode == 1
    assert all(f"\n      {sentence}\n" in shown.stdout for sentence in check["problems"])
    assert f"reproof paper sync {new_paper}" in shown.stdout
    assert "nothing was run" in shown.stdout.splitlines()[-1]
    assert not results.exists()


def test_generated_tables_are_not_listed_a_second_time(new_paper: Path) -> None:
    before = left(new_paper)
    synchronise(load_paper(new_paper), write=True)
    assert "| TODO" in (new_paper / "brief.md").read_text()
    assert [re.sub(r"(brief\.md:)\d+", r"\1", one) for one in left(new_paper)] == [
        re.sub(r"(brief\.md:)\d+", r"\1", one) for one in before
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_scaffold_filled_in_is_a_fair_paper(new_paper: Path, tmp_path: Path) -> None:
    filled(new_paper)
    reference = load_plugin(new_paper / "private/reference/reproduction/algorithm.py")
    error = load_plugin(new_paper / "metrics.py").error
    pinned = load_paper(new_paper).spec.experiments["training"].instances.pinned[0]  # type: ignore[union-attr]
    runs = [reference.training(pinned, {"method": "proposed"}, seed) for seed in range(10)]
    measured = [error(run, pinned, {}) for run in runs]
    text = (new_paper / "paper.yaml").read_text()
    text = text.replace("value: 0.0", f"value: {statistics.mean(measured):.3f}").replace("margin: 1e-9", "margin: 0.03")
    (new_paper / "paper.yaml").write_text(text.replace("looks: [3, 5, 7, 10]", "looks: [3, 5]"))
    synchronise(load_paper(new_paper), write=True)
    proof = validate(load_paper(new_paper), tmp_path / "results", tell=lambda text: None)
    assert proof.fair, [check for check in proof.checks if not check.ok]


def test_several_marks_on_a_line_have_their_own_keys(tmp_path: Path) -> None:
    text = PAPER.replace("{name: None, source: a fixture}", '{name: TODO, source: "TODO: the page"}')
    text = text.replace("year: 2021", "year: 2021  # TODO look it up; TODO: twice")
    text = text.replace("summary: A walk that", "# TODO: say more\nsummary: >-\n  A walk\n  (TODO: which?) that")
    assert left(write_paper(tmp_path / "tiny", paper=text)) == [
        "paper.yaml:4 year: look it up",
        "paper.yaml:4 year: twice",
        "paper.yaml:5 award.name: put what belongs here in place of TODO",
        "paper.yaml:5 award.source: the page",
        "paper.yaml:7: say more",
        "paper.yaml:10 summary: which?) that fades as one over its step.",
    ]


def test_marks_are_words(tmp_path: Path) -> None:
    brief = BRIEF.replace("Write", "TODOS, todo and MY_TODO are none; write")
    folder = write_paper(tmp_path / "tiny", brief=brief)
    (folder / "starter/reproduction/__pycache__").mkdir()
    (folder / "starter/.hidden").mkdir()
    (folder / "starter/.hidden/a.py").write_text("# TODO")
    assert left(folder) == []


def test_a_private_folder_elsewhere_is_looked_into(tmp_path: Path) -> None:
    folder = write_paper(tmp_path / "papers" / "tiny")
    private = tmp_path / "references" / "tiny"
    shutil.copytree(folder / "private", private)
    (folder / "private/instances.py").write_text("# TODO: not this one")
    (private / "instances.py").write_text("# TODO: draw")
    found = left_to_do(load_paper(folder, private_path=tmp_path / "references"))
    assert found == [f"{private}/instances.py:1: draw"]


def test_where_nothing_is_private_only_the_rest_is_looked_at(tmp_path: Path) -> None:
    folder = write_paper(tmp_path / "tiny", brief=BRIEF.replace("Write", "TODO: write"))
    shutil.rmtree(folder / "private")
    assert left(folder) == ["brief.md:3: write `walk`, `relay` and `update`."]


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("private/instances.py", None, r"private/instances\.py: write draw\(.*walk, update"),
        ("private/mutations.yaml", None, r"private/mutations\.yaml: list the ways"),
        ("private/mutations.yaml", "[]\n", r"private/mutations\.yaml: list at least one"),
        ("private/mutations.yaml", "- [", r"mutations\.yaml:\d+: this is not YAML"),
        ("private/reference/reproduction/work.py", None, "private/reference/reproduction: write the reference"),
        ("metrics.py", "def mean_position(o, i, p): ...\nsaid_mean = trace = mean_position\n", r"function doubled\("),
        ("metrics.py", "import nothing_of_this_name\n", r"metrics\.py: this file does not import"),
    ],
)  # fmt: skip
def test_a_missing_part_is_named(tmp_path: Path, file: str, text: str | None, says: str) -> None:
    path = write_paper(tmp_path / "tiny") / file
    path.unlink() if text is None else path.write_text(text)
    (sentence,) = left(tmp_path / "tiny")
    assert re.search(says, sentence)


def test_mutations_that_do_not_fit_are_named_one_by_one(tmp_path: Path) -> None:
    folder = write_paper(tmp_path / "tiny")
    path = folder / "private/mutations.yaml"
    text = path.read_text()
    path.write_text(text.replace('old: parameters["step"]', 'old: parameters["stride"]'))
    (sentence,) = left(folder)
    assert "doubled_step" in sentence
    assert "exactly once" in sentence
    path.write_text(text.replace("fails: [one_update]", "fails: [nobody, nothing]"))
    assert [re.sub(r"^\S+/", "", one)[:30] for one in left(folder)] == [
        "mutations.yaml:12 1.fails.0: e", "mutations.yaml:12 1.fails.1: e",
    ]  # fmt: skip

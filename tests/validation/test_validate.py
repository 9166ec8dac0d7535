"""Is a paper fair: the proof of the tiny paper, and papers that are not fair."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_paper import BRIEF, LEAN_MUTATIONS, STUB, WORK, lean, write_paper

from harness.errors import PaperError
from harness.paper.load import load_paper
from harness.paper.mutations import read_mutations
from harness.validation.looks import looks
from harness.validation.proof import Proof
from harness.validation.sync import generated_brief, synchronise
from harness.validation.validate import validate

Cli = Callable[..., subprocess.CompletedProcess[str]]


def silent(text: str) -> None:
    """Tell nobody."""


def proof_of(folder: Path, results: Path) -> Proof:
    paper = load_paper(folder)
    synchronise(paper, write=True)
    return validate(load_paper(folder), results, tell=silent)


@pytest.mark.slow
def test_the_lean_paper_is_fair(lean_folder: Path, tmp_path: Path, cli: Cli) -> None:
    synchronise(load_paper(lean_folder), write=True)
    done = cli("paper", "validate", lean_folder, "--json", "--results", tmp_path / "r")
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads(done.stdout)
    assert {"paper", "fair", "checks", "reference", "starter", "mutations"} <= set(found)
    assert found["fair"] is True
    assert all(
        set(check) == {"name", "ok", "detail", "problems", "remedy"} and check["ok"] for check in found["checks"]
    )
    assert found["reference"]["verdict"] == "PASS"
    assert found["reference"]["score"] == pytest.approx(1.0)
    assert found["starter"]["score"] == 0.0
    (mutation,) = found["mutations"]
    assert {"name", "caught", "verdict", "score", "failed"} <= set(mutation)
    assert mutation["caught"] is True
    assert mutation["verdict"] == "FAIL"
    assert {"number_published", "number_reference", "exact_published"} <= set(mutation["failed"])
    assert "doubled_step" in done.stderr


@pytest.mark.slow
def test_a_mutation_that_crashes_or_changes_nothing_is_not_caught(tmp_path: Path) -> None:
    more = """\
- name: crashing
  file: reproduction/work.py
  old: scale = sum(
  new: scale = sun(
  why: A crash is not a catch.
  fails: [exact_published]
- name: harmless
  file: reproduction/work.py
  old: '"steps": 4'
  new: '"steps": 3 + 1'
  why: Nothing is wrong with it.
  fails: [exact_published]
"""
    proof = proof_of(write_paper(tmp_path / "lean", lean, mutations=more), tmp_path / "r")
    crashing, harmless = proof.mutations
    assert not crashing.caught
    assert "did not run to its end" in crashing.detail
    assert not harmless.caught
    assert harmless.verdict == "PASS"
    assert not proof.fair
    assert [check.name for check in proof.checks if not check.ok] == ["every mutation is caught"]


@pytest.mark.slow
def test_a_second_validation_is_known_and_an_interrupted_one_goes_on(lean_folder: Path, tmp_path: Path) -> None:
    synchronise(load_paper(lean_folder), write=True)
    paper, said = load_paper(lean_folder), list[str]()
    (tried,) = validate(paper, tmp_path, tell=said.append, only=["doubled_step"]).mutations
    attempts = len(list((tmp_path / "validation/attempts").iterdir()))
    proof = validate(paper, tmp_path, tell=said.append)
    assert [caught.attempt for caught in proof.mutations] == [tried.attempt]
    assert len(list((tmp_path / "validation/attempts").iterdir())) == attempts + 6
    said.clear()
    assert validate(paper, tmp_path, tell=said.append) == proof
    assert len(said) == 1
    assert "known" in said[0]
    mutations = lean_folder / "private/mutations.yaml"
    mutations.write_text(mutations.read_text().replace("2 *", "3 *"))
    changed = validate(load_paper(lean_folder), tmp_path, tell=said.append)
    assert changed.mutations != proof.mutations
    assert (changed.reference, changed.hard_coders) == (proof.reference, proof.hard_coders)
    work = lean_folder / "private/reference/reproduction/work.py"
    work.write_text(f"{work.read_text()}# changed\n")
    assert validate(load_paper(lean_folder), tmp_path, tell=said.append).content != proof.content


def test_what_can_be_seen_without_running(tmp_path: Path) -> None:
    folder = write_paper(tmp_path / "lean", lean, brief=BRIEF.replace("`walk`", "it"))
    paper = load_paper(folder)
    failed = {check.name: check.detail for check in looks(paper) if not check.ok}
    assert set(failed) == {"generated parts in step", "each experiment in the brief"}
    assert "walk" in failed["each experiment in the brief"]


def test_text_of_the_reference_in_the_starter_is_found(tmp_path: Path) -> None:
    folder = write_paper(tmp_path / "lean", lean)
    stolen = next(line for line in WORK.splitlines() if "scale * instance" in line)
    (folder / "starter/reproduction/hints.py").write_text(f"def hint():\n{stolen}\n")
    failed = {check.name: check.detail for check in looks(load_paper(folder)) if not check.ok}
    assert "no reference text in the starter" in failed
    stub = folder / "starter/reproduction/work.py"
    (folder / "starter/reproduction/hints.py").unlink()
    stub.write_text(f"{STUB}\n\ndef hint():\n{stolen}\n")
    failed = {check.name: check.detail for check in looks(load_paper(folder)) if not check.ok}
    assert "no reference text in the starter" in failed, (
        "in the file that the reference replaces it is given away as well"
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("- name: doubled_step", "- name: Doubled", "0.name"),
        ("fails: [number_published", "fails: [nobody", "expected a core leaf"),
        ("fails: [number_published", "fails: [threshold_below", "expected a core leaf"),
        ("file: reproduction/work.py", "file: ../work.py", "plain path"),
        ("file: reproduction/work.py", "file: reproduction/walk.py", "expected a file of the reference"),
        ("why: The step is taken twice.", "why: short", "0.why"),
        ("- name: doubled_step", "- name: doubled_step\n  more: 1", "0.more"),
        (LEAN_MUTATIONS, LEAN_MUTATIONS * 2, "a name of its own"),
        (LEAN_MUTATIONS, "[]", ""),
        (LEAN_MUTATIONS, "a: 1", ""),
    ],
)
def test_broken_mutations_are_named_by_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    folder = write_paper(tmp_path / "lean", lean, mutations=LEAN_MUTATIONS.replace(old, new))
    if new == "[]":
        assert read_mutations(load_paper(folder)) == ()
        return
    with pytest.raises(PaperError) as caught:
        read_mutations(load_paper(folder))
    assert re_line(str(caught.value))
    assert says in str(caught.value)


def re_line(text: str) -> bool:
    import re

    return re.search(r"mutations\.yaml:\d+", text) is not None


def test_the_brief_is_generated_between_its_markers(lean_folder: Path) -> None:
    paper = load_paper(lean_folder)
    brief = generated_brief(paper)
    for leaf in paper.spec.claims.values():
        assert leaf.statement in brief
    assert "Write `walk`, `relay` and `update`." in brief
    assert "held_out" in brief
    assert synchronise(paper, write=True) == ["brief.md", "start_commit"]
    assert synchronise(paper, write=False) == []
    paper.brief_file.write_text(brief.replace("<!-- /reproof:claims -->", ""))
    with pytest.raises(PaperError, match="marker"):
        synchronise(paper, write=False)


def test_a_pipe_in_a_text_does_not_break_the_table(edited: Callable[..., Any]) -> None:
    paper = edited(
        lambda spec: spec["claims"]["exact_relay"].update(statement="Either a | b holds here.\nSecond line.")
    )
    rows = [line for line in generated_brief(paper).splitlines() if line.startswith("|")]
    assert {len(row.replace("\\|", "").split("|")) for row in rows} <= {7, 8}
    assert any("a \\| b" in row and "Second line." in row for row in rows)

"""What every folder of papers/ keeps to, run over all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.attempt.task import overlay_tree, reference_files, start_files
from harness.cleanroom.backends import open_sandbox
from harness.paper.load import Paper, load_paper
from harness.paper.mutations import read_mutations
from harness.paper.plugin import load_plugin
from harness.record.files import Store
from harness.rerun.engine import LocalEngine
from harness.rerun.instance import draw, restore, save
from harness.rerun.measure import measure
from harness.rerun.plan import Planner, make_plan
from harness.validation.sync import synchronise
from harness.validation.validate import validate

LONG = {"open_loop", "persistent_es", "reward_machines"}
FOLDERS = sorted(path.parent for path in (Path(harness.__file__).parent.parent / "papers").glob("*/paper.yaml"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def paper(request: pytest.FixtureRequest) -> Paper:
    return load_paper(request.param)


def test_there_are_two_papers_or_more() -> None:
    assert len(FOLDERS) >= 2


def test_generated_parts_are_in_step(paper: Paper) -> None:
    assert synchronise(paper, write=False) == []


def test_the_brief_names_every_experiment_and_every_output(paper: Paper) -> None:
    brief = paper.brief_file.read_text()
    for name, experiment in paper.spec.experiments.items():
        assert f"`{name}`" in brief
        assert all(output.file in brief for output in experiment.outputs.values())


def test_metrics_define_what_paper_yaml_names(paper: Paper) -> None:
    module = load_plugin(paper.metrics_file)
    assert all(callable(getattr(module, name, None)) for name in paper.spec.metrics)
    imports = [line for line in paper.metrics_file.read_text().splitlines() if line.startswith(("import ", "from "))]
    allowed = {"numpy", "math", "typing", "__future__", "collections", "functools", "itertools"}
    assert [line for line in imports if line.split()[1].split(".")[0] not in allowed] == []


@pytest.mark.slow
def test_the_starter_raises_not_implemented(paper: Paper, tmp_path: Path) -> None:
    for name, file in start_files(paper).items():
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
    from harness.rerun.execute import contract

    plan = make_plan(paper, tmp_path / "plan")
    planner = Planner(paper=paper, plan=plan, folder=tmp_path / "plan", circumstances="")
    for name, experiment in paper.spec.experiments.items():
        unit = next(unit for unit in planner.submission("a" * 40, 1) if unit.experiment == name)
        import json

        (tmp_path / name).mkdir()
        (tmp_path / name / "RUN.json").write_text(json.dumps(contract(unit, experiment)))
        unit.instance.write_arrays(tmp_path / name)
        out = tmp_path / f"{name}-out"
        out.mkdir()
        done = subprocess.run(
            [sys.executable, "-m", "reproduction", str(tmp_path / name / "RUN.json"), f"{out}/"],
            cwd=tmp_path / "work", capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode != 0
        assert "NotImplementedError" in done.stderr


def test_the_reference_lies_over_the_starter_and_mutations_apply(paper: Paper) -> None:
    starter, reference = start_files(paper), reference_files(paper)
    assert set(starter) <= set(reference)
    assert any(starter.get(name) != file for name, file in reference.items())
    assert not any("private" in name for name in reference)
    mutations = read_mutations(paper)
    assert len(mutations) >= 6
    for mutation in mutations:
        mutated = overlay_tree(paper, mutation)
        changed = [name for name in mutated if mutated[name] != reference[name]]
        assert changed == [mutation.file]
        compile(mutated[mutation.file].data, mutation.file, "exec")


@pytest.mark.slow
def test_instances_are_drawn_and_travel(paper: Paper, tmp_path: Path) -> None:
    for name, experiment in paper.spec.experiments.items():
        if experiment.instances is None or experiment.instances.held_out is None:
            continue
        digests = set()
        for entropy in range(3):
            drawn = draw(paper, name, entropy)
            assert [one.digest for one in drawn] == [one.digest for one in draw(paper, name, entropy)]
            for one in drawn:
                save(one, tmp_path / name / str(entropy))
                assert restore(tmp_path / name / str(entropy), name, "held_out", one.index).digest == one.digest
                digests.add(one.digest)
        assert len(digests) >= 3


def test_nothing_private_is_in_the_starter(paper: Paper) -> None:
    text = b"\n".join(file.data for file in start_files(paper).values())
    for name in ("mutations.yaml", "private/instances.py"):
        assert (paper.private_file(name.removeprefix("private/"))).is_file()
    assert b"private/reference" not in text


@pytest.mark.slow
def test_a_run_of_the_reference_is_measured(paper: Paper, tmp_path: Path) -> None:
    """The shortest case of each experiment that needs no other, once."""
    from harness.attempt.submission import keep_tree

    store = Store(tmp_path / "results")
    planner = Planner(paper=paper, plan=make_plan(paper, tmp_path / "plan"), folder=tmp_path / "plan", circumstances="")
    tree = keep_tree(reference_files(paper), store.root)
    firsts = {unit.experiment: unit for unit in reversed(planner.submission(tree, 1)) if unit.replicate == 0}
    records = LocalEngine(paper=paper, store=store, sandbox=open_sandbox()).run(firsts.values())
    assert {record.status for record in records.values()} == {"completed"}, [r.problems for r in records.values()]
    measured = measure(paper, [unit for unit in firsts.values()], records, store)
    assert not [item.problem for item in measured if item.problem]


def fairness(folder: Path) -> Any:
    """A paper's whole validation: minutes for some, a quarter of an hour for others, which CI cannot afford."""
    return pytest.param(
        folder, id=folder.name, marks=pytest.mark.validation if folder.name in LONG else pytest.mark.slow
    )


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("folder", map(fairness, FOLDERS))
def test_the_paper_is_fair(folder: Path, tmp_path: Path) -> None:
    proof = validate(load_paper(folder), tmp_path, tell=print)
    assert proof.fair, [check for check in proof.checks if not check.ok]

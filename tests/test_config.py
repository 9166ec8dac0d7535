# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""Settings composed by Hydra: its grammar, near names, sweeps, one's own folder, and whose files are never read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.config import Settings, compose
from harness.errors import ConfigError, UsageError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def one(*overrides: str) -> Settings:
    (settings,) = compose(overrides)
    return settings


def test_defaults() -> None:
    found = one("paper=tree_search")
    assert found.paper == "tree_search"
    assert (found.participant.adapter, found.participant.kind, found.participant.name) == ("reference",) * 3
    assert found.budget.name == "standard"
    assert found.budget.wall is None
    assert (found.sandbox.backend, found.sandbox.waive) == ("bubblewrap", [])
    assert found.engine.workers is None
    assert found.tracking.uri is None
    assert found.tracking.experiment_prefix == "reproof/"
    assert (found.results, found.slots, found.private_path) == (Path("results"), "curtailed", None)


def test_hydras_grammar() -> None:
    found = one(
        "paper=x", "budget.wall=2 h", "budget.disk='1 GiB'", "sandbox=process", "sandbox.waive=[metering]", "engine.workers=3",
        "tracking=none", "slots=all", "results=/tmp/elsewhere", "participant=command", "participant.run=[python, a b.py]",
        "participant.name=someone", "+participant.more={a: 1}",
    )  # fmt: skip
    assert found.budget.wall == 7200.0
    assert found.budget.disk == 2**30
    assert found.sandbox.backend == "process"
    assert found.tracking.uri == "none"
    assert found.participant.options == {"run": ["python", "a b.py"], "mounts": [], "environment": {}, "more": {"a": 1}}
    assert found.participant.name == "someone"
    assert found.results == Path("/tmp/elsewhere")


def test_repeats_are_said_by_an_override_or_by_ones_own_configs(tmp_path: Path) -> None:
    assert compose(["paper=a"])[0].participant.repeats == 1
    [found] = compose(["paper=a", "participant=command", "participant.run=x", "participant.repeats=3"])
    assert (found.participant.repeats, "repeats" in found.participant.options) == (3, False)
    (tmp_path / "participant").mkdir()
    (tmp_path / "participant/mine.yaml").write_text("adapter: starter\nkind: agent\nname: mine\nrepeats: 5\n")
    assert compose(["paper=a", "participant=mine"], own=tmp_path)[0].participant.repeats == 5
    with pytest.raises(ConfigError, match=r"participant.repeats does not fit"):
        compose(["paper=a", "participant.repeats=0"])


def test_a_sweep_gives_one_for_each_combination() -> None:
    found = compose(["paper=a,b", "participant=reference,starter", "slots=all"])
    assert [(s.paper, s.participant.name) for s in found] == [
        ("a", "reference"),
        ("a", "starter"),
        ("b", "reference"),
        ("b", "starter"),
    ]
    assert {s.slots for s in found} == {"all"}
    assert [s.engine.workers for s in compose(["paper=a", "engine.workers=range(1,4)"])] == [1, 2, 3]
    assert [s.participant.name for s in compose(["paper=a", "participant=mutation", "participant.name=m1,m2"])] == [
        "m1",
        "m2",
    ]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["paper=x", "participant=referense"], "did you mean reference?"),
        (["paper=x", "sandbox=bublewrap"], "did you mean bubblewrap?"),
        (["paper=x", "budget=standart"], "did you mean standard?"),
        (["papr=x"], "did you mean paper?"),
        (["paper=x", "budget.wal=2 h"], "did you mean budget.wall?"),
        (["paper=x", "engin.workers=2"], "engine"),
        (["paper=x", "hydra.run.dir=/tmp"], "unknown setting"),
        (["paper=x", "a.b.c.d=1"], "unknown setting"),
        ([], "paper has no value"),
        (["participant=mutation", "paper=x"], "participant.name has no value"),
        (["participant=command", "paper=x"], "participant.run has no value"),
        (["tracking=server", "paper=x"], "tracking.uri"),
        (["paper=x", "budget.wall=soon"], "budget.wall"),
        (["paper=x", "budget.wall=-1"], "budget.wall"),
        (["paper=x", "engine.workers=0"], "engine.workers"),
        (["paper=x", "engine.workers=many"], "engine.workers"),
        (["paper=x", "slots=some"], "slots"),
        (["paper=x", "sandbox.backend=none"], "sandbox.backend"),
        (["paper=x", "+new=1"], "new"),
        (["paper"], "cannot be parsed"),
        (["paper=[x"], "cannot be parsed"),
        (["--paper=x"], ""),
        (["paper=${nowhere.at.all}"], ""),
        (["~paper"], ""),
        (["paper=x", "participant=[reference,starter]"], ""),
        (["paper={a: 1}"], "paper"),
        (["paper=null"], "paper"),
        (["paper=x", "sandbox=null"], ""),
    ],
)
def test_what_does_not_compose_is_a_sentence(overrides: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        compose(overrides)
    assert says in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_after_an_error_it_composes_again() -> None:
    with pytest.raises(UsageError):
        compose(["paper=x", "participant=nobody"])
    assert one("paper=x").paper == "x"


def lay(folder: Path, name: str, text: str) -> None:
    path = folder / "configs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_folder_of_ones_own_is_laid_over_ours(tmp_path: Path) -> None:
    lay(tmp_path, "budget/short.yaml", "name: standard\nworking: null\nwall: 10 min\ncpu: null\ndisk: null\n")
    lay(tmp_path, "participant/starter.yaml", "adapter: starter\nkind: starter\nname: my own starter\n")
    assert one("paper=x", "budget=short").budget.wall == 600.0
    assert one("paper=x", "participant=starter").participant.name == "my own starter"
    assert one("paper=x").participant.name == "reference"
    with pytest.raises(UsageError, match="Known: short, standard"):
        compose(["paper=x", "budget=shrot"])


def test_ones_own_environment_may_be_named_in_ones_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPROOF_TEST_URI", "http://127.0.0.1:5000")
    lay(tmp_path, "tracking/mine.yaml", "uri: ${oc.env:REPROOF_TEST_URI}\nexperiment_prefix: ''\n")
    assert one("paper=x", "tracking=mine").tracking.uri == "http://127.0.0.1:5000"


@pytest.mark.parametrize("below", ["", "reproduction"])
def test_a_participants_folder_is_never_laid_over_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    """Inside a workspace `./configs` is the participant's: resolving it would read our environment."""
    monkeypatch.setenv("SECRET", "hunter2")
    (tmp_path / "BRIEF.md").write_text("# Brief\n")
    folder = tmp_path / below
    folder.mkdir(exist_ok=True)
    lay(folder, "participant/reference.yaml", "adapter: command\nkind: reference\nname: ${oc.env:SECRET}\n")
    monkeypatch.chdir(folder)
    assert one("paper=x").participant.adapter == "reference"


def test_a_broken_file_of_ones_own_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "budget/short.yaml", "name: [standard\n")
    with pytest.raises(ConfigError) as caught:
        compose(["paper=x", "budget=short"])
    assert "short.yaml" in str(caught.value)


def test_nothing_is_written_and_no_logging_is_changed(tmp_path: Path) -> None:
    one("paper=x")
    assert list(tmp_path.iterdir()) == []


def test_importing_the_settings_imports_no_hydra() -> None:
    code = "import sys, harness.config; sys.exit(any(name in sys.modules for name in ('hydra', 'omegaconf', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0

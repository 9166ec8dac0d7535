"""What holds of the whole: the direction of imports, what importing costs, the same names in every paper's folder."""

from __future__ import annotations

import ast
import graphlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "harness").rglob("*.py"))
}
PAPERS = sorted(path.parent for path in ROOT.glob("papers/*/paper.yaml"))
HEAVY = ("numpy", "scipy", "pydantic", "mlflow", "torch", "hydra", "omegaconf", "git", "rich", "yaml", "gymnasium")


def run(*words: str) -> None:
    """Run a tool of the environment that runs the tests; what it says is the failure's message."""
    program = Path(sys.executable).with_name(words[0])
    assert program.exists(), f"{words[0]} is missing: install the `test` extra"
    plain = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "0"}
    done = subprocess.run([program, *words[1:]], cwd=ROOT, env=plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_go_one_way() -> None:
    run("lint-imports", "--no-cache")


def test_ruff_is_clean() -> None:
    run("ruff", "check", "--no-cache", ".")


def test_the_format_is_ruff_s() -> None:
    run("ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mypy_is_clean() -> None:
    run("mypy")


def test_dependencies_are_declared_and_used() -> None:
    run("deptry", ".")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, with the names taken from each."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """The module of ours that an imported name is, or comes from."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


def imported_at_once(node: ast.AST) -> Iterator[str]:
    """What importing a module imports: not what its functions do later, nor what only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not _for_types(child):
            yield from imported_at_once(child)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def test_no_import_cycles() -> None:
    graph = {
        module: {found for name in imported_at_once(ast.parse(path.read_text())) if (found := module_of(name))}
        - {module}
        for module, path in MODULES.items()
    }
    assert graph["harness.road"] >= {"harness.errors", "harness.paper.load"}
    list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_lives_in_it(module: str) -> None:
    text = ast.get_docstring(ast.parse(MODULES[module].read_text()))
    assert text
    assert text.splitlines()[0].endswith((".", "?")), text


@pytest.mark.parametrize(
    "code",
    [
        "import harness.cli.main",
        "import sys; from harness.cli.start import main; sys.argv = ['reproof', '--help']; main()",
        "import sys; from harness.cli.main import run; sys.argv = ['reproof', 'attempt', '--help']; run()",
    ],
    ids=["import", "help", "help of a verb"],
)
def test_the_command_line_starts_light(code: str) -> None:
    program = f"{code}\nimport sys\nprint('LOADED', *sorted(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_errors_import_nothing() -> None:
    assert {name.partition(".")[0] for name in imported(ROOT / "harness" / "errors.py")} <= sys.stdlib_module_names


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_papers_have_the_same_names(paper: Path) -> None:
    def names(folder: Path) -> set[str]:
        return {path.name for path in folder.iterdir() if path.name != "__pycache__"}

    assert names(paper) - {"environments.py"} == {
        "paper.yaml", "brief.md", "metrics.py", "start_commit", "starter", "private",
    }  # fmt: skip
    assert names(paper / "private") - {"probes.py", "alternative"} == {"instances.py", "reference", "mutations.yaml"}
    assert names(paper / "private" / "reference") == {"reproduction"}
    assert {"__init__.py", "__main__.py"} <= names(paper / "starter" / "reproduction")


def test_there_are_papers() -> None:
    assert len(PAPERS) >= 2


def outside(path: Path, allowed: set[str]) -> set[str]:
    """Packages beside the standard library and what is allowed that a file imports."""
    return {name.partition(".")[0] for name in imported(path)} - sys.stdlib_module_names - allowed


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_papers_import_only_what_they_may(paper: Path) -> None:
    for path in sorted(paper.rglob("*.py")):
        solutions = (paper / "starter", paper / "private" / "reference", paper / "private" / "alternative")
        theirs = any(path.is_relative_to(folder) for folder in solutions)
        allowed = {"reproduction", "environments", "gymnasium", "scipy"} if theirs else {"harness"}
        allowed |= {"gymnasium"} if path == paper / "environments.py" else set()
        assert outside(path, {"numpy", "mujoco", *allowed}) == set(), path
    metrics = {name.partition(".")[0] for name in imported(paper / "metrics.py")}
    # imported by the functions that need them: what they measure is simulated, from a model that lies with a package
    simulators = {"mujoco", "gymnasium", "importlib", "pathlib"}
    assert metrics <= {"__future__", "numpy", "math", "typing", "collections", "itertools", "functools"} | simulators


@pytest.mark.parametrize("agent", sorted(ROOT.glob("agents/*.py")), ids=lambda path: path.stem)
def test_agents_import_the_harness_and_never_each_other(agent: Path) -> None:
    assert outside(agent, {"harness", "pydantic"}) == set()


def test_ci_and_justfile_call_the_same_checks() -> None:
    ci, recipes = (ROOT / ".ci" / "run").read_text(), (ROOT / "justfile").read_text()
    for check in (
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "lint-imports",
        "deptry .",
        "reproof paper sync --check",
    ):
        assert re.search(rf"^ +.*{re.escape(check)}", recipes, re.MULTILINE), check
        assert f".venv/bin/{check}" in ci, check


def test_ci_is_a_program_of_the_shell() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)


def test_the_readme_has_the_line_that_ci_runs() -> None:
    assert re.search(r"^\s*python3 -m venv .*pytest", (ROOT / "README.md").read_text(), re.MULTILINE)

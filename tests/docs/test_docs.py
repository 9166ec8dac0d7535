"""The documentation: its examples run, its commands parse, its links resolve, and it names what there is."""

from __future__ import annotations

import ast
import doctest
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from harness.archive.compare import LeafCheck, Value
from harness.archive.manifest import Manifest, Member
from harness.archive.verify import Runs, Totals, Verification
from harness.attempt.attempt import Attempt, HandedIn
from harness.attempt.ledger import KINDS, Event
from harness.attempt.participant import Assignment, Endpoint, Launch, Outcome
from harness.attempt.submission import DEFAULT_LIMITS
from harness.attempt.task import start_commit_of
from harness.cleanroom.sandbox import WAIVABLE
from harness.cli.main import reproof
from harness.cli.start import VERBS
from harness.config import Settings, compose
from harness.errors import ReproofError
from harness.folders import find_papers
from harness.overtime import OverTime, Point
from harness.paper.load import Paper, load_paper
from harness.paper.mutations import find_mutation, read_mutations
from harness.paper.plugin import load_plugin
from harness.paper.schema import PaperSpec
from harness.pipeline import Look, Measurements, Rerun, attempt
from harness.record.files import Slip
from harness.record.store import Record
from harness.rerun.execute import RunRecord, Spent
from harness.rerun.measure import Measurement
from harness.rerun.plan import Plan
from harness.rerun.steps import ServedRun, StepsUsed
from harness.road import Road
from harness.scoring.integrity import Gate
from harness.scoring.score import PASS_MARK, ClaimScore, Score, Spending, Worth
from harness.validation.sync import synchronise
from harness.validation.validate import validate

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "results" / "README.md"])
PLANNED: set[str] = set()
"""Verbs that the pages speak of, saying that they do not exist yet."""
CHEAP = ("reproof papers", "reproof paper show", "reproof paper schema")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    file: str | None
    text: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in re.finditer(r"^```(\w*)(?: file=(\S+))?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page=page, line=line, language=found[1], file=found[2], text=found[3])


def commands() -> list[Any]:
    """Every line of the pages' shell blocks that calls reproof."""
    return [
        pytest.param(line, id=f"{block.page.name}:{block.line}:{line[:60]}")
        for page in PAGES
        for block in blocks(page)
        if block.language in ("bash", "console", "sh")
        for line in block.text.splitlines()
        if re.search(r"(^|[ /])reproof ", line) and "venv" not in line
    ]


def reproof_in(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a page's command."""
    program = [sys.executable, "-c", "from harness.cli.start import main; main()"]
    return subprocess.run([*program, *words_of(line)], cwd=folder, capture_output=True, text=True)


def words_of(line: str) -> list[str]:
    """The words behind `reproof`, whatever stands before it."""
    words = shlex.split(line, comments=True)
    start = next(place for place, word in enumerate(words) if Path(word).name == "reproof")
    return words[start + 1 :]


def lay(page: str, folder: Path) -> Path:
    """Write a page's files into a folder."""
    for block in blocks(ROOT / "docs" / page):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
    return folder


@pytest.fixture
def example_folder(tmp_path: Path) -> Path:
    folder = lay("add-a-paper.md", tmp_path / "papers" / "random_walk")
    (folder / "starter/reproduction/__init__.py").touch()
    return folder


@pytest.fixture
def example(example_folder: Path) -> Paper:
    synchronise(load_paper(example_folder), write=True)
    return load_paper(example_folder)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_runs(page: Path) -> None:
    shared: dict[str, Any] = {}
    for block in blocks(page):
        if block.language != "python" or block.file:
            continue
        if ">>>" not in block.text:
            exec(compile(block.text, f"{page.name}:{block.line}", "exec"), shared)
            continue
        test = doctest.DocTestParser().get_doctest(block.text, shared, page.name, str(page), block.line)
        said: list[str] = []
        result = doctest.DocTestRunner(verbose=False).run(test, out=said.append, clear_globs=False)
        assert not result.failed, "".join(said)
        shared |= test.globs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_of_a_kind_that_is_checked(page: Path) -> None:
    assert page.read_text().count("\n```") == 2 * len(list(blocks(page))), "a fence that the tests do not see"
    for block in blocks(page):
        assert block.language in ("python", "yaml", "bash", "console", "mermaid", "markdown"), block
        assert block.file or block.language != "yaml", "say file=NAME, so that it is tried"
        if block.language == "yaml":
            yaml.safe_load(block.text)
        if block.language == "python" and block.file:
            assert ast.get_docstring(ast.parse(block.text)), block


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "references").mkdir()
    lay("add-an-agent.md", tmp_path)
    (lay("add-a-paper.md", tmp_path / "papers/random_walk") / "starter/reproduction/__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    words = words_of(line)
    command: click.Command = reproof
    context = click.Context(reproof)
    while isinstance(command, click.Group) and not words[0].startswith("-"):
        _, found, words = command.resolve_command(context, words)
        assert found is not None, f"no verb in {line}"
        command = found
    if words not in (["--help"], ["--version"]):
        context = command.make_context(command.name, list(words))
    if command.name == "attempt":
        _check_attempts(compose(context.params["overrides"]))
    if command.name in ("show", "validate", "sync") and words_of(line)[0] == "paper":
        for name in context.params.get("names") or [context.params["name"]]:
            _open(name)


def _open(name: str) -> Paper:
    return load_paper(Path(name) if "/" in name else find_papers()[name])


def _check_attempts(chosen: list[Settings]) -> None:
    for settings in chosen:
        paper = _open(settings.paper)
        if settings.participant.adapter == "mutation":
            find_mutation(paper, settings.participant.name)


def test_a_command_that_is_wrong_is_found() -> None:
    rescore = reproof.get_command(click.Context(reproof), "rescore")
    assert rescore is not None
    with pytest.raises(click.UsageError):
        rescore.make_context("rescore", ["some-attempt", "--no-such-option"])
    with pytest.raises(ReproofError):
        compose(["paper=tree_search", "participant=nobody"])


@pytest.mark.parametrize("line", [p for p in commands() if p.values[0].startswith(CHEAP)])
def test_cheap_commands_run(line: str, tmp_path: Path) -> None:
    lay("add-a-paper.md", tmp_path / "papers/random_walk")
    done = reproof_in(tmp_path, line)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.slow
def test_the_scaffold_is_made_and_tried_as_its_page_says(tmp_path: Path) -> None:
    page = ROOT / "docs" / "add-a-paper.md"
    block = next(block for block in blocks(page) if "reproof paper new" in block.text)
    *lines, last = block.text.splitlines()
    for line in lines:
        done = reproof_in(tmp_path, line)
        assert done.returncode == 0, done.stderr
    done = reproof_in(tmp_path, last)
    assert done.returncode == 1, done.stderr
    assert "nothing was run" in done.stdout


def test_every_verb_is_documented() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert [verb for verb in VERBS if not re.search(rf"reproof {verb}\b", text)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_verb_is_made_up(page: Path) -> None:
    named = set(re.findall(r"`reproof ([a-z]+)", page.read_text()))
    assert named <= set(VERBS) | PLANNED


def test_planned_verbs_do_not_exist() -> None:
    assert not PLANNED & set(VERBS), "it is built: say so in the pages, and take it out of PLANNED"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        assert other.exists(), f"{page.name} links to {target}"
        if anchor:
            heads = re.findall(r"^#+ (.+)$", other.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}, target


def _keys(schema: Any) -> Iterator[str]:
    """Names of properties in a JSON Schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {}) if isinstance(schema.get("properties"), dict) else ()
        for value in schema.values():
            yield from _keys(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _keys(value)


def _choices(schema: Any) -> Iterator[str]:
    """Texts that a JSON Schema lists as the choices of a value."""
    if isinstance(schema, dict):
        yield from (word for word in schema.get("enum", []) if isinstance(word, str))
        yield from (word for word in [schema.get("const")] if isinstance(word, str))
        for value in schema.values():
            yield from _choices(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _choices(value)


def test_the_schema_and_its_page_name_the_same_keys() -> None:
    page = (ROOT / "docs" / "add-a-paper.md").read_text()
    section = page.partition("### Key by key")[2].partition("\n## ")[0]
    schema = PaperSpec.model_json_schema()
    known, choices = set(_keys(schema)), set(_choices(schema))
    spoken = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`]+)`", section))))
    assert known - spoken == set(), "keys that the page does not explain"
    alone = set(re.findall(r"`([a-z_]+)`", section))
    assert alone - known - choices <= {"standard", "true", "a"}, "words that are neither keys nor choices"


RECORDS: tuple[type[Record | Slip], ...] = (
    Attempt, HandedIn, Event, OverTime, Point, Rerun, Look, Plan, RunRecord, Spent, Measurements, Measurement, Score,
    Worth, ClaimScore, Gate, Spending, ServedRun, StepsUsed, Verification, LeafCheck, Value, Runs, Totals, Manifest,
    Member,
)  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_field_of_a_record_is_described(record: type[Record | Slip]) -> None:
    page = (ROOT / "results" / "README.md").read_text()
    fields = record.__struct_fields__ if issubclass(record, Slip) else record.model_fields
    assert [name for name in fields if f"`{name}`" not in page] == []


def test_every_kind_of_event_is_described() -> None:
    page = (ROOT / "results" / "README.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


@pytest.mark.parametrize(
    "record", [Score, Worth, ClaimScore, Gate, Spending, ServedRun], ids=lambda record: record.__name__
)
def test_every_key_of_the_printed_score_is_described(record: type[Record]) -> None:
    page = (ROOT / "docs" / "for-labs.md").read_text()
    assert [name for name in record.model_fields if f"`{name}`" not in page] == []


def test_the_layout_of_records_is_the_one_described(finished: tuple[Road, Score]) -> None:
    road, _ = finished
    page = (ROOT / "results" / "README.md").read_text()
    layout = re.search(r"^    attempts/<id>/$.*?\n\n", page, re.DOTALL | re.MULTILINE)
    assert layout
    described = set(re.findall(r"^ {4,}([a-z.]+[a-z])", layout[0], re.MULTILINE))
    for folder in (road.folder, road.records, road.store.root):
        assert {path.name for path in folder.iterdir()} <= described


def test_the_seams_are_described() -> None:
    page = (ROOT / "docs" / "add-an-agent.md").read_text()
    for seam in (Assignment, Outcome, Launch, Endpoint):
        assert [name for name in seam.__dataclass_fields__ if f"`{name}`" not in page] == []


def test_figures_in_the_pages_are_those_of_the_code() -> None:
    contractors = (ROOT / "docs" / "for-contractors.md").read_text()
    limits = f"{DEFAULT_LIMITS.files} files or {DEFAULT_LIMITS.total // 2**20} MiB"
    assert limits in contractors
    assert f"{DEFAULT_LIMITS.commits:,} commits".replace(",", " ") in " ".join(contractors.split())
    assert f"at least {PASS_MARK:.2f}".replace("0.", ".") in (ROOT / "docs" / "scoring.md").read_text()
    labs = (ROOT / "docs" / "for-labs.md").read_text()
    codes = {error.exit_code for error in _errors(ReproofError)} - {1}
    assert [code for code in codes if not re.search(rf"\b{code} (a|our)\b", labs)] == []


def _errors(top: type[ReproofError]) -> Iterator[type[ReproofError]]:
    for error in top.__subclasses__():
        yield error
        yield from _errors(error)


def test_the_security_page_names_tests_and_waivers_that_exist() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(tests/[\w/]+(?:\.py|/))`", page)
    assert len(set(named)) >= 40
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert "`test_" not in page, "a test is named by its whole path"
    waivers = _table(page, "name", "without it")
    assert {name for row in waivers for name in re.findall("`([^`]+)`", row["name"])} == set(WAIVABLE)


def test_the_security_page_and_the_doctor_agree(tmp_path: Path) -> None:
    """What the machine must give is promised there, tried here, tested somewhere, and nothing else is."""
    page = (ROOT / "docs" / "security.md").read_text()
    promises = _table(page, "promise", "`reproof doctor`")
    names = {name for row in promises for name in re.findall("`([^`]+)`", row["`reproof doctor`"])}
    beside = page.partition("Three more names tell")[2].partition("\n\n")[0]
    others = set(re.findall(r"`([^`]+)` (?:\(|is about)", beside))
    here = _diagnosed(tmp_path) | _diagnosed(tmp_path, "--sandbox", "process")
    assert set(here) | {"sandbox"} == names | others
    assert not names & others
    assert [name for name, ok in here.items() if name in names and not ok] == []


def _diagnosed(results: Path, *words: str) -> dict[str, bool]:
    said = CliRunner().invoke(reproof, ["doctor", "--json", "--results", str(results), *words])
    return {item["name"]: item["ok"] for item in json.loads(said.stdout)}


def test_every_promise_of_the_security_page_names_the_test_that_holds_it() -> None:
    tables = _tables((ROOT / "docs" / "security.md").read_text(), "promise")
    assert len(tables) == 4
    assert [row["promise"] for table in tables for row in table if "`tests/" not in row["tested in"]] == []


def _table(page: str, *headings: str) -> list[dict[str, str]]:
    """The rows of the only table whose first columns are called so."""
    [found] = _tables(page, *headings)
    return found


def _tables(page: str, *headings: str) -> list[list[dict[str, str]]]:
    found, lines = [], iter(page.splitlines())
    for line in lines:
        if (columns := _cells(line))[: len(headings)] == list(headings):
            next(lines)
            found.append([dict(zip(columns, _cells(row), strict=True)) for row in takewhile(bool, lines)])
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_example_paper_holds_together(example_folder: Path) -> None:
    before = start_commit_of(load_paper(example_folder))
    assert synchronise(load_paper(example_folder), write=True) == ["brief.md", "start_commit"]
    assert synchronise(load_paper(example_folder), write=False) == []
    assert start_commit_of(load_paper(example_folder)) != before
    assert len(read_mutations(load_paper(example_folder))) == 2


def test_the_example_s_figures_are_the_reference_s(example: Paper) -> None:
    walk = load_plugin(example.private / "reference" / "reproduction" / "walk.py")
    metric = load_plugin(example.metrics_file)
    instance = example.spec.experiments["prediction"].instances.pinned[0]  # type: ignore[union-attr]

    def errors(method: str) -> list[float]:
        runs = ({"values": walk.prediction(instance, {"method": method}, seed)} for seed in range(10))
        return [metric.rms_error(outputs, instance, {}) for outputs in runs]

    right, wrong = errors("td"), errors("monte_carlo")
    target = example.spec.claims["error_of_td"].target  # type: ignore[union-attr]
    assert statistics.mean(right) == pytest.approx(target.value, abs=5e-5)
    assert statistics.stdev(right) == pytest.approx(target.spread.value, abs=5e-5)
    assert statistics.mean(wrong) == pytest.approx(0.181, abs=5e-4)
    assert 3 * statistics.stdev(right) <= target.margin <= (statistics.mean(wrong) - target.value) / 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_example_paper_is_fair(example: Paper, tmp_path: Path) -> None:
    proof = validate(example, tmp_path / "results", tell=lambda text: None)
    assert proof.fair, [check for check in proof.checks if not check.ok]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_example_adapter_reproduces_the_example_paper(
    example: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay("add-an-agent.md", tmp_path)
    monkeypatch.setenv("REPROOF_AGENTS_PATH", str(tmp_path / "agents"))
    overrides = ["participant=copycat", "tracking=none", f"paper={example.folder}", f"results={tmp_path / 'results'}"]
    shutil.copytree(example.private / "reference", tmp_path / "solution")  # what is private is never mounted
    solution = f"participant.solution={tmp_path / 'solution'}"
    [settings] = compose([*overrides, solution], own=tmp_path / "configs")
    road, score = attempt(settings, tell=lambda text: None)
    assert score.participant == {"kind": "agent", "name": "copycat"}
    assert road.submission().saved
    assert score.verdict == "PASS", score.reasons


def test_pages_are_about_the_project_alone() -> None:
    for page in [*PAGES, ROOT / "CHANGELOG.md", ROOT / ".ci" / "run", ROOT / "justfile"]:
        text = page.read_text()
        assert str(ROOT) not in text
        assert os.path.expanduser("~/") not in text  # noqa: PTH111

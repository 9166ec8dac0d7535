"""The command line as a stranger and as a script meet it, each time in a process of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli.main import VERBS, reproof
from harness.scoring.score import Score

Cli = Callable[..., subprocess.CompletedProcess[str]]
Attempted = tuple[Any, Score]
NESTED = [
    ("paper", "new"), ("paper", "show"), ("paper", "schema"), ("paper", "sync"), ("paper", "validate"),
    ("clock", "start"),
    ("clock", "pause"), ("clock", "note"), ("clock", "keep"), ("dispute", "raise"), ("dispute", "answer"),
    ("dispute", "list"), ("export", "harbor"), ("import", "harbor"),
    ("plan", "list"), ("plan", "show"), ("plan", "resume"), ("plan", "cancel"),
]  # fmt: skip
SILENT = {
    ("completion",), ("paper",), ("clock",), ("dispute",), ("paper", "schema"), ("clock", "keep"), ("export",),
    ("import",), ("guest",), ("plan",),
}  # fmt: skip


@pytest.mark.parametrize("words", [(), *((verb,) for verb in VERBS), *NESTED], ids=" ".join)
def test_every_verb_has_help_with_an_example(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(reproof, [*words, "--help"])
    assert done.exit_code == 0
    example = re.search(r"Example:\n((?:  +reproof .*\n?)+)", done.output)
    assert example, done.output
    assert all(line.split()[1] in VERBS for line in example[1].strip().splitlines())
    assert max(map(len, done.output.splitlines())) <= 100


@pytest.mark.parametrize("words", [*((verb,) for verb in VERBS), *NESTED], ids=" ".join)
def test_every_verb_but_those_that_print_a_file_speaks_json(words: tuple[str, ...]) -> None:
    output = CliRunner().invoke(reproof, [*words, "--help"]).output
    if words in SILENT:
        return
    assert "--json" in output


def test_help_imports_nothing_heavy(cli: Cli) -> None:
    done = cli("--help", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert imported
    assert not imported & {"numpy", "scipy", "mlflow", "hydra", "omegaconf", "git", "pydantic", "rich", "yaml", "torch"}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("attemt",), 2, "did you mean attempt?"),
        (("paper", "shwo", "tiny"), 2, "shwo"),
        (("paper", "show", "tinny"), 2, "did you mean tiny?"),
        (("attempt", "paper=tinny"), 2, "did you mean tiny?"),
        (("attempt", "paper=tiny", "participant=refrence"), 2, "did you mean reference?"),
        (
            ("attempt", "paper=tiny", "participant=mutation", "participant.name=doubled_stepp"),
            2,
            "did you mean doubled_step?",
        ),
        (("attempt",), 2, "paper has no value"),
        (("attempt", "paper=./nowhere"), 3, "missing"),
        (("report", "nobody"), 2, "unknown attempt"),
        (("rerun", "nobody"), 2, "unknown attempt"),
        (("score", "../../etc"), 2, "unknown attempt"),
        (("report",), 2, "no workspace"),
        (("papers", "--nope"), 2, "--nope"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
@pytest.mark.slow
def test_wrong_words_end_with_a_sentence(cli: Cli, words: tuple[str, ...], code: int, says: str) -> None:
    done = cli(*words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_error_is_json_where_json_was_asked_for(cli: Cli) -> None:
    for words in (
        ("report", "nobody", "--json"),
        ("paper", "show", "tinny", "--json"),
        ("attempt", "paper=tinny", "--json"),
    ):
        done = cli(*words)
        assert done.stdout == ""
        error = json.loads(done.stderr)
        assert set(error) == {"error", "message", "where", "expected", "got", "remedy", "exit_code"}
        assert error["exit_code"] == done.returncode == 2


def test_papers_for_people_and_for_scripts(cli: Cli) -> None:
    shown = cli("papers")
    assert "tiny" in shown.stdout
    assert "ICML 2021" in shown.stdout
    rows = json.loads(cli("papers", "--json").stdout)
    assert {"tiny", "lean", "tree_search", "persistent_es"} <= {row["id"] for row in rows}
    assert all({"id", "title", "award", "budget"} <= set(row) for row in rows)
    tiny = next(row for row in rows if row["id"] == "tiny")
    assert sum(tiny["weight_by_provenance"].values()) == pytest.approx(1.0, abs=1e-3)
    assert tiny["weight_by_trust"]["reported"] < 0.2


def test_one_paper_shown(cli: Cli) -> None:
    done = cli("paper", "show", "tiny")
    assert done.returncode == 0
    assert "mutations: doubled_step, forgotten_rate" in done.stdout
    found = json.loads(cli("paper", "show", "tiny", "--json").stdout)
    assert found["mutations"] == ["doubled_step", "forgotten_rate"]
    assert json.loads(cli("paper", "schema").stdout)["title"] == "PaperSpec"


def test_sync_checks_and_writes(cli: Cli, tiny_folder: Path) -> None:
    assert cli("paper", "sync", tiny_folder, "--check").returncode == 3
    assert not (tiny_folder / "start_commit").exists()
    assert "changed brief.md, start_commit" in cli("paper", "sync", tiny_folder).stdout
    assert "exact_relay" in (tiny_folder / "brief.md").read_text()
    assert "all in step" in cli("paper", "sync", tiny_folder).stdout
    assert cli("paper", "sync", tiny_folder, "--check").returncode == 0


def test_a_paper_is_begun(cli: Cli, tmp_path: Path) -> None:
    done = cli("paper", "new", "random_walk", "--title", "On Walks")
    assert done.returncode == 0, done.stderr
    assert "  private/reference/reproduction/algorithm.py\n" in done.stdout
    verbs = re.findall(r"^  reproof paper (\w+) ./papers/random_walk$", done.stdout, re.MULTILINE)
    assert verbs == ["sync", "validate"]
    assert "On Walks" in cli("paper", "show", "./papers/random_walk").stdout
    assert cli("paper", "sync", "./papers/random_walk").returncode == 0
    again = cli("paper", "new", "random_walk", "--json")
    assert (again.returncode, again.stdout) == (2, "")
    assert json.loads(again.stderr)["where"] == "papers/random_walk"
    found = json.loads(cli("paper", "new", "other_walk", "--into", "mine here", "--json").stdout)
    assert (found["paper"], found["folder"]) == ("other_walk", str(tmp_path / "mine here" / "other_walk"))
    assert all((tmp_path / "mine here" / "other_walk" / name).is_file() for name in found["files"])
    assert "'./mine here/third_walk'" in cli("paper", "new", "third_walk", "--into", "mine here").stdout
    assert "known already" in cli("paper", "new", "tiny").stderr


@pytest.mark.slow
def test_json_of_an_attempt(cli: Cli, home: Path, tmp_path: Path) -> None:
    done = cli("attempt", "paper=lean", "participant=reference", "tracking=none", "--json", f"results={tmp_path / 'r'}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"attempt", "paper", "participant", "verdict", "score", "claims", "integrity", "usage"} <= set(found)
    assert found["verdict"] == "PASS"
    assert {"value", "low", "high", "coverage"} <= set(found["score"])
    for claim in found["claims"]:
        assert {"id", "core", "verdict", "score", "measured", "target", "trust", "explanation"} <= set(claim)
    assert "rerun: 2 of 3 seed slots filled" in done.stderr
    for words in (("report", found["attempt"]), ("score", found["attempt"]), ("rescore", found["attempt"])):
        again = cli(*words, "--json", "--results", tmp_path / "r")
        assert json.loads(again.stdout)["score"] == found["score"], again.stderr
    (row,) = json.loads(cli("attempts", "--json", "--results", tmp_path / "r").stdout)
    assert (row["attempt"], row["verdict"]) == (found["attempt"], "PASS")
    shown = cli("report", found["attempt"], "--results", tmp_path / "r").stdout
    assert "PASS" in shown
    assert "this is certified" in " ".join(shown.split())


def test_a_claim_that_diverged_is_json_too(cli: Cli, lean_finished: Attempted, home: Path) -> None:
    road, result = lean_finished
    from harness.record.files import Store, write_slip
    from harness.record.store import write

    store = Store(home / "diverged")
    name = road.attempt.id
    claims = [result.claims[0].model_copy(update={"measured": float("inf")}), *result.claims[1:]]
    write_slip(store.attempt(name) / "attempt.json", road.attempt)
    write_slip(store.attempt(name) / "submissions/001/submission.json", road.submission())
    shutil.copy(road.folder / "ledger.jsonl", store.attempt(name))
    write(store.attempt(name) / "submissions/001/score.json", result.model_copy(update={"claims": claims}))
    done = cli("report", name, "--json", "--results", home / "diverged")
    assert done.returncode == 0, done.stderr[-500:]
    found = json.loads(done.stdout, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert found["claims"][0]["measured"] in ("Infinity", None)


def test_attempts_of_nobody(cli: Cli) -> None:
    assert "reproof start" in cli("attempts").stdout
    assert json.loads(cli("attempts", "--json").stdout) == []


def test_a_pipe_that_closes_is_no_traceback(environment: dict[str, str], home: Path) -> None:
    import sys

    command = f"{sys.executable} -c 'from harness.cli.start import main; main()' paper schema | head -c 10"
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_doctor_says_what_can_be_had(cli: Cli) -> None:
    found = json.loads(cli("doctor", "--json").stdout)
    assert {"name", "ok", "detail"} <= set(found[0])
    assert cli("doctor", "--sandbox", "process").returncode in (0, 4)

"""The verbs `pack` and `verify`, as a person and as a script meet them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archives import edit_json

from harness.archive.pack import Packed
from harness.archive.verify import Verification

pytestmark = pytest.mark.slow  # each verb is a process
Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_a_lab_packs_and_another_verifies(cli: Cli, lean_finished: Any, tmp_path: Path) -> None:
    road, score = lean_finished
    done = cli("pack", road.attempt.id, "--results", road.store.root, "--to", "mine.tar.gz", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() >= {"archive", "sha256", "attempt", "files", "bytes", "consent"}
    assert found["sha256"] == hashlib.sha256((tmp_path / "mine.tar.gz").read_bytes()).hexdigest()
    assert found["bytes"] == (tmp_path / "mine.tar.gz").stat().st_size
    verified = cli("verify", "mine.tar.gz", "--results", "theirs", "--json")
    assert verified.returncode == 0, verified.stderr
    said = json.loads(verified.stdout)
    assert said["same"] is said["rerun"] is True
    assert said["archive"] == found["sha256"]
    assert said["score"] == {"packed": score.score.value, "here": score.score.value}
    assert {leaf["id"] for leaf in said["leaves"]} == {leaf.id for leaf in score.claims}
    assert (tmp_path / "theirs" / "verified" / f"{road.attempt.id}.json").is_file()


def test_people_see_leaf_by_leaf_what_differs(cli: Cli, changed: Callable[..., Path], tmp_path: Path) -> None:
    def raise_it(score: dict[str, Any]) -> None:
        score["claims"][0]["verdict"] = "failed"

    archive = changed(lambda members: edit_json(members, "score.json", raise_it))
    done = cli("verify", archive, "--quick")
    assert done.returncode == 1, done.stderr
    assert "✘ number_published" in done.stdout
    assert "the verdict was failed, and here it is certified" in done.stdout
    assert "problem: number_published does not follow from the packed outputs" in done.stdout
    assert "does not count as verified" in done.stdout


def test_what_an_archive_says_cannot_steer_a_terminal(cli: Cli, changed: Callable[..., Path]) -> None:
    def harm(score: dict[str, Any]) -> None:
        score["claims"][0]["id"] = "\x1b[2Jall certified\n\u202e"

    done = cli("verify", changed(lambda members: edit_json(members, "score.json", harm)), "--quick")
    assert done.returncode == 1, done.stderr
    assert "\\x1b[2Jall certified\\n\\u202e" in done.stdout
    assert not {"\x1b", "\u202e"} & {*done.stdout, *done.stderr}


def test_wrong_words_end_with_a_sentence(cli: Cli, packed: Packed, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear diary")
    for words, code, says in (
        (("verify", "nothing.tar.gz"), 2, "there is no archive here"),
        (("verify", "letter.txt"), 6, "no archive of Reproof"),
        (("verify", packed.archive, "--waive", "gravity"), 2, "gravity"),
        (("pack", "nobody"), 2, "unknown attempt"),
    ):
        done = cli(*words)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_the_record_is_what_scripts_read(cli: Cli, packed: Packed) -> None:
    done = cli("verify", packed.archive, "--quick", "--json")
    assert Verification.model_validate_json(done.stdout).attempt == packed.manifest.attempt

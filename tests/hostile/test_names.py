"""Names, notes and reasons that would steer a terminal, become a formula, or run in a browser: on every verb."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import unicodedata
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from handmade import commit
from tiny_paper import WORK

from harness.report.text import inert

Cli = Callable[..., subprocess.CompletedProcess[str]]
EVIL = (
    "=cmd|'/C calc'!A0\x1b]0;owned\x07\x1b[2J\u202e\u200b\x9b31m\r<script>alert(1)</script><img src=x onerror=alert(1)>"
)
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "\t=1", "\r=1", "\n=1", "\x00=1", "\u200b=1"]
WIDE = ["\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x"]


def harmless(text: str) -> bool:
    """Whether nothing in a text steers a terminal."""
    return all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or c in "\n\t" for c in text)


def cells(text: str) -> list[str]:
    return [cell for line in csv.reader(StringIO(text)) for cell in line]


def innocent(cell: str) -> bool:
    """Whether no spreadsheet takes a cell for a formula, and no terminal for a command."""
    begins = unicodedata.normalize("NFKC", cell).lstrip()[:1]
    number = re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?", cell)
    return harmless(cell) and (number is not None or begins not in ("=", "+", "-", "@"))


@pytest.mark.parametrize("text", FORMULAS + WIDE)
def test_no_text_becomes_a_formula(text: str) -> None:
    assert innocent(inert(text)), repr(inert(text))
    assert inert(text).endswith(text.strip("\r\n\t\x00\u200b "))


@pytest.mark.slow
@pytest.mark.usefixtures("no_keeper_survives")
def test_the_whole_road_under_an_evil_name(cli: Cli, tmp_path: Path) -> None:
    said: list[str] = []

    def reproof(*words: object, code: int = 0) -> str:
        done = cli(*words, folder=workspace if workspace.exists() else tmp_path)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        said.append(done.stderr)
        return done.stdout

    workspace, results = tmp_path / "workspace", tmp_path / "results"
    kept = ("--results", results)
    said += [
        reproof("start", "lean", "--as", EVIL, "--licence", EVIL, "--consent", "--workspace", workspace, *kept),
        reproof("clock", "start"),
        reproof("clock", "note", EVIL, "--working", "1 min"),
        reproof("exec", "--", "true", EVIL),
        reproof("status"),
        reproof("clock", "pause", EVIL),
        reproof("clock", "start"),
        reproof("hand-over", "--to", f"@{EVIL}"),
        reproof("clock", "start"),
    ]
    commit(workspace, {"reproduction/work.py": WORK, "reported.json": json.dumps({EVIL: 1})}, EVIL)
    said += [reproof("check"), reproof("timesheet"), reproof("submit"), reproof("report"), reproof("attempts", *kept)]
    said += [
        reproof("withdraw", "--because", EVIL),
        reproof("leaderboard", *kept),
        reproof("status", EVIL, *kept, code=2),
    ]
    assert all(map(harmless, said)), [text for text in said if not harmless(text)]
    for text in (reproof("timesheet", "--csv"), reproof("leaderboard", "--csv", *kept)):
        assert any("cmd|" in cell for cell in cells(text))
        assert all(map(innocent, cells(text))), [cell for cell in cells(text) if not innocent(cell)]
    assert json.loads(reproof("leaderboard", "--json", *kept))["rows"][0]["participant"].startswith(EVIL)
    for page in [*results.rglob("*.html")]:
        text = page.read_text()
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert harmless(text)

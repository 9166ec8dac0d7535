"""Looking for secrets finds them, however they are written and packed: what the canary test says rests on it."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from canaries import CommandLines, found_in, seek
from watching import soon

SECRET = "canary/5b1f+0c93de67a84422"
NAMED = {"it": SECRET}


@pytest.mark.parametrize("before", ["", "x", "xy", "Bearer "])
def test_any_spelling_is_found(before: str) -> None:
    said = before + SECRET + " and more"
    for data in (
        said.encode(), said.encode("utf-16le"), quote(said, safe="").encode(), base64.b64encode(said.encode()),
        base64.urlsafe_b64encode(said.encode()), said.encode().hex().encode(),
        json.dumps(said).replace("/", "\\/").encode(),
    ):  # fmt: skip
        assert found_in(data, NAMED) == {"it"}
        assert found_in(data.replace(b"canary", b"kanary"), {"it": "another" + SECRET}) == set()


def test_whatever_packs_it_is_opened(tmp_path: Path) -> None:
    text = f"... {SECRET} ..."
    (tmp_path / "a.gz").write_bytes(gzip.compress(text.encode()))
    np.savez_compressed(tmp_path / "b.npz", a=np.array([text]))
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a.gz")
    with sqlite3.connect(tmp_path / "d.db") as database:
        database.execute("create table t (v text)")
        database.execute("insert into t values (?)", ["x" * 4000 + text + "y" * 9000])
    database.close()
    (tmp_path / "e").symlink_to(f"/nowhere/{SECRET.replace('/', '')}")
    (tmp_path / f"f-{SECRET.replace('/', '')}").mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path / "g")]
    (tmp_path / "g").mkdir()
    (tmp_path / "g/secret.txt").write_text(text)
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["commit", "-qm", "x"],
        ["bundle", "create", "-q", "../h.bundle", "HEAD"],
    ):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "g/secret.txt").unlink()
    held = seek(tmp_path, {**NAMED, "named": SECRET.replace("/", ""), "not there": "canary-that-is-not-there"})
    assert {"a.gz", "b.npz", "c.tar.gz", "d.db", "h.bundle"} <= held["it"]
    assert any(name.startswith("g/.git/objects") for name in held["it"])
    assert held["named"] == {"e", f"f-{SECRET.replace('/', '')}"}
    assert held["not there"] == set()


def test_a_command_line_is_seen() -> None:
    with CommandLines(NAMED) as lines:
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", SECRET], stdin=subprocess.PIPE)
        assert soon(lambda: "it" in lines.seen)
        child.communicate()

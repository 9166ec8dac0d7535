"""The audit of the lock: what is known against a pin fails, unless it is accepted until a day; no answer is no pass."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from supply import audit
from supply.pins import locked

PIN = next(pin for pin in locked() if pin.name == "gitpython")
NAMED = f"{PIN.name}=={PIN.version}"
TODAY = datetime.now(UTC).date()
AWAY = "http://127.0.0.1:9"
Index = Callable[[str], Any]


@contextmanager
def index(answer: Index) -> Iterator[str]:
    """A registry: what a path gives as JSON, None for 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answer(self.path)
            data = json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def pypi(*ids: str, of: str = PIN.version) -> dict[str, Any]:
    return {"info": {"version": of}, "vulnerabilities": [{"id": id} for id in ids]}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """The program, with a lock of one pin, over the real HTTP."""
    monkeypatch.setattr(audit, "locked", lambda: [PIN])
    (tmp_path / "exceptions.toml").write_text("")

    def go(base: str, *words: str, osv: str = AWAY) -> tuple[int, str]:
        places = ["--kept", str(tmp_path / "kept.json"), "--exceptions", str(tmp_path / "exceptions.toml")]
        code = audit.main(["--pypi", base, "--osv", osv, *places, *words])
        return code, capsys.readouterr().out

    return go


def accept(folder: Path, until: date) -> None:
    text = f'[[vulnerability]]\nid = "PYSEC-1"\npackage = "{PIN.name}"\nuntil = {until}\nreason = "never called"\n'
    (folder / "exceptions.toml").write_text(text)


def test_nothing_known_passes(run: Callable[..., Any]) -> None:
    with index(lambda path: pypi() if path == f"/pypi/{PIN.name}/{PIN.version}/json" else None) as base:
        assert run(base) == (0, "1 pins, looked up with PyPI (1)\n")


def test_what_is_known_fails_until_it_is_accepted(run: Callable[..., Any], tmp_path: Path) -> None:
    with index(lambda path: pypi("PYSEC-1")) as base:
        code, said = run(base)
        assert (code, f"{NAMED}: PYSEC-1" in said) == (1, True)
        accept(tmp_path, TODAY)
        assert run(base)[0] == 0
        accept(tmp_path, TODAY - timedelta(days=1))
        code, said = run(base)
        assert (code, "has ended" in said, "never called" in said) == (1, True, True)
    accept(tmp_path, TODAY)
    with index(lambda path: pypi()) as base:
        code, said = run(base)
        assert (code, "PYSEC-1 is not needed any more" in said) == (1, True)


def test_a_mirror_that_has_only_the_newest_is_an_answer_for_that_one(run: Callable[..., Any]) -> None:
    def mirror(path: str, newest: str) -> Any:
        return pypi("PYSEC-1", of=newest) if path == f"/pypi/{PIN.name}/json" else None

    with index(lambda path: mirror(path, PIN.version)) as base:
        assert run(base)[0] == 1
    with index(lambda path: mirror(path, "99.0")) as base:
        code, said = run(base)
        assert code == 3
        assert f"NOT AUDITED: {NAMED}" in said
        assert "this is no pass" in said


def test_osv_is_asked_where_pypi_knows_nothing(run: Callable[..., Any]) -> None:
    with index(lambda path: None) as base, index(lambda path: {"vulns": [{"id": "GHSA-1"}]}) as osv:
        code, said = run(base, osv=osv)
    assert (code, "GHSA-1" in said, "OSV (1)" in said) == (1, True, True)


def test_where_nobody_answers_what_was_kept_counts_for_a_while(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run(AWAY)[0] == 3
    with index(lambda path: pypi("PYSEC-1")) as base:
        run(base, "--keep")
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert kept == {NAMED: {"on": TODAY.isoformat(), "source": "PyPI", "ids": ["PYSEC-1"]}}
    code, said = run(AWAY, "--keep")
    assert (code, f"PyPI of {TODAY} (1)" in said) == (1, True)
    assert json.loads((tmp_path / "kept.json").read_text()) == kept
    kept[NAMED]["on"] = (TODAY - timedelta(days=audit.MOST_DAYS + 1)).isoformat()
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    code, said = run(AWAY)
    assert (code, "NOT AUDITED" in said) == (3, True)


def test_an_answer_that_is_none_is_no_pass(run: Callable[..., Any]) -> None:
    about = {"info": {"version": PIN.version}}
    for strange in ([], {"info": {}}, about, {**about, "vulnerabilities": 3}):
        with index(lambda path, strange=strange: strange) as base:
            assert run(base)[0] == 3


def test_the_list_that_is_kept_is_of_this_lock() -> None:
    kept, now = json.loads(audit.KEPT.read_text()), {f"{pin.name}=={pin.version}" for pin in locked()}
    assert kept.keys() <= now, "run `python -m supply.audit --keep`"
    assert len(kept) > 100
    assert all(entry["ids"] == [] for entry in kept.values())

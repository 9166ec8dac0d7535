"""Agents in their quarters, with a model and a broker, that want the key, the records, or somebody else's verbs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from handmade import data_of
from scripted_model import ASK, scripted
from watching import alive

from harness.attempt.participant import Outcome
from harness.config import BudgetSettings, ModelSettings, Settings
from harness.handing_in import hand_in
from harness.handing_out import hand_out, work_on
from harness.road import Road, quiet

KEY = "sk-hostile-and-worth-a-fortune"
PRELUDE = """
import glob, json, os, signal, socket, struct, subprocess, sys, time, urllib.error, urllib.request
exec(os.environ["ASK"])
BASE = os.environ["OPENAI_BASE_URL"]
def post(path, body, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Content-Type": "application/json", **headers}
    found = urllib.request.Request(BASE.removesuffix("/v1") + path, data, told)
    try:
        return urllib.request.urlopen(found, timeout=20).read().decode()
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"
def chat(**more):
    body = {"model": os.environ["REPROOF_MODEL"], "messages": [{"role": "user", "content": "x"}], "max_tokens": 9}
    return {**body, **more}
def reproof(*words):
    done = subprocess.run(["reproof", *words], capture_output=True, text=True)
    return f"{done.returncode} {done.stdout} {done.stderr}"
def everything():
    for place in [*glob.glob("/reproof/*"), "/tmp", "/run", "/dev/shm", *glob.glob("/proc/[0-9]*")]:
        for path in glob.glob(place + "/*"):
            try:
                yield open(path, "rb").read(1 << 20) if os.path.isfile(path) else b""
            except OSError:
                pass
"""


@pytest.fixture
def live(
    home: Path, tmp_path: Path, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Road, Outcome, str]]:
    """Let a program live in its quarters beside a scripted model, and tell what it wrote."""
    monkeypatch.setenv("HOSTILE_KEY", KEY)

    def lived(code: str, **budget: float) -> tuple[Road, Outcome, str]:
        with scripted(lambda count: (200, "go on")) as model:
            options = {"run": ["python", "-c", PRELUDE + code], "model": "scripted-1", "environment": {"ASK": ASK}}
            found = settings(home / "papers" / "lean", tmp_path / "results", "command", name="eve", options=options)
            changes = {
                "participant": found.participant.model_copy(update={"kind": "agent"}),
                "budget": BudgetSettings(name="standard", **{"working": 120.0, "wall": 120.0, "cpu": 60.0, **budget}),
                "models": ModelSettings(provider="local", upstream=model.url, key="HOSTILE_KEY"),
            }
            chosen = found.model_copy(update=changes)
            road = hand_out(chosen, tell=quiet)
            outcome = work_on(road, chosen)
        said = (road.folder / "agent.log").read_text(errors="replace")
        assert KEY not in said
        assert not [path for path in road.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
        return road, outcome, said

    return lived


Live = Callable[..., tuple[Road, Outcome, str]]


def test_the_key_is_nowhere_and_asking_works(live: Live) -> None:
    code = "key = 'sk-' + 'hostile'\n"
    code += "print(ask('x'), any(key.encode() in data for data in everything()), key in str(os.environ))"
    road, outcome, said = live(code, tokens=10_000)
    assert outcome.ended == "done", outcome.note
    assert "go on False False" in said
    assert road.desk.account().used("tokens") == 30


SEARCH = "{'model': 'scripted-1', 'input': 'x', 'tools': [{'type': 'web_search'}]}"
PICTURE = "[{'role': 'user', 'content': [{'type': 'image_url', 'image_url': {'url': 'https://example.org/x'}}]}]"
CHAT = "/v1/chat/completions"
REFUSED: dict[str, str] = {
    "files": "post('/v1/files', b'x')",
    "batches": "post('/v1/batches', {'input_file_id': 'x'})",
    "assistants": "post('/v1/assistants', chat())",
    "another model": f"post('{CHAT}', chat(model='other-9'))",
    "search of the provider's": f"post('{CHAT}', chat(web_search_options={{}}))",
    "a tool of the provider's": f"post('/v1/responses', {SEARCH})",
    "a picture elsewhere": f"post('{CHAT}', chat(messages={PICTURE}))",
    "in the background": "post('/v1/responses', {'model': 'scripted-1', 'input': 'x', 'background': True})",
    "another host": f"post('{CHAT}', b'x', Host='example.org')",
    "a path that climbs": f"post('{CHAT}/../../../admin', chat())",
    "rubbish": f"post('{CHAT}', b'[' * 100000)",
}


def test_a_provider_s_other_doors_are_closed(live: Live) -> None:
    names = json.dumps([*REFUSED.values()])
    code = f"for act in {names}:\n  print('said', eval(act)[:60].replace(chr(10), ' '))\nprint(ask('x'))"
    road, _, said = live(code, tokens=100_000)
    answers = [line for line in said.splitlines() if line.startswith("said")]
    assert len(answers) == len(REFUSED), said
    for name, answer in zip(REFUSED, answers, strict=True):
        assert answer.startswith("said 40"), f"{name}: {answer}"
    assert "go on" in said.splitlines()[-1]
    assert road.desk.account().used("tokens") == 30  # of the last one alone


@pytest.mark.slow
def test_nothing_but_the_model_is_reached_on_its_loopback(live: Live) -> None:
    code = """
import socket
found = []
for port in [*range(8000, 8100), 22, 80, 443, 5000, 6379]:
    with socket.socket() as line:
        line.settimeout(1)
        if line.connect_ex(("127.0.0.1", port)) == 0:
            found.append(port)
print("ports", found, sorted(os.listdir("/reproof/lines")))
"""
    _, _, said = live(code)
    assert "ports [8080] ['broker.sock', 'model.sock']" in said


def test_the_lines_cannot_be_replaced(live: Live) -> None:
    code = """
for act in (lambda: os.unlink("/reproof/lines/broker.sock"), lambda: os.rename("/reproof/lines", "/reproof/x"),
            lambda: socket.socket(socket.AF_UNIX).bind("/reproof/lines/x"), lambda: open("/reproof/bin/reproof", "w")):
    try:
        act(); print("ESCAPED")
    except OSError as error:
        print("held", error)
print(reproof("status")[:2])
"""
    _, _, said = live(code)
    assert "ESCAPED" not in said
    assert said.count("held") == 4
    assert said.rstrip().endswith("0")


@pytest.mark.slow
def test_another_s_attempt_cannot_be_asked_for(live: Live) -> None:
    code = """
for words in (["status", "other"], ["status", "--results", "/tmp"], ["submit"], ["withdraw"], ["clock", "pause", "x"],
              ["exec", "--attempt", "other", "--", "true"], ["check", "--results=/tmp"], ["rerun", "x"], ["demo"],
              ["exec", "--folder", "/etc", "--", "pwd"], ["hand-over", "--to", "x"], ["leaderboard"], ["papers"]):
    print("said", reproof(*words)[:1])
"""
    road, _, said = live(code)
    assert [line for line in said.splitlines() if line.startswith("said")] == ["said 2"] * 13
    assert data_of(road.desk, "withdrawn") == []
    assert data_of(road.desk, "submitted") == []


@pytest.mark.slow
def test_a_sibling_has_neither_lines_nor_home_nor_model(live: Live) -> None:
    token = f"sibling-{uuid.uuid4().hex}"
    code = f"""
open("/reproof/home/mine", "w").write("x")
print(reproof("exec", "--", "sh", "-c", "ls /reproof; env; setsid sh -c 'sleep 60; : {token}' >/dev/null 2>&1 &"))
print(reproof("exec", "--", "python", "-c", "import socket; print(socket.socket().connect_ex(('127.0.0.1', 8080)))"))
"""
    _, _, said = live(code)
    assert alive(token) == []
    inside = said.split("\n")[:8]
    assert "lines" not in inside
    assert "home" not in inside
    assert "OPENAI" not in said
    assert "0 111" in said  # refused: nothing listens there


FLOOD = """
lines = []
for _ in range(300):
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(0.2)
    try:
        line.connect("/reproof/lines/broker.sock")
        line.send(b"{" * 1000)
        lines.append(line)
    except OSError:
        pass
for line in lines:
    line.close()
for rubbish in (b"", b"\\n", b"[]\\n", b"{}\\n", b"\\xff" * 9 + b"\\n", b"[" * 200000 + b"\\n",
                b'{"words": ["status"]}\\n',
                b'{"words": ["exec", "--", "a\\\\u0000b"], "folder": ""}\\n', b'{"words": 1, "folder": 2}\\n'):
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(15)
        try:
            line.connect("/reproof/lines/broker.sock")
            line.sendall(rubbish); line.shutdown(socket.SHUT_WR); line.recv(99)
        except OSError:
            pass
end = time.time() + 20
while time.time() < end and not (said := reproof("status")).startswith("0"):
    time.sleep(0.2)
print("at last", said[:2])
"""


@pytest.mark.slow
def test_a_flooded_broker_answers_again(live: Live) -> None:
    road, outcome, said = live(FLOOD)
    assert "at last 0" in said, said
    assert outcome.ended == "done"
    assert hand_in(road, outcome).files


@pytest.mark.slow
def test_a_log_without_end_is_cut(live: Live) -> None:
    road, outcome, _ = live("block = b'x' * (1 << 20)\nfor _ in range(300): os.write(1, block)\nprint('\\x1b[2J')")
    assert (road.folder / "agent.log").stat().st_size < 64 << 20
    assert "\x1b" not in outcome.note
    assert (road.folder / "agent.log").stat().st_mode & 0o077 == 0

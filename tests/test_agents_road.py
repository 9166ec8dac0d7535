"""Agents on the whole road: in quarters, with a broker and a model, from brief to score."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tiny_paper import WORK

from harness.attempt.attempt import HandedIn
from harness.config import BudgetSettings, ModelSettings, Settings
from harness.handing import hand_in, hand_out, work_on
from harness.pipeline import rerun, score
from harness.road import Road, quiet

Lives = Callable[..., tuple[Road, HandedIn]]
KEY = "sk-worth-a-fortune"
ASK = """\
import json, os, sys, urllib.request, urllib.error
def ask(text, tokens=100):
    body = {"model": os.environ["REPROOF_MODEL"], "messages": [{"role": "user", "content": text}], "max_tokens": tokens}
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})
    return json.loads(urllib.request.urlopen(request, timeout=60).read())["choices"][0]["message"]["content"]
"""


class Upstream:
    """A scripted provider on loopback: what it says is what `answer` gives for the count of requests so far."""

    def __init__(self, answer: Callable[[int], tuple[int, str]]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                upstream.asked.append(body)
                upstream.keys.append(self.headers["Authorization"])
                status, text = answer(len(upstream.asked))
                choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
                told = {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"]}
                data = json.dumps({**told, "choices": [choice], "usage": usage} if status == 200 else {"error": text})
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data.encode())

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@contextlib.contextmanager
def scripted(answer: Callable[[int], tuple[int, str]]) -> Iterator[Upstream]:
    upstream = Upstream(answer)
    thread = threading.Thread(target=upstream.server.serve_forever, args=(0.05,))
    thread.start()
    yield upstream
    upstream.server.shutdown()
    thread.join()
    upstream.server.server_close()


@pytest.fixture
def lives(home: Path, tmp_path: Path, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Lives:
    """Let a program be the agent on the lean paper, in quarters of its own."""
    monkeypatch.setenv("SOME_KEY", KEY)

    def run(*words: str, model: Upstream | None = None, **budget: Any) -> tuple[Road, HandedIn]:
        named = "scripted-1" if model else None
        options = {"run": list(words), "model": named, "environment": {"ASK": ASK}}
        chosen = settings(home / "papers" / "lean", tmp_path / "results", "command", name="shell", options=options)
        figures = {"working": 600.0, "wall": 900.0, "cpu": 120.0, **budget}
        chosen = chosen.model_copy(
            update={
                "participant": chosen.participant.model_copy(update={"kind": "agent"}),
                "budget": BudgetSettings(name="standard", **figures),
                "models": ModelSettings(provider="local", upstream=model.url, key="SOME_KEY")
                if model
                else ModelSettings(),
            }
        )
        road = hand_out(chosen, tell=quiet)
        return road, hand_in(road, work_on(road, chosen))

    return run


def log(road: Road) -> str:
    return (road.folder / "agent.log").read_text()


def test_verbs_work_inside(lives: Lives) -> None:
    script = """
    reproof status --json; echo "status $?"
    reproof exec -- sh -c 'echo from a sibling; pwd; exit 3'; echo "exec $?"
    cd reproduction && reproof exec -- pwd; cd ..
    reproof check; echo "check $?"
    reproof submit; echo "submit $?"
    echo changed > note.txt; git add -A; git commit -qm change; echo $HOME; echo kept > ~/memory
    """
    road, handed = lives("sh", "-c", script)
    said = log(road)
    assert "status 0" in said
    assert "from a sibling\n/reproof/work\n" in said
    assert "exec 3" in said
    assert "/reproof/work/reproduction" in said
    assert "check 1" in said
    assert "submit 2" in said
    assert len(handed.history) == 1
    assert (road.folder / "home/memory").read_text() == "kept\n"
    assert (handed.ended, handed.fault) == ("done", "none")
    assert "tokens" not in handed.used


def test_an_agent_asks_its_model_and_is_scored(lives: Lives) -> None:
    program = """
import os, pathlib, subprocess
exec(os.environ["ASK"])
assert "[working time" not in ask("what is to be done?")
pathlib.Path("reproduction/work.py").write_text(ask("write it"))
subprocess.run(["reproof", "status"], check=True)
subprocess.run(["reproof", "check"], check=True)
subprocess.run("git add -A && git commit -qm solved", shell=True, check=True)
"""
    with scripted(lambda count: (200, WORK if count == 2 else "read the brief")) as model:
        road, handed = lives("python", "-c", program, model=model, tokens=100_000)
    assert (handed.ended, handed.fault) == ("done", "none"), handed.note + log(road)
    assert model.keys == [f"Bearer {KEY}"] * 2
    assert (handed.used["tokens"], "dollars" in handed.used) == (60, False)
    asked = [event.data for event in road.desk.events() if event.kind == "asked"]
    assert sum(data["requests"] for data in asked) == 2
    rerun(road)
    assert score(road).verdict == "PASS"
    kept = [path for path in road.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert kept == []

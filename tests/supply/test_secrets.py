"""Recognisable secrets wherever secrets lie, the real road beside them, then a look at every byte that was written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from canaries import CommandLines, found_in, seek
from scripted_model import ASK
from tiny_paper import STUB, WORK, lean, write_paper

SECRETS = {
    "key": "sk-canary/9d02+6f7be1c4a8533b20",  # of the provider
    "aws": "canary-aws-41c6be07f2d98a35",
    "mlflow password": "canary-mlflow-b7740c9e1d5f2a86",
    "address": "canary-address-5e8d1f903b62c7a4",  # a password in a URI
    "netrc": "canary-netrc-c02f7a8e64d1b953",
    "git": "canary-git-38a1d5b7f0e6924c",  # in Git's own files and in a remote of the workspace
    "held out": "canary-held-out-7f39b1e5c8d0a264",
    "reference": "canary_reference_e1a56c0b98f2d743",
    "mutation": "canary_mutation_90f4c2d71b6ea385",
}
HELD: dict[str, tuple[str, ...]] = {
    # what may hold what: everything else may not, nor may what verbs print
    "git": ("home/.gitconfig", "home/.git-credentials", "ada/.git/config"),
    "netrc": ("home/.netrc",),
    "address": ("configs/tracking/lab.yaml",),
    "held out": ("results/attempts/*/private/*", "*.tar.gz", "papers/lean/private/*"),
    "reference": ("papers/lean/private/*", "results/trees/*"),
    "mutation": ("papers/lean/private/*",),
}
"""Held-out instances lie with an attempt's records, and `pack` gives them away; the reference's files lie with the
trees that are run. All of it is private to its owner (test_modes.py)."""
AGENT = """\
import os, pathlib, subprocess, sys, urllib.error
exec(os.environ["ASK"])
for number in range(3):
    try:
        print(ask(f"request {number}: {dict(os.environ)}"))
    except urllib.error.HTTPError as error:
        print(error.code, error.headers, error.read())
words = "env; cat ~/.netrc ~/.gitconfig /proc/*/environ; reproof status; reproof exec -- env; reproof check"
print(subprocess.run(words + "; git config -l", shell=True, capture_output=True, text=True))
pathlib.Path("reproduction/work.py").write_text(os.environ["SOLUTION"])
pathlib.Path("seen.txt").write_text(repr(dict(os.environ)))
subprocess.run("git add -A && git commit -qm solved", shell=True)
try:
    ask("the last one")
except urllib.error.HTTPError as error:
    print(error.code, error.read())
raise SystemExit("I leave with an error")
"""


@contextmanager
def provider() -> Iterator[str]:
    """A provider that repeats what it was sent, headers and all: in errors, in an answer, and as it refuses the key."""
    count = iter(range(1_000_000))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            said, number = f"you sent {dict(self.headers)}", next(count)
            answer: dict[str, Any] = {"error": {"message": said}}
            status = (422, 200, 400, 401)[min(number, 3)]
            if status == 200:
                choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
                usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
                answer = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
                answer["usage"] = usage
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("x-request-id", self.headers["Authorization"])
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Place:
    """A folder with a home, a paper and configurations, all full of secrets, and `reproof` as it is called there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: dict[str, str] = {}
        self.found: dict[str, set[str]] = {}
        self._paper()
        self._home()
        (root / "configs/tracking").mkdir(parents=True)
        uri = f"http://ada:{SECRETS['address']}@127.0.0.1:9/mlflow"
        (root / "configs/participant").mkdir()
        variables = {"ASK": ASK, "SOLUTION": WORK}
        who = {"adapter": "command", "kind": "agent", "name": "canary", "model": "m", "environment": variables}
        run = {"run": ["python", "-c", AGENT], "mounts": []}
        (root / "configs/participant/canary.yaml").write_text(yaml.safe_dump({**who, **run}))
        (root / "configs/tracking/lab.yaml").write_text(f"uri: {uri}\nexperiment_prefix: ''\n")

    def _paper(self) -> None:
        drawn = f'return {{"mark": "{SECRETS["held out"]}", "goal": float(rng.uniform(2, 4)), '
        folder = write_paper(self.root / "papers/lean", lean, work=f"# {SECRETS['reference']}\n{WORK}")
        file = folder / "private/instances.py"
        file.write_text(file.read_text().replace('return {"goal": float(rng.uniform(2, 4)), ', drawn))
        (folder / "starter/reproduction/work.py").write_text(STUB)
        file = folder / "private/mutations.yaml"
        file.write_text(file.read_text().replace("The step is taken twice.", SECRETS["mutation"]))

    def _home(self) -> None:
        home = self.root / "home"
        home.mkdir()
        token = SECRETS["git"]
        (home / ".netrc").write_text(f"machine 127.0.0.1 login ada password {SECRETS['netrc']}\n")
        (home / ".git-credentials").write_text(f"https://ada:{token}@example.org\n")
        (home / ".gitconfig").write_text(
            f'[credential]\n\thelper = "!echo password={token}"\n[user]\n\tname = ada\n\temail = ada@example.org\n'
            f'[url "https://{token}@example.org/"]\n\tinsteadOf = https://example.org/\n'
        )

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ, "HOME": str(self.root / "home"), "XDG_STATE_HOME": str(self.root / "home/state"),
            "XDG_CACHE_HOME": str(self.root / "home/cache"), "TMPDIR": str(self.root / "tmp"), "COLUMNS": "200",
            "REPROOF_PAPERS_PATH": str(self.root / "papers"), "CANARY_KEY": SECRETS["key"],
            "AWS_SECRET_ACCESS_KEY": SECRETS["aws"], "MLFLOW_TRACKING_USERNAME": "ada",
            "MLFLOW_TRACKING_PASSWORD": SECRETS["mlflow password"], "PYTHONFAULTHANDLER": "1",
        }  # fmt: skip

    def verb(self, *words: object, folder: str = ".", code: int | None = 0) -> str:
        """What a verb says, on both of its streams."""
        (self.root / "tmp").mkdir(exist_ok=True)
        command = [sys.executable, "-c", "from harness.cli.start import main; main()", *map(str, words)]
        done = subprocess.run(command, cwd=self.root / folder, env=self.environment, capture_output=True, timeout=100)
        said = (done.stdout + done.stderr).decode()
        assert code is None or done.returncode == code, said
        self.said[f"{len(self.said)}: reproof {' '.join(map(str, words))[:60]}"] = said
        return said

    def held(self) -> dict[str, set[str]]:
        """Where each secret stands although it may not: files, and what verbs have said."""
        found = self.found = seek(self.root, SECRETS)
        wrong = {
            name: {path for path in paths if not any(fnmatch(path, allowed) for allowed in HELD.get(name, ()))}
            for name, paths in found.items()
        }
        for verb, said in self.said.items():
            for name in found_in(said.encode(), SECRETS):
                wrong[name].add(verb)
        return {name: paths for name, paths in wrong.items() if paths}

    def planted(self) -> set[str]:
        """The secrets that stand where they may, which shows that we look where they are; after `held`."""
        return {name for name, paths in self.found.items() if paths}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def agent(url: str, *more: str) -> list[str]:
    model = ["models=local", f"models.upstream={url}", "models.key=CANARY_KEY"]
    return ["paper=lean", "participant=canary", *model, "budget.wall=600", *more]


def test_an_agent_and_its_provider_bring_no_secret_out(place: Place) -> None:
    """Of the agent's road: the proxy, the journal, the trajectory, the log, the workspace, the records, the score."""
    with provider() as url, CommandLines(SECRETS) as lines:
        said = place.verb("attempt", *agent(url), "tracking=none", "--json", code=None)
    assert lines.seen == {}
    assert lines.looks > 10
    assert place.held() == {}, said
    assert {"held out", "reference", "git", "netrc"} <= place.planted()
    log = next((place.root / "results").rglob("agent.log")).read_text()
    assert "you sent" in log
    assert "I leave with an error" in log


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_verb_on_the_whole_road_brings_a_secret_out(place: Place) -> None:
    """A person and agents from brief to leaderboard, mirrored and packed, with what goes wrong on the way."""
    with provider() as url, CommandLines(SECRETS) as lines:
        place.verb("attempt", *agent(url, "participant.repeats=2", "tracking=none"), code=None)
        walk_through(place)
        fail_on_the_way(place, url)
    assert lines.seen == {}
    assert place.held() == {}
    assert place.planted() == {*SECRETS} - {"key", "aws", "mlflow password"}


def walk_through(place: Place) -> None:
    """A person's road, and whatever shows what was kept."""
    place.verb("start", "lean", "--as", "ada", "--workspace", "ada", "--consent", "--licence", "MIT")
    git = ["git", "-C", str(place.root / "ada")]
    with (place.root / "ada/.git/config").open("a") as config:  # as a command of ours, it would be seen by who watches
        config.write(f'[remote "origin"]\n\turl = https://ada:{SECRETS["git"]}@example.org/ada.git\n')
    place.verb("clock", "start", folder="ada")
    place.verb("exec", "--", "sh", "-c", "env; cat .git/config | wc; cat ~/.netrc", folder="ada", code=None)
    place.verb("check", folder="ada", code=None)
    (place.root / "ada/reproduction/work.py").write_text(WORK)
    subprocess.run([*git, "commit", "-qam", "solved"], check=True, env=place.environment)
    place.verb("submit", folder="ada")
    [name] = [path.name for path in (place.root / "results/attempts").glob("*-ada-*")]
    for words in (
        ["score", name, "--json"], ["report", name, "--page", "page.html"], ["attempts", "--json"], ["plan", "show"],
        ["leaderboard", "--all", "--page", "board.html"], ["mlflow", "--print"], ["pack", name, "--to", "ada.tar.gz"],
        ["export", "harbor", "lean", "--into", "out"], ["verify", "ada.tar.gz", "--quick"],
    ):  # fmt: skip
        place.verb(*words, code=None)
    place.verb("timesheet", "--json", folder="ada")
    for agents in (place.root / "results/attempts").glob("*-canary-*"):
        place.verb("trajectory", agents.name, "--json", code=None)


def fail_on_the_way(place: Place, url: str) -> None:
    """What is refused, away or broken, with secrets in what is asked for."""
    away = "http://127.0.0.1:9"
    [name] = [path.name for path in (place.root / "results/attempts").glob("*-ada-*")]
    assert "password" in place.verb("attempt", "paper=lean", "tracking=lab", code=2)
    assert "MLflow's store failed" in place.verb("track", name, "--uri", away, code=75)
    place.verb("attempt", "paper=lean", "participant=starter", "tracking=server", f"tracking.uri={away}", code=75)
    place.verb("attempt", *agent(away, "models.models=[]", "budget.wall=5", "tracking=none"), code=None)
    place.verb("attempt", *agent(url, "tracking=none", "models.key=NOT_SET"), code=2)
    (place.root / "results/attempts" / name / "submissions/001/score.json").write_text("{")
    place.verb("report", name, code=6)

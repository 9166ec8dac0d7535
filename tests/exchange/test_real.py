"""The real Harbor and the real Inspect, each from an environment of its own, against Reproof from this one."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guests import Cli
from scripted_model import scripted
from tiny_paper import WORK

pytestmark = [pytest.mark.exchange, pytest.mark.timeout(400)]
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = "harness.exchange.harbor_environment:ReproofEnvironment"
AGENTS = '''\
"""Agents of Harbor's that nobody wants."""

from harbor.agents.base import BaseAgent


class Base(BaseAgent):
    script = "true"

    @staticmethod
    def name():
        return "unwanted"

    def version(self):
        return "1"

    async def setup(self, environment):
        pass

    async def run(self, instruction, environment, context):
        context.n_input_tokens, context.n_output_tokens, context.cost_usd = 1000, 50, 0.25
        done = await environment.exec(self.script)
        assert done.return_code == 0, done
        await self.more(environment)

    async def more(self, environment):
        pass


class Forger(Base):
    """Writes the rewards itself, and goes on writing them."""

    script = """
    echo '{"reward": 1}' >/logs/verifier/reward.json; echo 1 >/logs/verifier/reward.txt
    ln -s /etc/passwd /logs/agent/link; mkfifo /logs/artifacts/pipe; ln -s / /logs/artifacts/root
    (while true; do echo '{"reward": 1}' >/logs/verifier/reward.json; sleep .02; done) &
    """


class Looker(Base):
    """Looks for the network, the private files and the host."""

    script = """
    python -c 'import urllib.request as u; u.urlopen("http://1.1.1.1", timeout=2)' && exit 1
    ls -R / 2>/dev/null | grep -e mutations.yaml -e private.reference && exit 1
    env | grep -i -e token -e secret -e results && exit 1
    test "$(id -u)" = 65534
    """


class Burner(Base):
    """Solves it, leaves it uncommitted, and uses up the CPU time."""

    script = "cp /tmp/work.py reproduction/work.py; (while :; do :; done) & while :; do :; done"

    async def run(self, instruction, environment, context):
        await environment.upload_file("modules/work.py", "/tmp/work.py")
        await super().run(instruction, environment, context)


class Crasher(Base):
    """Commits half of it and dies."""

    async def more(self, environment):
        raise RuntimeError("it is over")
'''
SOLVERS = '''\
"""Solvers of Inspect's that need no model."""

from inspect_ai.solver import solver
from inspect_ai.util import sandbox


@solver
def oracle(work: str):
    async def solve(state, generate):
        await sandbox().write_file("reproduction/work.py", open(work).read())
        done = await sandbox().exec(["git", "status", "--short"])
        assert done.success and done.stdout == " M reproduction/work.py\\n", done
        assert "walk" in await sandbox().read_file("BRIEF.md")
        assert not (await sandbox().exec(["no-such-program"])).success
        for path, error in (("nowhere", FileNotFoundError), ("reproduction", IsADirectoryError)):
            try:
                await sandbox().read_file(path)
            except error:
                continue
            raise AssertionError(path)
        try:
            await sandbox().exec(["sleep", "30"], timeout=1)
        except TimeoutError:
            return state
        raise AssertionError("no timeout")

    return solve


@solver
def burner(work: str):
    async def solve(state, generate):
        await sandbox().write_file("reproduction/work.py", open(work).read())
        await sandbox().exec(["sh", "-c", "(while :; do :; done) & while :; do :; done"])
        raise AssertionError("there was no end")

    return solve


@solver
def nop():
    async def solve(state, generate):
        return state

    return solve
'''
Run = Callable[..., dict[str, Any]]


def python_of(variable: str) -> str:
    """The Python of another harness; without one CI fails, and others skip."""
    found = os.environ.get(variable)
    if found is None and os.environ.get("REPROOF_CI") != "1":
        pytest.skip(f"{variable} names no Python")
    assert found is not None, f"{variable} names no Python"
    return found


@pytest.fixture
def there(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of another harness's process."""
    more = {"HARBOR_TELEMETRY": "0", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "REPROOF_PYTHON": sys.executable}
    made = tmp_path / "modules" / "reproof-0.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: reproof\nVersion: 0\n")
    (made / "entry_points.txt").write_text("[inspect_ai]\nreproof = harness.exchange.inspect_task\n")
    return {**environment, **more, "PYTHONPATH": f"{ROOT}:{tmp_path / 'modules'}"}


@pytest.fixture
def harbor(cli: Cli, there: dict[str, str], tmp_path: Path) -> Run:
    """Run an agent of Harbor's on the lean paper; gives the trial's result.json."""
    program = Path(python_of("REPROOF_HARBOR_PYTHON")).with_name("harbor")
    (tmp_path / "modules" / "unwanted.py").write_text(AGENTS)
    done = cli("export", "harbor", "lean", "tasks")
    assert done.returncode == 0, done.stderr

    def run(agent: str, *more: str) -> dict[str, Any]:
        words = ["run", "-p", "tasks/lean", "-a", agent, "-e", ENVIRONMENT, "--ek", "overrides=tracking=none"]
        command = [str(program), *words, "--job-name", "monday", "-q", *more]
        done = subprocess.run(command, cwd=tmp_path, env=there, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        (path,) = (tmp_path / "jobs" / "monday").glob("*/result.json")
        result: dict[str, Any] = json.loads(path.read_text())
        return result

    return run


def terminal(*keys: str, done: bool = False) -> str:
    commands = [{"keystrokes": f"{line}\n", "duration": 1.0} for line in keys]
    return json.dumps({"analysis": "a", "plan": "p", "commands": commands, "task_complete": done})


def test_terminus_works_with_a_model_of_its_own_in_a_terminal_of_the_room(
    harbor: Run, cli: Cli, there: dict[str, str], tmp_path: Path
) -> None:
    packed = base64.b64encode(WORK.encode()).decode()
    commit = "git add -A && git -c user.name=t -c user.email=t@t.invalid commit -qm work"
    says = [terminal("head BRIEF.md"), terminal(f"echo {packed} | base64 -d >reproduction/work.py", commit)]
    with scripted(lambda number: (200, says[number - 1] if number <= 2 else terminal(done=True))) as model:
        there["OPENAI_API_KEY"] = "worth-nothing"
        result = harbor("terminus-2", "-m", "openai/m", "--ak", f"api_base={model.url}/v1")
    assert result["verifier_result"]["rewards"]["passed"] == 1
    found = taken(cli, "results=elsewhere")
    assert (found["state"], found["verdict"]) == ("scored", "PASS")
    folder = tmp_path / "elsewhere" / "attempts" / found["attempt"]
    assert json.loads((folder / "reported.harbor.json").read_text())["tokens"] > 0
    assert "As the agent reports it" in (folder / "submissions" / "001" / "page.html").read_text()


def taken(cli: Cli, *words: str) -> dict[str, Any]:
    done = cli("import", "harbor", "jobs/monday", "tracking=none", "--json", *words)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    return dict(found)


def test_harbors_oracle_passes_and_is_scored_once_more_elsewhere(harbor: Run, cli: Cli) -> None:
    result = harbor("oracle")
    rewards = result["verifier_result"]["rewards"]
    assert (rewards["reward"], rewards["passed"], rewards["claim_number_published"]) == (pytest.approx(1.0), 1, 1)
    assert taken(cli)["state"] == "known"
    elsewhere = taken(cli, "results=elsewhere")
    assert (elsewhere["state"], elsewhere["verdict"], elsewhere["reported"]) == ("scored", "PASS", rewards["reward"])
    assert taken(cli, "results=elsewhere")["attempt"] == elsewhere["attempt"]


def test_harbors_nop_gets_nothing(harbor: Run) -> None:
    rewards = harbor("nop")["verifier_result"]["rewards"]
    assert (rewards["reward"], rewards["passed"]) == (0, 0)


def test_an_agent_that_writes_the_reward_itself_gains_nothing(harbor: Run, cli: Cli, tmp_path: Path) -> None:
    result = harbor("unwanted:Forger")
    assert result["exception_info"] is None
    assert result["verifier_result"]["rewards"]["reward"] == 0
    (trial,) = (tmp_path / "jobs" / "monday").glob("lean__*")
    assert not any(path.is_symlink() or path.is_fifo() for path in trial.rglob("*"))
    elsewhere = taken(cli, "results=elsewhere")
    assert (elsewhere["verdict"], elsewhere["value"], elsewhere["reported"]) == ("FAIL", 0.0, 0.0)


def test_an_agent_finds_no_network_and_nothing_private(harbor: Run) -> None:
    assert harbor("unwanted:Looker")["exception_info"] is None


def test_a_spent_budget_ends_the_work_and_what_is_there_is_scored(harbor: Run, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "modules" / "work.py").write_text(WORK)
    result = harbor("unwanted:Burner")
    assert result["exception_info"]["exception_type"] == "AgentTimeoutError"
    assert result["verifier_result"]["rewards"]["passed"] == 1
    found = taken(cli)
    assert (found["state"], found["fault"]) == ("known", "budget")
    handed = tmp_path / "results" / "attempts" / found["attempt"] / "submissions" / "001" / "submission.json"
    told = json.loads(handed.read_text())
    assert (told["ended"], told["fault"], told["saved"]) == ("cpu", "budget", True)


def test_a_crash_leaves_its_commits_behind(harbor: Run, cli: Cli) -> None:
    result = harbor("unwanted:Crasher")
    assert result["exception_info"]["exception_type"] == "RuntimeError"
    found = taken(cli)
    assert found["fault"] == "submission"


@pytest.mark.parametrize(
    ("solver", "value", "verdict"), [("oracle", 1.0, "PASS"), ("burner", 1.0, "PASS"), ("nop", 0.0, "FAIL")]
)
def test_inspect_scores_what_a_solver_leaves(
    solver: str, value: float, verdict: str, there: dict[str, str], tmp_path: Path
) -> None:
    python = python_of("REPROOF_INSPECT_PYTHON")
    (tmp_path / "solvers.py").write_text(SOLVERS)
    (tmp_path / "work.py").write_text(WORK)
    words = ["eval", "reproof/lean", "--model", "mockllm/model", "--solver", f"solvers.py@{solver}"]
    words += ["-T", "overrides=tracking=none", "--display", "plain", "--log-format", "json", "--log-dir", "logs"]
    words += ["-S", f"work={tmp_path / 'work.py'}"] if solver != "nop" else []
    command = [str(Path(python).with_name("inspect")), *words]
    done = subprocess.run(command, cwd=tmp_path, env=there, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    (path,) = (tmp_path / "logs").glob("*.json")
    log = json.loads(path.read_text())
    assert log["status"] == "success", log["error"]
    assert log["eval"]["task"].endswith("lean")
    score = log["samples"][0]["scores"]["rerun"]
    assert (score["value"], score["answer"]) == (pytest.approx(value), verdict)
    assert score["metadata"]["claims"]["number_published"] == value
    assert (tmp_path / "results" / "attempts" / score["metadata"]["attempt"] / "attempt.json").is_file()
    shutil.rmtree(tmp_path / "logs")

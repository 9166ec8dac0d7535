"""The trivial task for other harnesses, in their own formats: a file is written, and a check of it gives the score.

Each has a program that does one evaluation for every line it reads, so that it can take turns with ours after imports.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

from benchmarks.measuring import command
from benchmarks.peers import Peer

_INSPECT_TASK = """\
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, accuracy, scorer
from inspect_ai.solver import solver
from inspect_ai.util import sandbox


@solver
def write():
    async def solve(state, generate):
        await sandbox().write_file("value.txt", "0.5")
        return state

    return solve


@scorer(metrics=[accuracy()])
def read():
    async def score(state, target):
        value = float(await sandbox().read_file("value.txt"))
        return Score(value=float(abs(value - float(target.text)) < 0.1))

    return score


@task
def trivial():
    return Task(dataset=[Sample(input="Write a number.", target="0.5")], solver=write(), scorer=read(), sandbox="local")
"""

_INSPECT_PROGRAM = """\
import sys

from inspect_ai import eval
from task import trivial

for line in sys.stdin:
    log = eval(trivial(), model="mockllm/model", display="none")[0]
    good = log.status == "success" and log.results.scores[0].metrics["accuracy"].value == 1.0
    print("done" if good else f"failed: {log.status} {log.error}", flush=True)
"""

_HARBOR_ENVIRONMENT = '''\
import asyncio
import os
import re
import shutil
from pathlib import Path

from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentCapabilities

PLACES = re.compile(r"(?<![\\w./-])/(app|logs|solution|tests)(?![\\w-])")


class Plain(BaseEnvironment):
    """No container: plain local processes, with the places of a container below one folder."""

    @staticmethod
    def type():
        return "plain"

    @property
    def capabilities(self):
        return EnvironmentCapabilities()

    def _validate_definition(self):
        pass

    def _real(self, text):
        return PLACES.sub(lambda found: f"{self.root}/{found[1]}", str(text))

    async def start(self, force_build):
        self.root = self.trial_paths.trial_dir.resolve() / "machine"
        for name in ("app", "logs/agent", "logs/artifacts", "logs/verifier", "solution", "tests"):
            (self.root / name).mkdir(parents=True)

    async def stop(self, delete):
        shutil.rmtree(self.root)

    async def upload_file(self, source_path, target_path):
        target = Path(self._real(target_path))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source_path, target)

    async def upload_dir(self, source_dir, target_dir):
        shutil.copytree(source_dir, self._real(target_dir), dirs_exist_ok=True)

    async def download_file(self, source_path, target_path):
        shutil.copy(self._real(source_path), target_path)

    async def download_dir(self, source_dir, target_dir):
        shutil.copytree(self._real(source_dir), target_dir, dirs_exist_ok=True)

    async def exec(self, command, cwd=None, env=None, timeout_sec=None, user=None):
        child = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", self._real(command), cwd=self._real(cwd or "/app"),
            env={**os.environ, "MACHINE": str(self.root), **(env or {})},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(child.communicate(), timeout_sec)
        return ExecResult(stdout=out.decode(), stderr=err.decode(), return_code=child.returncode)
'''

_HARBOR_PROGRAM = """\
import asyncio
import itertools
import os
import sys

from harbor.job import Job
from harbor.models.job.config import JobConfig

serial = itertools.count()
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # its own progress goes elsewhere


async def trial():
    config = JobConfig.model_validate({
        "job_name": f"inside-{next(serial)}", "jobs_dir": "jobs", "quiet": True, "tasks": [{"path": "task"}],
        "agents": [{"name": "oracle"}], "environment": {"import_path": "plain:Plain"},
    })
    job = await Job.create(config)
    return await job.run()

for line in sys.stdin:
    stats = asyncio.run(trial()).stats
    good = stats.n_completed_trials == 1 and stats.n_errored_trials == 0
    print("done" if good else f"failed: {stats}", file=answers, flush=True)
"""

_HARBOR_TASK = {
    "task.toml": """\
schema_version = "1.4"
[task]
name = "benchmark/trivial"
[metadata]
[agent]
timeout_sec = 60
[verifier]
timeout_sec = 60
[environment]
""",
    "instruction.md": "Write a number.\n",
    "environment/Dockerfile": "FROM scratch\n",
    "solution/solve.sh": "#!/bin/sh\necho 0.5 > value.txt\n",
    "tests/test.sh": """\
#!/bin/sh
read -r value < value.txt
[ "$value" = 0.5 ] && echo '{"reward": 1.0}' > "$MACHINE/logs/verifier/reward.json"
""",
}

_FILES = {
    "inspect-ai": {"task.py": _INSPECT_TASK, "program.py": _INSPECT_PROGRAM},
    "harbor": {
        "plain.py": _HARBOR_ENVIRONMENT,
        "program.py": _HARBOR_PROGRAM,
        **{f"task/{name}": text for name, text in _HARBOR_TASK.items()},
    },
}
_COMMANDS = {
    "inspect-ai": ("inspect", "eval", "task.py", "--model", "mockllm/model", "--display", "none"),
    "harbor": ("harbor", "run", "-p", "task", "-a", "oracle", "-e", "plain:Plain", "-o", "jobs", "-y", "-q"),
}


class Inside:
    """A peer's program that has its imports done and waits for a word to evaluate once."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        """Start it; it is waited for at the first call."""
        assert peer.python is not None
        with (folder / "inside.log").open("w") as self._log:
            self._child = subprocess.Popen(
                [peer.python, "program.py"], cwd=folder, env=_environment(folder), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            )  # fmt: skip
        self._log_file = folder / "inside.log"

    def __call__(self) -> None:
        """Evaluate once.

        Raises:
            RuntimeError: It failed.
        """
        words, answers = _pipe(self._child.stdin), _pipe(self._child.stdout)
        words.write("\n")
        words.flush()
        answer = answers.readline().strip()
        if answer != "done":
            raise RuntimeError(f"{answer or 'it ended'}: {self._log_file.read_text()[-2000:]}")

    def close(self) -> None:
        """End it."""
        _pipe(self._child.stdin).close()
        self._child.wait(timeout=60)
        _pipe(self._child.stdout).close()


def _pipe(end: IO[str] | None) -> IO[str]:
    assert end is not None
    return end


def write_task(peer: Peer, folder: Path) -> Path:
    """Write the peer's task and program into a new folder of its name."""
    for name, text in _FILES[peer.name].items():
        path = folder / peer.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    return folder / peer.name


def whole(peer: Peer, folder: Path) -> Callable[[], object]:
    """The peer's own command on the task, from the start of its process to the end."""
    program, *words = _COMMANDS[peer.name]
    return command(peer.program(program), *words, cwd=folder, environment=_environment(folder))


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder), "HARBOR_TELEMETRY": "0", "INSPECT_DISPLAY": "none"}

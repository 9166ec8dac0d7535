"""Harbor's environment on our clean room: `harbor run -e harness.exchange.harbor_environment:ReproofEnvironment`.

It runs in Harbor's process and imports nothing of ours but `call`: all else happens in a process of Reproof's own.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentCapabilities
from harbor.trial.errors import AgentTimeoutError

from harness.exchange.call import Call, CallError
from harness.scratch import scratch

_LOGS, _TESTS, _SOLUTION = "/logs", "/tests", "/solution"
_FOLDERS = [_LOGS, _TESTS, _SOLUTION]
_VERIFIER = f"{_LOGS}/verifier"
_TEST = f"{_TESTS}/test.sh"


class ReproofEnvironment(BaseEnvironment):
    """One trial in Reproof's clean room: metered, without a network, judged outside by rerunning what it leaves."""

    def __init__(
        self, *args: Any, results: str = "results", overrides: str = "", python: str | None = None, **kwargs: Any
    ) -> None:
        """Take `--ek results=FOLDER`, `--ek overrides="slots=all tracking=none"`, `--ek python=PATH` of Reproof."""
        self._overrides = [f"results={Path(results).absolute()}", *overrides.split()]
        self._python = python
        self._call: Call | None = None
        self._verdict: dict[str, Any] | None = None
        self._spent = False
        super().__init__(*args, **kwargs)

    @staticmethod
    def type() -> str:
        """Its name in Harbor's records."""
        return "reproof"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        """There is no network, ever."""
        return EnvironmentCapabilities(disable_internet=True)

    @property
    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.environment_dir / "reproof.json").read_text(encoding="utf-8"))
        return facts

    def _validate_definition(self) -> None:
        if not (self.environment_dir / "reproof.json").is_file():
            message = f"{self.environment_dir} is no task of Reproof's: `reproof export harbor PAPER DIR` writes one"
            raise FileNotFoundError(message)

    async def start(self, force_build: bool) -> None:
        """Begin the attempt and open its room."""
        self._call = Call(self._python)
        facts = self._facts
        origin = {"harness": "harbor", "start_commit": facts["start_commit"], **self._trial()}
        opened = await self._call.ask(
            "open", paper=facts["paper"], origin=origin, overrides=self._overrides, folders=_FOLDERS
        )
        self.logger.info("attempt %s in %s", opened["attempt"], opened["results"])
        await self.ensure_dirs([f"{_LOGS}/{name}" for name in ("agent", "verifier", "artifacts")])

    def _trial(self) -> dict[str, Any]:
        """Whose trial it is, as far as Harbor has written it down by now."""
        folder = self.trial_paths.trial_dir
        try:
            agent = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("agent") or {}
        except (OSError, ValueError):
            agent = {}
        name = agent.get("name") or agent.get("import_path") or "oracle"  # Harbor leaves its default out
        trial = str(self.context_id or f"{folder.parent.name}/{folder.name}")
        return {"job": folder.parent.name, "trial": trial, "agent": name, "model": agent.get("model_name")}

    async def stop(self, delete: bool) -> None:
        """End everything in the room; the attempt's records stay in Reproof's results."""
        if self._call is not None:
            await self._call.hang_up()
            self._call = None

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        """Run a command in the room, as its only user; Harbor's call of the verifier gets the verdict from outside."""
        if f"({_TEST})" in command or command.startswith(_TEST):
            return await self._judge()
        merged = self._merge_env(env) or {}
        words = ["/bin/bash", "-c", command]
        asked = {"folder": cwd or self.task_env_config.workdir, "environment": merged, "seconds": timeout_sec}
        try:
            ran = await self._asked.ask("execute", words=words, **asked)
        except CallError as error:
            return self._closed(error)
        if ran["late"]:
            raise TimeoutError(f"the command took more than {timeout_sec} seconds")
        return ExecResult(stdout=ran["out"], stderr=ran["err"], return_code=ran["code"])

    def _closed(self, error: CallError) -> ExecResult:
        """Once the budget is spent, end the agent's work, whereupon Harbor calls the verifier; then only say so."""
        if error.kind != "Closed":
            raise error
        if not self._spent:
            self._spent = True
            raise AgentTimeoutError(str(error)) from error
        return ExecResult(stdout="", stderr=str(error), return_code=1)

    async def _judge(self) -> ExecResult:
        try:
            self._verdict = await self._asked.ask("judge")
        except CallError as error:  # a fault of ours: no reward file, so that Harbor counts no zero
            self.logger.error("no verdict: %s", error)
            return ExecResult(stdout="", stderr=str(error), return_code=1)
        return ExecResult(stdout=json.dumps(self._verdict), stderr="", return_code=0)

    @property
    def _asked(self) -> Call:
        if self._call is None:
            raise RuntimeError("this environment was not started")
        return self._call

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        """Lay one file of this machine into the room."""
        await self._lay("write", source=str(Path(source_path).absolute()), path=target_path)

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        """Lay a folder of this machine into the room."""
        await self._lay("put", source=str(Path(source_dir).absolute()), folder=target_dir)

    async def _lay(self, do: str, **asked: str) -> None:
        try:
            await self._asked.ask(do, **asked)
        except CallError as error:
            self._closed(error)

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        """Bring one file out of the room."""
        with scratch("harbor") as made:
            got = await self._asked.ask("get", path=source_path, into=str(made))
            found = made / PurePosixPath(source_path).name
            if got["folder"] or not found.is_file():
                raise FileNotFoundError(source_path)
            Path(target_path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, target_path)

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        """Bring a folder's plain files out of the room; where the verdict belongs, only the verdict."""
        target = Path(target_dir).absolute()
        target.mkdir(parents=True, exist_ok=True)
        if source_dir.rstrip("/") == _VERIFIER:
            self._write_verdict(target)
            return
        await self._asked.ask("get", path=source_dir, into=str(target))

    def _write_verdict(self, folder: Path) -> None:
        for name in ("reward.json", "reward.txt"):
            (folder / name).unlink(missing_ok=True)
        if self._verdict is None:
            return
        claims = {f"claim_{name}": value for name, value in self._verdict["claims"].items()}
        passed = float(self._verdict["verdict"] == "PASS")
        rewards = {"reward": self._verdict["value"], "passed": passed, **claims}
        (folder / "reward.json").write_text(json.dumps(rewards), encoding="utf-8")
        (folder / "reproof.json").write_text(json.dumps(self._verdict, indent=1), encoding="utf-8")

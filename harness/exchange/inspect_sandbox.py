"""Inspect's sandbox on our clean room; it runs in Inspect's process, and all else in one of Reproof's own."""

from __future__ import annotations

import os
import uuid
from pathlib import Path, PurePosixPath
from typing import Any, Literal, overload

from inspect_ai.model import get_model
from inspect_ai.util import (
    ExecResult,
    LimitExceededError,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentLimits,
    SandboxUserUnsupportedError,
    sandboxenv,
)

from harness.exchange.call import Call, CallError
from harness.scratch import scratch

_KINDS: dict[str, type[OSError]] = {
    "FileNotFoundError": FileNotFoundError,
    "NotADirectoryError": FileNotFoundError,
    "IsADirectoryError": IsADirectoryError,
    "PermissionError": PermissionError,
}
_NOT_FOUND = 127


@sandboxenv(name="reproof")
class ReproofSandbox(SandboxEnvironment):
    """One sample's room in the clean room: its workspace, no network, metered."""

    def __init__(self, call: Call, opened: dict[str, Any]) -> None:
        """Keep who is asked; `opened` says where the workspace lies in the room."""
        super().__init__()
        self.call = call
        self.attempt: str = opened["attempt"]
        self._workspace: str = opened["workspace"]

    @classmethod
    async def sample_init(
        cls, task_name: str, config: object, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        """Begin an attempt for one sample of one epoch, and open its room."""
        call = Call()
        origin = {
            "harness": "inspect",
            "job": task_name,
            "trial": uuid.uuid4().hex,
            "agent": metadata.get("agent", "inspect"),
            "model": str(get_model()),
        }
        try:
            overrides = metadata.get("overrides", "").split()
            opened = await call.ask("open", paper=metadata["paper"], origin=origin, overrides=overrides)
        except BaseException:
            await call.hang_up()
            raise
        return {"default": cls(call, opened)}

    @classmethod
    async def sample_cleanup(
        cls, task_name: str, config: object, environments: dict[str, SandboxEnvironment], interrupted: bool
    ) -> None:
        """End everything in the room; the attempt's records stay."""
        for environment in environments.values():
            await environment.as_type(cls).call.hang_up()

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        """Run a command in the room, as its only user."""
        if user is not None:
            raise SandboxUserUnsupportedError(f"there is one user in Reproof's clean room, and it is not {user!r}")
        with scratch("inspect") as made:
            given = _kept(input, made)
            asked = {"words": cmd, "folder": self._at(cwd or "."), "environment": env or {}, "seconds": timeout}
            try:
                ran = await self.call.ask("execute", given=given, **asked)
            except CallError as error:
                if error.kind in _KINDS:
                    return ExecResult(False, _NOT_FOUND, "", str(error))
                raise _told(error) from error
        if ran["late"]:
            raise TimeoutError(f"the command took more than {timeout} seconds")
        for stream in (ran["out"], ran["err"]):
            if len(stream) > SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE:
                limit = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE
                raise OutputLimitExceededError(SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE_STR, stream[:limit])
        return ExecResult(ran["code"] == 0, ran["code"], ran["out"], ran["err"])

    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Write a file of the room."""
        with scratch("inspect") as made:
            try:
                await self.call.ask("write", source=_kept(contents, made), path=self._at(file))
            except CallError as error:
                raise _told(error) from error

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        """Read a file of the room."""
        with scratch("inspect") as made:
            try:
                got = await self.call.ask("get", path=self._at(file), into=str(made))
            except CallError as error:
                raise _told(error) from error
            found = made / PurePosixPath(file).name
            if got["folder"]:
                raise IsADirectoryError(file)
            if not found.is_file():
                raise FileNotFoundError(file)
            return found.read_bytes().decode() if text else found.read_bytes()

    def _at(self, path: str) -> str:
        return os.path.normpath(str(PurePosixPath(self._workspace, path)))


def _kept(content: str | bytes | None, folder: Path) -> str | None:
    if content is None:
        return None
    path = folder / "given"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def _told(error: CallError) -> Exception:
    """The error that Inspect expects for what could not be done."""
    if error.kind == "TimeoutError":
        return TimeoutError(str(error))
    if error.kind == "Closed":  # the budget is spent: the sample ends, and what is there is scored
        spent: Exception = LimitExceededError("custom", value=1, limit=1, message=str(error))
        return spent
    if error.kind == "OverflowError":
        limit: Exception = OutputLimitExceededError(SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR, None)
        return limit
    return _KINDS.get(error.kind, RuntimeError)(str(error))

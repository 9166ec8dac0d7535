"""One real sandbox for the whole folder, and a short way to run a job in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Collect, Completed, Job, Limits, Sandbox, SandboxSettings

LIMITS = Limits(cpu=10, wall=20, memory=192 << 20, processes=48, disk=4 << 20)
Run = Callable[..., Completed]


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    return open_sandbox(SandboxSettings())


def run_in(
    sandbox: Sandbox, *command: str, files: tuple[str, ...] = (), into: Path | None = None, **rest: Any
) -> Completed:
    """Run a command; keywords that are limits change the limits, the others go to the job."""
    limits = {name: rest.pop(name) for name in ("cpu", "wall", "memory", "processes", "disk") if name in rest}
    cancel = rest.pop("cancel", None)
    collect = Collect(files=files, into=into) if into is not None else None
    return sandbox.run(Job(command=command, limits=replace(LIMITS, **limits), collect=collect, **rest), cancel)


@pytest.fixture
def run(sandbox: Sandbox) -> Run:
    def with_it(*command: str, **rest: Any) -> Completed:
        return run_in(sandbox, *command, **rest)

    return with_it


@pytest.fixture
def python(run: Run) -> Run:
    def with_code(code: str, *words: str, **rest: Any) -> Completed:
        return run(sys.executable, "-I", "-S", "-c", code, *words, **rest)

    return with_code


@pytest.fixture
def shell(run: Run) -> Run:
    def with_script(script: str, *words: str, **rest: Any) -> Completed:
        return run("sh", "-c", script, "sh", *words, **rest)

    return with_script

"""Papers as tasks that Harbor runs (task.toml, schema 1.4)."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from harness.attempt.plumbing import write_files
from harness.attempt.task import reference_files, start_files
from harness.attempt.work import MEMORY, WORKSPACE
from harness.attempt.workspace import create_workspace
from harness.errors import UsageError
from harness.paper.load import Paper
from harness.paper.mutations import REFERENCE
from harness.record.files import write_text
from harness.scratch import scratch

FACTS = "reproof.json"
"""In a task's environment folder: which paper it is of."""
BUNDLE = "/logs/artifacts/submission.bundle"
"""Where a container leaves the commits, for `reproof import harbor`."""
ENVIRONMENT = "harness.exchange.harbor_environment:ReproofEnvironment"
_VERIFIER_SECONDS = 7200.0
_START_TIME = 946_684_800

_INSTRUCTION = """\
# {title}

Reproduce this paper ({venue} {year}) in the Git repository `{workspace}`. Read `BRIEF.md` there first: it says what is
claimed, how every number is measured and what it weighs. `TASK.md` says what `python -m reproduction RUN.json OUT/` has
to do; the verbs of `reproof` that it names are for people, and you need none of them.

You have {minutes} minutes and no network. What is installed is all there is. Commit often: what counts is the last
commit of `{workspace}`, and what you leave uncommitted is committed for you. It is rerun elsewhere, with seeds and
instances that nobody has seen, and scored claim by claim. Partial work earns partial credit, and what you say or write
of your own results earns nothing.
"""
_TOML = """\
schema_version = "1.4"

[task]
name = "reproof/{id}"
description = {title}
keywords = ["reinforcement learning", "reproducibility"]

[metadata]
paper = "{id}"
paper_version = "{version}"
start_commit = "{start}"
venue = {venue}
award = {award}

[agent]
timeout_sec = {working:.1f}

[verifier]
timeout_sec = {verifier:.1f}

[[verifier.collect]]
timeout_sec = 300.0
command = '''
{hand_in}'''

[environment]
network_mode = "no-network"
build_timeout_sec = 1800.0
memory_mb = {memory}
workdir = "{workspace}"
"""
_DOCKERFILE = """\
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir "numpy>=2.0" "scipy>=1.14" "gymnasium>=1.0" "torch>=2.6"
ADD workspace.tar {workspace}
WORKDIR {workspace}
"""
_SOLVE = """\
#!/bin/sh
# The oracle: the paper's reference, laid over the starter.
set -e
cp -r "$(dirname "$0")/files/." {workspace}/
cd {workspace}
git add --all
git -c user.name=oracle -c user.email=oracle@reproof.invalid commit -q -m "The reference"
"""
_HAND_IN = """\
mkdir -p /logs/artifacts && rm -rf {bundle} && cd {workspace} || exit
git add --all --ignore-errors .
git -c user.name=agent -c user.email=agent@reproof.invalid commit -q -m "uncommitted work, as it was handed in"
if [ "$(git rev-parse HEAD)" = {start} ]; then : > {bundle}
else git bundle create -q --version=2 {bundle} HEAD ^{start}; fi
"""
_TEST = """\
#!/bin/sh
# Only Reproof scores. Its environment for Harbor (-e {environment})
# makes the verdict outside and never runs this script. Anywhere else the reward is 0, whatever the agent has left,
# until `reproof import harbor JOB` has rerun the commits that task.toml's hook lays beside the trial.
rm -rf /logs/verifier/reward.json /logs/verifier/reward.txt
mkdir -p /logs/verifier
printf '{{"reward": 0, "scored": 0}}\\n' > /logs/verifier/reward.json
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A task that was written."""

    paper: str
    folder: Path
    oracle: bool
    """Whether it holds the reference as its solution."""


def export_task(paper: Paper, into: Path) -> Exported:
    """Write one paper as a task of Harbor's.

    Args:
        paper: The paper; where its private part is at hand, the reference becomes the oracle's solution.
        into: The folder of tasks; the task gets a folder of its own there.

    Raises:
        UsageError: There is something of that name already.
        PaperError: The paper does not hold together.
    """
    folder = into / paper.id
    if folder.exists():
        remedy = "remove it, or name another folder"
        raise UsageError("a task is written into a new folder", where=folder, remedy=remedy)
    into.mkdir(parents=True, exist_ok=True)
    with scratch("task", within=into) as made:
        staged = made / "task"
        start = _environment(paper, staged / "environment")
        _texts(paper, staged, start)
        oracle = _solution(paper, staged / "solution")
        staged.rename(folder)
    return Exported(paper=paper.id, folder=folder, oracle=oracle)


def _texts(paper: Paper, folder: Path, start: str) -> None:
    spec, budget = paper.spec, paper.spec.budgets["standard"]
    minutes = f"{budget.working / 60:.0f}"
    instruction = _INSTRUCTION.format(
        title=spec.title, venue=spec.venue, year=spec.year, minutes=minutes, workspace=WORKSPACE
    )
    toml = _TOML.format(
        id=paper.id,
        title=json.dumps(spec.title),
        venue=json.dumps(f"{spec.venue} {spec.year}"),
        award=json.dumps(spec.award.name),
        version=paper.version,
        start=start,
        working=budget.working,
        verifier=_VERIFIER_SECONDS,
        memory=MEMORY // 2**20,
        workspace=WORKSPACE,
        hand_in=_HAND_IN.format(workspace=WORKSPACE, bundle=BUNDLE, start=start),
    )
    write_text(folder / "instruction.md", instruction)
    write_text(folder / "task.toml", toml)
    _script(folder / "tests" / "test.sh", _TEST.format(environment=ENVIRONMENT))


def _environment(paper: Paper, folder: Path) -> str:
    """The start commit as a container gets it; gives its hash."""
    with scratch("export") as made:
        start = create_workspace(paper, made / "workspace")
        packed = _packed(made / "workspace")
    folder.mkdir(parents=True)
    (folder / "workspace.tar").write_bytes(packed)
    write_text(folder / "Dockerfile", _DOCKERFILE.format(workspace=WORKSPACE))
    facts = {"paper": paper.id, "paper_version": paper.version, "start_commit": start}
    write_text(folder / FACTS, json.dumps(facts, indent=1) + "\n")
    return start


def _packed(workspace: Path) -> bytes:
    """A repository as a tar, alike for the same paper but for the times in Git's index."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(workspace, arcname=".", filter=_plain)
    return packed.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = _START_TIME
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def _solution(paper: Paper, folder: Path) -> bool:
    if not (paper.private / REFERENCE).is_dir():
        return False
    given, solved = start_files(paper), reference_files(paper)
    (folder / "files").mkdir(parents=True)
    write_files(folder / "files", {name: file for name, file in solved.items() if given.get(name) != file})
    _script(folder / "solve.sh", _SOLVE.format(workspace=WORKSPACE))
    return True


def _script(path: Path, text: str) -> None:
    write_text(path, text)
    path.chmod(0o755)

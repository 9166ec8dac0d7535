"""Where the command starts: the table of verbs, printed without importing anything when that is all that is asked."""

from __future__ import annotations

import os
import sys

VERBS: dict[str, tuple[str, str]] = {
    "papers": ("papers", "List the papers."),
    "paper": ("papers", "Begin, show, sync and validate a paper; print the schema."),
    "start": ("desk", "Begin to reproduce a paper yourself: a workspace and a clock of your own."),
    "clock": ("clock", "Start and pause your clock, note what you do."),
    "status": ("desk", "Say what is used, what is left and what comes next."),
    "exec": ("bench", "Run a command in the clean room, metered."),
    "check": ("desk", "Rehearse the rerun on the pinned instances."),
    "submit": ("leaving", "Hand in what is in the workspace, and score it."),
    "timesheet": ("desk", "List working time, metered commands and what was declared."),
    "withdraw": ("leaving", "End your attempt before its time."),
    "hand-over": ("leaving", "Let somebody else go on."),
    "agents": ("machine", "List the adapters of agents, and which of their programs are installed."),
    "attempt": ("attempts", "Take a participant from brief to score."),
    "plan": ("plans", "Show, resume and cancel plans of attempts."),
    "rerun": ("attempts", "Rerun a submission in the clean room, or go on with it."),
    "score": ("attempts", "Score an attempt from its runs."),
    "rescore": ("attempts", "Score again, with the paper as it is now, without rerunning."),
    "dispute": ("disputes", "Object to a leaf of a score; a maintainer answers."),
    "report": ("attempts", "Show an attempt's score and its reasons."),
    "trajectory": ("trajectory", "Show what an agent said and did in an attempt."),
    "attempts": ("attempts", "List the attempts."),
    "leaderboard": ("leaderboard", "Show where participants stand over the papers, as table, page, CSV or JSON."),
    "pack": ("archive", "Write one file from which others can verify an attempt."),
    "verify": ("archive", "Rerun and score a packed attempt here, and show where it differs."),
    "export": ("exchange", "Write papers as tasks of another harness."),
    "import": ("exchange", "Rerun and score what agents did in another harness."),
    "guest": ("exchange", "Let an agent of another harness work here; that harness calls this."),
    "track": ("mirror", "Mirror attempts to MLflow from their records."),
    "mlflow": ("mirror", "Open MLflow's UI on the mirrored runs."),
    "doctor": ("machine", "Say what this machine can and cannot guarantee."),
    "demo": ("machine", "Walk the whole road on one paper, in under a minute."),
    "completion": ("completion", "Print the completion script of a shell."),
}
"""Each verb: the module of harness/cli it lives in, and its line in `reproof --help`."""

PROGRAM = "reproof"
COMPLETE = "_REPROOF_COMPLETE"
"""Environment variable: a shell's script asks by it what may come next."""
_HELP = """\
Usage: reproof VERB [ARGUMENTS]

  Re-prove award-winning reinforcement-learning papers.

  Example:
    reproof demo
    reproof start tree_search --as ada
    reproof attempt paper=tree_search participant=reference

Verbs:
{verbs}

Options:
  -h, --help  Show this, or after a verb what it does.
  --version   Show the version.
"""


def overview() -> str:
    """What `reproof --help` prints."""
    return _HELP.format(verbs="\n".join(f"  {name:10} {line}" for name, (_, line) in VERBS.items()))


def main() -> None:
    """Run the command line, or tell a shell what may come next on it."""
    if COMPLETE in os.environ:
        from harness.cli.shells import answer

        sys.exit(answer(os.environ[COMPLETE]))
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        sys.stdout.write(overview())
        return
    os.umask(0o077)  # what libraries write into the results folder is as private as what we write
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # the cores belong to the runs
    from harness.cli.main import run

    sys.exit(run())

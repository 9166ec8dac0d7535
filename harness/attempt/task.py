"""What a participant gets: the files and the hash of the start commit, and what we lay over it ourselves."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from harness.attempt.plumbing import File, Files, Objects, Signature, commit, name_of, snapshot
from harness.attempt.reported import FILE as REPORTED
from harness.attempt.reported import reportable
from harness.attempt.work import BRIEF
from harness.errors import PaperError
from harness.paper.load import Paper
from harness.paper.mutations import ALTERNATIVE, REFERENCE, Mutation
from harness.paper.schema import Environment

TASK = "TASK.md"
START_FILE = "start_commit"
"""In the paper's folder: the hash everybody starts from."""
_START_TIME = 946_684_800
"""2000-01-01T00:00:00+0000."""
_AUTHOR = Signature("Reproof", "reproof@reproof.invalid", _START_TIME)
_MESSAGE = "The start of a reproduction"
_IGNORED = b"__pycache__/\n*.py[cod]\n.venv/\n.pytest_cache/\n.ipynb_checkpoints/\n/out/\n"
_TASK = """\
# Your task

Reproduce *{title}*. `BRIEF.md` says what is claimed, how every number is measured and what it weighs; `paper.yaml` says
the same to the harness, and `metrics.py` is how it measures.

## The contract

For each experiment ({experiments}), the harness runs in the root of this repository, in a clean room without network:

    python -m reproduction RUN.json OUT/

`RUN.json` holds `experiment`, `parameters`, `seed`, `instance` and `limits`; an array in the instance stands as
`{{"npy": "name.npy"}}`, a file beside it. The program writes the outputs that the brief declares into `OUT/`. The same
seed gives the same outputs. The stubs in `reproduction/` are yours to fill or to replace.

What counts is what the harness measures when it reruns your commit with seeds and instances of its own. Partial work
earns partial credit, and every claim is scored by itself.

{reported}{environments}## Working

    reproof clock start            your clock; only you start and pause it
    reproof status                 what is used, what is left, when it ends
    reproof exec -- COMMAND        run something, metered; what is run elsewhere is self-declared
    reproof check                  rehearse the rerun on the pinned instances
    reproof clock pause "lunch"    a pause has a reason
    reproof clock note "..."       a note; --cpu, --working, --env-steps declare what was used elsewhere
    reproof submit                 hand in what is here, committed or not; the last submission counts

Commit often: your score at each quarter of the budget is taken from the history. Stay on descendants of the first
commit. When the time is used up while your clock runs, what is here is handed in for you; if it stands still then, the
last commit that the harness had seen counts, so commit before you pause.

## For an agent

`reproof status`, `reproof check` and `reproof exec` work inside an agent's sandbox, and count against the same budget
as the agent's own program. Its clock starts with it, and nobody pauses it; time in which the provider of its model is
too busy to answer is not counted. `REPROOF_DEADLINE` is when the time ends, in seconds since 1970, and ten minutes
before that a file `TEN_MINUTES_LEFT` appears here, which belongs to no submission. When the program ends, or the budget
does, what is here is handed in.
"""
_REPORTED = """\
You may report what you measured yourself: `{file}` in the root, a flat JSON object from claims on pinned
instances to numbers, such as `{{"{leaf}": 0.5}}` (of a curve `ID.final` and `ID.area`; no
orderings, no probes). It earns nothing and costs nothing: each number is shown beside the harness's own, and a report
that is systematically rosier is flagged for an audit. `reproof check` says what in it is not taken.

"""
_ENVIRONMENTS = """\
## Environments

The harness owns the environments of some experiments: it makes and seeds them, counts their steps, and keeps the log of
episodes that is measured. Plain Gymnasium reaches them, and wrappers of your choice go on top:

    import gymnasium
{imported}
    env = gymnasium.make("{id}")
    several = gymnasium.make_vec("{id}", num_envs=8)
{evaluation}
One run may take so many steps, which its `RUN.json` says too, as `environments`:

{table}

A step beyond that raises `StepsExhausted`, a `RuntimeError`; what the program then still writes counts. Keywords of the
constructor, options of `reset` and rendering are refused.
A seed given to `reset` is honoured{streams}.

These limits bind in the rerun and in `reproof check`. `reproof exec` serves the environments of the pinned instances to
any command and counts their steps, which the budget alone may limit (`reproof status`); where an id stands in several
experiments, `--experiment NAME` says whose is meant. Outside the clean room the same ids make the environment in your
own process: no limit binds there, nobody counts, and what you use is yours to declare
(`reproof clock note --env-steps N "..."`).

"""
_IMPORTED = """\
    import environments  # outside the clean room it makes the ids known
"""
_REGISTERED = """\
    import environments
    environments.register(run["instance"])  # outside the clean room it makes the ids known
"""
_EVALUATION = """\
    judged = gymnasium.make("{id}", phase="evaluation")
"""
_PUBLIC = ("metrics.py", "paper.yaml", "environments.py")


def start_files(paper: Paper) -> dict[str, File]:
    """The files of the start commit, sorted by path.

    Raises:
        PaperError: The starter holds something that is no plain file, or one of the names that are ours.
    """
    files = dict(_folder(paper.starter))
    ours = {BRIEF: File(paper.brief_file.read_bytes()), TASK: File(_task(paper).encode())}
    ours[".gitignore"] = File(_IGNORED)
    for name in _PUBLIC:
        if (paper.folder / name).is_file():
            ours[name] = File((paper.folder / name).read_bytes())
    for name in ours.keys() & files.keys():
        raise PaperError(
            "the starter holds a file that is laid in by the harness",
            where=paper.starter / name,
            remedy="remove it from the starter; it is taken from the paper's folder",
        )
    return dict(sorted((files | ours).items()))


def _task(paper: Paper) -> str:
    named = ", ".join(f"`{name}`" for name in paper.spec.experiments)
    parts = {"reported": _reported(paper), "environments": _environments(paper)}
    return _TASK.format(title=paper.spec.title, experiments=named, **parts)


def _reported(paper: Paper) -> str:
    """How to report numbers of one's own; nothing where no claim can be reported on."""
    leaves = reportable(paper)
    return _REPORTED.format(file=REPORTED, leaf=leaves[0]) if leaves else ""


def _environments(paper: Paper) -> str:
    """The section on environments; nothing for a paper without any."""
    found = [(name, id, one) for name, spec in paper.spec.experiments.items() for id, one in spec.environments.items()]
    if not found:
        return ""
    judged = next((id for _, id, one in found if one.evaluation_steps), None)
    head = ["| experiment | environment | training | evaluation | an episode at most |", "|---|---|---|---|---|"]
    return _ENVIRONMENTS.format(
        id=found[0][1],
        evaluation=_EVALUATION.format(id=judged) if judged else "",
        table="\n".join([*head, *(_row(name, id, one) for name, id, one in found)]),
        streams=" in training; in evaluation the harness takes its own" if judged else "",
        imported=_imported(paper.folder / _PUBLIC[-1]),
    )


def _imported(environments: Path) -> str:
    """How the ids become known in process; nothing where a paper does not say."""
    if not environments.is_file():
        return ""
    by_call = re.search(r"^def register\(", environments.read_text(encoding="utf-8"), re.MULTILINE)
    return _REGISTERED if by_call else _IMPORTED


def _row(experiment: str, id: str, environment: Environment) -> str:
    longest = environment.max_episode_steps
    evaluation = f"{environment.evaluation_steps:,}" if environment.evaluation_steps else "none"
    cells = [f"`{experiment}`", f"`{id}`", f"{environment.steps:,}", evaluation, f"{longest:,}" if longest else "-"]
    return f"| {' | '.join(cells)} |"


def start_objects(paper: Paper) -> tuple[str, Objects]:
    """The start commit's hash and all its objects, computed without a repository."""
    return commit_of(start_files(paper))


def commit_of(files: Files) -> tuple[str, Objects]:
    """The hash and the objects of the commit that holds some files and has no parents."""
    tree, objects = snapshot(files)
    framed = commit(tree, _MESSAGE, by=_AUTHOR)
    return name_of(framed), objects | {name_of(framed): framed}


def start_commit_of(paper: Paper) -> str:
    """The hash of the commit that everybody starts from, computed from the paper's files."""
    return start_objects(paper)[0]


def agreed_start(paper: Paper) -> tuple[str, Objects]:
    """The start commit, found to be the one that the paper's folder has written down (if it has).

    Raises:
        PaperError: The paper's files have changed since it was written down.
    """
    name, objects = start_objects(paper)
    written = paper.folder / START_FILE
    agreed = written.read_text().strip() if written.is_file() else name
    if agreed != name:
        raise PaperError(
            "the paper's files do not give the start commit that is written down",
            where=written,
            expected=agreed,
            got=name,
            remedy=f"restore the files, or start afresh for everybody with `reproof paper sync {paper.id}`",
        )
    return name, objects


def reference_files(paper: Paper) -> dict[str, File]:
    """The start files with the reference laid over them.

    Raises:
        PaperError: There is no reference here.
    """
    return overlay_tree(paper, paper.private_file(REFERENCE))


def alternative_files(paper: Paper) -> dict[str, File]:
    """The start files with the second opinion laid over them: a correct solution written from the brief alone.

    Raises:
        PaperError: There is none here.
    """
    return overlay_tree(paper, paper.private_file(ALTERNATIVE))


def overlay_tree(paper: Paper, overlay: Path | Mutation) -> dict[str, File]:
    """The start files with a folder laid over them, or the reference with one mutation.

    Raises:
        PaperError: There is no reference here, or the mutated text does not occur exactly once.
    """
    if isinstance(overlay, Mutation):
        return _mutated(paper, overlay)
    return dict(sorted((start_files(paper) | dict(_folder(overlay))).items()))


def _mutated(paper: Paper, mutation: Mutation) -> dict[str, File]:
    files = reference_files(paper)
    where = f"{paper.private_file(REFERENCE) / mutation.file} (mutation {mutation.name})"
    if mutation.file not in files:
        raise PaperError("a mutated file is missing", where=where, remedy="name a file of the reference")
    file = files[mutation.file]
    old, new = mutation.old.encode(), mutation.new.encode()
    count = file.data.count(old)
    if count != 1:
        raise PaperError(
            "the text to be replaced must occur exactly once",
            where=where,
            expected=f"1 occurrence of {mutation.old!r}",
            got=count,
            remedy="quote the reference exactly, with enough around it to be the only such place",
        )
    return files | {mutation.file: File(file.data.replace(old, new), file.executable)}


def _folder(folder: Path) -> Iterator[tuple[str, File]]:
    """Plain files beneath a folder by relative path, without hidden ones and bytecode."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from ((f"{path.name}/{below}", file) for below, file in _folder(path))
        elif stat.S_ISREG(mode):
            yield path.name, File(path.read_bytes(), executable=bool(mode & stat.S_IXUSR))
        else:
            raise PaperError(
                "only plain files can be laid into a workspace",
                where=path,
                remedy="replace the link by the file it means",
            )

"""Results folders for leaderboards, written through the real records: as many attempts as a test or a figure needs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from harness.attempt import ledger
from harness.attempt.attempt import Attempt, Budget, HandedIn, Terms, Who, condition_of
from harness.attempt.clock import Moment
from harness.overtime import QUARTERS, OverTime, Point
from harness.record.files import write_slip
from harness.record.store import write
from harness.scoring.finding import Verdict
from harness.scoring.integrity import Gate
from harness.scoring.score import ClaimScore, Score, Spending, Worth

BEGAN = datetime(2026, 1, 5, 9, tzinfo=UTC)
VERSION = "0123456789abcdef"
LEAVES = 30
_HELD = Gate(gate=1, name="seed invariance", fired=False, denies_pass=True, detail="it holds")


def worth(value: float, *, half: float = 0.05, coverage: float = 1.0) -> Worth:
    """A score with limits at an equal distance."""
    low, high = max(0.0, value - half), min(1.0, value + half)
    return Worth(value=value, low=low, high=high, coverage=coverage, lower=low, upper=high)


def _attempt(name: str, paper: str, who: Who, condition: Any, version: str, at: datetime, folder: Path) -> Attempt:
    return Attempt(
        id=name, paper=paper, paper_folder="/nowhere", paper_version=version, participant=who, condition=condition,
        terms=Terms(licence=None, consent=False), workspace=str(folder / "workspace"), start_commit="5" * 40,
        start_tree="0" * 40, anchor="0" * 64,
        budget=Budget(working=28_800.0, wall=86_400.0, cpu=7200.0, disk=2**30, env_steps=None), started=at,
        sandbox="bubblewrap", waived=[], workers=None, slots="curtailed", tracking_uri="none", tracking_prefix="",
    )  # fmt: skip


def _claims(value: float) -> list[ClaimScore]:
    return [
        ClaimScore(
            id=f"leaf_{number}", kind="numeric", statement="The method reaches the published return on this task.",
            path=["returns"], weight=1 / LEAVES, core=number < 3, verdict=Verdict.CERTIFIED, score=value,
            measured=99.5, target=100.0, margin=3.0, low=98.0, high=101.0, seeds=5, instance="held_out",
            trust="recomputed", provenance="reference", settles=None,
            explanation="Measured 99.5 over 5 seeds, to be within 3 of 100; this is certified (t distribution).",
        )
        for number in range(LEAVES)
    ]  # fmt: skip


def add(
    results: Path,
    name: str,
    paper: str,
    value: float | None,
    *,
    by: str = "ada",
    kind: str = "human",
    condition: str | None = None,
    version: str = VERSION,
    coverage: float = 1.0,
    verdict: Any = None,
    working: float = 3600.0,
    over_time: Mapping[float, float] | None = None,
    events: tuple[str, ...] = (),
    submissions: int = 1,
    at: datetime = BEGAN,
    gates: Sequence[Gate] = (),
    used: Mapping[str, float] | None = None,
    fault: Any = "none",
    model: str | None = None,
) -> Path:
    """An attempt as it is kept: with its score; with a submission alone, if the value is None; or with neither."""
    folder = results / "attempts" / name
    folder.mkdir(parents=True)
    how: Any = condition or condition_of(kind)
    write_slip(
        folder / "attempt.json",
        _attempt(name, paper, Who(kind=kind, name=by, adapter=kind, model=model), how, version, at, folder),
    )
    commit = hashlib.sha1(name.encode()).hexdigest()
    scored = () if value is None else ("rerun", "scored")
    _ledger(folder / ledger.FILE, ("started", "resumed", *("submitted",) * submissions, *scored, *events), at, by)
    for number in range(1, submissions + 1):
        _submit(folder / "submissions" / f"{number:03}", commit, by, working, at, used or {}, fault)
    if value is not None:
        last = folder / "submissions" / f"{submissions:03}"
        outcome = verdict or ("PASS" if value >= 0.9 else "FAIL" if value < 0.7 else "UNDECIDED")
        write(
            last / "score.json",
            Score(
                attempt=name, paper=paper, paper_version=version, participant={"kind": kind, "name": by},
                condition=how, submission=submissions, commit=commit, verdict=outcome, reasons=["as it is"],
                score=worth(value, coverage=coverage), claims=_claims(value),
                integrity=[_HELD, *gates],
                slots=5,
                usage=dict.fromkeys(("attempt", "rerun"), Spending(cpu=60.0, wall=working, runs=0, exact=True)),
                isolation="bubblewrap",
            ),
        )  # fmt: skip
        shares = {share: value * share for share in QUARTERS} if over_time is None else over_time
        write(last / "over_time.json", OverTime(points=[_point(*item, commit) for item in shares.items()]))
    return folder


def _point(share: float, value: float, commit: str) -> Point:
    return Point(share=share, commit=commit, verdict="PASS", score=worth(value), slots=3, problem=None)


def _submit(
    folder: Path, commit: str, by: str, working: float, at: datetime, more: Mapping[str, float], fault: Any
) -> None:
    used = {"working": working, "wall": 2 * working, "cpu": 60.0, "disk": 4096.0, "env_steps": 0.0, **more}
    handed = HandedIn(
        commit=commit, tree="1" * 40, files=9, bytes=4096, history=[(commit, 1)], at=at + timedelta(seconds=working),
        ended="submitted", note="done", used=used, declared={"working": 600.0, "cpu": 0.0, "env_steps": 0.0},
        exact=True, fault=fault, credits={by: {"working": working, "cpu": 60.0, "commits": 3}}, late=0.0, saved=False,
        ledger=(2, "0" * 64),
    )  # fmt: skip
    folder.mkdir(parents=True)
    write_slip(folder / "submission.json", handed)


def _ledger(path: Path, kinds: tuple[str, ...], at: datetime, by: str) -> None:
    lines, previous = [], ledger.NOTHING
    for number, kind in enumerate(kinds):
        moment = Moment(time=at.isoformat(), boot="boot", awake=100.0 + number, up=100.0 + number)
        event = ledger.Event(
            number=number, time=moment.time, boot=moment.boot, awake=moment.awake, up=moment.up, kind=kind,  # type: ignore[arg-type]
            data={"name": by}, previous=previous,
        )  # fmt: skip
        lines.append(event.line)
        previous = event.digest
    path.write_bytes(b"\n".join([*lines, b""]))


def verify(results: Path, name: str, *, same: bool = True, version: str = VERSION, inside: bool = True) -> None:
    """What `reproof verify` leaves."""
    found = {
        "attempt": name, "commit": hashlib.sha1(name.encode()).hexdigest(), "paper_version": version, "same": same,
        "score": 0.9, "at": "2026-02-01T00:00:00Z", "machine": "another",
    }  # fmt: skip
    path = results / "attempts" / name / "verified.json" if inside else results / "verified" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))


def fill(results: Path, attempts: int, papers: Sequence[str], *, participants: int, seed: int = 0) -> None:
    """Many attempts, every one a copy of one that was written through the real records, with figures of its own."""
    rng = np.random.default_rng(seed)
    origin = add(results, "20260101-000000-model-0000", papers[0], 0.5)
    names = ("attempt.json", ledger.FILE, "submissions/001/submission.json", "submissions/001/over_time.json")
    texts = {name: (origin / name).read_bytes() for name in names}
    score = json.loads((origin / "submissions/001/score.json").read_bytes())
    shutil.rmtree(origin)
    for number, value in enumerate(rng.uniform(size=attempts)):
        by, paper = int(rng.integers(participants)), papers[number % len(papers)]
        name = f"20260105-{number:06}-{paper}-p{by}-{number % 65536:04x}"
        condition = ("human", "agent", "human + assistant")[by % 3]
        who = {"kind": condition.partition(" ")[0], "name": f"p{by}"}
        worth = {**score["score"], "value": value, "low": max(0.0, value - 0.05), "high": min(1.0, value + 0.05)}
        own = {"attempt": name, "paper": paper, "participant": who, "condition": condition, "score": worth}
        folder = results / "attempts" / name / "submissions" / "001"
        folder.mkdir(parents=True)
        for file, text in texts.items():
            (folder.parents[1] / file).write_bytes(text)
        (folder / "score.json").write_text(json.dumps({**score, **own}, indent=1))

"""Does the score tell faithful work from unfaithful? Attempts of known worth on every paper, beside peers' rules.

On each paper: the reference on fresh seeds and instances, the second opinion, the starter, every mutation and every
hard-coder, over the real road. Long the first time, and resumed where it was stopped; what `reproof paper validate` has
run for the same content is not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

if __name__ == "__main__":
    sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scipy import stats
from scipy.optimize import brentq

from benchmarks.measuring import machine
from benchmarks.rules import RULES, shares
from benchmarks.tried import Tried, attempts, papers, trial_of
from harness.pipeline import graded_again

AUC_GOAL, CAUGHT_GOAL, FALSE_FAIL_GOAL = 0.99, 0.95, 0.02
Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An attempt of known worth, and what every rule says of it."""

    paper: str
    kind: str
    name: str
    faithful: bool
    verdict: str
    score: float
    peers: dict[str, float]
    """By rule, the share of the weight of the numeric leaves that it accepts."""
    peers_published: dict[str, float]
    """The same on pinned instances alone."""
    flags: list[str]
    """Gates that ask for an audit, by number and name."""
    detail: str
    """Why the verdict is what it is."""


def row_of(tried: Tried) -> Row:
    """What is kept of an attempt."""
    graded = graded_again(tried.road)
    flags = [f"{gate.gate} {gate.name}" for gate in graded.gates if gate.fired and not gate.denies_pass]
    return Row(
        paper=tried.paper, kind=tried.kind, name=tried.name, faithful=tried.faithful, verdict=tried.score.verdict,
        score=tried.score.score.value, peers=shares(graded.judged),
        peers_published=shares(graded.judged, published=True), flags=flags,
        detail="; ".join(tried.score.reasons),
    )  # fmt: skip


def auc(faithful: Sequence[float], unfaithful: Sequence[float]) -> float:
    """Area under the ROC curve: the chance that a faithful attempt has the higher value, ties one half."""
    return float(stats.mannwhitneyu(faithful, unfaithful).statistic) / (len(faithful) * len(unfaithful))


def auc_interval(value: float, faithful: int, unfaithful: int) -> tuple[float, float]:
    """95 % score interval of an area under the ROC curve, which has a width where it is 1, too.

    Method 5 of Newcombe (2006), Statistics in Medicine 25, 559-573: the values that differ from the measured one by no
    more than 1.96 of Hanley and McNeil's standard errors at that value, both sample sizes replaced by their mean.
    """
    mean = (faithful + unfaithful) / 2 - 1

    def error(theta: float) -> float:
        spread = 1 + mean * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return math.sqrt(theta * (1 - theta) * spread / (faithful * unfaithful))

    inside = min(max(value, 1e-12), 1 - 1e-12)  # at 0 and 1 the value itself is a root, too
    low = 0.0 if value <= 0 else float(brentq(lambda theta: theta + Z * error(theta) - value, 0.0, inside))
    high = 1.0 if value >= 1 else float(brentq(lambda theta: theta - Z * error(theta) - value, inside, 1.0))
    return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Area under the ROC curve with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """How many unfaithful attempts of a kind were denied PASS."""

    caught: int
    of: int
    escaped: list[str]
    """Those that got PASS, with the reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share with the upper end of its 95 % Clopper-Pearson interval."""

    value: float
    high: float
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """How well another harness's rule tells the same attempts apart."""

    rule: str
    auc: float
    """By the share of our numeric leaves that it accepts, on drawn instances too."""
    auc_published: float
    """By the share on pinned instances alone, which is what it would have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """The measure of the measure."""

    auc: Area
    hard_coders: Caught
    mutations: Caught
    starters: Caught
    false_fail: Rate
    confusion: dict[str, dict[str, int]]
    """By worth, how many got which verdict."""
    flagged: dict[str, dict[str, int]]
    """By worth, how many each gate that only flags has flagged."""
    peers: list[Peer]

    @property
    def met(self) -> bool:
        """Whether every goal is."""
        return (
            self.auc.value >= AUC_GOAL
            and self.hard_coders.caught == self.hard_coders.of
            and self.mutations.caught >= CAUGHT_GOAL * self.mutations.of
            and self.false_fail.value <= FALSE_FAIL_GOAL
        )


def validity(rows: Sequence[Row]) -> Validity:
    """Judge the scorer by attempts of known worth, faithful ones and unfaithful ones among them."""
    good, bad = [row for row in rows if row.faithful], [row for row in rows if not row.faithful]
    value = auc([row.score for row in good], [row.score for row in bad])
    low, high = auc_interval(value, len(good), len(bad))
    return Validity(
        auc=Area(value=value, low=low, high=high),
        hard_coders=_caught(rows, "hard_coder"),
        mutations=_caught(rows, "mutation"),
        starters=_caught(rows, "starter"),
        false_fail=_rate(sum(row.verdict == "FAIL" for row in good), len(good)),
        confusion={"faithful": _verdicts(good), "unfaithful": _verdicts(bad)},
        flagged={"faithful": _flagged(good), "unfaithful": _flagged(bad)},
        peers=[_peer(rule, good, bad) for rule in RULES],
    )


def _rate(count: int, of: int) -> Rate:
    high = float(stats.binomtest(count, of).proportion_ci(0.95, method="exact").high)
    return Rate(value=count / of, high=high, of=of)


def _verdicts(rows: Sequence[Row]) -> dict[str, int]:
    counted = Counter(row.verdict for row in rows)
    return {verdict: counted[verdict] for verdict in ("PASS", "UNDECIDED", "FAIL")}


def _flagged(rows: Sequence[Row]) -> dict[str, int]:
    return dict(sorted(Counter(flag for row in rows for flag in row.flags).items()))


def _caught(rows: Sequence[Row], kind: str) -> Caught:
    tried = [row for row in rows if row.kind == kind]
    escaped = [f"{row.paper} {row.name}: {row.detail}" for row in tried if row.verdict == "PASS"]
    return Caught(caught=len(tried) - len(escaped), of=len(tried), escaped=escaped)


def _peer(rule: str, good: Sequence[Row], bad: Sequence[Row]) -> Peer:
    return Peer(
        rule=rule,
        auc=auc([row.peers[rule] for row in good], [row.peers[rule] for row in bad]),
        auc_published=auc([row.peers_published[rule] for row in good], [row.peers_published[rule] for row in bad]),
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--paper", help="only these, separated by commas")
    parser.add_argument("--attempts", type=int, default=10, help="of the reference a paper (default %(default)s)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where attempts are kept (%(default)s)")
    chosen = parser.parse_args()
    rows = [
        row_of(tried)
        for paper in papers(chosen.paper)
        for tried in attempts(paper, trial_of(paper, chosen.results.resolve()), fresh=chosen.attempts)
    ]
    found = validity(rows)
    if chosen.json:
        own = {"machine": machine(), "versions": {"reproof": version("reproof")}, "met": found.met}
        print(json.dumps({**own, **asdict(found), "attempts": [asdict(row) for row in rows]}, indent=1))
    else:
        print("\n".join(_table(found)))
    return 0 if found.met else 1


def _table(found: Validity) -> Iterator[str]:
    area = found.auc
    yield f"AUC of the score: {area.value:.4f} [{area.low:.4f}, {area.high:.4f}], goal {AUC_GOAL}"
    for name in ("hard_coders", "mutations", "starters"):
        one: Caught = getattr(found, name)
        yield f"{name.replace('_', '-')} denied PASS: {one.caught} of {one.of}"
        yield from (f"  escaped: {said}" for said in one.escaped)
    failed = found.false_fail
    yield f"faithful attempts that FAIL: {failed.value:.3f} of {failed.of}, at most {failed.high:.3f}"
    for worth, counted in found.confusion.items():
        yield f"{worth}: " + ", ".join(f"{count} {verdict}" for verdict, count in counted.items())
        yield from (f"  {count} flagged by gate {gate}" for gate, count in found.flagged[worth].items())
    yield from (
        f"AUC of '{peer.rule}': {peer.auc:.3f}; on published instances {peer.auc_published:.3f}" for peer in found.peers
    )
    yield "every goal met" if found.met else "A GOAL IS MISSED"


if __name__ == "__main__":
    sys.exit(main())

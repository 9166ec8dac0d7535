"""The proof that a paper is fair, as it is kept: every check, and what each participant of ours got."""

from __future__ import annotations

from pydantic import Field

from harness.record.store import Record


class Check(Record):
    """One thing that must hold."""

    name: str
    ok: bool
    detail: str
    problems: tuple[str, ...] = ()
    """What is wrong one by one, where there may be much."""
    remedy: str = ""
    """What to do where it does not hold."""


class Graded(Record):
    """What a participant of ours got."""

    attempt: str
    score: float
    verdict: str
    detail: str


class Caught(Record):
    """What became of one mutation."""

    name: str
    caught: bool
    verdict: str
    score: float
    failed: list[str]
    """The core leaves that failed."""
    measured: dict[str, float | None]
    """What was measured of each leaf that was to fail, and of every core leaf that failed."""
    detail: str
    attempt: str


class HardCoded(Record):
    """What became of a hard-coder."""

    form: str
    caught: bool
    """Whether it is denied PASS by something that says so."""
    verdict: str
    score: float
    by: list[str]
    """The gates that fired, and the core leaves that were lost."""
    attempt: str


class Margin(Record):
    """How wide a leaf's margin is beside what honest runs and mistaken ones give."""

    claim: str
    margin: float
    spread: float
    """Standard deviation between honest runs, as the target has it."""
    least_spread: float = 0.0
    """The same; where a few runs of the reference show it, no more than it is with 95 % confidence."""
    nearest_mutation: str | None
    """The mutation named for this leaf whose value comes nearest to the target; None: no mutation names it."""
    distance: float | None
    """From the target to that value."""

    @property
    def problem(self) -> str | None:
        """What is wrong with it."""
        if self.margin < 3 * self.least_spread:
            return f"{self.claim}: the margin {self.margin:.4g} is less than three spreads of {self.least_spread:.4g}"
        if self.distance is not None and self.margin > self.distance / 2:
            return (
                f"{self.claim}: the margin {self.margin:.4g} is more than half the distance {self.distance:.4g} "
                f"to {self.nearest_mutation}"
            )
        return None


class Proof(Record):
    """Whether a paper is fair, and everything that says so."""

    paper: str
    fair: bool
    checks: list[Check]
    reference: Graded | None
    """None where something is left to do: then nothing is run."""
    starter: Graded | None
    alternative: Graded | None = None
    """The second opinion: a solution by somebody who had the brief alone."""
    mutations: list[Caught]
    hard_coders: list[HardCoded] = Field(default_factory=list)
    margins: list[Margin] = Field(default_factory=list)
    content: str = ""
    """Digest of the paper and of the harness that it holds for."""

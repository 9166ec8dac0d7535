"""How verdicts look wherever they are shown: a sign and a tone beside each word, so that no colour stands alone."""

from __future__ import annotations

from typing import Literal, NamedTuple

from harness.scoring.finding import Verdict
from harness.scoring.integrity import Gate

SIGN = {
    Verdict.CERTIFIED: "✔",
    Verdict.CONSISTENT: "✔",
    Verdict.INCONCLUSIVE: "?",
    Verdict.FAILED: "✘",
    Verdict.MISSING: "∅",
    Verdict.INVALID: "!",
}
TONE = {
    Verdict.CERTIFIED: "good",
    Verdict.CONSISTENT: "fair",
    Verdict.INCONCLUSIVE: "open",
    Verdict.FAILED: "bad",
    Verdict.MISSING: "bad",
    Verdict.INVALID: "odd",
}
"""A class of templates/style.css."""
OUTCOME = {"PASS": ("✔", "good"), "FAIL": ("✘", "bad"), "UNDECIDED": ("?", "open")}
"""Sign and tone of an attempt's verdict."""
State = Literal["denied", "flagged", "clean", "unchecked"]
"""Of an integrity gate: it denies PASS, it asks for an audit, it saw nothing amiss, or it had nothing to look at."""


class Look(NamedTuple):
    """How something is shown: sign, tone and words."""

    sign: str
    tone: str
    words: str


GATE: dict[State, Look] = {
    "denied": Look("✘", "bad", "fired, denies PASS"),
    "flagged": Look("⚑", "odd", "flagged for an audit, takes nothing away"),
    "clean": Look("✔", "good", "clean"),
    "unchecked": Look("–", "soft", "nothing to look at"),
}


def gate_state(gate: Gate) -> State:
    """What a gate has come to."""
    if gate.fired:
        return "denied" if gate.denies_pass else "flagged"
    return "clean" if gate.checked else "unchecked"

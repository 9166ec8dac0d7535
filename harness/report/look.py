"""How verdicts look wherever they are shown: a sign and a tone beside each word, so that no colour stands alone."""

from __future__ import annotations

from harness.scoring.finding import Verdict

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

"""The rules by which claims are judged, gathered under one name: pure numbers in, frozen findings out.

Each rule has two forms. `rule(samples, ...)` judges one claim from samples of shape [runs] and gives a
`Finding`; `rule_rows(samples, ...)` judges many sets of samples [..., runs] at once and gives `Findings`.
"""

from harness.scoring.curves import (
    CurveFinding,
    CurveFindings,
    PublishedCurve,
    curve,
    curve_rows,
    exponent,
    exponent_rows,
    log_slopes,
)
from harness.scoring.equivalence import exact, exact_rows, numeric, numeric_rows
from harness.scoring.finding import VERDICTS, Finding, Findings, Published, Rule, Verdict, spread_to_sd
from harness.scoring.improvement import improvement, improvement_rows
from harness.scoring.ordering import ordering, ordering_rows, threshold, threshold_rows

__all__ = [
    "VERDICTS",
    "CurveFinding",
    "CurveFindings",
    "Finding",
    "Findings",
    "Published",
    "PublishedCurve",
    "Rule",
    "Verdict",
    "curve",
    "curve_rows",
    "exact",
    "exact_rows",
    "exponent",
    "exponent_rows",
    "improvement",
    "improvement_rows",
    "log_slopes",
    "numeric",
    "numeric_rows",
    "ordering",
    "ordering_rows",
    "spread_to_sd",
    "threshold",
    "threshold_rows",
]

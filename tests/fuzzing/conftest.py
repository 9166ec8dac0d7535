"""Each property is tried twice: a little by default, and much under `slow`."""

from __future__ import annotations

import pytest
from fuzzing.effort import FEW, MANY, Effort

collect_ignore = ["guided.py"]
"""It changes every module of ours as it is imported."""


@pytest.fixture(
    params=[
        pytest.param(FEW, id="few"),
        pytest.param(MANY, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ]
)
def effort(request: pytest.FixtureRequest) -> Effort:
    found: Effort = request.param
    return found

"""Each property is tried twice: a little by default, and much under `slow`; nothing tried can harm the machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confined import confined
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


@pytest.fixture(scope="module", autouse=True)
def _harmless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Once: as root, a drawn command wrote a page over the list of users of the machine it ran on."""
    with confined(tmp_path_factory.getbasetemp()):
        yield

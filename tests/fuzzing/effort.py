"""How hard a property is tried: a few inputs, always the same; or many, others each time; or for as long as is said."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from harness.errors import ReproofError

SOAK, SEED = "REPROOF_FUZZ_SECONDS", "REPROOF_FUZZ_SEED"
"""Environment variables: seconds for each property of `pytest -m slow tests/fuzzing`; the seed of a failure, to see it
again."""
T = TypeVar("T")
LONGEST_MESSAGE = 30_000
"""Characters that an error may have."""
_CHECKS = [
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
    HealthCheck.filter_too_much,
]


class Hangs(BaseException):
    """An input takes longer than it may; nothing that is tested can catch this by its kinds of exception."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Stop what takes more CPU seconds: unlike wall time, they do not depend on who else is busy."""

    def over(number: int, frame: object) -> None:
        raise Hangs(f"more than {seconds} s of CPU time")

    former = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, former)


def answered(call: Callable[[], T], *kinds: type[ReproofError], seconds: float = 5.0) -> T | None:
    """What a call returns; None if it ends in an error that a person can read and act on, of one of these kinds.

    Any other exception, and any other error of ours, fails the test.
    """
    try:
        with within(seconds):
            return call()
    except kinds as error:
        readable(error)
        return None


def readable(error: ReproofError) -> None:
    """An error is one printable text of bounded length that says where."""
    text = str(error)
    odd = {letter for letter in text if not (letter.isprintable() or letter in "\n\t")}
    assert not odd, (odd, text[:500])
    assert 0 < len(text) <= LONGEST_MESSAGE, (len(text), text[:500])
    assert error.where is not None or ":" in error.message, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How many inputs a property is tried on."""

    times: int
    """As many as by default, which is 1."""
    seconds: float = 0.0
    """For as long as this, again and again."""

    def over(
        self, *strategies: SearchStrategy[Any], few: int, cases: Sequence[Any] = ()
    ) -> Callable[[Callable[..., object]], None]:
        """Try a check on inputs; used as a decorator, it runs at once.

        Args:
            strategies: of its arguments.
            few: inputs by default.
            cases: arguments that found something once, tried always.
        """

        def run(check: Callable[..., object]) -> None:
            for case in cases:
                check(*case) if isinstance(case, tuple) else check(case)
            until = time.monotonic() + self.seconds
            self._round(check, strategies, few)
            while time.monotonic() < until:
                self._round(check, strategies, few)

        return run

    def _round(self, check: Callable[..., object], strategies: Sequence[SearchStrategy[Any]], few: int) -> None:
        alike = self.times == 1
        phases = [Phase.generate, Phase.shrink]
        how = settings(
            max_examples=few * self.times, deadline=None, database=None, derandomize=alike, phases=phases,
            suppress_health_check=_CHECKS,
        )  # fmt: skip
        tried = how(given(*strategies)(check))
        if not alike:
            seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(2**32))
            print(f"{check.__qualname__}: to see a failure again, {SEED}={seed}")
            tried = hypothesis.seed(seed)(tried)
        tried()


FEW, MANY = Effort(times=1), Effort(times=10, seconds=float(os.environ.get(SOAK, 0)))

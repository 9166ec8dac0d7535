"""Fewer reruns: stop at a look where the verdict that all slots would give is already all but certain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.scoring.finding import DIVERGENT, FloatArray
from harness.scoring.samples import as_samples

STREAM = 20_211_213
"""Fixed: the same samples give the same decision, on any machine, in any order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """What one selection of runs has measured in its filled slots, and how it may go on."""

    values: FloatArray
    """Shape [filled, ...]: slots first; what follows (points of a curve, tasks, the two sides of a pair) is
    drawn together, with the covariance it has shown."""
    published_sd: float = 0.0
    """The paper's standard deviation, pooled with the measured one; 0 if there is none."""
    published_n: int = 1
    log: bool = False
    """Draw on the log scale; the values must be positive."""
    deterministic: bool = False
    """Its one run stands for every slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the predictive draws say at one look."""

    stop: bool
    verdict: str
    """The likeliest verdict at all slots."""
    probability: float
    probabilities: dict[str, float]


def curtail(
    series: Mapping[str, Series],
    verdict: Callable[[Mapping[str, FloatArray]], npt.NDArray[np.str_]],
    *,
    slots: int = 10,
    draws: int = 1000,
    certainty: float = 0.98,
) -> Look:
    """Predict the verdict at all slots from the filled ones (stochastic curtailment, Halperin et al. 1982).

    Args:
        series: By name. Claims about the same runs must share a series, so that their draws agree. Different
            series are drawn independently, even in shared slots; where claims pair two selections by slot,
            both belong in one series as [filled, 2].
        verdict: From completed series, each of shape [draws, slots, ...] and in slot order, to the verdicts
            at all slots, shape [draws].
        slots: How many slots there would be in the end.
        draws: How many futures are drawn.
        certainty: Stop if one verdict has at least this probability.

    Raises:
        ValueError: A series of fewer than two slots that is not deterministic, or of more than `slots`.
    """
    completed = {
        name: complete(one, slots=slots, draws=draws, rng=stream(name, len(one.values))) for name, one in series.items()
    }
    names, counts = np.unique(np.asarray(verdict(completed)).astype(str), return_counts=True)
    if counts.sum() != draws:
        raise ValueError(f"expected {draws} verdicts, got {counts.sum()}")
    shares = {str(name): float(count) / draws for name, count in zip(names, counts, strict=True)}
    likeliest = max(shares, key=lambda name: shares[name])
    return Look(
        stop=shares[likeliest] >= certainty,
        verdict=likeliest,
        probability=shares[likeliest],
        probabilities=shares,
    )


def stream(name: str, filled: int) -> np.random.Generator:
    """The random stream of one series at one look: independent of every other, whatever their order."""
    words = np.frombuffer(hashlib.sha256(name.encode()).digest(), dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([STREAM, filled, *words.tolist()])))


def complete(series: Series, *, slots: int, draws: int, rng: np.random.Generator) -> FloatArray:
    """Fill the missing slots from the predictive t distribution of a normal sample, jointly.

    A draw first fixes a variance (scaled inverse chi squared, pooled with the paper's) and a mean given it,
    then the missing runs given both (Geisser 1993), so each missing slot is marginally t. Vectors are drawn
    as random combinations of the residuals seen. A series that is constant so far stays so. One with an
    infinity, or without a logarithm where it is asked for, draws from the values seen.

    Returns:
        Shape [draws, slots, ...]; the filled slots come first.
    """
    seen = as_samples(series.values)
    filled = seen.shape[0]
    if series.deterministic:
        return np.broadcast_to(seen[:1], (draws, slots, *seen.shape[1:]))
    if not 2 <= filled <= slots:
        raise ValueError(f"expected 2 to {slots} filled slots, got {filled}")
    missing = slots - filled
    if np.any(np.abs(seen) > DIVERGENT) or (series.log and np.any(seen <= 0)):
        future = seen[rng.integers(filled, size=(draws, missing))]
    elif series.log:
        future = np.exp(_predict(np.log(seen), series, (draws, missing), rng).clip(-300.0, 300.0))
    else:
        future = _predict(seen, series, (draws, missing), rng)
    return np.concatenate([np.broadcast_to(seen, (draws, *seen.shape)), future], axis=1)


def _predict(seen: FloatArray, series: Series, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    filled = len(seen)
    rows = seen.reshape(filled, -1)
    mean = rows.mean(axis=0)
    residuals = (rows - mean) / np.sqrt(filled - 1.0)
    stretch, freedom = _pooled(rows, series)
    draws, missing = shape
    sigma = np.sqrt(freedom / rng.chisquare(freedom, size=(draws, 1, 1)))
    centre = rng.standard_normal((draws, 1, filled)) / np.sqrt(filled)
    noise = rng.standard_normal((draws, missing, filled)) + centre
    future = mean + sigma * (noise @ residuals) * stretch
    return np.asarray(future.reshape(draws, missing, *seen.shape[1:]))


def _pooled(rows: FloatArray, series: Series) -> tuple[FloatArray, float]:
    """Pooled over measured standard deviation, a column each, and the pooled degrees of freedom."""
    own, theirs = len(rows) - 1.0, max(series.published_n - 1.0, 0.0)
    if series.published_sd <= 0 or theirs == 0:
        return np.ones(rows.shape[1]), own
    variance = rows.var(axis=0, ddof=1)
    pooled = (own * variance + theirs * series.published_sd**2) / (own + theirs)
    return np.sqrt(pooled / np.where(variance > 0, variance, 1.0)), own + theirs

"""What follows by calculation about steps, ramps and rare events."""

import math


def normal_density(t: float, sigma: float) -> float:
    """Of noise at `t`."""
    return math.exp(-0.5 * (t / sigma) ** 2) / (sigma * math.sqrt(2.0 * math.pi))


def normal_mass(low: float, high: float, sigma: float) -> float:
    """The chance that noise falls between `low` and `high`."""
    scale = sigma * math.sqrt(2.0)
    return (math.erf(high / scale) - math.erf(low / scale)) / 2.0


def ramp_moments(theta: float, sigma: float, width: float, samples: int) -> tuple[float, float, float, float]:
    """Chance of landing on the ramp, mean and variance of a first-order estimate, chance that none of many lands."""
    chance = normal_mass(-width / 2.0 - theta, width / 2.0 - theta, sigma)
    return chance, chance / width, chance * (1.0 - chance) / width**2, (1.0 - chance) ** samples


def rare_event(beta: float) -> tuple[float, float, float]:
    """Mean and variance of 1 / beta with chance beta, else 0, and the variance that lemma 3.5 guarantees."""
    return 1.0, 1.0 / beta - 1.0, guaranteed_variance(beta, 1.0, 1.0)


def guaranteed_variance(beta: float, bias: float, mean: float) -> float:
    """Lemma 3.5: at least so much variance has what is off by `bias` with chance 1 - beta and has |mean| = `mean`."""
    return max(0.0, (1.0 - beta) * bias - beta * mean) ** 2 / beta

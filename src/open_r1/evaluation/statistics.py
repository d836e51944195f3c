"""Estimates with intervals for scores that come in clusters: several samples of each of n problems.

Samples of one problem are alike, so the unit is the problem: the variance of the mean is that of the problems' own
means (Miller 2024, "Adding Error Bars to Evals", section 2.2). The interval is Wilson's (1927) with the number of
trials that an independent sample would need for the same variance, so that it stays inside [0, 1] and doesn't vanish
when every problem is right or wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from open_r1.records import Estimate

Z95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def variance_of_mean(values: Sequence[float]) -> float:
    """Unbiased estimate of the variance of the mean of independent values; 0 for fewer than two."""
    n = len(values)
    if n < 2:
        return 0.0
    center = mean(values)
    return math.fsum((value - center) ** 2 for value in values) / (n - 1) / n


def estimate_share(problem_means: Sequence[float]) -> Estimate:
    """A share in [0, 1] from each problem's own mean score, with its 95 % interval."""
    n = len(problem_means)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    share = mean(problem_means)
    variance = variance_of_mean(problem_means)
    trials = share * (1 - share) / variance if variance > 0 else n
    low, high = wilson(share, trials)
    return Estimate(share, low, high, n)


def wilson(share: float, trials: float) -> tuple[float, float]:
    """Wilson's score interval for a share seen in that many independent trials."""
    z2 = Z95 * Z95
    center = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return max(0.0, center - half), min(1.0, center + half)


def estimate_difference(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Mean of second - first over the same problems, paired, with its 95 % interval."""
    differences = [after - before for before, after in zip(first, second, strict=True)]
    center = mean(differences)
    half = Z95 * math.sqrt(variance_of_mean(differences))
    return Estimate(center, center - half, center + half, len(differences))

"""Shares and differences with intervals, of values that come in clusters: several samples of each of n problems.

Samples of one problem are alike, so the unit is the problem (Miller 2024, "Adding Error Bars to Evals", section 2.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from open_r1.records import Estimate

Z95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def mean(values: Sequence[float]) -> float:
    """The mean; NaN for no values."""
    return math.fsum(values) / len(values) if values else math.nan


def variance_of_mean(values: Sequence[float]) -> float:
    """Unbiased estimate of the variance of the mean of independent values; 0 for fewer than two."""
    n, center = len(values), mean(values)
    return math.fsum((value - center) ** 2 for value in values) / (n - 1) / n if n > 1 else 0.0


def estimate_share(problem_means: Sequence[float]) -> Estimate:
    """A share in [0, 1] from each problem's own mean score, with its 95 % interval.

    The interval is Wilson's (1927) with the number of trials that an independent sample would need for the same variance,
    so that it stays inside [0, 1] and doesn't vanish when every problem is right or wrong. Student's where values don't.
    """
    n, share = len(problem_means), mean(problem_means)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    variance = variance_of_mean(problem_means)
    if min(problem_means) < 0 or max(problem_means) > 1:  # of a reward
        half = t_quantile(n - 1) * math.sqrt(variance)
        return Estimate(share, share - half, share + half, n)
    trials, z2 = (share * (1 - share) / variance if variance > 0 else n), Z95 * Z95
    center = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return Estimate(share, max(0.0, center - half), min(1.0, center + half), n)


ALIKE = 1e-9  # differences of scores in [0, 1] that are as close as this are the same but for rounding


def estimate_difference(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Mean of second - first over the same problems, paired, with its 95 % interval by Student's t.

    Where all differences are the same their variance is 0, which says nothing of the next problem's. The interval is then
    that of two more pairs, half a one in each cell of right and wrong (Agresti & Min 2005, "Simple improved confidence
    intervals for comparing matched proportions", Statistics in Medicine 24, section 3), by Student's t as well.
    """
    differences = [after - before for before, after in zip(first, second, strict=True)]
    n, center = len(differences), mean(differences)
    quantile = t_quantile(n - 1)
    if n < 2 or max(differences) - min(differences) > ALIKE:
        half = quantile * math.sqrt(variance_of_mean(differences))
        return Estimate(center, center - half, center + half, n)
    shrunk = center * n / (n + 2)
    half = quantile * math.sqrt(((n * center**2 + 1) / (n + 2) - shrunk**2) / (n + 2))
    return Estimate(center, max(-1.0, shrunk - half), min(1.0, shrunk + half), n)


def t_quantile(degrees: int) -> float:
    """97.5 % quantile of Student's t, to three digits from 3 degrees on (Abramowitz and Stegun 26.7.5)."""
    exact = {1: 12.706204736, 2: 4.3026527297}
    if degrees < 1:
        return math.nan
    if degrees in exact:
        return exact[degrees]
    z = Z95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees**power for power, term in enumerate(terms, start=1))

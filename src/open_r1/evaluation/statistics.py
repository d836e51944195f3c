"""What an evaluation counts beside shares: pass@k, the majority's answer, how much a result would vary."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from open_r1.estimates import mean, variance_of_mean


def clustered_error(problem_means: Sequence[float]) -> float:
    """Standard error of the mean over problems, samples clustered by problem; NaN for fewer than two problems."""
    return math.sqrt(variance_of_mean(problem_means)) if len(problem_means) > 1 else math.nan


def repeat_error(scores: Iterable[Sequence[float]]) -> float:
    """How much the mean would vary if these problems were sampled again; NaN where some has a single sample."""
    problems = [values for values in scores if values]
    if not problems or any(len(values) < 2 for values in problems):
        return math.nan
    return math.sqrt(math.fsum(variance_of_mean(values) for values in problems)) / len(problems)


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """The chance that k of the samples, chosen without replacement, contain a correct one (arXiv:2107.03374, eq. 1)."""
    return 1.0 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def majority_at_k(votes: Sequence[tuple[str | None, float]], k: int) -> float:
    """The expected score of the answer that most of k samples give, over all choices of k of the samples.

    Samples without an answer abstain; a tie is decided by lot; without any vote, 0. Exact: for every count t, the ways in
    which an answer has t votes and no other more, by how many share the lead.
    """
    counts = Counter(answer for answer, _ in votes if answer is not None)
    worth = {answer: score for answer, score in reversed(votes) if answer is not None}
    if k == len(votes):
        first = [worth[answer] for answer, count in counts.items() if count == max(counts.values())]
        return mean(first) if first else 0.0
    abstaining = len(votes) - counts.total()
    total = 0.0
    for lead in range(1, min(k, max(counts.values(), default=0)) + 1):
        for answer, count in counts.items():
            if worth[answer] and count >= lead:
                others = [other for name, other in counts.items() if name != answer]
                total += worth[answer] * math.comb(count, lead) * ways_to_lead(others, abstaining, k - lead, lead)
    return total / math.comb(len(votes), k)


def ways_to_lead(others: Sequence[int], abstaining: int, left: int, lead: int) -> float:
    """Ways to choose `left` samples with no other answer above `lead`, each shared lead counting for its share of it."""
    ways: dict[tuple[int, int], int] = {(0, 0): 1}
    for count in others:
        following: Counter[tuple[int, int]] = Counter()
        for (chosen, ties), number in ways.items():
            for taken in range(min(count, lead, left - chosen) + 1):
                following[chosen + taken, ties + (taken == lead)] += number * math.comb(count, taken)
        ways = following
    return sum(number * math.comb(abstaining, left - chosen) / (ties + 1) for (chosen, ties), number in ways.items())

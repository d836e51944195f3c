"""The best of each problem's traces: shortest, longest, first, at random, or as different from each other as possible.

The result does not depend on the order of the problems. `diverse` takes one trace at random, then again and again the one
whose most similar trace among those taken is least similar to it, by the estimated Jaccard similarity (`minhash`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

By = Literal["shortest", "longest", "first", "random", "diverse"]

NGRAM = 4  # words of the n-grams by which traces are compared
MULTIPLIER = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Candidates:
    """All rows of a source: hashes of their problem and text, lengths; MinHash values, and the place of each row's."""

    problems: np.ndarray
    texts: np.ndarray
    lengths: np.ndarray
    signatures: np.ndarray | None = None
    places: np.ndarray | None = None


def find_duplicates(candidates: Candidates, kept: np.ndarray) -> np.ndarray:
    """Of the rows `kept`, in order, those whose text an earlier one has for the same problem."""
    pairs = candidates.problems[kept]
    pairs *= np.uint64(MULTIPLIER)  # so that a problem and a text can't be exchanged
    pairs ^= candidates.texts[kept]
    order = np.argsort(pairs, kind="stable")  # equal pairs stay in the rows' order
    pairs = pairs[order]
    return kept[order[1:][pairs[1:] == pairs[:-1]]]


def choose(candidates: Candidates, kept: np.ndarray, count: int, by: By, seed: int) -> np.ndarray:
    """`count` of the rows `kept` for each problem, unordered."""
    if not len(kept):
        return kept
    problems = candidates.problems[kept]
    order = np.lexsort((rank_keys(candidates, kept, by, seed), problems))
    problems = problems[order]
    starts = np.append(0, np.flatnonzero(problems[1:] != problems[:-1]) + 1)
    del problems
    ends = np.append(starts[1:], len(order))
    if by == "diverse":
        groups = (kept[order[start:end]] for start, end in zip(starts, ends, strict=True))
        chosen = [pick_diverse(candidates, group, count) if len(group) > count else group for group in groups]
        return np.concatenate(chosen)
    within = np.arange(len(order)) - np.repeat(starts, ends - starts)
    return kept[order[within < count]]


def rank_keys(candidates: Candidates, kept: np.ndarray, by: By, seed: int) -> np.ndarray:
    """What a problem's rows are sorted by; equal ones stay in the rows' order."""
    if by == "first":
        return np.zeros(len(kept), np.int8)
    if by in ("shortest", "longest"):
        lengths = candidates.lengths[kept]
        return lengths if by == "shortest" else -lengths
    return scatter(candidates.texts[kept], seed)


def scatter(keys: np.ndarray, seed: int) -> np.ndarray:
    """Keys as numbers that look random and depend on the seed: the finaliser of SplitMix64."""
    start = int.from_bytes(hashlib.blake2b(str(seed).encode(), digest_size=8).digest())
    mixed = keys + np.uint64(start)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def pick_diverse(candidates: Candidates, group: np.ndarray, count: int) -> np.ndarray:
    """Greedy max-min distance over the rows of one problem, beginning with the first of `group`."""
    from open_r1.data.deduplication import NUM_HASHES, similarities

    assert candidates.signatures is not None and candidates.places is not None, "diverse rows have signatures"
    signatures = candidates.signatures.reshape(-1, NUM_HASHES)[candidates.places[group]]
    picked = [0]
    nearest = similarities(signatures, signatures[0])
    while len(picked) < count:
        nearest[picked] = 2.0
        picked.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, similarities(signatures, signatures[picked[-1]]))
    return group[picked]

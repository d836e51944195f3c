"""The best of each problem's traces: shortest, longest, first, at random, or as unlike each other as can be.

Does: find duplicates and choose, with numpy over all rows at once, the same whatever the order of the problems in the file.
`diverse` picks one at random, then again and again the trace whose nearest neighbour among those picked is furthest away, by
the Jaccard distance of their sets of `NGRAM` words. The distance is estimated from sketches of `BINS` minima (MinHash of one
permutation, arXiv:1208.1259), with a standard error of at most 0.05. Does not: read rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

By = Literal["shortest", "longest", "first", "random", "diverse"]

BINS = 128
NGRAM = 4
EMPTY = 2**32 - 1
ODD = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Candidates:
    """All rows of a source: hashes of their problem and text, lengths; sketches with the place of each row's, if any."""

    problems: np.ndarray
    texts: np.ndarray
    lengths: np.ndarray
    sketches: tuple[np.ndarray, np.ndarray] | None = None


def find_duplicates(candidates: Candidates, kept: np.ndarray) -> np.ndarray:
    """Of the rows `kept`, in order, those whose text a row before has for the same problem."""
    import numpy as np

    pairs = candidates.problems[kept]
    pairs *= np.uint64(ODD)  # else a problem and a text that change places would be alike
    pairs ^= candidates.texts[kept]
    order = np.argsort(pairs, kind="stable")  # equal ones stay in the rows' order
    pairs = pairs[order]
    return kept[order[1:][pairs[1:] == pairs[:-1]]]


def choose(candidates: Candidates, kept: np.ndarray, count: int, by: By, seed: int) -> np.ndarray:
    """`count` of the rows `kept` for each problem, in no order."""
    import numpy as np

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
        chosen = [pick_unlike(candidates, group, count) if len(group) > count else group for group in groups]
        return np.concatenate(chosen)
    within = np.arange(len(order)) - np.repeat(starts, ends - starts)
    return kept[order[within < count]]


def rank_keys(candidates: Candidates, kept: np.ndarray, by: By, seed: int) -> np.ndarray:
    """What a problem's rows are sorted by; equal ones stay in the rows' order."""
    import numpy as np

    if by == "first":
        return np.zeros(len(kept), np.int8)
    if by in ("shortest", "longest"):
        lengths = candidates.lengths[kept]
        return lengths if by == "shortest" else -lengths
    return scatter(candidates.texts[kept], seed)


def scatter(keys: np.ndarray, seed: int) -> np.ndarray:
    """Keys as numbers that look random and depend on the seed: the finaliser of SplitMix64."""
    import numpy as np

    start = int.from_bytes(hashlib.blake2b(str(seed).encode(), digest_size=8).digest())
    mixed = keys + np.uint64(start)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def pick_unlike(candidates: Candidates, group: np.ndarray, count: int) -> np.ndarray:
    """Greedy max-min over the rows of one problem, beginning with the first of `group`."""
    import numpy as np

    assert candidates.sketches is not None, "rows to be chosen by their diversity have been sketched"
    all_sketches, places = candidates.sketches
    sketches = np.asarray(all_sketches[places[group]])
    picked = [0]
    nearest = distances(sketches, sketches[0])
    while len(picked) < count:
        nearest[picked] = -1.0
        picked.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distances(sketches, sketches[picked[-1]]))
    return group[picked]


def distances(sketches: np.ndarray, one: np.ndarray) -> np.ndarray:
    """The estimated Jaccard distance of each sketch to one; two empty ones are the same."""
    import numpy as np

    filled = (sketches != EMPTY) | (one != EMPTY)
    same = (sketches == one) & filled
    return 1.0 - np.where(filled.any(1), same.sum(1) / np.maximum(1, filled.sum(1)), 1.0)


def sketch(text: str) -> np.ndarray:
    """`BINS` numbers of 32 bits: of the n-grams whose hash falls into each bin, the smallest; `EMPTY` where none does."""
    import numpy as np

    bins = np.full(BINS, EMPTY, np.uint32)
    words = np.array([hash_word(word) for word in text.lower().split()], dtype=np.uint64)
    count = max(1, len(words) - NGRAM + 1) if len(words) else 0
    if not count:
        return bins
    hashes = np.zeros(count, np.uint64)
    for offset in range(min(NGRAM, len(words))):
        hashes = hashes * np.uint64(0xD6E8FEB86659FD93) + words[offset : offset + count]
    hashes = scatter(hashes, 0)
    np.minimum.at(bins, (hashes % np.uint64(BINS)).astype(np.intp), (hashes >> np.uint64(32)).astype(np.uint32))
    return bins


@lru_cache(maxsize=1 << 16)
def hash_word(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest())

"""Which texts contain evaluation items: normalised n-grams, measured by coverage, every hit compared word by word.

By the rule `coverage`, with n the n-gram's length (8), a text contains an item
- of 2n words or more, when it has at least the share `coverage` of its n-grams (one that d items share weighs 1/d), and all
  its numbers: most of what looks like an item in another collection is the same sentence about other numbers;
- of n to 2n-1 words, when it is there whole, with the same operators (`x+1` is not `x-1`);
- of 3 to n-1 words, when it is also alone, between sentence marks, line breaks or the ends of the text.
By the rule `open-r1` any word n-gram in common is a hit, in lower case, split at white space.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from open_r1.configs.fields import check_limits, setting
from open_r1.configs.ranges import Range
from open_r1.errors import ConfigError, nearest
from open_r1.text.ngrams import (
    MATHEMATICAL,
    PLAIN,
    RECORD,
    Hashes,
    Normalisation,
    Places,
    Words,
    ngram_hashes,
    operators,
)

RuleName = Literal["coverage", "open-r1"]
HitKind = Literal["coverage", "whole", "alone", "ngram"]
Gram = tuple[bytes, ...]

LEAST_WORDS = 3  # of an item that is searched for
ANCHOR = 2  # words by which a short item is looked up
MAX_QUOTED = 400  # characters of matched text, of a row and of an item that are quoted
ALMOST = 1 - 1e-9  # shares are sums of fractions: as good as enough is enough
_BOUNDARIES = frozenset(b".?!:;\n\r" + RECORD.encode())


@dataclass(frozen=True)
class Rule:
    """When a text is taken to contain an item; see the module's docstring."""

    name: RuleName = setting(
        "coverage",
        "coverage: enough of an item is there, as normalised words; open-r1: any word n-gram in common",
        flag="rule",
    )
    ngram: int = setting(8, "words of an n-gram; 8 is usual", Range(LEAST_WORDS + 1, 64))
    coverage: float = setting(0.5, "share of an item's n-grams that makes a hit", Range(0, 1, open_low=True))
    same_numbers: bool = True
    """Whether an item's numbers must all be where it was found; without, variants with other numbers are hits too."""

    def __post_init__(self) -> None:
        known = get_args(RuleName)
        if self.name not in known:
            raise ConfigError(f"rule '{self.name}' is unknown{nearest(self.name, known)} Known: {', '.join(known)}.")
        check_limits(self)

    @property
    def normalisation(self) -> Normalisation:
        """How texts become words."""
        return PLAIN if self.name == "open-r1" else MATHEMATICAL

    def needed_share(self, num_words: int) -> float:
        """Share of the n-grams of an item of `num_words` that a text must have; any at all is 0."""
        if self.name == "open-r1":
            return 0.0
        return self.coverage if num_words >= 2 * self.ngram else 1.0


COVERAGE = Rule()


class EvalSet(NamedTuple):
    """An evaluation set: its name and the text of each item."""

    name: str
    texts: Sequence[str]


class Item(NamedTuple):
    """One item of an evaluation set."""

    set_name: str
    position: int
    text: str


@dataclass(frozen=True)
class Hit:
    """An item found in a text, and what shows it."""

    item: int
    kind: HitKind
    coverage: float  # weighted share of the item's n-grams that the text has; 1 where the whole item is there
    longest_run: int  # words of the longest stretch that text and item have in common
    matched: str  # that stretch, as compared: lower case, in ASCII where that can be


@dataclass(frozen=True)
class Table:
    """Sorted hashes, each with the items that have it."""

    hashes: Hashes
    first: Places  # hash `i` has the items from `first[i]` up to `first[i + 1]`
    items: Places

    @classmethod
    def of(cls, hashes: Hashes, items: Places) -> Table:
        """The table of items by their hashes; each pair of both once."""
        order = np.lexsort((items, hashes))
        hashes, items = hashes[order], items[order]
        is_new = np.ones(len(hashes), bool)
        is_new[1:] = (hashes[1:] != hashes[:-1]) | (items[1:] != items[:-1])
        unique, first = np.unique(hashes[is_new], return_index=True)
        return cls(unique, np.append(first, is_new.sum()), items[is_new])

    @property
    def counts(self) -> Places:
        """How many items have each hash."""
        return np.diff(self.first)

    def find(self, hashes: Hashes) -> tuple[Places, Places]:
        """Which of `hashes` are known: their places there, and their places here."""
        if not len(self.hashes):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        known = np.searchsorted(self.hashes, hashes)
        places = np.flatnonzero(self.hashes.take(known, mode="clip") == hashes)
        return places, known[places]

    def expand(self, known: Places) -> tuple[Places, Places]:
        """All items of the hashes at `known`, and for each which of `known` it comes from."""
        counts = self.first[known + 1] - self.first[known]
        owners = np.repeat(np.arange(len(known)), counts)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.items[self.first[known][owners] + within], owners


class Index:
    """Evaluation items, to be found in any number of texts."""

    def __init__(self, sets: Sequence[EvalSet], rule: Rule) -> None:
        self.rule = rule
        self.items = [Item(one.name, place, text) for one in sets for place, text in enumerate(one.texts)]
        self.words = rule.normalisation.words([item.text for item in self.items])
        self.lengths = np.diff(self.words.bounds)
        self.ngrams = index_ngrams(self.words, np.flatnonzero(self.lengths >= rule.ngram), rule.ngram)
        self.weights = 1 / self.ngrams.counts
        self.totals = np.bincount(
            self.ngrams.items, np.repeat(self.weights, self.ngrams.counts), minlength=len(self.items)
        )
        self.needed = np.array([rule.needed_share(length) for length in self.lengths.tolist()]) * self.totals * ALMOST
        is_short = (self.lengths >= LEAST_WORDS) & (self.lengths < rule.ngram) & (rule.name == "coverage")
        self.anchors, self.anchor_offsets = index_anchors(self.words, np.flatnonzero(is_short))

    def count_unusable(self) -> Counter[str]:
        """Set -> items that are too short to be searched for."""
        is_short = self.lengths < (self.rule.ngram if self.rule.name == "open-r1" else LEAST_WORDS)
        return Counter(self.items[item].set_name for item in np.flatnonzero(is_short).tolist())

    def read(self, texts: Sequence[str]) -> Words:
        """The words of a batch of texts, as they are compared."""
        return self.rule.normalisation.words(texts)

    def find(self, words: Words) -> dict[int, list[Hit]]:
        """Text, by its number -> the items that it contains, in the order of the sets; only texts that contain one."""
        found: dict[int, list[Hit]] = defaultdict(list)
        for text, (items, places) in self._candidates(words).items():
            opened = OpenText(words, text, places, self.rule.ngram)
            for item in items:
                if hit := self._compare(opened, item):
                    found[text].append(hit)
        for text, hit in self._find_short(words):
            found[text].append(hit)
        return {text: sorted(found[text], key=lambda hit: hit.item) for text in sorted(found)}

    def _candidates(self, words: Words) -> dict[int, tuple[list[int], list[int]]]:
        n = self.rule.ngram
        places, known = self.ngrams.find(ngram_hashes(words.hashes, n))
        texts = words.texts_of(places)
        is_within = texts == words.texts_of(places + n - 1)
        places, bounds = places[is_within], np.searchsorted(places[is_within], words.bounds)
        texts, known = np.unique([texts[is_within], known[is_within]], axis=1)
        items, owners = self.ngrams.expand(known)
        texts, items, shared = sum_by_pair(texts[owners], items, self.weights[known[owners]])
        is_enough = shared >= self.needed[items]
        enough: dict[int, list[int]] = defaultdict(list)
        for text, item in zip(texts[is_enough].tolist(), items[is_enough].tolist(), strict=True):
            enough[text].append(item)
        return {text: (found, places[bounds[text] : bounds[text + 1]].tolist()) for text, found in enough.items()}

    def _compare(self, text: OpenText, item: int) -> Hit | None:
        if self.rule.name == "coverage" and self.lengths[item] < 2 * self.rule.ngram:
            return self._compare_whole(text, item)
        weights = self._grams_of(item)
        shared = weights.keys() & text.places.keys()
        coverage = sum(weights[gram] for gram in sorted(shared)) / sum(weights.values())
        if not shared or coverage < self.rule.needed_share(int(self.lengths[item])) * ALMOST:
            return None
        first, length = text.longest_run(shared)
        if self.rule.name == "coverage" and self.rule.same_numbers:
            margin = int(self.lengths[item])  # the numbers may be around the stretch, within an item's length of it
            near = Counter(text.words[max(0, first - margin) : first + length + margin])
            if Counter(word for word in self.words.of(item) if word.isdigit()) - near:
                return None
        kind: HitKind = "ngram" if self.rule.name == "open-r1" else "coverage"
        return Hit(item, kind, round(coverage, 4), length, quote(text.region(first, length)))

    def _compare_whole(self, text: OpenText, item: int) -> Hit | None:
        wanted = self.words.of(item)
        length = len(wanted)
        for first in text.places.get(tuple(wanted[: self.rule.ngram]), ()):
            region = text.region(first, length)
            if text.words[first : first + length] == wanted and operators(region) == self._operators_of(item):
                return Hit(item, "whole", 1.0, length, quote(region))
        return None

    def _find_short(self, words: Words) -> Iterator[tuple[int, Hit]]:
        places, known = self.anchors.find(ngram_hashes(words.hashes, ANCHOR))
        items, owners = self.anchors.expand(known)
        starts = places[owners] - self.anchor_offsets[items]
        is_begun = words.hashes.take(starts, mode="clip") == self.words.hashes[self.words.bounds[items]]
        starts, items = starts[is_begun], items[is_begun]
        texts = words.texts_of(starts)
        seen = set()
        for text, item, start in zip(texts.tolist(), items.tolist(), starts.tolist(), strict=True):
            last = start + int(self.lengths[item]) - 1
            if (text, item) in seen or start < words.bounds[text] or last >= words.bounds[text + 1]:
                continue
            region = words.between(start, last)
            if self._stands_alone(words, start, last, item) and operators(region) == self._operators_of(item):
                seen.add((text, item))
                yield text, Hit(item, "alone", 1.0, last - start + 1, quote(region))

    def _stands_alone(self, words: Words, start: int, last: int, item: int) -> bool:
        if words.slice(start, last + 1) != self.words.of(item):
            return False
        before, after = words.around(start, last)
        return (start == 0 or not _BOUNDARIES.isdisjoint(before)) and not _BOUNDARIES.isdisjoint(after)

    def _operators_of(self, item: int) -> Counter[bytes]:
        first, last = int(self.words.bounds[item]), int(self.words.bounds[item + 1]) - 1
        return operators(self.words.between(first, last))

    def _grams_of(self, item: int) -> dict[Gram, float]:
        n = self.rule.ngram
        words = self.words.of(item)
        first, last = self.words.bounds[item], self.words.bounds[item + 1]
        hashes = ngram_hashes(self.words.hashes[first:last], n)
        weights = self.weights[np.searchsorted(self.ngrams.hashes, hashes)]
        return {tuple(words[start : start + n]): weight for start, weight in enumerate(weights.tolist())}


def sum_by_pair(
    left: Places, right: Places, values: npt.NDArray[np.float64]
) -> tuple[Places, Places, npt.NDArray[np.float64]]:
    """Each pair of two numbers once, in order, with the sum of its values."""
    pairs, which = np.unique((left << 32) | right, return_inverse=True)
    return pairs >> 32, pairs & 0xFFFFFFFF, np.bincount(which, values, len(pairs)).astype(float)


def index_ngrams(words: Words, items: Places, n: int) -> Table:
    """Every n-gram of `items`, which have n words or more."""
    hashes = ngram_hashes(words.hashes, n)
    bounds = words.bounds.tolist()
    spans = [np.arange(bounds[item], bounds[item + 1] - n + 1) for item in items.tolist()]
    places = np.concatenate(spans) if spans else np.zeros(0, np.int64)
    return Table.of(hashes[places], words.texts_of(places))


def index_anchors(words: Words, items: Places) -> tuple[Table, Places]:
    """For each of the short `items` the run of `ANCHOR` words that is rarest in all sets, and where in it that is."""
    hashes = ngram_hashes(words.hashes, ANCHOR)
    unique, counts = np.unique(hashes, return_counts=True)
    offsets = np.zeros(len(words.bounds) - 1, np.int64)
    for item in items.tolist():
        first, last = words.bounds[item], words.bounds[item + 1]
        offsets[item] = np.argmin(counts[np.searchsorted(unique, hashes[first : last - ANCHOR + 1])])
    return Table.of(hashes[words.bounds[items] + offsets[items]], items), offsets


class OpenText:
    """One text of a batch, and its n-grams that begin at `places` of the batch, to be compared word by word."""

    def __init__(self, batch: Words, text: int, places: list[int], n: int) -> None:
        self.batch = batch
        self.n = n
        self.first = int(batch.bounds[text])
        self.words = batch.of(text)
        self.places: dict[Gram, list[int]] = defaultdict(list)
        for start in (place - self.first for place in places):
            self.places[tuple(self.words[start : start + n])].append(start)

    def longest_run(self, grams: set[Gram]) -> tuple[int, int]:
        """First word and number of words of the longest stretch (the first of the longest) made of `grams`."""
        best_first, best_length, first, previous = 0, 0, 0, -2
        for start in sorted(start for gram in grams for start in self.places[gram]):
            first = first if start == previous + 1 else start
            previous = start
            if start - first + self.n > best_length:
                best_first, best_length = first, start - first + self.n
        return best_first, best_length

    def region(self, first: int, length: int) -> bytes:
        """The folded text of `length` words from word `first` on."""
        return self.batch.between(self.first + first, self.first + first + length - 1)


def quote(region: bytes) -> str:
    """A piece of folded text for a reader, shortened."""
    return shorten(" ".join(region.decode("utf-8", "replace").split()))


def shorten(text: str) -> str:
    """The text, cut to `MAX_QUOTED` characters."""
    return text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "…"

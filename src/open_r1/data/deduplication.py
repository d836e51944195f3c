"""Rows that say what an earlier row says: exact and near duplicates, the first of each kept.

Does, on words as `text.ngrams.DRAWN` folds them: call rows *exact* duplicates whose words and operators are the
same, and *near* duplicates whose word 5-grams have an estimated Jaccard similarity of at least `threshold`, with the same
numbers and operators, since problems that differ in a number are two problems (`same_numbers=False` drops those too).
Similarity is estimated from MinHash signatures (rensa), with a standard error of about 0.03; candidates are rows that
agree in a band of them. A row is compared with earlier rows that are kept, never with dropped ones, so that likeness
doesn't travel along a chain; rows without a word are left alone.

Does not: depend on the number of processes. Memory grows by about 100 bytes a row, and by more for rows that are alike (a
kilobyte where all are); signatures, 512 bytes a row, are in a temporary file beside the output and are mapped from there:
pages that the system takes back when it needs them.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from open_r1.data.columns import read_texts, split_texts
from open_r1.data.processes import check_processes, map_in_order
from open_r1.data.provenance import Step, steps_behind, write_file_steps
from open_r1.data.row_file import Destination, RowFile, check_destination, write_records
from open_r1.data.rows import Changes, Chunk, Rows
from open_r1.errors import ConfigError
from open_r1.rundir import atomic_file
from open_r1.text.ngrams import DRAWN, Hashes, Places, Words, ngram_hashes, operators

NUM_HASHES = 128
"""MinHash values of a row."""

SEED = 1
"""Of the permutations: the same rows give the same signatures on every machine."""

CANDIDATE_SHARE = 0.995
"""Of pairs that are just similar enough, the share that has to come up for comparison."""

MAX_COMPARED = 256
"""Kept rows of one band's bucket that a row is compared with; the earliest ones. Only templates come so far."""

Kind = Literal["exact", "near"]


@dataclass(frozen=True)
class Likeness:
    """When two rows are duplicates."""

    near: bool = True
    threshold: float = 0.9
    shingle: int = 5
    """Words of the n-grams that are compared; shorter rows have exact duplicates only."""
    same_numbers: bool = True

    def __post_init__(self) -> None:
        if not 0.3 <= self.threshold <= 1:
            raise ConfigError(f"the threshold must be from 0.3 to 1, but is {self.threshold}; 0.9 is usual.")
        if not 1 <= self.shingle <= 64:
            raise ConfigError(
                f"n-grams of {self.shingle} words can't be used; choose a length from 1 to 64 (usual: 5)."
            )

    @property
    def band_rows(self) -> int:
        """MinHash values of a band: as many as still let `CANDIDATE_SHARE` of the pairs at the threshold come up.

        A pair of similarity s agrees in at least one of b bands of r values with probability 1 - (1 - s^r)^b
        (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4).
        """
        rows = range(NUM_HASHES, 0, -1)
        return next(r for r in rows if 1 - (1 - self.threshold**r) ** (NUM_HASHES // r) >= CANDIDATE_SHARE)


@dataclass(frozen=True)
class Sketches:
    """What is kept of rows to compare them by."""

    exact: npt.NDArray[np.uint64]
    """128 bits a row, of its words and operators; 0 where there is no word."""
    details: Hashes
    """64 bits a row, of its numbers and operators."""
    minhash: npt.NDArray[np.uint32]
    """`NUM_HASHES` a row; none where near duplicates aren't looked for."""
    has_shingles: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.details)


@dataclass(frozen=True)
class Sketching:
    """The work on one chunk; sent to every process once."""

    likeness: Likeness
    columns: Sequence[str]

    def __call__(self, chunk: Chunk) -> Sketches:
        batches = [
            sketch(DRAWN.words(texts), self.likeness)
            for block in read_texts(chunk, self.columns)
            for texts in split_texts(block)
        ]
        return join_sketches(batches or [sketch(DRAWN.words([]), self.likeness)])


def sketch(words: Words, likeness: Likeness) -> Sketches:
    """The sketches of a batch of texts."""
    num_texts = len(words.bounds) - 1
    prints = [print_text(words, text, likeness.same_numbers) for text in range(num_texts)]
    exact = np.frombuffer(b"".join(exact for exact, _ in prints), np.uint64).reshape(num_texts, 2)
    details = np.frombuffer(b"".join(details for _, details in prints), np.uint64)
    if not likeness.near:
        return Sketches(exact, details, np.zeros((num_texts, 0), np.uint32), np.zeros(num_texts, bool))
    shingles = ngram_hashes(words.hashes, likeness.shingle)
    starts = np.arange(len(shingles))
    owners = words.texts_of(starts)
    is_within = owners == words.texts_of(starts + likeness.shingle - 1)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owners[is_within], minlength=num_texts))))
    return Sketches(exact, details, minhash(shingles[is_within], offsets), np.diff(offsets) > 0)


def print_text(words: Words, text: int, same_numbers: bool) -> tuple[bytes, bytes]:
    """128 bits of a text's words and operators, and 64 of its numbers and operators."""
    found = words.of(text)
    if not found:
        return bytes(16), bytes(8)
    first, last = int(words.bounds[text]), int(words.bounds[text + 1]) - 1
    signs = repr(sorted(operators(words.between(first, last)).items())).encode()
    exact = hashlib.blake2b(b" ".join([*found, signs]), digest_size=16).digest()
    if not same_numbers:
        return exact, bytes(8)
    numbers = sorted(word for word in found if word.isdigit())
    return exact, hashlib.blake2b(b" ".join([*numbers, signs]), digest_size=8).digest()


def minhash(shingles: Hashes, offsets: Places) -> npt.NDArray[np.uint32]:
    """One signature a text, whose shingles stand between two `offsets`."""
    from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue] - compiled, without stubs

    matrix = RMinHash.digest_matrix_from_flat_token_hashes(shingles, offsets.astype(np.uint64), NUM_HASHES, SEED)
    return np.array(matrix.to_rows(), np.uint32).reshape(-1, NUM_HASHES)


def join_sketches(parts: Sequence[Sketches]) -> Sketches:
    return Sketches(
        np.concatenate([part.exact for part in parts]),
        np.concatenate([part.details for part in parts]),
        np.concatenate([part.minhash for part in parts]),
        np.concatenate([part.has_shingles for part in parts]),
    )


@dataclass(frozen=True)
class Duplicate:
    """A row that is dropped, and the kept one that it repeats."""

    row: int
    duplicate_of: int
    kind: Kind
    similarity: float


def find_exact(exact: npt.NDArray[np.uint64]) -> Iterator[Duplicate]:
    """Rows whose words and operators an earlier row has."""
    order = np.lexsort((exact[:, 1], exact[:, 0]))
    for group in runs_of_equals(exact[order]):
        rows = order[group]  # lexsort is stable: the first is the earliest
        if exact[rows[0]].any():
            yield from (Duplicate(row, int(rows[0]), "exact", 1.0) for row in rows[1:].tolist())


def runs_of_equals(values: npt.NDArray[np.uint64]) -> Iterator[slice]:
    """The stretches of two or more equal rows of a sorted matrix."""
    is_new = np.ones(len(values) + 1, bool)
    is_new[1:-1] = (values[1:] != values[:-1]).any(axis=1)
    edges = np.flatnonzero(is_new)
    for number in np.flatnonzero(np.diff(edges) > 1).tolist():
        yield slice(int(edges[number]), int(edges[number + 1]))


def find_near(
    signatures: npt.NDArray[np.uint32], details: Hashes, rows: Places, likeness: Likeness
) -> Iterator[Duplicate]:
    """Of `rows`, in rising order, those that are like an earlier one that isn't a duplicate itself."""
    buckets_of = find_buckets(signatures, details, rows, likeness)
    kept: dict[int, list[int]] = defaultdict(list)
    for row in sorted(buckets_of):
        earlier = sorted({other for bucket in buckets_of[row] for other in kept[bucket]})
        similarities = (signatures[earlier] == signatures[row]).mean(axis=1) if earlier else np.zeros(0)
        alike = np.flatnonzero(similarities >= likeness.threshold)
        if len(alike):
            yield Duplicate(row, earlier[alike[0]], "near", round(float(similarities[alike[0]]), 3))
            continue
        for bucket in buckets_of[row]:
            if len(kept[bucket]) < MAX_COMPARED:
                kept[bucket].append(row)


def find_buckets(
    signatures: npt.NDArray[np.uint32], details: Hashes, rows: Places, likeness: Likeness
) -> dict[int, list[int]]:
    """Row -> the buckets that it shares with another: rows that agree in a band, and in their details."""
    buckets_of: dict[int, list[int]] = defaultdict(list)
    width = likeness.band_rows
    num_buckets = 0
    for band in range(NUM_HASHES // width):
        hashes = hash_band(signatures, rows, band * width, width) ^ details[rows]
        order = np.argsort(hashes, kind="stable")
        for group in runs_of_equals(hashes[order][:, None]):
            for row in rows[order[group]].tolist():
                buckets_of[row].append(num_buckets)
            num_buckets += 1
    return buckets_of


def hash_band(signatures: npt.NDArray[np.uint32], rows: Places, first: int, width: int) -> Hashes:
    """64 bits a row, of `width` MinHash values."""
    hashes = np.zeros(len(rows), np.uint64)
    for column in range(first, first + width):
        hashes = (hashes ^ signatures[rows, column]) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    return hashes


@dataclass(frozen=True)
class DedupSummary:
    """A deduplication in numbers."""

    source: str
    columns: Sequence[str]
    likeness: Likeness
    rows: int
    empty: int
    exact: int
    near: int

    def record(self) -> dict[str, Any]:
        """The same for a file."""
        return {**asdict(self), "kept": self.rows - self.exact - self.near}


def deduplicate(
    rows: Rows, columns: Sequence[str], likeness: Likeness, destination: Destination, processes: int
) -> DedupSummary:
    """Find duplicate rows, report them, and write the others. The source is gone through twice."""
    check_processes(processes)
    check_destination(destination, rows)
    folder = destination.output.parent if destination.output else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".dedup-", dir=folder) as scratch:
        sizes, sketches = sketch_rows(rows, Sketching(likeness, columns), processes, Path(scratch) / "signatures")
        duplicates = find_duplicates(sketches, likeness)
    with ExitStack() as stack:
        if destination.report:
            report = stack.enter_context(atomic_file(destination.report))
            write_records(report, [asdict(duplicate) for duplicate in duplicates])
        if destination.output:
            file = stack.enter_context(atomic_file(destination.output))
            write_kept(RowFile(file, destination.output, rows), rows, columns, sizes, duplicates)
    kinds = Counter(duplicate.kind for duplicate in duplicates)
    num_empty = int(np.count_nonzero(~sketches.exact.any(axis=1)))
    summary = DedupSummary(rows.name, columns, likeness, len(sketches), num_empty, kinds["exact"], kinds["near"])
    if destination.output:
        settings = {"columns": list(columns), **asdict(likeness)}
        counted = {"rows": summary.rows, "exact": summary.exact, "near": summary.near}
        write_file_steps(destination.output, [*steps_behind(rows.name), Step("dedup", rows.name, settings, counted)])
    return summary


def sketch_rows(rows: Rows, work: Sketching, processes: int, path: Path) -> tuple[list[int], Sketches]:
    """The number of rows of each chunk, and the sketches of all; the signatures are mapped from `path`."""
    parts: list[Sketches] = []
    with path.open("wb") as file:
        for _, part in map_in_order(work, rows.chunks(work.columns), processes):
            file.write(part.minhash.tobytes())
            nothing = np.zeros((len(part), 0), np.uint32)
            parts.append(Sketches(part.exact, part.details, nothing, part.has_shingles))
    together = join_sketches(parts)
    signatures = np.zeros((len(together), 0), np.uint32)
    if path.stat().st_size:
        signatures = np.memmap(path, np.uint32, "r", shape=(len(together), NUM_HASHES))
    sizes = [len(part) for part in parts]
    return sizes, Sketches(together.exact, together.details, signatures, together.has_shingles)


def find_duplicates(sketches: Sketches, likeness: Likeness) -> list[Duplicate]:
    """All duplicates, in the order of the rows."""
    exact = list(find_exact(sketches.exact))
    if not likeness.near:
        return sorted(exact, key=lambda duplicate: duplicate.row)
    is_open = sketches.has_shingles.copy()
    is_open[[duplicate.row for duplicate in exact]] = False
    near = list(find_near(sketches.minhash, sketches.details, np.flatnonzero(is_open), likeness))
    kept_for = {duplicate.row: duplicate.duplicate_of for duplicate in near}
    exact = [redirect(duplicate, kept_for) for duplicate in exact]
    return sorted(exact + near, key=lambda duplicate: duplicate.row)


def redirect(duplicate: Duplicate, kept_for: dict[int, int]) -> Duplicate:
    """A duplicate of a row that is dropped itself repeats the one that is kept for that."""
    kept = kept_for.get(duplicate.duplicate_of, duplicate.duplicate_of)
    return Duplicate(duplicate.row, kept, duplicate.kind, duplicate.similarity)


def write_kept(
    output: RowFile, rows: Rows, columns: Sequence[str], sizes: Sequence[int], duplicates: Sequence[Duplicate]
) -> None:
    dropped = np.array([duplicate.row for duplicate in duplicates], np.int64)
    first = 0
    for chunk, size in zip(rows.chunks(columns), sizes, strict=True):
        within = dropped[np.searchsorted(dropped, first) : np.searchsorted(dropped, first + size)] - first
        output.write(chunk, Changes(frozenset(within.tolist())))
        first += size
    output.close()

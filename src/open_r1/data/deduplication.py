"""Rows that repeat an earlier row; the first of each is kept. The result does not depend on the number of processes.

*Exact* duplicates have the same words and operators. *Near* ones have word 5-grams of an estimated Jaccard similarity of at
least `threshold`, and the same numbers and operators; they are compared with earlier rows that are kept, never with dropped
ones. The similarity is estimated by the share of equal MinHash values (Broder 1997, by rensa), within a standard error of
0.045. Signatures, 512 bytes a row, are in a temporary file beside the output; memory grows by about 100 bytes a row.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from open_r1.configs.fields import check_limits, setting
from open_r1.configs.ranges import Range
from open_r1.data.columns import find_text_columns, read_texts
from open_r1.data.progress import CountProgress, no_progress
from open_r1.data.provenance import Step, finished_counts, record_step
from open_r1.data.row_file import NOWHERE, Destination, RowFile, check_destination, open_results
from open_r1.data.rows import Changes, Chunk, Rows
from open_r1.data.sources import as_rows
from open_r1.processes.pool import count_processes, map_in_order
from open_r1.rundir.jsonl import encode_row
from open_r1.text.ngrams import WITH_DRAWINGS, Hashes, Places, Words, ngram_hashes, operators

Signatures = npt.NDArray[np.uint32]  # of shape (texts, `NUM_HASHES`)
NUM_HASHES = 128  # values of a signature
SEED = 1  # seed of the permutations: the same texts give the same signatures on every machine


def sign(words: Words, n: int) -> tuple[Signatures, npt.NDArray[np.bool_]]:
    """A signature per text, and whether the text has an n-gram; the signatures of texts without one are equal."""
    num_texts = len(words.bounds) - 1
    hashes = ngram_hashes(words.hashes, n)
    starts = np.arange(len(hashes))
    owners = words.texts_of(starts)
    is_within = owners == words.texts_of(starts + n - 1)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owners[is_within], minlength=num_texts))))
    return minhash(hashes[is_within], offsets), np.diff(offsets) > 0


def minhash(hashes: Hashes, offsets: Places) -> Signatures:
    """A signature per text, whose n-grams' hashes are between two `offsets`."""
    from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue] - compiled, without stubs

    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets.astype(np.uint64), NUM_HASHES, SEED)
    return np.array(matrix.to_rows(), np.uint32).reshape(-1, NUM_HASHES)


def similarities(signatures: Signatures, one: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """The estimated similarity of each text to one."""
    return (signatures == one).mean(axis=1) if len(signatures) else np.zeros(0)


CANDIDATE_SHARE = 0.995  # share of the pairs at the threshold that are to be compared
MAX_COMPARED = 256
"""Kept rows of a bucket that a row is compared with, the earliest ones; only rows made from a template have so many."""

Kind = Literal["exact", "near"]


@dataclass(frozen=True)
class DedupSettings:
    """When two rows are duplicates."""

    exact: bool = setting(False, "exact duplicates only: the same words and operators")
    threshold: float = setting(0.9, "similarity of near duplicates; 0.9 is usual", Range(0.3, 1))
    ngram: int = setting(
        5, "words of the n-grams that are compared; shorter rows have exact duplicates only", Range(1, 64)
    )
    variants: bool = setting(False, "rows that differ only in their numbers are duplicates too")

    def __post_init__(self) -> None:
        check_limits(self)

    def record(self) -> dict[str, Any]:
        """The settings as records on the disk have them."""
        return {
            "near": not self.exact,
            "threshold": self.threshold,
            "shingle": self.ngram,
            "same_numbers": not self.variants,
        }

    @property
    def band_rows(self) -> int:
        """MinHash values of a band: as many as still find `CANDIDATE_SHARE` of the pairs at the threshold.

        A pair of similarity s agrees in one of b bands of r values with probability 1 - (1 - s^r)^b (Leskovec, 3.4).
        """
        rows = range(NUM_HASHES, 0, -1)
        return next(r for r in rows if 1 - (1 - self.threshold**r) ** (NUM_HASHES // r) >= CANDIDATE_SHARE)


ROW = np.dtype([("exact", np.uint64, 2), ("details", np.uint64), ("has_ngrams", np.bool_)])
"""By what rows are compared: 128 bits of a row's words and operators (0 where it has no word), 64 of its numbers and
operators, and whether it has an n-gram."""


@dataclass(frozen=True)
class Fingerprinting:
    """The work on one chunk; sent to every process once."""

    settings: DedupSettings
    columns: Sequence[str]

    def __call__(self, chunk: Chunk) -> tuple[np.ndarray, bytes]:
        """A `ROW` a row, and the signatures of all; none where near duplicates aren't looked for."""
        parts, signatures = [np.zeros(0, ROW)], b""
        for texts in read_texts(chunk, self.columns):
            words = WITH_DRAWINGS.words(texts)
            found = np.zeros(len(texts), ROW)
            for number in range(len(texts)):
                exact, details = fingerprint_text(words, number, not self.settings.variants)
                found[number] = (np.frombuffer(exact, np.uint64), np.frombuffer(details, np.uint64)[0], False)
            if not self.settings.exact:
                signed, found["has_ngrams"] = sign(words, self.settings.ngram)
                signatures += signed.tobytes()
            parts.append(found)
        return np.concatenate(parts), signatures


def fingerprint_text(words: Words, text: int, same_numbers: bool) -> tuple[bytes, bytes]:
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
    signatures: npt.NDArray[np.uint32], details: Hashes, rows: Places, settings: DedupSettings
) -> Iterator[Duplicate]:
    """Of `rows`, in rising order, those that are similar to an earlier one that isn't a duplicate itself."""
    buckets_of = find_buckets(signatures, details, rows, settings)
    kept: dict[int, list[int]] = defaultdict(list)
    for row in sorted(buckets_of):
        earlier = sorted({other for bucket in buckets_of[row] for other in kept[bucket]})
        similarity = similarities(signatures[earlier], signatures[row])
        alike = np.flatnonzero(similarity >= settings.threshold)
        if len(alike):
            yield Duplicate(row, earlier[alike[0]], "near", round(float(similarity[alike[0]]), 3))
            continue
        for bucket in buckets_of[row]:
            if len(kept[bucket]) < MAX_COMPARED:
                kept[bucket].append(row)


def find_buckets(
    signatures: npt.NDArray[np.uint32], details: Hashes, rows: Places, settings: DedupSettings
) -> dict[int, list[int]]:
    """Row -> the buckets that it shares with another: rows that agree in a band, and in their details."""
    buckets_of: dict[int, list[int]] = defaultdict(list)
    width = settings.band_rows
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
    settings: DedupSettings
    rows: int
    empty: int
    exact: int
    near: int

    def record(self) -> dict[str, Any]:
        """The same for a file."""
        record = asdict(self) | {"columns": list(self.columns), "kept": self.rows - self.exact - self.near}
        del record["settings"]
        return record | {"likeness": self.settings.record()}


def deduplicate(
    source: Rows | str,
    destination: Destination = NOWHERE,
    settings: DedupSettings = DedupSettings(),
    *,
    columns: Sequence[str] | None = None,
    processes: int | None = None,
    progress: CountProgress = no_progress,
    tell: Callable[[str], None] = lambda line: None,
) -> DedupSummary:
    """Find duplicate rows by the text of `columns`, report them, and write the others. The source is read twice.

    An output that is already done is left as it is, and `tell` says so.
    """
    rows = as_rows(source)
    columns = find_text_columns(rows, columns, "--columns")
    step = Step("dedup", rows.name, {"columns": list(columns), **settings.record()})
    if not destination.overwrite and (counts := finished_counts(step, destination.output, destination.report)):
        tell(f"already done in {destination.output}")
        return DedupSummary(rows.name, columns, settings, **{"empty": 0, **counts})
    check_destination(destination, rows)
    folder = destination.output.parent if destination.output else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    parts: list[np.ndarray] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        work = Fingerprinting(settings, columns)
        for _, (found, signatures) in map_in_order(work, rows.chunks(columns), count_processes(processes)):
            file.write(signatures)
            parts.append(found)
            progress(sum(map(len, parts)), None)
        file.flush()
        fingerprints = np.concatenate(parts)
        duplicates = find_duplicates(fingerprints, file, settings)
    with open_results(destination, rows) as (report, output):
        if report:
            report.writelines(encode_row(asdict(duplicate)) for duplicate in duplicates)
        if output:
            write_kept(output, rows, [len(part) for part in parts], duplicates)
    kinds = Counter(duplicate.kind for duplicate in duplicates)
    num_empty = int(np.count_nonzero(~fingerprints["exact"].any(axis=1)))
    summary = DedupSummary(rows.name, columns, settings, len(fingerprints), num_empty, kinds["exact"], kinds["near"])
    if destination.output:
        counted = {name: getattr(summary, name) for name in ("rows", "empty", "exact", "near")}
        record_step(destination.output, replace(step, counts=counted))
    return summary


def find_duplicates(fingerprints: np.ndarray, signatures: IO[bytes], settings: DedupSettings) -> list[Duplicate]:
    """All duplicates, in the order of the rows; the signatures are mapped from their file."""
    exact = list(find_exact(fingerprints["exact"]))
    near: list[Duplicate] = []
    is_open = fingerprints["has_ngrams"].copy()
    is_open[[duplicate.row for duplicate in exact]] = False
    if is_open.any():
        mapped = np.memmap(signatures, np.uint32, "r").reshape(-1, NUM_HASHES)
        near = list(find_near(mapped, fingerprints["details"], np.flatnonzero(is_open), settings))
    kept_for = {duplicate.row: duplicate.duplicate_of for duplicate in near}
    redirected = [replace(one, duplicate_of=kept_for.get(one.duplicate_of, one.duplicate_of)) for one in exact]
    return sorted(redirected + near, key=lambda duplicate: duplicate.row)


def write_kept(output: RowFile, rows: Rows, sizes: Sequence[int], duplicates: Sequence[Duplicate]) -> None:
    """Write the rows that are not duplicates, chunk by chunk."""
    dropped = np.array([duplicate.row for duplicate in duplicates], np.int64)
    first = 0
    for chunk, size in zip(rows.chunks(), sizes, strict=True):
        within = dropped[np.searchsorted(dropped, first) : np.searchsorted(dropped, first + size)] - first
        output.write(chunk, Changes(frozenset(within.tolist())))
        first += size

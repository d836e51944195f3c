"""Decontamination of a source: the rows that contain evaluation items, with evidence, and the others.

One pass in several processes, hits in the order of the rows. Output and report appear when both are whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from open_r1.data.columns import find_text_columns, read_texts
from open_r1.data.evaluation_index import COVERAGE, EvalSet, Hit, Index, Rule
from open_r1.data.evaluation_sets import load_sets
from open_r1.data.processes import count_processes, map_in_order
from open_r1.data.progress import CountProgress, no_progress
from open_r1.data.provenance import Step, record_step
from open_r1.data.row_file import NOWHERE, Destination, check_destination, open_results, write_records
from open_r1.data.rows import Changes, Chunk, Rows
from open_r1.data.sources import as_rows

MAX_QUOTED = 400  # characters of a row and of an item that the report quotes
MARK = "contaminated_{}"
"""Column that says whether a row contains an item of a set, where rows are marked instead of dropped."""


class Found(NamedTuple):
    """What was found in a chunk: rows that contain evaluation items, each with its hits and how it begins."""

    num_rows: int
    num_empty: int
    rows: Sequence[tuple[int, Sequence[Hit], str]]


@dataclass(frozen=True)
class SetSummary:
    """One evaluation set in numbers."""

    items: int
    too_short: int  # items that are too short to be searched for
    items_found: int
    rows: int  # rows that contain at least one of its items


@dataclass(frozen=True)
class Summary:
    """A decontamination in numbers."""

    source: str
    columns: Sequence[str]
    rule: Rule
    rows: int
    empty: int  # rows without a word in their columns
    contaminated: int
    sets: dict[str, SetSummary]
    examples: Sequence[dict[str, Any]] = field(default=(), repr=False)

    def record(self) -> dict[str, Any]:
        """The same for a file."""
        return {**asdict(self), "examples": list(self.examples)}


@dataclass(frozen=True)
class Search:
    """The work on one chunk; sent to every process once."""

    index: Index
    columns: Sequence[str]

    def __call__(self, chunk: Chunk) -> Found:
        num_rows = num_empty = 0
        rows: list[tuple[int, Sequence[Hit], str]] = []
        for texts in read_texts(chunk, self.columns):
            words = self.index.read(texts)
            for number, hits in self.index.find(words).items():
                rows.append((num_rows + number, hits, shorten(texts[number])))
            num_empty += words.count_empty()
            num_rows += len(texts)
        return Found(num_rows, num_empty, rows)


def decontaminate(
    source: Rows | str,
    against: Sequence[str | EvalSet],
    destination: Destination = NOWHERE,
    rule: Rule = COVERAGE,
    *,
    columns: Sequence[str] | None = None,
    processes: int | None = None,
    num_examples: int = 0,
    progress: CountProgress = no_progress,
) -> Summary:
    """Find the rows that contain items of evaluation sets, report them, and write the others (or all, marked).

    `against` names sets (see `evaluation_sets`) or has their texts; `destination` is nowhere by default, and rows are
    counted; the summary has the first `num_examples` records of the report.
    """
    rows = as_rows(source)
    columns = find_text_columns(rows, columns, "--columns")
    processes = count_processes(processes)
    sets = load_sets(against)
    marks = [MARK.format(one.name) for one in sets] if destination.marks else []
    check_destination(destination, rows, marks)
    index = Index(sets, rule)
    counts = Counts(index)
    with open_results(destination, rows, marks) as (report, output):
        for chunk, found in map_in_order(Search(index, columns), rows.chunks(columns), processes):
            records = list(counts.add(found))
            counts.examples += records[: max(0, num_examples - len(counts.examples))]
            if report:
                write_records(report, records)
            if output:
                output.write(chunk, changes_of(found, index, marks))
            progress(counts.rows, None)
    summary = counts.summary(rows, columns)
    if destination.output:
        settings = {"columns": list(columns), **asdict(rule), "against": [one.name for one in sets]}
        counted = {key: value for key, value in summary.record().items() if key in ("rows", "contaminated", "sets")}
        record_step(destination.output, Step("decontaminate", rows.name, settings, counted))
    return summary


class Counts:
    """Adds up what was found in chunks, in their order."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.rows = self.empty = self.contaminated = 0
        self.rows_of: Counter[str] = Counter()
        self.found: set[int] = set()
        self.examples: list[dict[str, Any]] = []

    def add(self, found: Found) -> Iterator[dict[str, Any]]:
        """The report's records of a chunk: one per row and set, for the item with the highest coverage."""
        for row, found_hits, text in found.rows:
            self.contaminated += 1
            self.found.update(hit.item for hit in found_hits)
            by_set: dict[str, list[Hit]] = {}
            for hit in found_hits:
                by_set.setdefault(self.index.items[hit.item].set_name, []).append(hit)
            for set_name, hits in by_set.items():
                self.rows_of[set_name] += 1
                best = max(hits, key=lambda hit: (hit.coverage, hit.longest_run, -hit.item))
                yield self._record(self.rows + row, best, len(hits) - 1, text)
        self.rows += found.num_rows
        self.empty += found.num_empty

    def _record(self, row: int, hit: Hit, others: int, text: str) -> dict[str, Any]:
        item = self.index.items[hit.item]
        return {
            "row": row,
            "set": item.set_name,
            "item": item.position,
            "kind": hit.kind,
            "coverage": hit.coverage,
            "longest_run": hit.longest_run,
            "item_words": int(self.index.lengths[hit.item]),
            "other_items": others,
            "matched": hit.matched,
            "item_text": shorten(item.text),
            "row_text": text,
        }

    def summary(self, rows: Rows, columns: Sequence[str]) -> Summary:
        """The counts of all chunks."""
        items = Counter(item.set_name for item in self.index.items)
        unusable = self.index.count_unusable()
        found = Counter(self.index.items[item].set_name for item in self.found)
        sets = {
            name: SetSummary(count, unusable[name], found[name], self.rows_of[name]) for name, count in items.items()
        }
        return Summary(
            rows.name, columns, self.index.rule, self.rows, self.empty, self.contaminated, sets, self.examples
        )


def changes_of(found: Found, index: Index, marks: Sequence[str]) -> Changes:
    """What happens to the rows of a chunk: those with hits are dropped, or all are kept and marked."""
    if not marks:
        return Changes(frozenset(row for row, _, _ in found.rows))
    marked: dict[str, set[int]] = {mark: set() for mark in marks}
    for row, hits, _ in found.rows:
        for hit in hits:
            marked[MARK.format(index.items[hit.item].set_name)].add(row)
    return Changes(marks={mark: frozenset(numbers) for mark, numbers in marked.items()})


def shorten(text: str) -> str:
    """The text, cut to `MAX_QUOTED` characters."""
    return text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "…"

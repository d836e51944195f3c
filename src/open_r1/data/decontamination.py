"""Decontamination of a source: the rows that contain evaluation items, with evidence, and the others.

One pass in several processes, hits in the order of the rows. Output and report appear when both are whole. An evaluation set
is a file, a Hub id or a name of `KNOWN_SETS`, with options: `gsm8k_test.jsonl?column=question&name=gsm8k`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import urlencode

from open_r1.configs.references import read_source
from open_r1.data.columns import find_text_columns, read_texts
from open_r1.data.evaluation_index import COVERAGE, EvalSet, Hit, Index, Rule, shorten
from open_r1.data.progress import CountProgress, no_progress
from open_r1.data.provenance import Step, finished_counts, record_step
from open_r1.data.row_file import NOWHERE, Destination, check_destination, open_results
from open_r1.data.rows import Changes, Chunk, Rows
from open_r1.data.sharding import FOUND
from open_r1.data.sources import as_rows, open_rows
from open_r1.errors import ConfigError, DataError
from open_r1.processes.pool import count_processes, map_in_order
from open_r1.rundir.jsonl import encode_row

MARK = "contaminated_{}"
"""Column that says whether a row contains an item of a set, where rows are marked instead of dropped."""


KNOWN_SETS = {
    "aime24": "HuggingFaceH4/aime_2024?column=problem",
    "aime25": "yentinglin/aime_2025?column=problem",
    "math_500": "HuggingFaceH4/MATH-500?split=test&column=problem",
    "gpqa": "Idavidrein/gpqa?config=gpqa_diamond&column=Question",
    "lcb": "hf://datasets/livecodebench/code_generation_lite/test[45].jsonl?column=question_content",
}
"""The sets that Open-R1's script searches for; of LiveCodeBench the problems of versions 4 and 5."""

OPTIONS = ("column", "config", "split", "name")


@dataclass(frozen=True)
class SetSource:
    """Where an evaluation set is."""

    source: str
    name: str
    column: str | None = None
    config: str | None = None
    split: str = "train"


def parse_set(spec: str) -> SetSource:
    """A set as it is named on the command line. ConfigError for an option that isn't known."""
    reference = read_source(KNOWN_SETS.get(spec, spec), "evaluation set", OPTIONS)
    name = spec if spec in KNOWN_SETS else reference.name.rstrip("/").rpartition("/")[2].partition(".")[0]
    return SetSource(reference.name, **{"name": name, **reference.options})


def load_sets(sets: Sequence[str | EvalSet]) -> list[EvalSet]:
    """The texts of every set. DataError when one is missing, empty or has no such column; ConfigError for equal names."""
    sources = [parse_set(one) if isinstance(one, str) else one for one in sets]
    names = [source.name for source in sources]
    for source in sources:
        if names.count(source.name) > 1:
            where = source.source if isinstance(source, SetSource) else "SET"
            example = f"{where}?{urlencode({'name': 'another'})}"
            raise ConfigError(f"two evaluation sets are called '{source.name}'; name one of them: {example}")
    return [load_set(source) if isinstance(source, SetSource) else source for source in sources]


def load_set(source: SetSource) -> EvalSet:
    """The texts of one set. DataError when it has none."""
    rows = open_rows(source.source, source.config, source.split, streaming=source.source.startswith("hf:"))
    columns = find_text_columns(rows, [source.column] if source.column else None, "?column= after its name")
    texts = [text for chunk in rows.chunks(columns) for batch in read_texts(chunk, columns) for text in batch]
    if not any(text.strip() for text in texts):
        raise DataError(f"evaluation set '{source.source}' has no text in {columns[0]}; name another with ?column=.")
    return EvalSet(source.name, texts)


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
    tell: Callable[[str], None] = lambda line: None,
) -> Summary:
    """Find the rows that contain items of evaluation sets, report them, and write the others (or all, marked).

    `against` names sets (see the module) or has their texts; `destination` is nowhere by default, and rows are
    counted; the summary has the first `num_examples` records of the report. An output that is already done is left as it is,
    and `tell` says so.
    """
    rows = as_rows(source)
    columns = find_text_columns(rows, columns, "--columns")
    processes = count_processes(processes)
    sets = load_sets(against)
    settings = {"columns": list(columns), **asdict(rule), "against": [one.name for one in sets]}
    step = Step("decontaminate", rows.name, {**settings, "marks": destination.marks})
    files = [parse_set(one).source for one in against if isinstance(one, str)]
    may_be_done = not destination.overwrite and len(files) == len(against)  # texts in memory have no file to go by
    if may_be_done and (counts := finished_counts(step, destination.output, destination.report, *files)):
        tell(f"already done in {destination.output}")
        found = {name: SetSummary(**of_set) for name, of_set in counts["sets"].items()}
        counted = {name: value for name, value in counts.items() if name != FOUND}
        return Summary(rows.name, columns, rule, **{**counted, "sets": found})
    marks = [MARK.format(one.name) for one in sets] if destination.marks else []
    check_destination(destination, rows, marks)
    index = Index(sets, rule)
    counts = Counts(index, rows.first or 0)
    with open_results(destination, rows, marks) as (report, output):
        for chunk, found in map_in_order(Search(index, columns), rows.chunks(columns), processes):
            records = list(counts.add(found))
            counts.examples += records[: max(0, num_examples - len(counts.examples))]
            if report:
                report.writelines(map(encode_row, records))
            if output:
                output.write(chunk, changes_of(found, index, marks))
            progress(counts.rows, None)
    summary = counts.summary(rows, columns)
    if destination.output:
        counted = {name: summary.record()[name] for name in ("rows", "empty", "contaminated", "sets")}
        if rows.first is not None:
            counted[FOUND] = counts.found_items()
        record_step(destination.output, replace(step, counts=counted))
    return summary


class Counts:
    """Adds up what was found in chunks, in their order."""

    def __init__(self, index: Index, first: int = 0) -> None:
        self.index, self.first = index, first
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
                yield self._record(self.first + self.rows + row, best, len(hits) - 1, text)
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

    def found_items(self) -> dict[str, list[int]]:
        """The items that were found, by set."""
        found: dict[str, list[int]] = {item.set_name: [] for item in self.index.items}
        for item in sorted(self.found):
            found[self.index.items[item].set_name].append(item)
        return found

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

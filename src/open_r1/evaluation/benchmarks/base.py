"""What a benchmark is: where its problems are, how a row becomes a problem, how answers are scored, the usual sampling.

A benchmark is one file in this folder that ends in `BENCHMARK = Benchmark(...)` (or `BENCHMARKS = (...)`). A local file in
the published columns replaces the Hub (`--data NAME=FILE`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from open_r1.errors import DataError
from open_r1.evaluation.scoring import find_unreadable_gold, score_answers
from open_r1.records import Outcome, Problem

BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
"""The instruction that the model cards of DeepSeek-R1 and OpenR1-Distill recommend for mathematics."""

MAX_NEW_TOKENS = 32768

PLACE = "__place__"  # metadata of a problem whose tests stay in their file: (path, first byte) of its line
Row = Mapping[str, Any]

ReadRow = Callable[[Row, int], Problem]
"""(a row, the shuffle seed) -> the problem, with the metadata that scoring needs. DataError or KeyError for another row."""

ScoreAll = Callable[[Sequence[str], Sequence[Problem]], list[Outcome]]
"""(completions, the problem of each) -> outcomes; `details["answer"]` is the extracted answer, None where there is none."""


@dataclass(frozen=True)
class Source:
    """Where the problems are published. `files` name single files of a Hub repository, where its id alone won't load."""

    name: str
    config: str | None = None
    split: str = "train"
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([self.name, *([self.config] if self.config else []), *self.files])


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as the registry knows it; a row must have the `columns`.

    Args:
        find_trouble: Why a problem can't be scored, None where it can; checked before anything is sampled.
        votes: Whether two answers can be compared, so that a majority means something.
        greedy: Whether a greedy completion of each problem is evaluated beside the samples.
        read_rows: Reads the rows of a local path, where they aren't an ordinary table.
        shuffles: Whether the seed decides how a problem is worded.
        check: Raises ConfigError when answers can't be scored here, such as without a sandbox.
    """

    name: str
    title: str
    source: Source
    columns: tuple[str, ...]
    read: ReadRow
    score: ScoreAll
    num_samples: int
    find_trouble: Callable[[Problem], str | None] = lambda problem: None
    votes: bool = True
    temperature: float = 0.6
    top_p: float = 0.95
    max_new_tokens: int = MAX_NEW_TOKENS
    greedy: bool = False
    read_rows: Callable[[Path], Iterable[Row]] | None = None
    shuffles: bool = False
    check: Callable[[], Any] = lambda: None

    def load(self, data: str | None = None, max_problems: int | None = None, seed: int = 0) -> list[Problem]:
        """The problems, from the published source or from `data`; DataError names the row that can't be read."""
        where = data or str(self.source)
        problems: list[Problem] = []
        seen: Counter[str] = Counter()
        for number, row in enumerate(islice(self.rows(data), max_problems), start=1):
            try:
                problem = self.read(row, seed)
            except KeyError as missing:
                needed = ", ".join(self.columns)
                raise DataError(
                    f"row {number} of '{where}' has no column {missing}, but {self.name} needs {needed}. "
                    f"Found: {', '.join(map(str, row))}."
                ) from None
            except (DataError, ValueError, TypeError) as error:
                raise DataError(f"row {number} of '{where}' is not a problem of {self.name}: {error}") from None
            seen[problem.id] += 1  # from the second occurrence of an id on it is numbered
            suffix = f"#{seen[problem.id]}" if seen[problem.id] > 1 else ""
            problems.append(replace(problem, name=problem.id + suffix))
        if not problems:
            raise DataError(f"'{where}' has no problems for {self.name}; give a file with at least one.")
        return problems

    def rows(self, data: str | None) -> Iterator[Row]:
        """Every row of the published source, or of `data`: a file, a folder or another Hub id in the same columns."""
        from open_r1.data.columns import require_columns
        from open_r1.data.sources import load_splits
        from open_r1.data.sources.local import is_local_name

        is_table = data is not None and not data.endswith((".jsonl", ".json"))
        if self.read_rows is not None and (self.source.files or data) and not is_table:
            paths = [Path(data)] if data else _fetch_files(self.source)
            for path in paths:
                if not path.is_file():
                    raise DataError(f"data file '{path}' does not exist; check the path.")
                yield from self.read_rows(path)
            return
        name, config = (data, None) if data else (self.source.name, self.source.config)
        try:
            splits = load_splits(name, config, self.source.split)
        except DataError as error:
            if data or is_local_name(name):
                raise
            raise DataError(f"{error} A local file with its columns works too: --data {self.name}=FILE.") from None
        rows: Any = splits[self.source.split]
        require_columns(rows.column_names, self.columns, name, "--data" if is_local_name(name) else "the data set")
        yield from rows


def _fetch_files(source: Source) -> list[Path]:
    from huggingface_hub import hf_hub_download

    try:
        return [Path(hf_hub_download(source.name, file, repo_type="dataset")) for file in source.files]
    except Exception as error:  # noqa: BLE001 - network, access and naming failures all end here
        raise DataError(
            f"{source.name} can't be downloaded from the Hub: {' '.join(str(error).split())}; check the network and your "
            "access, or give a local file with --data NAME=FILE."
        ) from None


def text_in(row: Row, column: str) -> str:
    """A column's text; DataError where there is none, KeyError where the column isn't there."""
    value = row[column]
    if not isinstance(value, str | int | float) or isinstance(value, bool) or not str(value).strip():
        raise DataError(f"its '{column}' is {value!r}, but must be text; fix or remove that row.")
    return str(value)


def id_in(row: Row, column: str) -> str:
    """A row's own id; empty where it has none."""
    return "" if row.get(column) is None else str(row[column])


def groups_in(row: Row, columns: Mapping[str, str]) -> dict[str, str]:
    """Group name -> its value in the row, for the columns that are there and filled."""
    return {name: str(row[column]) for name, column in columns.items() if row.get(column) not in (None, "")}


def math_benchmark(
    name: str,
    title: str,
    source: Source,
    num_samples: int,
    problem: str = "problem",
    answer: str = "answer",
    id_column: str | None = None,
    groups: Mapping[str, str] | None = None,
    suffix: str = BOXED,
) -> Benchmark:
    """A benchmark of problems with one answer each, compared by the answer layer that training uses."""

    def read(row: Row, seed: int) -> Problem:
        return Problem(
            prompt=f"{text_in(row, problem)}\n\n{suffix}" if suffix else text_in(row, problem),
            gold=text_in(row, answer),
            metadata={"ordered": bool(row.get("ordered"))},
            name=id_in(row, id_column) if id_column else "",
            groups=groups_in(row, groups or {}),
        )

    return Benchmark(name, title, source, (problem, answer), read, score_answers, num_samples, find_unreadable_gold)

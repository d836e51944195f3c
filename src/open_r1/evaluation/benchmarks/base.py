"""What a benchmark is: where its problems are, how a row becomes a question, how answers are scored, the usual sampling.

A benchmark is one file in this folder that ends in `BENCHMARK = Benchmark(...)` (or `BENCHMARKS = (...)`); nothing else
needs to be edited to add one. A local file in the published columns does instead of the Hub (`--data NAME=FILE`).
Does not: sample (`run`), estimate (`statistics`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from open_r1.answers.check import has_readable_gold
from open_r1.errors import DataError
from open_r1.records import Outcome

BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
"""The instruction that the model cards of DeepSeek-R1 and OpenR1-Distill recommend for mathematics."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """One problem of a benchmark, ready to be asked.

    `id` is the same for the same problem in every run; `groups` are what results are broken down by ("subject",
    "level"); `columns` are what the scorer needs.
    """

    id: str
    prompt: str
    gold: str
    groups: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)


Reader = Callable[[Row, int], Question]
"""(a row, the shuffle seed) -> the question; an empty id is filled in. DataError or KeyError for a row that is none."""

Scorer = Callable[[Sequence[str], Sequence[Question]], list[Outcome]]
"""(completions, the question of each) -> outcomes; `details["answer"]` is the extracted answer, None where none is."""


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
    """A benchmark as the registry knows it.

    Args:
        name: What the command line calls it.
        title: One line for people.
        source: Where the published problems are.
        columns: Those that a row must have.
        read: Makes a question of a row.
        score: Scores completions.
        num_samples: Samples a problem, unless told.
        find_trouble: Why a question can't be scored, None where it can; looked at before anything is sampled.
        votes: Whether answers can be told to be the same, so that a majority means something.
        read_rows: Reads the rows of a local path, where they aren't an ordinary table.
        shuffles: Whether the seed decides how a question is put.
        check: Raises ConfigError when answers can't be scored here, such as without a sandbox.
    """

    name: str
    title: str
    source: Source
    columns: tuple[str, ...]
    read: Reader
    score: Scorer
    num_samples: int
    find_trouble: Callable[[Question], str | None] = lambda question: None
    votes: bool = True
    temperature: float = 0.6
    top_p: float = 0.95
    max_new_tokens: int = 32768
    read_rows: Callable[[Path], Iterable[Row]] | None = None
    shuffles: bool = False
    check: Callable[[], Any] = lambda: None

    def load(self, data: str | None = None, max_problems: int | None = None, seed: int = 0) -> list[Question]:
        """The questions, from the published source or from `data`; DataError names the row that is none."""
        where = data or str(self.source)
        questions: list[Question] = []
        for number, row in enumerate(islice(self.rows(data), max_problems), start=1):
            try:
                questions.append(self.read(row, seed))
            except KeyError as missing:
                needed = ", ".join(self.columns)
                raise DataError(
                    f"row {number} of '{where}' has no column {missing}, but {self.name} needs {needed}. "
                    f"Found: {', '.join(map(str, row))}."
                ) from None
            except (DataError, ValueError, TypeError) as error:
                raise DataError(f"row {number} of '{where}' is no problem of {self.name}: {error}") from None
        if not questions:
            raise DataError(f"'{where}' holds no problems for {self.name}; give a file with at least one.")
        return with_ids(questions)

    def rows(self, data: str | None) -> Iterator[Row]:
        """Every row of the published source, or of `data`: a file, a folder or another Hub id in the same columns."""
        from open_r1.data.columns import require_columns
        from open_r1.data.sources import load_splits
        from open_r1.data.sources.local import is_local_name

        if self.read_rows is not None and (self.source.files or data) and not is_other_table(data):
            paths = [Path(data)] if data else fetch_files(self.source)
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
            raise DataError(f"{error} A local file in its columns will do too: --data {self.name}=FILE.") from None
        rows: Any = splits[self.source.split]
        require_columns(rows.column_names, self.columns, name, "--data" if is_local_name(name) else "the data set")
        yield from rows


def is_other_table(data: str | None) -> bool:
    """Whether data are given in a format that isn't lines of JSON."""
    return data is not None and not data.endswith((".jsonl", ".json"))


def fetch_files(source: Source) -> list[Path]:
    """Single files of a Hub data set, downloaded into its cache."""
    from huggingface_hub import hf_hub_download

    try:
        return [Path(hf_hub_download(source.name, file, repo_type="dataset")) for file in source.files]
    except Exception as error:  # noqa: BLE001 - network, access and naming failures all end here
        raise DataError(
            f"{source.name} could not be had from the Hub: {' '.join(str(error).split())}; check the network and your "
            "access, or give a local file with --data NAME=FILE."
        ) from None


def with_ids(questions: Sequence[Question]) -> list[Question]:
    """Every question with an id of its own: its prompt's hash where it has none, numbered where it isn't the first."""
    named = [question if question.id else replace(question, id=hash_of(question)) for question in questions]
    seen: Counter[str] = Counter()
    unique = []
    for question in named:
        count = seen[question.id]
        seen[question.id] += 1
        unique.append(replace(question, id=f"{question.id}#{count + 1}") if count else question)
    return unique


def hash_of(question: Question) -> str:
    return hashlib.sha256(f"{question.prompt}\n{question.gold}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def text_in(row: Row, column: str) -> str:
    """A column's text; DataError where there is none, KeyError where the column isn't there."""
    value = row[column]
    if not isinstance(value, str | int | float) or isinstance(value, bool) or not str(value).strip():
        raise DataError(f"its '{column}' is {value!r}, where text is needed; mend or remove that row.")
    return str(value)


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
    from open_r1.evaluation.scoring import score_math

    def read(row: Row, seed: int) -> Question:
        return Question(
            id=str(row[id_column]) if id_column and row.get(id_column) not in (None, "") else "",
            prompt=f"{text_in(row, problem)}\n\n{suffix}" if suffix else text_in(row, problem),
            gold=text_in(row, answer),
            groups=groups_in(row, groups or {}),
            columns={"ordered": bool(row.get("ordered"))},
        )

    return Benchmark(name, title, source, (problem, answer), read, score_math, num_samples, find_unreadable_gold)


def find_unreadable_gold(question: Question) -> str | None:
    return None if has_readable_gold(question.gold) else f"no answer can be read in its gold {question.gold[:80]!r}"

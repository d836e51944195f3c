"""Problems from any source: as a stream to generate traces for, or as records to evaluate on.

A problem's id is that of its id column, or 16 hex digits of its prompt; a prompt of several rows gets an id per row (`…-1`,
`…-2`). Memory: eight bytes a problem and one a sample, whatever their length.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from open_r1.configs.fields import check_limits, setting
from open_r1.configs.ranges import COUNT
from open_r1.data.columns import (
    GOLD_COLUMNS,
    PROMPT_COLUMNS,
    find_column,
    find_prompt_column,
    read_chat,
    require_columns,
    require_text,
)
from open_r1.data.sharding import Shard
from open_r1.data.sources import open_rows
from open_r1.data.values import hash_text
from open_r1.errors import ConfigError, DataError, nearest
from open_r1.generation import Message
from open_r1.generation.protocol import to_messages
from open_r1.generation.templates import Turns
from open_r1.records import Problem

SHOWN_ROWS = 3  # unusable rows that a message quotes


@dataclass(frozen=True)
class ProblemSource:
    """Where the problems are and how they become prompts."""

    name: str
    config: str | None = setting(None, "configuration of a Hub data set", flag="dataset_config")
    split: str = setting("train", "split of a folder or Hub data set")
    revision: str | None = setting(None, "branch, tag or commit of a Hub data set", flag="dataset_revision")
    streaming: bool = setting(False, "read a Hub data set as its rows are needed, keep no copy of it")
    prompt_column: str | None = setting(None, f"column with the problem (default: {', '.join(PROMPT_COLUMNS)})")
    id_column: str | None = setting(None, "column with an id of each problem (default: a hash of the prompt)")
    columns: tuple[str, ...] | None = setting(None, "columns of the problems that the traces get (default: all)")
    prompt_template: str | None = setting(None, "Jinja text around the problem, as 'Think, then box it: {{ prompt }}'")
    system_prompt: str | None = setting(None, "system prompt before every problem")
    max_problems: int | None = setting(None, "only the first N rows", COUNT)
    skip_unusable: bool = setting(False, "leave out rows without a problem instead of refusing them")
    first_problem: int = 0  # the first row that is read, counted from 0
    shard: Shard | None = None  # which of these problems are asked; ids and seeds are those of all

    def __post_init__(self) -> None:
        check_limits(self)


@dataclass(frozen=True, slots=True)
class TraceProblem:
    """One problem to ask: its place among the usable ones, its id, what to send, and the columns that its traces get."""

    ordinal: int
    id: str
    messages: list[Message]
    columns: dict[str, Any]


@dataclass
class Survey:
    """What a first pass over the problems found; `keys` are 64 bits of each id, `repeated` has those of several rows.

    `turns` counts the prompts by their roles.
    """

    keys: array[int] = field(default_factory=lambda: array("Q"))
    unusable: int = 0
    examples: list[str] = field(default_factory=list)
    repeated: dict[int, int] = field(default_factory=dict)
    turns: Counter[Turns] = field(default_factory=Counter)
    shard: Shard | None = None

    @property
    def part(self) -> range:
        """The numbers of the problems that are asked, among all that can be asked."""
        return self.shard.of(len(self.keys)) if self.shard else range(len(self.keys))

    @property
    def num_problems(self) -> int:
        """Problems that are asked."""
        return len(self.part)


class ProblemSet:
    """The problems of a source, checked; iterate for `TraceProblem`s, as often as needed."""

    def __init__(self, source: ProblemSource) -> None:
        self.source, self.id_column = source, source.id_column
        self.rows = open_rows(
            source.name, source.config, source.split, revision=source.revision, streaming=source.streaming
        )
        self.found = list(self.rows.columns)
        self.prompt_column = find_prompt_column(self.found, source.prompt_column, source.name)
        require_columns(self.found, [self.id_column] if self.id_column else [], source.name, "--id_column")
        require_columns(self.found, source.columns or (), source.name, "--columns")
        self.template = PromptTemplate(source.prompt_template, self.found) if source.prompt_template else None
        self.survey = self.make_survey()

    def make_survey(self) -> Survey:
        """Keys of all usable problems. DataError for unusable ones, or for an id that two rows have."""
        survey, name = Survey(shard=self.source.shard), self.source.name
        columns = list(filter(None, [self.prompt_column, self.id_column]))
        for number, row in self.read_rows(columns):
            trouble = self.find_trouble(row)
            if trouble is None:
                survey.keys.append(hash_text(self.base_id(row)))
                survey.turns[self.turns_of(row)] += 1
                continue
            survey.unusable += 1
            if len(survey.examples) < SHOWN_ROWS:
                survey.examples.append(f"row {number} {trouble}")
        if survey.unusable and not self.source.skip_unusable:
            more = f" (and {survey.unusable - SHOWN_ROWS} more)" if survey.unusable > SHOWN_ROWS else ""
            raise DataError(
                f"data set '{name}' has rows that can't be asked: {'; '.join(survey.examples)}{more}; fix or remove "
                "them, or go on without them with --skip_unusable."
            )
        if not survey.num_problems:
            few = "; make fewer shards" if survey.keys else "; give a set with at least one"
            raise DataError(f"data set '{name}' has no problem that can be asked{few}.")
        found, counts = np.unique(np.frombuffer(survey.keys, np.uint64), return_counts=True)
        survey.repeated = dict(zip(found[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True))
        if survey.repeated and self.id_column:
            usable = (self.base_id(row) for _, row in self.read_rows(columns) if self.find_trouble(row) is None)
            raise DataError(
                f"data set '{name}' has {len(survey.repeated)} ids of '{self.id_column}' that several rows have, as "
                f"{next(one for one in usable if hash_text(one) in survey.repeated)!r}; fix them, or leave --id_column out "
                "to go by the prompts."
            )
        return survey

    def __iter__(self) -> Iterator[TraceProblem]:
        seen: Counter[int] = Counter()
        names, part = self.source.columns, self.survey.part
        usable = (row for _, row in self.read_rows(None) if self.find_trouble(row) is None)
        for ordinal, row in enumerate(usable):
            base = self.base_id(row)
            key = hash_text(base)
            if key in self.survey.repeated:
                base = f"{base}-{seen[key]}" if seen[key] else base
                seen[key] += 1
            if ordinal not in part:
                continue
            kept = dict.fromkeys(self.found) | row if names is None else {name: row.get(name) for name in names}
            yield TraceProblem(ordinal - part.start, base, self.make_messages(row), kept)

    def read_rows(self, columns: Sequence[str] | None) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows that are asked for, numbered from 1, whole or with these columns."""
        first, count = self.source.first_problem, self.source.max_problems
        end = None if count is None else first + count
        yield from islice(enumerate(self.rows.read(columns), start=1), first, end)

    def find_trouble(self, row: dict[str, Any]) -> str | None:
        """Why a row can't be asked, None where it can."""
        prompt = row.get(self.prompt_column)
        if isinstance(prompt, list):
            chat = read_chat(prompt)
            if chat is None or chat[-1]["role"] != "user":
                return f"has a '{self.prompt_column}' that is not a conversation ending with the user: {str(prompt)[:60]!r}"
            if self.template is not None:
                return f"has a conversation as its '{self.prompt_column}', which a template can't be put around"
        elif not isinstance(prompt, str | int | float) or not str(prompt).strip():
            return f"has {prompt!r} as its '{self.prompt_column}'"
        if self.id_column and row.get(self.id_column) in (None, ""):
            return f"has {row.get(self.id_column)!r} as its '{self.id_column}'"
        return None

    def base_id(self, row: dict[str, Any]) -> str:
        """A row's id, before repeated prompts are numbered."""
        if self.id_column:
            return str(row[self.id_column])
        prompt = row[self.prompt_column]
        words = json.dumps(prompt, sort_keys=True) if isinstance(prompt, list) else str(prompt)
        return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def turns_of(self, row: dict[str, Any]) -> Turns:
        """The roles of the conversation that asks a row's problem."""
        prompt = row[self.prompt_column]
        turns = read_chat(prompt) or [] if isinstance(prompt, list) else ""
        return tuple(message["role"] for message in to_messages(turns, self.source.system_prompt))

    def make_messages(self, row: dict[str, Any]) -> list[Message]:
        """The conversation that asks a row's problem."""
        prompt = row[self.prompt_column]
        if isinstance(prompt, list):
            turns = [{"role": turn["role"], "content": turn["content"]} for turn in read_chat(prompt) or []]
            return to_messages(turns, self.source.system_prompt)
        text = str(prompt) if self.template is None else self.template.render(str(prompt), row)
        return to_messages(text, self.source.system_prompt)

    def locate(self) -> Locator:
        """Finds problems by their ids."""
        return Locator(self.survey.keys, by_prompt=self.id_column is None, part=self.survey.part)


def as_problems(problems: ProblemSet | ProblemSource | str) -> ProblemSet:
    """The problems of a source that may be given by its name."""
    if isinstance(problems, str):
        problems = ProblemSource(problems)
    return ProblemSet(problems) if isinstance(problems, ProblemSource) else problems


class PromptTemplate:
    """A Jinja template over a row's columns; `prompt` and `instruction` are the problem."""

    def __init__(self, text: str, columns: Iterable[str]) -> None:
        from jinja2 import StrictUndefined, TemplateError, meta
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
        try:
            used = meta.find_undeclared_variables(environment.parse(text))
            self.template = environment.from_string(text)
        except TemplateError as error:
            raise ConfigError(
                f"the prompt template can't be read: {error}; it is Jinja, as '{{{{ prompt }}}}'."
            ) from None
        known = {"prompt", "instruction", *columns}
        for name in sorted(used - known):
            raise ConfigError(
                f"the prompt template names '{name}', which is not a column{nearest(name, known)} "
                f"Known: {', '.join(sorted(known))}."
            )
        if not used:
            raise ConfigError(
                f"the prompt template {text!r} leaves the problem out: every prompt would be the same; put "
                "'{{ prompt }}' where the problem goes."
            )

    def render(self, prompt: str, row: dict[str, Any]) -> str:
        """The prompt of a row. ConfigError when the template fails."""
        from jinja2 import TemplateError

        try:
            return self.template.render({**row, "prompt": prompt, "instruction": prompt})
        except (TemplateError, TypeError, ValueError) as error:
            raise ConfigError(f"the prompt template fails on {prompt[:60]!r}: {error}; fix the template.") from None


class Locator:
    """Finds the places of problems by their ids, within the `part` of them that is asked."""

    def __init__(self, keys: array[int], by_prompt: bool, part: range | None = None) -> None:
        self.by_prompt = by_prompt
        self.part = range(len(keys)) if part is None else part
        found = np.array(keys, dtype=np.uint64)
        self.order = np.argsort(found, kind="stable")
        self.sorted = found[self.order]

    def find(self, ids: Sequence[str]) -> np.ndarray:
        """The ordinal of each id, -1 for those that the source doesn't have."""
        parts = [split_id(name) if self.by_prompt else (name, 0) for name in ids]
        keys = np.array([hash_text(base) for base, _ in parts], dtype=np.uint64)
        occurrence = np.array([number for _, number in parts], dtype=np.int64)
        at = np.searchsorted(self.sorted, keys) + occurrence
        inside = at < len(self.sorted)
        at = np.where(inside, at, 0)
        place = self.order[at]
        is_here = inside & (self.sorted[at] == keys) & (place >= self.part.start) & (place < self.part.stop)
        return np.where(is_here, place - self.part.start, -1)


def split_id(name: str) -> tuple[str, int]:
    """`1f0c…-2` -> its base and occurrence."""
    base, dash, number = name.partition("-")
    return (base, int(number)) if dash and number.isdecimal() and len(number) < 10 else (name, 0)


def read_problem_file(name: str) -> list[Problem]:
    """Every row as a Problem, its columns found by name, with its `family` and `difficulty` where it has them.

    DataError names the first row without a problem or an answer, or whose difficulty is not a number.
    """
    rows = open_rows(name)
    prompt, gold = (
        find_column(rows.columns, None, known, name, "a column of that name", what)
        for known, what in ((PROMPT_COLUMNS, "problems"), (GOLD_COLUMNS, "answers"))
    )
    problems = []
    for number, row in enumerate(rows.read(), start=1):
        where = f"row {number} of data set '{name}'"
        problems.append(
            Problem(
                prompt=require_text(row.get(prompt), prompt, where),
                gold=require_text(rows.to_text(row.get(gold)), gold, where),
                family=str(row.get("family") or ""),
                difficulty=read_difficulty(row.get("difficulty"), where),
                metadata={"ordered": bool(row.get("ordered"))},
            )
        )
    return problems


def read_difficulty(value: Any, where: str) -> float:
    """The difficulty as a number, 0 where there is none."""
    try:
        number = 0.0 if value is None else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where} has the difficulty {value!r}, which is not a number; fix it or remove that column.")
    return number

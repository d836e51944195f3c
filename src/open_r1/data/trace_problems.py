"""The problems that traces are drawn for: read once to check them and to know their ids, once more to ask them.

A problem's id is that of its id column, or 16 hex digits of its prompt; a prompt that stands in several rows gets an id a
row (`…-1`, `…-2`), in the rows' order, so that no row is lost. Memory: eight bytes a problem and one a sample, whatever
their length.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from open_r1.data.conversations import is_conversation
from open_r1.data.sources import load_splits, require_columns
from open_r1.errors import ConfigError, DataError, nearest
from open_r1.generation import Message
from open_r1.generation.protocol import to_messages

if TYPE_CHECKING:
    import numpy as np

PROMPT_COLUMNS = ("prompt", "problem", "question", "instruction")
"""Columns that may hold the problem, first found first taken, where none is named."""

ROWS_AT_ONCE = 64
SHOWN_ROWS = 3


@dataclass(frozen=True)
class ProblemSource:
    """Where the problems are and how they become prompts. `columns` are those that the traces carry on; None for all."""

    name: str
    config: str | None = None
    split: str = "train"
    prompt_column: str | None = None
    id_column: str | None = None
    prompt_template: str | None = None
    system_prompt: str | None = None
    columns: tuple[str, ...] | None = None
    revision: str | None = None
    streaming: bool = False
    first_problem: int = 0
    max_problems: int | None = None
    skip_unusable: bool = False


@dataclass(frozen=True, slots=True)
class TraceProblem:
    """One problem to ask: its place among the usable ones, its id, what to send, and the columns that its traces carry."""

    ordinal: int
    id: str
    messages: list[Message]
    columns: dict[str, Any]


@dataclass
class Survey:
    """What a first pass over the problems found."""

    keys: array[int] = field(default_factory=lambda: array("Q"))
    unusable: int = 0
    examples: list[str] = field(default_factory=list)
    repeated: dict[int, int] = field(default_factory=dict)

    @property
    def num_problems(self) -> int:
        return len(self.keys)


class ProblemSet:
    """The problems of a source, checked; iterate for `TraceProblem`s, as often as you like."""

    def __init__(self, source: ProblemSource) -> None:
        self.source = source
        splits = load_splits(
            source.name, source.config, source.split, revision=source.revision, streaming=source.streaming
        )
        self.rows = splits[source.split]
        self.found: list[str] = list(self.rows.column_names or next(iter(self.rows), {}))
        self.prompt_column = find_prompt_column(self.found, source)
        if source.id_column is not None:
            require_columns(self.found, [source.id_column], source.name, "--id_column")
        self.columns = list(self.found if source.columns is None else source.columns)
        require_columns(self.found, self.columns, source.name, "--columns")
        self.template = PromptTemplate(source.prompt_template, self.found) if source.prompt_template else None
        self.survey = self.make_survey()

    def make_survey(self) -> Survey:
        """Keys of all usable problems. DataError for unusable ones, or for ids that stand in two rows."""
        survey = Survey()
        needed = {self.prompt_column, *([self.source.id_column] if self.source.id_column else [])}
        for number, row in self.read_rows(sorted(needed)):
            trouble = self.find_trouble(row)
            if trouble is not None:
                survey.unusable += 1
                if len(survey.examples) < SHOWN_ROWS:
                    survey.examples.append(f"row {number} {trouble}")
            else:
                survey.keys.append(key_of(self.base_id(row)))
        self.check(survey)
        return survey

    def check(self, survey: Survey) -> None:
        name = self.source.name
        if survey.unusable and not self.source.skip_unusable:
            more = f" (and {survey.unusable - SHOWN_ROWS} more)" if survey.unusable > SHOWN_ROWS else ""
            raise DataError(
                f"data set '{name}' has rows that can't be asked: {'; '.join(survey.examples)}{more}; mend or remove "
                "them, or go on without them with --skip_unusable."
            )
        if not survey.num_problems:
            raise DataError(f"data set '{name}' has no problem that can be asked; give a set with at least one.")
        survey.repeated = count_repeated(survey.keys)
        if survey.repeated and self.source.id_column is not None:
            raise DataError(
                f"data set '{name}' has {len(survey.repeated)} ids of '{self.source.id_column}' that stand in several "
                f"rows, as {self.find_repeated_id(survey)!r}; mend them, or leave --id_column out to go by the prompts."
            )

    def find_repeated_id(self, survey: Survey) -> str:
        for _, row in self.read_rows([str(self.source.id_column), self.prompt_column]):
            if self.find_trouble(row) is None and key_of(self.base_id(row)) in survey.repeated:
                return self.base_id(row)
        return ""

    def __iter__(self) -> Iterator[TraceProblem]:
        ordinal = 0
        seen: dict[int, int] = {}
        for _, row in self.read_rows(self.found):
            if self.find_trouble(row) is not None:
                continue
            base = self.base_id(row)
            key = key_of(base)
            if key in self.survey.repeated:
                occurrence = seen[key] = seen.get(key, -1) + 1
                base = f"{base}-{occurrence}" if occurrence else base
            yield TraceProblem(ordinal, base, self.make_messages(row), {name: row[name] for name in self.columns})
            ordinal += 1

    def read_rows(self, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Numbered from 1, with these columns alone."""
        rows, number = self.rows, self.source.first_problem
        if number:
            rows = rows.skip(number)
        if self.source.max_problems is not None:
            rows = rows.take(self.source.max_problems)
        for found in rows.select_columns(list(columns)).iter(batch_size=ROWS_AT_ONCE):
            batch: Any = found
            names = list(batch)
            for values in zip(*batch.values(), strict=True):
                number += 1
                yield number, dict(zip(names, values, strict=True))

    def find_trouble(self, row: dict[str, Any]) -> str | None:
        """Why a row can't be asked, None where it can."""
        prompt = row[self.prompt_column]
        if isinstance(prompt, list):
            if not is_conversation(prompt) or prompt[-1]["role"] != "user":
                return (
                    f"has a '{self.prompt_column}' that is no conversation ending with the user: {str(prompt)[:60]!r}"
                )
            if self.template is not None:
                return f"has a conversation as its '{self.prompt_column}', which a template can't be put around"
        elif not isinstance(prompt, str | int | float) or not str(prompt).strip():
            return f"has {prompt!r} as its '{self.prompt_column}'"
        if self.source.id_column is not None and (
            row[self.source.id_column] is None or row[self.source.id_column] == ""
        ):
            return f"has {row[self.source.id_column]!r} as its '{self.source.id_column}'"
        return None

    def base_id(self, row: dict[str, Any]) -> str:
        if self.source.id_column is not None:
            return str(row[self.source.id_column])
        prompt = row[self.prompt_column]
        words = json.dumps(prompt, sort_keys=True) if isinstance(prompt, list) else str(prompt)
        return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def make_messages(self, row: dict[str, Any]) -> list[Message]:
        prompt = row[self.prompt_column]
        if isinstance(prompt, list):
            turns = [{"role": str(turn["role"]), "content": str(turn["content"])} for turn in prompt]
            return to_messages(turns, self.source.system_prompt)
        text = str(prompt) if self.template is None else self.template.render(str(prompt), row)
        return to_messages(text, self.source.system_prompt)

    def locate(self) -> Locator:
        return Locator(self.survey.keys, by_prompt=self.source.id_column is None)


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
                f"the prompt template names '{name}', which is no column{nearest(name, known)} "
                f"Known: {', '.join(sorted(known))}."
            )
        if not used:
            raise ConfigError(
                f"the prompt template {text!r} leaves the problem out: every prompt would be the same; put "
                "'{{ prompt }}' where the problem goes."
            )

    def render(self, prompt: str, row: dict[str, Any]) -> str:
        from jinja2 import TemplateError

        try:
            return self.template.render({**row, "prompt": prompt, "instruction": prompt})
        except (TemplateError, TypeError, ValueError) as error:
            raise ConfigError(f"the prompt template fails on {prompt[:60]!r}: {error}; mend the template.") from None


class Locator:
    """Finds the places of problems by their ids."""

    def __init__(self, keys: array[int], by_prompt: bool) -> None:
        import numpy as np

        self.by_prompt = by_prompt
        found = np.frombuffer(keys, dtype=np.uint64) if len(keys) else np.empty(0, dtype=np.uint64)
        self.order = np.argsort(found, kind="stable")
        self.sorted = found[self.order]

    def find(self, ids: Sequence[str]) -> np.ndarray:
        """The ordinal of each id, -1 for those that the source doesn't hold."""
        import numpy as np

        parts = [split_id(name) if self.by_prompt else (name, 0) for name in ids]
        keys = np.array([key_of(base) for base, _ in parts], dtype=np.uint64)
        occurrence = np.array([number for _, number in parts], dtype=np.int64)
        at = np.searchsorted(self.sorted, keys) + occurrence
        inside = at < len(self.sorted)
        at = np.where(inside, at, 0)
        return np.where(inside & (self.sorted[at] == keys), self.order[at], -1)


def key_of(base_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(base_id.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def split_id(name: str) -> tuple[str, int]:
    """`1f0c…-2` -> its base and occurrence."""
    base, dash, number = name.partition("-")
    return (base, int(number)) if dash and number.isdecimal() and len(number) < 10 else (name, 0)


def count_repeated(keys: array[int]) -> dict[int, int]:
    """Keys that occur more than once, and how often."""
    import numpy as np

    found, counts = np.unique(np.frombuffer(keys, dtype=np.uint64), return_counts=True)
    return {int(key): int(count) for key, count in zip(found[counts > 1], counts[counts > 1], strict=True)}


def find_prompt_column(found: Sequence[str], source: ProblemSource) -> str:
    if source.prompt_column is not None:
        require_columns(found, [source.prompt_column], source.name, "--prompt_column")
        return source.prompt_column
    for column in PROMPT_COLUMNS:
        if column in found:
            return column
    raise DataError(
        f"data set '{source.name}' has no column of problems that is known by its name ({', '.join(PROMPT_COLUMNS)}). "
        f"Found: {', '.join(found)}; name it with --prompt_column."
    )

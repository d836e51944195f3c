"""Which traces are worth training on: each row's first reason against it, in a stated order; the best of each problem.

A trace is left out for the first of these that holds:

    no_completion      it has no text
    no_problem         for messages: the row has no problem
    truncated          finish_reason is length
    looping            more than `max_looping` of its 20-token windows occur four times or more in it (`text.loops`)
    no_closed_thinking its thinking was not closed; without `thinking_optional`, also where there is none
    no_answer          nothing stands after its thinking
    mixed_language     more than `max_foreign` of its words of prose are in another script than the problem (`text.scripts`)
    not_verified       `verified` isn't true; with `keep` rules, also where only the judge model says so
    too_short, too_long  by completion_tokens, where they are told, else a token for every four characters
    duplicate          the same text, white space aside, stands before it for the same problem
    not_chosen         the problem has `per_problem` better ones

Does: two passes. The first looks at the texts, in several processes, and keeps 21 bytes a row, some 60 while it sorts them
(with `diverse`, half a kilobyte more of each row that passes, in a file beside the output); the second copies what is kept,
in the source's order.
The traces of a problem may lie anywhere. Does not: resume: a run that is killed leaves nothing, and the same command does
it again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from open_r1.data.columns import completion_of, is_conversation, text_of
from open_r1.data.conversations import with_system_prompt
from open_r1.data.processes import check_processes, map_in_order
from open_r1.data.provenance import Step, steps_behind, write_file_steps
from open_r1.data.rows import Changes, Chunk, Rows
from open_r1.data.trace_choice import By, Candidates, choose, find_duplicates, sketch
from open_r1.data.values import dump_row
from open_r1.errors import ConfigError
from open_r1.rundir import atomic_file
from open_r1.text.loops import looping_share
from open_r1.text.scripts import foreign_share, main_script
from open_r1.text.thinking import split_thinking, visible_part

if TYPE_CHECKING:
    import numpy as np

Keep = Literal["verified", "rules", "all"]
Form = Literal["rows", "messages"]

FILTERS = (
    "no_completion",
    "no_problem",
    "truncated",
    "looping",
    "no_closed_thinking",
    "no_answer",
    "mixed_language",
    "not_verified",
    "too_short",
    "too_long",
    "duplicate",
    "not_chosen",
)
"""Reasons against a trace, in the order in which they are looked for."""

OPTIONAL = ("truncated", "looping", "no_closed_thinking", "no_answer", "mixed_language", "duplicate")
"""Those that can be left out by name; the others follow from settings."""

CHARACTERS_A_TOKEN = 4
KEPT = 0


@dataclass(frozen=True)
class SelectSettings:
    """What is kept. See the module for the order and the meaning of the filters."""

    keep: Keep = "verified"
    without: tuple[str, ...] = ()
    thinking_optional: bool = False
    max_looping: float = 0.3
    max_foreign: float = 0.1
    min_tokens: int | None = None
    max_tokens: int | None = None
    per_problem: int | None = None
    by: By = "shortest"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_looping", "max_foreign"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ConfigError(f"{name} must be a share from 0 to 1, but is {share}.")
        for name in ("min_tokens", "max_tokens", "per_problem"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, but is {value}.")
        if self.min_tokens and self.max_tokens and self.min_tokens > self.max_tokens:
            raise ConfigError(f"min_tokens {self.min_tokens} is above max_tokens {self.max_tokens}; swap them.")


@dataclass(frozen=True)
class Columns:
    """Where a row's parts are; None where the source doesn't have that part. Of `problems` the first filled one counts."""

    completion: str
    problems: tuple[str, ...]
    problem_id: str | None
    finish_reason: str | None
    tokens: str | None
    verified: str | None
    verified_by: str | None

    def names(self) -> list[str]:
        others = (self.problem_id, self.finish_reason, self.tokens, self.verified, self.verified_by)
        return list(dict.fromkeys(name for name in (self.completion, *self.problems, *others) if name is not None))

    def problem_of(self, row: Mapping[str, Any]) -> Any:
        return next((row[name] for name in self.problems if row.get(name)), None)


@dataclass(frozen=True)
class Inspected:
    """What a first look at a chunk found, a value a row; `sketches` has a line for each row that nothing speaks against."""

    reasons: bytes
    problems: Sequence[int]
    texts: Sequence[int]
    lengths: Sequence[int]
    sketches: bytes = b""


@dataclass(frozen=True)
class Inspection:
    """The work on one chunk; sent to every process once."""

    columns: Columns
    settings: SelectSettings
    needs_problem: bool = False

    def __call__(self, chunk: Chunk) -> Inspected:
        names = self.columns.names()
        reasons, problems, texts, lengths = bytearray(), [], [], []
        sketches: list[bytes] = []
        for block in chunk.blocks(names):
            for values in zip(*block, strict=True):
                row = dict(zip(names, values, strict=True))
                text = completion_of(row, self.columns.completion)
                reason = self.find_reason(row, text)
                reasons.append(KEPT if reason is None else 1 + FILTERS.index(reason))
                problems.append(self.problem_key(row))
                texts.append(hash_text(" ".join((text or "").split())))
                lengths.append(self.length(row, text or ""))
                if reason is None and self.settings.by == "diverse" and self.settings.per_problem:
                    sketches.append(sketch(text or "").tobytes())
        return Inspected(bytes(reasons), problems, texts, lengths, b"".join(sketches))

    def find_reason(self, row: Mapping[str, Any], text: str | None) -> str | None:
        """The first filter that a row doesn't pass."""
        if text is None or not text.strip():
            return "no_completion"
        return next(
            (name for name in FILTERS if name not in self.settings.without and self.fails(name, row, text)), None
        )

    def fails(self, name: str, row: Mapping[str, Any], text: str) -> bool:
        columns, settings = self.columns, self.settings
        if name == "no_problem":
            return self.needs_problem and not text_of(columns.problem_of(row)).strip()
        if name == "truncated":
            return columns.finish_reason is not None and row[columns.finish_reason] == "length"
        if name == "looping":
            return looping_share(text) > settings.max_looping
        if name == "no_closed_thinking":
            split = split_thinking(text)
            return split.is_open or not (split.is_closed or settings.thinking_optional)
        if name == "no_answer":
            return not visible_part(text).strip()
        if name == "mixed_language":
            script = main_script(text_of(columns.problem_of(row)))
            return script is not None and foreign_share(text, script) > settings.max_foreign
        if name == "not_verified":
            return not self.is_verified(row)
        if name == "too_short":
            return settings.min_tokens is not None and self.length(row, text) < settings.min_tokens
        if name == "too_long":
            return settings.max_tokens is not None and self.length(row, text) > settings.max_tokens
        return False

    def is_verified(self, row: Mapping[str, Any]) -> bool:
        if self.settings.keep == "all":
            return True
        is_judged = self.columns.verified_by is not None and str(row[self.columns.verified_by]).startswith("judge:")
        return row[str(self.columns.verified)] is True and not (self.settings.keep == "rules" and is_judged)

    def length(self, row: Mapping[str, Any], text: str) -> int:
        told = row[self.columns.tokens] if self.columns.tokens else None
        if isinstance(told, int) and not isinstance(told, bool) and 0 <= told < 2**31:
            return told
        return min(2**31 - 1, len(text) // CHARACTERS_A_TOKEN)

    def problem_key(self, row: Mapping[str, Any]) -> int:
        """By the problem's id, where a row has one, else by what was asked."""
        name = row[self.columns.problem_id] if self.columns.problem_id else None
        if name is not None:
            return hash_text(f"id {name}")
        return hash_text(f"text {text_of(self.columns.problem_of(row))}")


def hash_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


@dataclass
class Kept:
    """What became of every row."""

    reasons: np.ndarray
    problems: np.ndarray

    def counts(self) -> dict[str, Any]:
        import numpy as np

        found = Counter(
            {int(code): int(n) for code, n in zip(*np.unique(self.reasons, return_counts=True), strict=True)}
        )
        chosen = self.problems[self.reasons == KEPT]
        return {
            "traces": len(self.reasons),
            "kept": found[KEPT],
            "problems": len(np.unique(self.problems)),
            "problems_kept": len(np.unique(chosen)),
            "left_out": {name: found[1 + code] for code, name in enumerate(FILTERS) if found[1 + code]},
        }


def inspect(rows: Rows, work: Inspection, processes: int, scratch: Path) -> Kept:
    """The first pass, and what follows from it: the reason against each row, 0 where there is none."""
    import numpy as np

    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    with tempfile.TemporaryFile(dir=scratch) as sketches:
        for _, found in map_in_order(work, rows.chunks(work.columns.names()), processes):
            sketches.write(found.sketches)
            parts.append(
                (
                    np.frombuffer(found.reasons, np.uint8),
                    np.array(found.problems, np.uint64),
                    np.array(found.texts, np.uint64),
                    np.array(found.lengths, np.int32),
                )
            )
        reasons, problems, texts, lengths = (np.concatenate(column) for column in zip(*parts, strict=True))
        del parts
        sketches.flush()
        narrow(reasons, Candidates(problems, texts, lengths, open_sketches(sketches, reasons)), work.settings)
    return Kept(reasons, problems)


def open_sketches(file: IO[bytes], reasons: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The sketches as they lie on the disk, and which of them is whose; None where there are none."""
    import numpy as np

    from open_r1.data.trace_choice import BINS

    if not file.tell():
        return None
    places = np.cumsum(reasons == KEPT) - 1
    return np.memmap(file, np.uint32, "r").reshape(-1, BINS), places


def narrow(reasons: np.ndarray, candidates: Candidates, settings: SelectSettings) -> None:
    """Mark duplicates and what isn't chosen among the rows that are still kept."""
    import numpy as np

    if "duplicate" not in settings.without:
        kept = np.flatnonzero(reasons == KEPT)
        reasons[find_duplicates(candidates, kept)] = 1 + FILTERS.index("duplicate")
    if settings.per_problem is not None:
        kept = np.flatnonzero(reasons == KEPT)
        chosen = choose(candidates, kept, settings.per_problem, settings.by, settings.seed)
        reasons[np.setdiff1d(kept, chosen, assume_unique=True)] = 1 + FILTERS.index("not_chosen")


@dataclass(frozen=True)
class Writing:
    """How kept rows are written."""

    columns: Columns
    form: Form = "rows"
    system_prompt: str | None = None

    def lines(self, chunk: Chunk, dropped: frozenset[int]) -> Iterator[bytes]:
        if self.form == "rows":
            yield from chunk.lines(Changes(dropped))
            return
        for number, row in enumerate(chunk.rows()):
            if number not in dropped:
                yield dump_row(self.as_messages(row)) + b"\n"

    def as_messages(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row with the conversation in place of the completion; its other columns stay."""
        asked = self.columns.problem_of(row)
        turns = (
            [{"role": str(turn["role"]), "content": turn["content"]} for turn in asked]
            if is_conversation(asked)
            else [{"role": "user", "content": text_of(asked)}]
        )
        answer = completion_of(row, self.columns.completion) or ""
        messages = [*with_system_prompt(turns, self.system_prompt), {"role": "assistant", "content": answer}]
        rest = {name: value for name, value in row.items() if name not in (self.columns.completion, "messages")}
        return {"messages": messages, **rest}


def select_traces(
    rows: Rows,
    output: Path,
    settings: SelectSettings,
    writing: Writing,
    processes: int,
) -> dict[str, Any]:
    """Write the traces that are worth it; returns the counts."""
    check_processes(processes)
    output.parent.mkdir(parents=True, exist_ok=True)
    columns = writing.columns
    kept = inspect(rows, Inspection(columns, settings, writing.form == "messages"), processes, output.parent)
    with atomic_file(output) as file:
        first = 0
        for chunk in rows.chunks(rows.columns):
            size = sum(len(block[0]) for block in chunk.blocks([columns.completion]))
            reasons = kept.reasons[first : first + size]
            file.writelines(writing.lines(chunk, frozenset(reasons.nonzero()[0].tolist())))
            first += size
    counts = kept.counts()
    named = {**dataclasses.asdict(settings), "as": writing.form, "system_prompt": writing.system_prompt}
    write_file_steps(output, [*steps_behind(rows.name), Step("select", rows.name, named, counts)])
    return counts

"""Which traces are worth training on: each row's first reason against it (`FILTERS`); the best of each problem.

Two passes: one reads the texts, in several processes, and keeps 21 bytes a row; one copies what is kept, in the source's
order. The traces of a problem may be anywhere in the source. The output appears when it is whole.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from open_r1.configs.fields import check_limits, setting
from open_r1.configs.ranges import COUNT, SHARE
from open_r1.data.columns import (
    PROMPT_COLUMNS,
    batch_texts,
    completion_of,
    find_prompt_column,
    problem_of,
    read_chat,
    require_columns,
    text_of,
)
from open_r1.data.conversations import with_system_prompt
from open_r1.data.progress import CountProgress, no_progress
from open_r1.data.provenance import Step, finished_counts, record_step, steps_behind
from open_r1.data.row_file import check_free
from open_r1.data.rows import Changes, Chunk, Rows
from open_r1.data.sources import as_rows
from open_r1.data.trace_choice import NGRAM, By, Candidates, choose, find_duplicates
from open_r1.data.values import dump_row, hash_text
from open_r1.errors import ConfigError, DataError, nearest
from open_r1.processes.pool import count_processes, map_in_order
from open_r1.rundir import atomic_file
from open_r1.text.loops import looping_share
from open_r1.text.natural import foreign_share, main_script
from open_r1.text.thinking import split_thinking, visible_part

Keep = Literal["verified", "rules", "all"]
Form = Literal["rows", "messages"]

FILTERS = (
    "no_completion",  # it has no text
    "no_problem",  # for messages: the row has no problem
    "truncated",  # finish_reason is length
    "looping",  # more than `max_looping` of its 20-token windows occur four times or more in it (`text.loops`)
    "no_closed_thinking",  # its thinking is not closed; without `thinking_optional`, also where there is none
    "no_answer",  # there is nothing after its thinking
    "mixed_language",  # more than `max_foreign` of its words of prose are in another script than the problem
    "not_verified",  # `verified` isn't true; with `keep` rules, also where only the judge model says so
    "too_short",  # by completion_tokens, or a token per four characters where they are unknown
    "too_long",
    "duplicate",  # an earlier trace of the same problem has the same text, white space aside
    "not_chosen",  # the problem has `per_problem` better ones
)
"""Reasons against a trace, in the order in which they are looked for."""

OPTIONAL = ("truncated", "looping", "no_closed_thinking", "no_answer", "mixed_language", "duplicate")
"""Those that can be left out by name; the others follow from settings."""

OPTIONAL_COLUMNS = ("finish_reason", "completion_tokens", "verified", "verified_by")
"""Columns that matter where a source has them."""

CHARACTERS_A_TOKEN = 4
KEPT = 0


@dataclass(frozen=True)
class SelectSettings:
    """What is kept, and in which form. See the module for the order and the meaning of the filters."""

    keep: Keep = setting("verified", "verified: right by rules or judge; rules: by rules alone; all")
    without: tuple[str, ...] = setting((), f"filters to leave out: {', '.join(OPTIONAL)}")
    thinking_optional: bool = setting(False, "keep traces without any thinking, too")
    max_looping: float = setting(0.3, "share of a trace's 20-token windows that may occur four times or more", SHARE)
    max_foreign: float = setting(
        0.1, "share of a trace's words that may be in another script than the problem's", SHARE
    )
    min_tokens: int | None = setting(None, "shorter traces are left out", COUNT)
    max_tokens: int | None = setting(None, "longer traces are left out", COUNT)
    per_problem: int | None = setting(None, "most traces per problem (default: all)", COUNT, flag="keep_per_problem")
    by: By = setting("shortest", "which traces of a problem are better")
    seed: int = setting(0, "seed of random and diverse")
    form: Form = setting("rows", "rows as they are, or conversations for SFT", flag="as")
    system_prompt: str | None = setting(None, "system prompt of the conversations")
    completion_column: str = setting("completion", "column with the trace")
    prompt_column: str | None = setting(None, f"column with the problem (default: {', '.join(PROMPT_COLUMNS)})")
    id_column: str | None = setting(
        None, "column with the problem's id (default: problem_id, else the problem itself)"
    )

    def __post_init__(self) -> None:
        check_limits(self)
        for name in self.without:
            if name not in OPTIONAL:
                known = ", ".join(OPTIONAL)
                raise ConfigError(f"filter '{name}' can't be left out{nearest(name, OPTIONAL)} Known: {known}.")
        if self.min_tokens and self.max_tokens and self.min_tokens > self.max_tokens:
            raise ConfigError(f"min_tokens {self.min_tokens} is above max_tokens {self.max_tokens}; swap them.")
        if self.system_prompt is not None and self.form == "rows":
            raise ConfigError("--system_prompt has a place in conversations only; add --as messages.")

    def record(self) -> dict[str, Any]:
        """The settings as the record of the step has them."""
        record = dataclasses.asdict(self)
        record["as"], record["system_prompt"] = record.pop("form"), record.pop("system_prompt")
        named = {name: record.pop(name) for name in ("completion_column", "prompt_column", "id_column")}
        return record | {name: value for name, value in named.items() if value not in (None, "completion")}


@dataclass(frozen=True)
class Columns:
    """Where the parts of a row are. The first filled one of `problems` counts; `found` are all that are read."""

    completion: str
    problems: tuple[str, ...]
    problem_id: str
    found: tuple[str, ...]


def find_columns(rows: Rows, settings: SelectSettings) -> Columns:
    """DataError for a part that must be there and isn't."""
    found, where = rows.columns, rows.name
    require_columns(found, [settings.completion_column], where, "--completion_column")
    require_columns(found, [settings.id_column] if settings.id_column else [], where, "--id_column")
    if settings.keep != "all":
        require_verified(rows)
    problem_id = settings.id_column or "problem_id"
    problems = tuple(name for name in PROMPT_COLUMNS if name in found)
    if settings.prompt_column or (not problems and (settings.form == "messages" or problem_id not in found)):
        problems = (find_prompt_column(found, settings.prompt_column, where),)
    wanted = dict.fromkeys((settings.completion_column, *problems, problem_id, *OPTIONAL_COLUMNS))
    return Columns(settings.completion_column, problems, problem_id, tuple(name for name in wanted if name in found))


def require_verified(rows: Rows) -> None:
    """DataError for a source without verdicts, or with those of a verification that was not finished."""
    if "verified" not in rows.columns:
        raise DataError(
            f"'{rows.name}' has no column 'verified'; run `open-r1 data verify` on it first, or add --keep all."
        )
    steps = steps_behind(rows.name)
    if steps and steps[-1].action == "verify" and not steps[-1].counts:
        raise DataError(f"the verification of '{rows.name}' was not finished; run the same `data verify` again.")


ROW = np.dtype([("reason", np.uint8), ("problem", np.uint64), ("text", np.uint64), ("length", np.int32)])
"""What the first pass finds of a row: the number of its reason, hashes of its problem and text, its length."""


@dataclass(frozen=True)
class Inspection:
    """The work on one chunk; sent to every process once."""

    columns: Columns
    settings: SelectSettings

    def __call__(self, chunk: Chunk) -> tuple[np.ndarray, bytes]:
        """A `ROW` a row, and the signatures of the rows that pass."""
        found: list[tuple[int, int, int, int]] = []
        passed: list[str] = []
        for row in chunk.rows(self.columns.found):
            text = completion_of(row, self.columns.completion) or ""
            reason = self.find_reason(row, text)
            code = KEPT if reason is None else code_of(reason)
            found.append((code, self.problem_key(row), hash_text(" ".join(text.split())), count_tokens(row, text)))
            if reason is None and self.settings.by == "diverse" and self.settings.per_problem:
                passed.append(text)
        return np.array(found, ROW), sign_texts(passed)

    def find_reason(self, row: Mapping[str, Any], text: str) -> str | None:
        """The first filter that a row doesn't pass."""
        settings, asked = self.settings, text_of(problem_of(row, self.columns.problems))
        thinking, length, script = split_thinking(text), count_tokens(row, text), main_script(asked)
        is_judged = str(row.get("verified_by")).startswith("judge:")
        is_verified = row.get("verified") is True and not (settings.keep == "rules" and is_judged)
        is_optional = settings.thinking_optional
        applies: dict[str, Callable[[], bool]] = {
            "no_completion": lambda: not text.strip(),
            "no_problem": lambda: settings.form == "messages" and not asked.strip(),
            "truncated": lambda: row.get("finish_reason") == "length",
            "looping": lambda: looping_share(text) > settings.max_looping,
            "no_closed_thinking": lambda: thinking.is_open or not (thinking.is_closed or is_optional),
            "no_answer": lambda: not visible_part(text).strip(),
            "mixed_language": lambda: script is not None and foreign_share(text, script) > settings.max_foreign,
            "not_verified": lambda: settings.keep != "all" and not is_verified,
            "too_short": lambda: settings.min_tokens is not None and length < settings.min_tokens,
            "too_long": lambda: settings.max_tokens is not None and length > settings.max_tokens,
        }
        return next((name for name in applies if name not in settings.without and applies[name]()), None)

    def problem_key(self, row: Mapping[str, Any]) -> int:
        """By the problem's id, where a row has one, else by what was asked."""
        name = row.get(self.columns.problem_id)
        return hash_text(f"text {text_of(problem_of(row, self.columns.problems))}" if name is None else f"id {name}")


def count_tokens(row: Mapping[str, Any], text: str) -> int:
    """Tokens: as counted, or a token per four characters."""
    counted = row.get("completion_tokens")
    if not isinstance(counted, int) or isinstance(counted, bool) or counted < 0:
        counted = len(text) // CHARACTERS_A_TOKEN
    return min(2**31 - 1, counted)


def sign_texts(texts: Sequence[str]) -> bytes:
    """The MinHash signatures of texts, one after another."""
    if not texts:
        return b""
    from open_r1.data.deduplication import sign
    from open_r1.text.ngrams import PLAIN

    return b"".join(sign(PLAIN.words(batch), NGRAM)[0].tobytes() for batch in batch_texts(texts))


def code_of(reason: str) -> int:
    """The number of a reason against a row."""
    return 1 + FILTERS.index(reason)


def count_kept(rows: np.ndarray) -> dict[str, Any]:
    """The counts of a selection: traces, problems, and what was left out for which reason."""
    found = np.bincount(rows["reason"], minlength=1 + len(FILTERS)).tolist()
    return {
        "traces": len(rows),
        "kept": found[KEPT],
        "problems": len(np.unique(rows["problem"])),
        "problems_kept": len(np.unique(rows["problem"][rows["reason"] == KEPT])),
        "left_out": {name: found[code_of(name)] for name in FILTERS if found[code_of(name)]},
    }


def inspect(rows: Rows, work: Inspection, processes: int, scratch: Path | None, progress: CountProgress) -> np.ndarray:
    """The first pass, and what follows from it: a `ROW` for each row."""
    parts: list[np.ndarray] = []
    with tempfile.TemporaryFile(dir=scratch) as file:
        for _, (found, signatures) in map_in_order(work, rows.chunks(work.columns.found), processes):
            file.write(signatures)
            parts.append(found)
            progress(sum(map(len, parts)), None)
        together = np.concatenate(parts)
        file.flush()
        narrow(together, np.memmap(file, np.uint32, "r") if file.tell() else None, work.settings)
    return together


def narrow(rows: np.ndarray, signatures: np.ndarray | None, settings: SelectSettings) -> None:
    """Mark duplicates and what isn't chosen among the rows that are still kept."""
    reasons = rows["reason"]
    places = np.cumsum(reasons == KEPT) - 1
    candidates = Candidates(rows["problem"], rows["text"], rows["length"], signatures, places)
    if "duplicate" not in settings.without:
        reasons[find_duplicates(candidates, np.flatnonzero(reasons == KEPT))] = code_of("duplicate")
    if settings.per_problem is not None:
        kept = np.flatnonzero(reasons == KEPT)
        chosen = choose(candidates, kept, settings.per_problem, settings.by, settings.seed)
        reasons[np.setdiff1d(kept, chosen, assume_unique=True)] = code_of("not_chosen")


def as_messages(row: Mapping[str, Any], columns: Columns, system_prompt: str | None) -> dict[str, Any]:
    """A row with the conversation in place of the completion; its other columns stay."""
    asked = problem_of(row, columns.problems)
    turns = read_chat(asked) or [{"role": "user", "content": text_of(asked)}]
    answer = completion_of(row, columns.completion) or ""
    messages = [*with_system_prompt(turns, system_prompt), {"role": "assistant", "content": answer}]
    rest = {name: value for name, value in row.items() if name not in (columns.completion, "messages")}
    return {"messages": messages, **rest}


def select(
    source: Rows | str,
    output: Path | None,
    settings: SelectSettings = SelectSettings(),
    *,
    overwrite: bool = False,
    processes: int | None = None,
    progress: CountProgress = no_progress,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write the traces that are worth training on to a JSON lines file, which appears when it is whole.

    `output` None counts and writes nothing. `processes` is by default one a core; the result is the same. An output that is
    already done is left as it is, and `tell` says so.

    Returns:
        The counts: traces, kept, problems, problems_kept, and left_out by reason.
    """
    rows = as_rows(source)
    step = Step("select", rows.name, settings.record())
    if not overwrite and (counts := finished_counts(step, output)):
        tell(f"already done in {output}")
        return dict(counts)
    if output:
        if output.suffix != ".jsonl":
            raise ConfigError(f"--output {output} has an unknown format; end it in .jsonl.")
        check_free(output, rows.name, overwrite)
        output.parent.mkdir(parents=True, exist_ok=True)
    columns = find_columns(rows, settings)
    work, scratch = Inspection(columns, settings), output.parent if output else None
    found = inspect(rows, work, count_processes(processes), scratch, progress)
    counts = count_kept(found)
    if output:
        write_kept(rows, output, found["reason"], columns, settings)
        record_step(output, dataclasses.replace(step, counts=counts))
    return counts


def write_kept(rows: Rows, output: Path, reasons: np.ndarray, columns: Columns, settings: SelectSettings) -> None:
    """The second pass: the kept rows in the form that is asked for."""
    first = 0
    with atomic_file(output) as file:
        for chunk in rows.chunks():
            size = sum(1 for _ in chunk.rows([columns.completion]))
            dropped = frozenset(np.flatnonzero(reasons[first : first + size]).tolist())
            if settings.form == "rows":
                file.writelines(chunk.lines(Changes(dropped)))
            else:
                kept = (row for number, row in enumerate(chunk.rows()) if number not in dropped)
                file.writelines(dump_row(as_messages(row, columns, settings.system_prompt)) + b"\n" for row in kept)
            first += size

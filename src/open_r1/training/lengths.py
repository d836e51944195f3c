"""How long conversations are in tokens, and what becomes of those that are longer than the model is trained on.

Does: measure a sample of the rows and say so; leave long ones out where asked. Does not: truncate (TRL does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from open_r1.errors import DataError
from open_r1.training.callbacks import Report

MEASURED = 2000
"""Rows that are measured when none are to be left out."""


@dataclass(frozen=True)
class Lengths:
    """Tokens of samples: their number, percentiles, and the share over a limit."""

    num_samples: int
    median: int
    p95: int
    longest: int
    over: float

    @classmethod
    def of(cls, lengths: Sequence[int], limit: int | None) -> Lengths:
        ordered = sorted(lengths)
        over = sum(length > limit for length in ordered) / len(ordered) if limit else 0.0
        return cls(len(ordered), percentile(ordered, 0.5), percentile(ordered, 0.95), ordered[-1], over)

    def __str__(self) -> str:
        return f"median {self.median:,}, 95 % at most {self.p95:,}, longest {self.longest:,} tokens"


def percentile(ordered: Sequence[int], share: float) -> int:
    """The least value that a share of the values doesn't exceed."""
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def fit_lengths(data: Any, tokenizer: Any, training: Any, report: Report) -> Any:
    """Splits of conversations, those over `max_length` left out where `overlong_samples` is "drop"; lengths are told.

    DataError when nothing would be left.
    """
    if training.overlong_samples == "drop" and training.max_length:
        return drop_long(data, tokenizer, training, report)
    for split, rows in data.items():
        sample = rows.select(range(min(MEASURED, len(rows))))
        found = Lengths.of([count_tokens(row, tokenizer, training) for row in sample], training.max_length)
        words = f"'{split}': {found}" + (f" in the first {MEASURED:,} samples" if len(rows) > MEASURED else "")
        if found.over:
            words += f"; {found.over:.1%} are over max_length = {training.max_length:,} and truncated"
        report(words)
    return data


def drop_long(data: Any, tokenizer: Any, training: Any, report: Report) -> Any:
    for split, rows in data.items():
        kept = rows.filter(
            lambda row: count_tokens(row, tokenizer, training) <= training.max_length,
            num_proc=training.dataset_num_proc,
        )
        report(
            f"'{split}': left out {len(rows) - len(kept):,} of {len(rows):,} samples, over {training.max_length:,} tokens"
        )
        if not len(kept):
            raise DataError(
                f"no sample of split '{split}' is within max_length = {training.max_length} tokens; raise it, "
                "or set overlong_samples: truncate."
            )
        data[split] = kept
    return data


def count_tokens(row: dict[str, Any], tokenizer: Any, training: Any) -> int:
    """Tokens of a row as it will be trained on."""
    if training.dataset_text_field in row:
        return len(tokenizer(row[training.dataset_text_field])["input_ids"])
    messages = row["messages"] if "messages" in row else [*row["prompt"], *row["completion"]]
    return len(tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"])

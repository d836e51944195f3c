"""How long conversations are in tokens, and what becomes of those that are longer than the model is trained on.

Long ones are left out here where that is asked for; TRL truncates the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from open_r1.errors import DataError
from open_r1.training.callbacks import Report

MEASURED = 2000
"""Rows that are measured when none are to be left out."""


def describe_lengths(lengths: Sequence[int]) -> str:
    """The median, the length that 95 % don't exceed, and the greatest."""
    median, p95 = numpy.percentile(lengths, [50, 95], method="inverted_cdf").tolist()
    return f"median {median:,}, 95 % at most {p95:,}, longest {max(lengths):,} tokens"


def fit_lengths(data: Any, tokenizer: Any, training: Any, report: Report) -> Any:
    """Splits of conversations, those over `max_length` left out where `overlong_samples` is "drop".

    Reports the lengths, or how many samples were left out. DataError when nothing would be left.
    """
    limit = training.max_length or math.inf
    for split, rows in data.items():
        if training.overlong_samples == "drop" and training.max_length:
            kept = rows.filter(
                lambda row: count_tokens(row, tokenizer, training) <= limit, num_proc=training.dataset_num_proc
            )
            report(f"'{split}': left out {len(rows) - len(kept):,} of {len(rows):,} samples, over {limit:,} tokens")
            if not len(kept):
                raise DataError(
                    f"no sample of split '{split}' is within max_length = {limit} tokens; raise it, "
                    "or set overlong_samples: truncate."
                )
            data[split] = kept
            continue
        lengths = [count_tokens(row, tokenizer, training) for row in rows.select(range(min(MEASURED, len(rows))))]
        words = f"'{split}': {describe_lengths(lengths)}"
        words += f" in the first {MEASURED:,} samples" if len(rows) > MEASURED else ""
        if num_over := sum(length > limit for length in lengths):
            words += f"; {num_over / len(lengths):.1%} are over max_length = {limit:,} and truncated"
        report(words)
    return data


def count_tokens(row: dict[str, Any], tokenizer: Any, training: Any) -> int:
    """Tokens of a row as it will be trained on."""
    if training.dataset_text_field in row:
        return len(tokenizer(row[training.dataset_text_field])["input_ids"])
    messages = row["messages"] if "messages" in row else [*row["prompt"], *row["completion"]]
    return len(tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"])

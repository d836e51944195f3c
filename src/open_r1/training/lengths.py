"""How long conversations are in tokens, and what becomes of those that are longer than the model is trained on.

Long ones are left out here where that is asked for; TRL truncates the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from open_r1.errors import DataError, ModelError
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

    def fits(row: dict[str, Any]) -> bool:
        return count_tokens(row, tokenizer, training) <= limit

    if training.overlong_samples == "drop" and training.max_length:
        return leave_out(data, fits, "samples", "max_length", training.max_length, report, training.dataset_num_proc)
    for split, rows in data.items():
        lengths = [count_tokens(row, tokenizer, training) for row in rows.select(range(min(MEASURED, len(rows))))]
        words = f"'{split}': {describe_lengths(lengths)}"
        words += f" in the first {MEASURED:,} samples" if len(rows) > MEASURED else ""
        if num_over := sum(length > limit for length in lengths):
            words += (
                f"; {num_over / len(lengths):.1%} are over max_length = {limit:,}: truncated, or left out where it "
            )
            words += "ends before the answer"
        report(words)
    return data


def leave_out_refused(data: Any, tokenizer: Any, report: Report) -> Any:
    """The splits without the rows that the chat template refuses, as some refuse a system turn or two user turns.

    A template decides by the turns' roles, so one row of each sequence of roles is rendered. ModelError where it refuses
    all of a split.
    """
    reasons: dict[Any, str] = {}
    for split, rows in data.items():
        column = next((name for name in ("messages", "prompt") if name in rows.column_names), None)
        if column is None:
            continue
        kept, why = [], ""
        for index, messages in enumerate(rows[column]):
            shape = tuple((message["role"], message.get("content") is None) for message in messages)
            if shape not in reasons:
                reasons[shape] = reason_of_refusal(tokenizer, messages)
            why = reasons[shape] or why
            kept += [] if reasons[shape] else [index]
        if not kept:
            raise ModelError(
                f"the chat template refuses every row of '{split}': {why}; leave out system_prompt or the turns it "
                "refuses, or give another chat_template."
            )
        if len(kept) < len(rows):
            report(
                f"'{split}': left out {len(rows) - len(kept):,} of {len(rows):,} rows that the template refuses: {why}"
            )
            data[split] = rows.select(kept)
    return data


def reason_of_refusal(tokenizer: Any, messages: Any) -> str:
    """Why the chat template refuses the messages, in one line; empty where it takes them."""
    try:
        tokenizer.apply_chat_template(messages, tokenize=False)
    except Exception as error:  # noqa: BLE001 - Jinja and templates fail in their own ways
        return " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return ""


def drop_long_prompts(data: Any, tokenizer: Any, max_tokens: int | None, report: Report) -> Any:
    """Leave out problems whose prompt is longer than `max_tokens`; says how many."""
    if max_tokens is None:
        return data

    def fits(row: dict[str, Any]) -> bool:
        encoded = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=True)
        return len(encoded["input_ids"]) <= max_tokens

    return leave_out(data, fits, "problems", "max_prompt_length", max_tokens, report)


def leave_out(
    data: Any, fits: Callable[..., bool], what: str, setting: str, limit: int, report: Report, processes: Any = None
) -> Any:
    """The splits without the rows that don't fit. DataError where none is left."""
    kept = data.filter(fits, num_proc=processes)
    for split, rows in kept.items():
        if dropped := len(data[split]) - len(rows):
            report(
                f"'{split}': left out {dropped:,} of {len(data[split]):,} {what}, over {setting} = {limit:,} tokens"
            )
        if not len(rows):
            raise DataError(f"none of the {what} of split '{split}' is within {setting} = {limit} tokens; raise it.")
    return kept


def count_tokens(row: dict[str, Any], tokenizer: Any, training: Any) -> int:
    """Tokens of a row as it will be trained on."""
    if training.dataset_text_field in row:
        return len(tokenizer(row[training.dataset_text_field])["input_ids"])
    messages = row["messages"] if "messages" in row else [*row["prompt"], *row["completion"]]
    return len(tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"])

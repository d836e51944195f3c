from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from open_r1.errors import DataError, ModelError
from open_r1.training.lengths import describe_lengths, fit_lengths, leave_out_refused


class OneTokenAWord:
    """A tokenizer of words, whose template adds one token a message."""

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [0] * len(text.split())}

    def apply_chat_template(self, messages: list[dict[str, str]], return_dict: bool) -> dict[str, list[int]]:
        return {"input_ids": [0] * sum(1 + len(message["content"].split()) for message in messages)}


def settings(**changes: Any) -> Any:
    defaults = {
        "overlong_samples": "truncate",
        "max_length": 6,
        "dataset_num_proc": None,
        "dataset_text_field": "text",
    }
    return SimpleNamespace(**(defaults | changes))


def conversations(*lengths: int) -> DatasetDict:
    rows = [{"messages": [{"role": "assistant", "content": "w " * (length - 1)}]} for length in lengths]
    return DatasetDict({"train": Dataset.from_list(rows)})


@pytest.mark.parametrize(
    ("values", "median", "p95"),
    [([1], 1, 1), ([2, 1], 1, 2), ([1, 2, 3], 2, 3), (list(range(1, 101)), 50, 95), (list(range(1, 102)), 51, 96)],
)
def test_a_percentile_is_the_least_value_that_the_share_does_not_exceed(values, median, p95) -> None:
    assert describe_lengths(values) == f"median {median}, 95 % at most {p95}, longest {max(values)} tokens"


def test_lengths_are_told_with_the_share_over_the_limit() -> None:
    said: list[str] = []
    data = fit_lengths(conversations(2, 4, 6, 8), OneTokenAWord(), settings(), said.append)
    assert len(data["train"]) == 4
    over = "25.0% are over max_length = 6: truncated, or left out where it ends before the answer"
    assert said == [f"'train': median 4, 95 % at most 8, longest 8 tokens; {over}"]


def test_long_samples_are_dropped_where_asked_and_counted() -> None:
    said: list[str] = []
    data = fit_lengths(conversations(2, 7, 6, 8), OneTokenAWord(), settings(overlong_samples="drop"), said.append)
    assert len(data["train"]) == 2
    assert said == ["'train': left out 2 of 4 samples, over max_length = 6 tokens"]


def test_dropping_everything_is_refused() -> None:
    with pytest.raises(DataError, match="none of the samples of split 'train' is within max_length = 6"):
        fit_lengths(conversations(7, 8), OneTokenAWord(), settings(overlong_samples="drop"), lambda text: None)


def test_plain_text_is_measured_too() -> None:
    data = DatasetDict({"train": Dataset.from_list([{"text": "a b c"}])})
    said: list[str] = []
    fit_lengths(data, OneTokenAWord(), settings(max_length=None), said.append)
    assert said == ["'train': median 3, 95 % at most 3, longest 3 tokens"]


class Gemma:
    """A template that refuses a system turn and two turns of one role."""

    def apply_chat_template(self, messages: list[dict[str, str]], tokenize: bool) -> str:
        roles = [message["role"] for message in messages]
        if "system" in roles:
            raise ValueError("System role not supported.")
        if any(first == second for first, second in itertools.pairwise(roles)):
            raise ValueError("Conversation roles must alternate")
        return ""


def turns(*roles: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": "x"} for role in roles]}


def test_a_row_that_the_template_refuses_costs_that_row_only() -> None:
    said: list[str] = []
    rows = [turns("user", "assistant"), turns("user", "user", "assistant"), turns("user", "assistant")]
    data = leave_out_refused(DatasetDict({"train": Dataset.from_list(rows)}), Gemma(), said.append)
    assert len(data["train"]) == 2
    assert said == ["'train': left out 1 of 3 rows that the template refuses: Conversation roles must alternate"]


def test_a_template_that_refuses_every_row_is_one_sentence() -> None:
    data = DatasetDict({"train": Dataset.from_list([turns("system", "user", "assistant")])})
    with pytest.raises(ModelError, match=r"refuses every row of 'train': System role not supported; leave out system"):
        leave_out_refused(data, Gemma(), print)

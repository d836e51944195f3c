"""Rows become conversations and prompts, or are refused by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset

from open_r1.data import to_conversations, to_prompts
from open_r1.data.conversations import to_r1
from open_r1.errors import DataError


def arguments(**changes: Any) -> Any:
    defaults = {
        "dataset_name": "set.jsonl",
        "dataset_prompt_column": "prompt",
        "dataset_solution_column": None,
        "dataset_response_column": None,
        "dataset_response_format": "plain",
    }
    return SimpleNamespace(**{**defaults, **changes})


def test_messages_are_kept_and_a_system_prompt_put_before_them() -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "<think>\nx\n</think>"}]
    made = to_conversations(Dataset.from_list([{"messages": messages, "extra": 1}]), arguments(), "Think.")
    assert made.column_names == ["messages"]
    assert made[0]["messages"] == [{"role": "system", "content": "Think."}, *messages]


def test_gsm8k_becomes_an_r1_conversation() -> None:
    row = {"question": "How many?", "answer": "48/2 = <<48/2=24>>24 in May.\n#### 72"}
    made = to_conversations(
        Dataset.from_list([row]), arguments(dataset_prompt_column="question", dataset_response_format="r1"), None
    )
    assert made[0]["messages"] == [
        {"role": "user", "content": "How many?"},
        {
            "role": "assistant",
            "content": "<think>\n48/2 = 24 in May.\n</think>\n<answer>\n\\boxed{72}\n</answer>",
        },
    ]


def test_a_boxed_solution_becomes_thinking_and_its_box_the_answer() -> None:
    assert to_r1("So it is $\\boxed{\\frac{1}{2}}$.").endswith("<answer>\n\\boxed{\\frac{1}{2}}\n</answer>")


def test_text_alone_is_left_for_plain_language_modelling() -> None:
    assert to_conversations(Dataset.from_list([{"text": "abc"}]), arguments(), None).column_names == ["text"]


def test_text_under_another_name_is_taken_when_it_is_asked_for() -> None:
    rows = Dataset.from_list([{"body": "abc", "prompt": "q"}])
    assert to_conversations(rows, arguments(), None, text_field="body").column_names == ["body"]
    with pytest.raises(DataError, match=r"no column 'bodi'; did you mean 'body'\? .*dataset_text_field"):
        to_conversations(rows, arguments(), None, text_field="bodi")


def test_several_processes_make_the_same_rows_and_the_same_refusals() -> None:
    rows = Dataset.from_list([{"prompt": f"q{i}", "answer": str(i)} for i in range(4)])
    alone, together = (to_conversations(rows, arguments(), "S", num_proc) for num_proc in (None, 2))
    assert alone.to_list() == together.to_list()
    alone, together = (to_prompts(rows, arguments(), "S", num_proc) for num_proc in (None, 2))
    assert alone.to_list() == together.to_list()
    with pytest.raises(DataError, match="has '' as its 'prompt'"):
        to_conversations(Dataset.from_list([{"prompt": "", "answer": "a"}] * 2), arguments(), None, 2)


@pytest.mark.parametrize("prompt", [["hi"], [], [{"content": "q"}]])
def test_a_prompt_that_is_a_list_of_something_else_is_refused(prompt: list[Any]) -> None:
    with pytest.raises(DataError, match="neither text nor a list of {role, content}"):
        to_prompts(Dataset.from_list([{"prompt": prompt}]), arguments(), None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "q", "answer": "a"}, r"no column 'prompt'.* Found: question, answer; .* dataset_prompt_column"),
        ({"prompt": "q"}, "no column of responses, and no 'messages'"),
        ({"prompt": "", "answer": "a"}, "has '' as its 'prompt'"),
        ({"prompt": "q", "answer": None}, "has None as its 'answer'"),
        ({"messages": [{"role": "user", "content": "q"}]}, "without an assistant's turn"),
        ({"messages": ["hi"]}, "'messages' are not a list of {role, content}: .*'hi'"),
        ({"messages": "hi"}, "'messages' are not a list of {role, content}"),
        ({"messages": []}, "'messages' are not a list of {role, content}"),
        ({"messages": [{"content": "q"}]}, "'messages' are not a list of {role, content}"),
    ],
)
def test_rows_that_cannot_be_conversations_are_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_conversations(Dataset.from_list([row]), arguments(), None)


def test_prompts_keep_other_columns_and_the_gold_comes_under_solution() -> None:
    rows = Dataset.from_list([{"problem": "q", "answer": 4, "level": 2}])
    made = to_prompts(rows, arguments(dataset_prompt_column="problem"), "Think.")
    assert made[0]["prompt"] == [{"role": "system", "content": "Think."}, {"role": "user", "content": "q"}]
    assert made[0]["solution"] == "4"
    assert made[0]["level"] == 2


def test_solution_wins_over_answer_unless_another_is_named() -> None:
    rows = Dataset.from_list([{"prompt": "q", "answer": "a", "solution": "s"}])
    assert to_prompts(rows, arguments(), None)[0]["solution"] == "s"
    assert to_prompts(rows, arguments(dataset_solution_column="answer"), None)[0]["solution"] == "a"


def test_a_named_solution_column_must_be_there() -> None:
    with pytest.raises(DataError, match=r"no column 'gold'.*dataset_solution_column"):
        to_prompts(Dataset.from_list([{"prompt": "q"}]), arguments(dataset_solution_column="gold"), None)

"""Chats in every form that TRL takes become the same conversation; what training would drop or misread is refused."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from open_r1.data import get_dataset, to_conversations, to_prompts
from open_r1.data.problems import ProblemSet, ProblemSource
from open_r1.data.verification import verify
from open_r1.errors import DataError

TURNS = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
CALLS = [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]
OTHER_CALLS = [{"type": "function", "function": {"name": "neg", "arguments": {"x": {"deep": [2]}}}}]


def arguments(path: Path, **changes: Any) -> Any:
    settings = {
        "dataset_name": str(path),
        "dataset_config": None,
        "dataset_train_split": "train",
        "mixture": None,
        "dataset_prompt_column": "prompt",
        "dataset_solution_column": None,
        "dataset_response_column": None,
        "dataset_response_format": "plain",
    }
    return SimpleNamespace(**settings | changes)


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def conversations(path: Path) -> Any:
    return to_conversations(get_dataset(arguments(path))["train"], arguments(path), None)


def prompts(path: Path) -> Any:
    return to_prompts(get_dataset(arguments(path))["train"], arguments(path), None)


def plain(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in turn.items() if value is not None} for turn in turns]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": TURNS},
        {"messages": [dict(reversed(turn.items())) for turn in TURNS]},
        {"prompt": TURNS[:1], "completion": TURNS[1:]},
        {"prompt": "2+2?", "completion": TURNS[1:]},
        {"prompt": TURNS[:1], "completion": "4"},
        {"conversations": [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}]},
        {"conversations": TURNS},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "2+"}, {"type": "text", "text": "2?"}]},
                      {"role": "assistant", "content": [{"type": "text", "text": "4"}]}]},
    ],
)  # fmt: skip
def test_every_form_of_a_chat_is_the_same_conversation(tmp_path: Path, row: dict[str, Any]) -> None:
    assert [plain(turns) for turns in conversations(write(tmp_path, row))["messages"]] == [TURNS]


def test_calls_of_tools_keep_their_own_arguments_and_tools_stay_with_their_row(tmp_path: Path) -> None:
    tools = [
        {"type": "function", "function": {"name": "add", "parameters": {"properties": {"a": {"type": "number"}}}}}
    ]
    others = [
        {"type": "function", "function": {"name": "neg", "parameters": {"properties": {"x": {"type": "object"}}}}}
    ]
    rows = [
        {"messages": [TURNS[0], {"role": "assistant", "content": None, "tool_calls": calls},
                      {"role": "tool", "content": "4", "tool_call_id": "1"}, TURNS[1]], "tools": given}
        for calls, given in ((CALLS, tools), (OTHER_CALLS, others))
    ]  # fmt: skip
    made = conversations(write(tmp_path, *rows, {"messages": TURNS}))
    assert [plain(turns) for turns in made["messages"]] == [
        [TURNS[0], {"role": "assistant", "content": "", "tool_calls": calls},
         {"role": "tool", "content": "4", "tool_call_id": "1"}, TURNS[1]]
        for calls in (CALLS, OTHER_CALLS)
    ] + [TURNS]  # fmt: skip
    assert [given and json.loads(given) for given in made["tools"]] == [tools, others, None]


@pytest.mark.parametrize("content", [[{"type": "image"}], None, 4, ["text"]])
def test_content_that_is_no_text_is_refused(tmp_path: Path, content: Any) -> None:
    path = write(tmp_path, {"messages": [{"role": "user", "content": content}, TURNS[1]]})
    with pytest.raises(DataError, match="'messages' are not a list of {role, content}"):
        conversations(path)


def test_prompts_may_be_chats_in_every_form_too(tmp_path: Path) -> None:
    row = {"prompt": [{"from": "human", "value": "2+2?"}], "answer": "4"}
    assert prompts(write(tmp_path, row))["prompt"][:] == [TURNS[:1]]
    (problem,) = ProblemSet(ProblemSource(str(write(tmp_path, row))))
    assert problem.messages == TURNS[:1]


@pytest.mark.parametrize("name", ["prompts", "completions", "trainer_state", "log_extra", "tools"])
def test_a_column_that_training_would_take_for_its_own_or_drop_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"has a column '{name}', but .*rename it by dataset_column_map"):
        prompts(write(tmp_path, {"prompt": "2+2?", "answer": "4", name: "x"}))


def test_images_are_refused_and_a_column_of_nulls_for_them_is_left_out(tmp_path: Path) -> None:
    assert "images" not in prompts(write(tmp_path, {"prompt": "q", "answer": "4", "images": None})).column_names
    for read, row in ((prompts, {"prompt": "q", "answer": "4"}), (conversations, {"messages": TURNS})):
        with pytest.raises(DataError, match="has images in 'images'"):
            read(write(tmp_path, row | {"images": None}, row | {"images": ["a.png"]}))


def test_a_gold_that_appears_after_thousands_of_rows_is_read(tmp_path: Path) -> None:
    rows = [{"prompt": "q"}] * 2500
    assert prompts(write(tmp_path, *rows, {"prompt": "q", "answer": "4"}))["solution"][-1] == "4"


@pytest.mark.parametrize(
    ("value", "gold"),
    [(True, "True"), (b"42", "42"), (decimal.Decimal("1.50"), "1.50"), (datetime.date(2024, 1, 3), "2024-01-03")],
)
def test_golds_of_other_types_are_read_as_meant(tmp_path: Path, value: Any, gold: str) -> None:
    pq.write_table(pa.table({"prompt": ["q"], "answer": [value]}), tmp_path / "rows.parquet")
    assert prompts(tmp_path / "rows.parquet")["solution"][:] == [gold]


@pytest.mark.parametrize("gold", [["4", "5"], {"value": 4}])
def test_a_gold_that_is_not_one_answer_is_refused_before_training(tmp_path: Path, gold: Any) -> None:
    path = write(tmp_path, {"prompt": "q", "completion": "4", "answer": gold})
    with pytest.raises(DataError, match="not one text or number"):
        prompts(path)
    with pytest.raises(DataError, match="not one text or number"):
        verify(str(path), tmp_path / "out.jsonl")

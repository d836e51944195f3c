"""Rows -> what the trainers read: `messages` for SFT, `prompt` and `solution` for GRPO.

Chats may be in any form that TRL takes (`columns.read_chat`). What a trainer would drop or misread is refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from open_r1.answers.extraction import last_boxed
from open_r1.data.columns import (
    GOLD_COLUMNS,
    RESPONSE_COLUMNS,
    Message,
    find_column,
    gold_text,
    read_chat,
    require_columns,
    require_text,
    without_nulls,
)
from open_r1.data.sources.hub import cache_failed
from open_r1.errors import DataError
from open_r1.text.tags import render_completion

if TYPE_CHECKING:
    from datasets import Dataset

    from open_r1.configs import ScriptArguments

TEXT_FIELD = "text"  # column of plain text, where `dataset_text_field` doesn't say
CALCULATOR_NOTE = re.compile(r"<<[^<>]*>>")
"""GSM8K's calculator annotations, `<<48/2=24>>`, which are no part of the text."""

CHAT_COLUMNS = ("messages", "conversations")
TAKEN = ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "environments")
"""What TRL calls rewards with besides the data's columns."""

IMAGES = ("images", "image")
TURN_KEYS = ("role", "content", "from", "value")


def with_system_prompt(messages: list[Message], system_prompt: str | None) -> list[Message]:
    """The messages after a system prompt, unless they have one."""
    if system_prompt is None or (messages and messages[0]["role"] == "system"):
        return messages
    return [{"role": "system", "content": system_prompt}, *messages]


def to_conversations(
    rows: Dataset,
    args: ScriptArguments,
    system_prompt: str | None,
    num_proc: int | None = None,
    text_field: str = TEXT_FIELD,
) -> Dataset:
    """Rows with a `messages` column, as published or made from a prompt and a response column, and `tools` where given.

    A set with nothing but text, under `text_field`, is left as it is: plain language modelling. A `text_field` other
    than the default is asked for, and wins over other columns. `num_proc` is the number of processes.
    """
    where, found, prompt_column = str(args.dataset_name or "mixture"), rows.column_names, args.dataset_prompt_column
    chat = next((name for name in CHAT_COLUMNS if name in found), None)
    is_asked_for = text_field not in (TEXT_FIELD, "messages")
    if is_asked_for or (TEXT_FIELD in found and not chat and prompt_column not in found):
        require_columns(found, [text_field], where, "dataset_text_field")
        return rows.select_columns([text_field])
    rows = without_images(rows, where)
    if chat:
        columns: tuple[str, ...] = (chat,)
    else:
        require_columns(found, [prompt_column], where, "dataset_prompt_column")
        known = [column for column in RESPONSE_COLUMNS if column != prompt_column]
        contents = "responses, and no 'messages'"
        asked = args.dataset_response_column
        columns = (prompt_column, find_column(found, asked, known, where, "dataset_response_column", contents))
    style = args.dataset_response_format
    make = partial(make_conversation, columns=columns, style=style, system_prompt=system_prompt, where=where)
    return map_rows(rows, make, "messages", columns, [], num_proc)


def map_rows(
    rows: Dataset, make: Any, chat: str, sources: Sequence[str], kept: Sequence[str], num_proc: int | None
) -> Dataset:
    """The rows that `make` makes of each, with the chat in the column `chat`; `sources` are the columns it is made of.

    The types are given beforehand: those that `datasets` finds hold for the first rows alone.
    """
    from datasets import Features, Json, List, Value

    turns = [getattr(rows.features[name], "feature", None) for name in sources]  # of a column of chats: keys and types
    named = (pair for turn in turns if isinstance(turn, dict) for pair in turn.items())
    more = {key: kind if isinstance(kind, Value) else Json() for key, kind in named}
    more = {key: kind for key, kind in more.items() if key not in TURN_KEYS}
    features = {name: rows.features[name] for name in kept}
    features[chat] = List({"role": Value("string"), "content": Value("string"), **more})
    if any(isinstance(rows.features[name], Json) for name in sources):
        features[chat] = Json()
    for name in ("tools", "solution"):
        if name in make(rows[0]):
            features[name] = Value("string")
    try:
        removed = [name for name in rows.column_names if name not in features]
        fill = partial(fill_turns, make=make, chat=chat, more=tuple(more))
        return rows.map(fill, remove_columns=removed, num_proc=num_proc, features=Features(features))
    except OSError as error:
        raise cache_failed(error) from error


def fill_turns(row: dict[str, Any], make: Any, chat: str, more: tuple[str, ...]) -> dict[str, Any]:
    """A made row, each turn with all keys that turns have."""
    made = make(row)
    return made | {chat: [{**dict.fromkeys(more), **turn} for turn in made[chat]]}


def make_conversation(
    row: dict[str, Any], columns: Sequence[str], style: str, system_prompt: str | None, where: str
) -> dict[str, Any]:
    """A row's conversation: a chat of its own, or its prompt and its response, each of them a chat or a text."""
    messages: list[Message] = []
    for column, role in zip(columns, ("user", "assistant"), strict=False):
        value = row[column]
        turns = read_chat(value)
        if turns is None and (isinstance(value, list) or len(columns) == 1):
            problem = f"whose '{column}' are not a list of {{role, content}}"
            raise DataError(f"data set '{where}' has a row {problem}: {str(value)[:80]!r}; remove or fix such rows.")
        if turns is None:
            text = require_text(value, column, f"a row of data set '{where}'")
            turns = [{"role": role, "content": to_r1(text) if role == "assistant" and style == "r1" else text}]
        messages += turns
    if not any(message["role"] == "assistant" for message in messages):
        problem = f"without an assistant's turn in '{columns[-1]}'"
        raise DataError(f"data set '{where}' has a row {problem}: {str(messages)[:80]!r}; remove or fix such rows.")
    made: dict[str, Any] = {"messages": with_system_prompt(messages, system_prompt)}
    if "tools" in row:
        tools = row["tools"]
        made["tools"] = tools if isinstance(tools, str | None) else json.dumps(without_nulls(tools))
    return made


def to_r1(solution: str) -> str:
    """A worked solution as an R1 completion: its steps are the thinking, its final answer goes in the box.

    Understands GSM8K (`…#### 18`) and solutions with a `\\boxed{}`; of anything else the whole is the answer too.
    """
    steps, marker, answer = solution.rpartition("####")
    if marker:
        return render_completion(CALCULATOR_NOTE.sub("", steps).strip(), answer.strip())
    boxed = last_boxed(solution)
    return render_completion(solution.strip(), boxed if boxed is not None else solution.strip())


def to_prompts(
    rows: Dataset, args: ScriptArguments, system_prompt: str | None, num_proc: int | None = None
) -> Dataset:
    """Rows with `prompt` as a conversation and the reference under `solution`; other columns stay for the rewards.

    `num_proc` is the number of processes.
    """
    where, prompt_column = str(args.dataset_name or "mixture"), args.dataset_prompt_column
    require_columns(rows.column_names, [prompt_column], where, "dataset_prompt_column")
    rows = without_images(rows, where)
    for name in (*TAKEN, "tools"):
        if name in rows.column_names:
            why = "GRPO's prompts don't show it" if name == "tools" else "TRL gives rewards its own under that name"
            raise DataError(
                f"data set '{where}' has a column '{name}', but {why}; rename it by dataset_column_map, or leave it out."
            )
    settings = {"prompt_column": prompt_column, "gold_column": find_gold_column(rows.column_names, args, where)}
    make = partial(make_prompt, where=where, system_prompt=system_prompt, **settings)
    kept = [name for name in rows.column_names if name not in ("prompt", "solution")]
    return map_rows(rows, make, "prompt", [prompt_column], kept, num_proc)


def without_images(rows: Dataset, where: str) -> Dataset:
    """The rows without columns of images that are null in every row. DataError for images: models here read text."""
    found = [name for name in IMAGES if name in rows.column_names]
    for name in found:
        values = (value for part in rows.data.column(name).chunks for value in part.to_pylist())
        if any(value is not None and value != [] for value in values):
            raise DataError(
                f"data set '{where}' has images in '{name}', which models here don't read; rename that column by "
                "dataset_column_map to train on the text alone."
            )
    return rows.remove_columns(found)


def make_prompt(
    row: dict[str, Any], prompt_column: str, gold_column: str | None, system_prompt: str | None, where: str
) -> dict[str, Any]:
    """A row's prompt as a conversation, and its gold as text."""
    value = row[prompt_column]
    prompt = read_chat(value)
    if prompt is None and isinstance(value, list):
        raise DataError(
            f"data set '{where}' has a row whose '{prompt_column}' is neither text nor a list of {{role, content}}: "
            f"{str(value)[:80]!r}; remove or fix such rows."
        )
    prompt = prompt or [
        {"role": "user", "content": require_text(value, prompt_column, f"a row of data set '{where}'")}
    ]
    made: dict[str, Any] = {"prompt": with_system_prompt(prompt, system_prompt)}
    if gold_column is not None:
        made["solution"] = gold_text(row[gold_column], f"data set '{where}' has a row whose '{gold_column}'")
    return made


def find_gold_column(found: list[str], args: ScriptArguments, where: str) -> str | None:
    """The column that was asked for, else the first known one; None where there is none."""
    if args.dataset_solution_column is not None:
        require_columns(found, [args.dataset_solution_column], where, "dataset_solution_column")
        return args.dataset_solution_column
    return next((column for column in GOLD_COLUMNS if column in found), None)

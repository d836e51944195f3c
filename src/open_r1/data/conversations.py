"""Rows -> what the trainers read: `messages` for SFT, `prompt` and `solution` for GRPO."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from open_r1.answers.boxes import last_boxed
from open_r1.data.columns import GOLD_COLUMNS, RESPONSE_COLUMNS, find_column, is_conversation, require_columns
from open_r1.errors import DataError
from open_r1.text.tags import render_completion

if TYPE_CHECKING:
    from datasets import Dataset

    from open_r1.configs import ScriptArguments

TEXT_FIELD = "text"  # column of plain text, where `dataset_text_field` doesn't say
CALCULATOR_NOTE = re.compile(r"<<[^<>]*>>")
"""GSM8K's calculator annotations, `<<48/2=24>>`, which are no part of the text."""

Message = dict[str, str]


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
    """Rows with a `messages` column only, as published or made from a prompt and a response column.

    A set with nothing but text, under `text_field`, is left as it is: plain language modelling. A `text_field` other
    than the default is asked for, and wins over other columns. `num_proc` is the number of processes.
    """
    where = str(args.dataset_name or "mixture")
    prompt_column = args.dataset_prompt_column
    if is_text(rows.column_names, prompt_column, text_field):
        require_columns(rows.column_names, [text_field], where, "dataset_text_field")
        return rows.select_columns([text_field])
    if "messages" in rows.column_names:
        make = partial(keep_conversation, system_prompt=system_prompt, where=where)
    else:
        require_columns(rows.column_names, [prompt_column], where, "dataset_prompt_column")
        make = partial(
            make_conversation,
            prompt_column=prompt_column,
            response_column=find_response_column(rows.column_names, args, where),
            style=args.dataset_response_format,
            system_prompt=system_prompt,
            where=where,
        )
    return rows.map(make, remove_columns=rows.column_names, num_proc=num_proc)


def is_text(found: list[str], prompt_column: str, text_field: str) -> bool:
    """Whether the rows are for plain language modelling: asked for by name, or with nothing but text."""
    if text_field not in (TEXT_FIELD, "messages"):
        return True
    return TEXT_FIELD in found and "messages" not in found and prompt_column not in found


def keep_conversation(row: dict[str, Any], system_prompt: str | None, where: str) -> dict[str, Any]:
    messages = row["messages"]
    if not is_conversation(messages):
        problem = "whose 'messages' are not a list of {role, content}"
    elif not any(message["role"] == "assistant" for message in messages):
        problem = "without an assistant's turn in 'messages'"
    else:
        return {"messages": with_system_prompt(messages, system_prompt)}
    raise DataError(f"data set '{where}' has a row {problem}: {str(messages)[:80]!r}; remove or fix such rows.")


def make_conversation(
    row: dict[str, Any], prompt_column: str, response_column: str, style: str, system_prompt: str | None, where: str
) -> dict[str, Any]:
    prompt = require_text(row[prompt_column], prompt_column, where)
    response = require_text(row[response_column], response_column, where)
    messages = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": to_r1(response) if style == "r1" else response},
    ]
    return {"messages": with_system_prompt(messages, system_prompt)}


def find_response_column(found: list[str], args: ScriptArguments, where: str) -> str:
    """The column that was asked for, else the first known one that isn't the prompt's."""
    known = [column for column in RESPONSE_COLUMNS if column != args.dataset_prompt_column]
    contents = "responses, and no 'messages'"
    return find_column(found, args.dataset_response_column, known, where, "dataset_response_column", contents)


def require_text(value: Any, column: str, where: str) -> str:
    """A cell as text. DataError for an empty one, or one of another kind."""
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise DataError(f"data set '{where}' has a row whose '{column}' is {value!r}; remove or fix such rows.")
    return str(value)


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
    where = str(args.dataset_name or "mixture")
    prompt_column = args.dataset_prompt_column
    require_columns(rows.column_names, [prompt_column], where, "dataset_prompt_column")
    gold_column = find_gold_column(rows.column_names, args, where)
    settings = {"prompt_column": prompt_column, "gold_column": gold_column, "system_prompt": system_prompt}
    return rows.map(partial(make_prompt, where=where, **settings), num_proc=num_proc)


def make_prompt(
    row: dict[str, Any], prompt_column: str, gold_column: str | None, system_prompt: str | None, where: str
) -> dict[str, Any]:
    prompt = row[prompt_column]
    if isinstance(prompt, list) and not is_conversation(prompt):
        raise DataError(
            f"data set '{where}' has a row whose '{prompt_column}' is neither text nor a list of {{role, content}}: "
            f"{str(prompt)[:80]!r}; remove or fix such rows."
        )
    if not isinstance(prompt, list):
        prompt = [{"role": "user", "content": require_text(prompt, prompt_column, where)}]
    made: dict[str, Any] = {"prompt": with_system_prompt(prompt, system_prompt)}
    if gold_column is not None:
        made["solution"] = None if row[gold_column] is None else str(row[gold_column])
    return made


def find_gold_column(found: list[str], args: ScriptArguments, where: str) -> str | None:
    """The column that was asked for, else the first known one; None where there is none."""
    if args.dataset_solution_column is not None:
        require_columns(found, [args.dataset_solution_column], where, "dataset_solution_column")
        return args.dataset_solution_column
    return next((column for column in GOLD_COLUMNS if column in found), None)

"""Rows -> what the trainers read: `messages` for SFT, `prompt` and `solution` for GRPO."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from open_r1.data.sources import require_columns
from open_r1.errors import DataError
from open_r1.text.tags import render_completion

if TYPE_CHECKING:
    from datasets import Dataset

    from open_r1.configs import ScriptArguments

RESPONSE_COLUMNS = ("completion", "response", "generation", "solution", "answer")
"""Columns that may hold what to answer, first found first taken, where `dataset_response_column` doesn't say."""

CALCULATOR_NOTE = re.compile(r"<<[^<>]*>>")
"""GSM8K's calculator annotations, `<<48/2=24>>`, which are no part of the text."""

Message = dict[str, str]


def with_system_prompt(messages: list[Message], system_prompt: str | None) -> list[Message]:
    if system_prompt is None or (messages and messages[0]["role"] == "system"):
        return messages
    return [{"role": "system", "content": system_prompt}, *messages]


def to_conversations(rows: Dataset, args: ScriptArguments, system_prompt: str | None) -> Dataset:
    """Rows with a `messages` column only: as published, or made from a prompt and a response column."""
    where = str(args.dataset_name or "mixture")
    if "messages" in rows.column_names:
        make = lambda row: {"messages": with_system_prompt(row["messages"], system_prompt)}  # noqa: E731
    elif "text" in rows.column_names and args.dataset_prompt_column not in rows.column_names:
        return rows.select_columns(["text"])
    else:
        prompt_column = args.dataset_prompt_column
        require_columns(rows.column_names, [prompt_column], where, "dataset_prompt_column")
        response_column = find_response_column(rows.column_names, args, where)
        make = lambda row: {  # noqa: E731
            "messages": conversation(
                require_text(row[prompt_column], prompt_column, where),
                require_text(row[response_column], response_column, where),
                args.dataset_response_format,
                system_prompt,
            )
        }
    return rows.map(make, remove_columns=rows.column_names, keep_in_memory=True, load_from_cache_file=False)


def find_response_column(found: list[str], args: ScriptArguments, where: str) -> str:
    if args.dataset_response_column is not None:
        require_columns(found, [args.dataset_response_column], where, "dataset_response_column")
        return args.dataset_response_column
    for column in RESPONSE_COLUMNS:
        if column in found and column != args.dataset_prompt_column:
            return column
    raise DataError(
        f"data set '{where}' has neither 'messages' nor a column to answer with. "
        f"Found: {', '.join(found)}; name it with dataset_response_column."
    )


def require_text(value: Any, column: str, where: str) -> str:
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise DataError(f"data set '{where}' has a row whose '{column}' is {value!r}; remove or mend such rows.")
    return str(value)


def conversation(prompt: str, response: str, style: str, system_prompt: str | None) -> list[Message]:
    if style == "r1":
        response = to_r1(response)
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    return with_system_prompt(messages, system_prompt)


def to_r1(solution: str) -> str:
    """A worked solution as an R1 completion: its steps are the thinking, its final answer goes in the box.

    Understands GSM8K (`…#### 18`) and solutions that end in a `\\boxed{}`; an answer alone has empty-handed thinking
    and is refused by the format anyway, so it is kept as its own thinking.
    """
    steps, marker, answer = solution.rpartition("####")
    if marker:
        return render_completion(CALCULATOR_NOTE.sub("", steps).strip(), answer.strip())
    boxed = find_boxed(solution)
    return render_completion(solution.strip(), boxed if boxed is not None else solution.strip())


def find_boxed(text: str) -> str | None:
    """The content of the last balanced `\\boxed{…}`."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for position in range(start + len("\\boxed"), len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start + len("\\boxed{") : position]
    return None


def to_prompts(rows: Dataset, args: ScriptArguments, system_prompt: str | None) -> Dataset:
    """Rows with `prompt` as a conversation and the reference under `solution`; other columns stay for the rewards."""
    where = str(args.dataset_name or "mixture")
    prompt_column = args.dataset_prompt_column
    require_columns(rows.column_names, [prompt_column], where, "dataset_prompt_column")
    solution_column = find_solution_column(rows.column_names, args, where)

    def make(row: dict[str, Any]) -> dict[str, Any]:
        prompt = row[prompt_column]
        if not isinstance(prompt, list):
            prompt = [{"role": "user", "content": require_text(prompt, prompt_column, where)}]
        made: dict[str, Any] = {"prompt": with_system_prompt(prompt, system_prompt)}
        if solution_column is not None:
            made["solution"] = str(row[solution_column])
        return made

    return rows.map(make, keep_in_memory=True, load_from_cache_file=False)


def find_solution_column(found: list[str], args: ScriptArguments, where: str) -> str | None:
    if args.dataset_solution_column is not None:
        require_columns(found, [args.dataset_solution_column], where, "dataset_solution_column")
        return args.dataset_solution_column
    return next((column for column in ("solution", "answer") if column in found), None)

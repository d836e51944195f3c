"""The columns of rows: what they are usually called, how one is found, and what a value of one says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any

from open_r1.data.rows import Chunk, Rows, batch_rows
from open_r1.errors import DataError, nearest
from open_r1.rewards.base import text_of as last_turn

PROMPT_COLUMNS = ("prompt", "problem", "question", "instruction")
"""Columns of the problem; the first one found is taken where none is named."""

GOLD_COLUMNS = ("solution", "answer")
"""Columns of the gold answer; the first one that is filled in a row is taken where none is named."""

RESPONSE_COLUMNS = ("completion", "response", "generation", *GOLD_COLUMNS)  # columns of what a model is to answer
TEXT_COLUMNS = ("problem", "question", "prompt", "messages", "text", "instruction", "Question", "question_content")
"""Columns of the text by which rows are compared."""

ROLES = {"human": "user", "gpt": "assistant"}  # ShareGPT's words
Message = dict[str, Any]

BATCH_CHARACTERS = 1 << 17  # text that is processed at a time: it stays in a processor's cache meanwhile
BATCH_ROWS = 4096  # texts that are processed at a time, at most
MAX_DEPTH = 8  # levels of nesting that `text_of` reads; no chat has more


def require_columns(found: Sequence[str], needed: Sequence[str], where: str, setting: str = "columns") -> None:
    """DataError that names the first missing column, those that exist, and the setting to change."""
    for column in needed:
        if column not in found:
            raise DataError(
                f"data set '{where}' has no column '{column}'{nearest(column, found)} "
                f"Found: {', '.join(found)}; name the right one with {setting}."
            )


def find_column(
    found: Sequence[str], asked: str | None, known: Sequence[str], where: str, setting: str, contents: str
) -> str:
    """The column that was asked for, else the first known one. DataError when there is none with `contents`."""
    if asked is not None:
        require_columns(found, [asked], where, setting)
        return asked
    column = next((name for name in known if name in found), None)
    if column is None:
        raise DataError(
            f"data set '{where}' has no column of {contents} ({', '.join(known)}){nearest(known[0], found)} "
            f"Found: {', '.join(found)}; name it with {setting}."
        )
    return column


def find_text_columns(rows: Rows, asked: Sequence[str] | None, setting: str) -> list[str]:
    """The columns to compare rows by: those asked for, else the first known one."""
    if asked:
        require_columns(rows.columns, asked, rows.name, setting)
        return list(asked)
    return [find_column(rows.columns, None, TEXT_COLUMNS, rows.name, setting, "text")]


def find_prompt_column(found: Sequence[str], asked: str | None, where: str) -> str:
    """The column of the problem: as asked for, else the first known one."""
    return find_column(found, asked, PROMPT_COLUMNS, where, "--prompt_column", "problems")


def rename_columns(rows: Any, mapping: Mapping[str, str], where: str, setting: str) -> Any:
    """The rows of `datasets` with each column of `mapping` (found name -> wanted name) renamed.

    DataError for a missing column, or a name that is taken by a column that isn't renamed itself.
    """
    if not mapping:
        return rows
    found = list(rows.column_names or next(iter(rows), {}))
    require_columns(found, list(mapping), where, setting)
    wanted = list(mapping.values())
    taken = [name for name in wanted if (name in found and name not in mapping) or wanted.count(name) > 1]
    if taken:
        raise DataError(
            f"data set '{where}' would have two columns '{taken[0]}' by {setting}; rename or drop one of them."
        )
    return rows.rename_columns(dict(mapping))


def read_chat(value: Any) -> list[Message] | None:
    """The turns of a chat, each with role, content and what else it has; None for what isn't one.

    A turn is of role and content, or of from and value. Its content may be a list of parts of text, or null where it calls
    tools; nulls elsewhere are left out, since a table has a null for every key that some other row has.
    """
    turns = [_read_turn(turn) for turn in value] if isinstance(value, list) else []
    return turns if turns and None not in turns else None  # pyright: ignore[reportReturnType]


def _read_turn(turn: Any) -> Message | None:
    if not isinstance(turn, dict):
        return None
    turn = without_nulls(turn)
    role = turn.pop("role", None) or ROLES.get(turn.get("from", ""), turn.get("from"))
    content = turn.pop("content", turn.get("value"))
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text", "")) for part in content)
    if content is None and turn.get("tool_calls"):
        content = ""  # as templates would write a null as None
    rest = {key: value for key, value in turn.items() if key not in ("from", "value")}
    return {"role": str(role), "content": content, **rest} if role and isinstance(content, str) else None


def without_nulls(value: Any) -> Any:
    """A value without the keys whose value is null."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def text_of(value: Any, depth: int = 0) -> str:
    """A value as text: text as it is, a chat or list by its parts, null as "". Levels below `MAX_DEPTH` are left out."""
    if isinstance(value, str):
        return value
    if value is None or depth > MAX_DEPTH:
        return ""
    if isinstance(value, dict):
        value = [value["content"]] if "content" in value else list(value.values())
    if isinstance(value, list):
        return "\n".join(text_of(part, depth + 1) for part in value)
    return str(value)


def problem_of(row: Mapping[str, Any], columns: Sequence[str] = PROMPT_COLUMNS) -> Any:
    """What was asked: the value of the first of `columns` that is filled."""
    return next((row[name] for name in columns if row.get(name)), None)


def gold_of(row: Mapping[str, Any], column: str | None) -> Any:
    """A row's gold answer, from `column` or else the first of `GOLD_COLUMNS` that is filled; None where it has none."""
    values = (row.get(name) for name in ((column,) if column else GOLD_COLUMNS))
    gold = next((value for value in values if value is not None and str(value).strip()), None)
    return gold if isinstance(gold, str | int | float) else gold_text(gold, "a row's gold answer")


def gold_text(gold: Any, where: str) -> str | None:
    """A gold answer as text. DataError, which begins with `where`, for what is not one answer."""
    if isinstance(gold, bytes):
        gold = gold.decode("utf-8", "replace")
    if gold is None or isinstance(gold, str | int | float | Decimal | date | time):
        return gold if gold is None else str(gold)
    raise DataError(f"{where} is {str(gold)[:80]}, not one text or number; write the answer as text.")


def require_text(value: Any, column: str, where: str) -> str:
    """A cell as text; DataError, which begins with `where`, for an empty one or one of another kind."""
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise DataError(f"{where} has {value!r} as its '{column}', where text is needed; fix or remove such rows.")
    return str(value)


def completion_of(row: Mapping[str, Any], column: str) -> str | None:
    """A row's completion; of a chat, the assistant's last turn. None where it has none."""
    value = row.get(column)
    if isinstance(value, list) and all(isinstance(turn, dict) for turn in value):
        return last_turn(value)
    return value if isinstance(value, str) else None


def read_texts(chunk: Chunk, columns: Sequence[str]) -> Iterator[list[str]]:
    """The texts of a chunk's rows, a batch at a time: the columns of each, a line break between them."""
    texts = ("\n".join(text_of(row[name]) for name in columns) for row in chunk.rows(columns))
    return batch_texts(texts)


def batch_texts(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in batches of about `BATCH_CHARACTERS`."""
    return batch_rows(texts, len, BATCH_ROWS, BATCH_CHARACTERS)

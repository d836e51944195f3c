"""The text of a row, for comparing: which columns hold it, and what they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from open_r1.data.rows import Chunk, Rows
from open_r1.errors import DataError, nearest

TEXT_COLUMNS = ("problem", "question", "prompt", "messages", "text", "instruction", "Question", "question_content")
"""Columns that may hold the text of a problem, first found first taken, where none is named."""

MAX_DEPTH = 8


def find_text_columns(rows: Rows, asked: Sequence[str] | None, setting: str) -> list[str]:
    """The columns to read. DataError when one isn't there, or none is known by its name."""
    from open_r1.data.sources import require_columns

    if asked:
        require_columns(rows.columns, asked, rows.name, setting)
        return list(asked)
    found = next((column for column in TEXT_COLUMNS if column in rows.columns), None)
    if found is None:
        raise DataError(
            f"data set '{rows.name}' has no column that is known to hold text{nearest(TEXT_COLUMNS[0], rows.columns)} "
            f"Found: {', '.join(rows.columns)}; name the right one with {setting}."
        )
    return [found]


def text_of(value: Any, depth: int = 0) -> str:
    """What a value says, for comparing: text as it is, a chat or list by its parts, nothing as "".

    What is nested deeper than `MAX_DEPTH` is left out: no chat is.
    """
    if isinstance(value, str):
        return value
    if value is None or depth > MAX_DEPTH:
        return ""
    if isinstance(value, dict):
        value = [value["content"]] if "content" in value else list(value.values())
    if isinstance(value, list):
        return "\n".join(text_of(part, depth + 1) for part in value)
    return str(value)


def read_texts(chunk: Chunk, columns: Sequence[str]) -> Iterator[list[str]]:
    """The texts of a chunk's rows, a block at a time: the columns of each, a line break between them."""
    for block in chunk.blocks(columns):
        texts = [[v if isinstance(v, str) else text_of(v) for v in values] for values in block]
        yield texts[0] if len(texts) == 1 else ["\n".join(parts) for parts in zip(*texts, strict=True)]


def split_texts(texts: Sequence[str], characters: int) -> Iterator[list[str]]:
    """The texts in batches of `characters` or just over."""
    start = size = 0
    for number, text in enumerate(texts, start=1):
        size += len(text)
        if size >= characters:
            yield list(texts[start:number])
            start, size = number, 0
    if start < len(texts):
        yield list(texts[start:])

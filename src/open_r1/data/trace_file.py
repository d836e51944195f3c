"""The file that traces are appended to: a line each, which starts with the key and the counts.

So a file of any length is surveyed without parsing its texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from open_r1.errors import RunError
from open_r1.rundir import LineAppender

HEAD = re.compile(
    rb'\{"problem_id": ?("(?:[^"\\]|\\.)*"), ?"sample": ?(\d+), ?'
    rb'"prompt_tokens": ?(\d+|null), ?"completion_tokens": ?(\d+|null), ?"finish_reason": ?"(\w+)"'
)
HEAD_KEYS = ("problem_id", "sample", "prompt_tokens", "completion_tokens", "finish_reason")


@dataclass(frozen=True, slots=True)
class TraceHead:
    """What a line begins with."""

    problem_id: str
    sample: int
    prompt_tokens: int | None
    completion_tokens: int | None
    finish_reason: str


class TraceFile(LineAppender):
    """Append-only; see `LineAppender`."""

    def heads(self) -> Iterator[TraceHead]:
        """The head of every line; RunError for a line that is not a trace."""
        for line in self.iter_lines():
            yield read_head(line.content, f"{self.path}:{line.number}")


def read_head(line: bytes, where: str) -> TraceHead:
    match = HEAD.match(line)
    if match and line.endswith(b"}\n"):
        name = match[1]
        problem_id = json.loads(name) if b"\\" in name else name[1:-1].decode("utf-8", "replace")
        return TraceHead(problem_id, int(match[2]), as_count(match[3]), as_count(match[4]), match[5].decode())
    try:
        row: Any = json.loads(line)
        values = [row[key] for key in HEAD_KEYS]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RunError(
            f"{where} is not a trace ({line[:60]!r}); remove that line, and its sample is generated again."
        ) from None
    return TraceHead(*values)


def as_count(digits: bytes) -> int | None:
    return None if digits == b"null" else int(digits)

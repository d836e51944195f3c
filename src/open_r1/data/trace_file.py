"""The file that traces are appended to: a line each, written as soon as it is there, mended when it is opened.

What a kill leaves: whole lines, and at most one torn last line, which is cut off on opening (or ended, where only its
newline is missing). A line is handed to the kernel at once, so that a killed process loses none; `sync` brings lines to the
disk, so that a machine without power loses at most what came since. Lines begin with the key and the counts, so that a
file of any length is surveyed without parsing its texts.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.errors import RunError
from open_r1.rundir import writing_failed

HEAD = re.compile(
    rb'\{"problem_id": ?("(?:[^"\\]|\\.)*"), ?"sample": ?(\d+), ?'
    rb'"prompt_tokens": ?(\d+|null), ?"completion_tokens": ?(\d+|null), ?"finish_reason": ?"(\w+)"'
)
HEAD_KEYS = ("problem_id", "sample", "prompt_tokens", "completion_tokens", "finish_reason")
BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class TraceHead:
    """What a line begins with."""

    problem_id: str
    sample: int
    prompt_tokens: int | None
    completion_tokens: int | None
    finish_reason: str


class TraceFile:
    """Append-only. `add` keeps a line until `flush`, which its owner calls before it waits for anything."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[bytes] = []
        try:
            is_new = not path.exists()
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self.cut = mend_tail(self.descriptor)
            self.size = os.fstat(self.descriptor).st_size
            if is_new:
                sync_folder(path.parent)
        except OSError as error:
            raise writing_failed(path, error) from error

    def heads(self) -> Iterator[TraceHead]:
        """The head of every line; RunError for a line that is no trace."""
        with self.path.open("rb", buffering=BLOCK) as file:
            for number, line in enumerate(file, start=1):
                yield read_head(line, f"{self.path}:{number}")

    def add(self, line: bytes) -> None:
        self.lines.append(line)

    def flush(self) -> None:
        """Hand all lines to the kernel; on failure the file ends with the last whole line."""
        if not self.lines:
            return
        data = b"".join(self.lines)
        self.lines.clear()
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self.descriptor, view) :]
        except OSError as error:
            os.ftruncate(self.descriptor, self.size)
            raise writing_failed(self.path, error) from error
        self.size += len(data)

    def sync(self) -> None:
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            raise writing_failed(self.path, error) from error

    def close(self) -> None:
        try:
            self.flush()
            self.sync()
        finally:
            os.close(self.descriptor)


def mend_tail(descriptor: int) -> int:
    """Cut a torn last line off, or end a whole one that lacks its newline; returns the bytes cut."""
    size = os.fstat(descriptor).st_size
    start = last_line_start(descriptor, size)
    if start == size:
        return 0
    tail = os.pread(descriptor, size - start, start)
    try:
        is_whole = isinstance(json.loads(tail), dict)
    except (ValueError, RecursionError):
        is_whole = False
    if is_whole:
        os.write(descriptor, b"\n")
        return 0
    os.ftruncate(descriptor, start)
    return size - start


def last_line_start(descriptor: int, size: int) -> int:
    """Where the text after the last newline begins; `size` when the file ends with one."""
    end = size
    while end > 0:
        start = max(0, end - BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


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
            f"{where} is no trace ({line[:60]!r}); remove that line, and its sample is drawn again."
        ) from None
    return TraceHead(*values)


def as_count(digits: bytes) -> int | None:
    return None if digits == b"null" else int(digits)


def sync_folder(folder: Path) -> None:
    """Bring a new file's name to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

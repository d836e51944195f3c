r"""JSON-lines files: written whole, appended to durably, repaired after a kill, indexed, and read as a stream.

A line ends at `\n` and nowhere else. A killed process leaves at most one torn last line: readers leave it out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from open_r1.errors import RunError
from open_r1.rundir.files import atomic_file, open_regular, writing_failed

BLOCK_BYTES = 2**20
APPENDING = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
Key = TypeVar("Key", bound=Hashable)


class Line(NamedTuple):
    """A line of a file, whose content ends with the newline."""

    number: int  # from 1
    start: int  # its first byte
    content: bytes


class Row(NamedTuple):
    """A JSON value of a file."""

    number: int
    start: int
    value: Any


def iter_lines(file: BinaryIO, end: int | None = None) -> Iterator[Line]:
    """The lines of an open file from its current position, or from there to byte `end`."""
    start = file.tell()
    for number, content in enumerate(file, start=1):
        if end is not None and start >= end:
            return
        yield Line(number, start, content)
        start += len(content)


def iter_rows(path: Path) -> Iterator[Row]:
    """The JSON value of each line; a torn last line is left out. RunError for a line that is broken anywhere else."""
    broken: tuple[int, Exception] | None = None
    with open_regular(path) as file:
        for number, start, content in iter_lines(file):
            if broken:
                raise RunError(
                    f"{path}:{broken[0]} is not JSON: {broken[1]}; remove that line or make the file anew."
                ) from None
            try:
                value = json.loads(content)
            except (ValueError, RecursionError) as error:
                broken = (number, error)
                continue
            yield Row(number, start, value)


def read_jsonl(path: Path) -> list[Any]:
    """All rows of `iter_rows`."""
    return [row.value for row in iter_rows(path)]


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """A file of rows, a line each; it appears only when it is whole."""
    with atomic_file(path) as file:
        file.writelines(encode_row(row) for row in rows)


def encode_row(row: Any) -> bytes:
    """A row as a line of JSON in UTF-8; half a surrogate pair becomes a question mark."""
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def index_rows(path: Path, key_of: Callable[[Any], Key | None]) -> dict[Key, int]:
    """Where the first row of each key starts, for `read_row`; rows whose key is None are left out."""
    places: dict[Key, int] = {}
    for row in iter_rows(path):
        if (key := key_of(row.value)) is not None:
            places.setdefault(key, row.start)
    return places


def read_row(file: BinaryIO, start: int) -> Any:
    """The row whose line starts at byte `start`."""
    file.seek(start)
    return json.loads(file.readline())


def append_line(path: Path, row: Any) -> None:
    """Append one row in a single write."""
    try:
        with open(os.open(path, APPENDING, 0o666), "ab", buffering=0) as file:
            file.write(encode_row(row))
    except OSError as error:
        raise writing_failed(path, error) from error


class LineAppender:
    """A file that lines are appended to; a torn last line is repaired when it is opened.

    `add` keeps a line until `flush`, which hands all lines to the kernel, so that a killed process loses none of them.
    `sync` brings them to the disk, so that a machine without power loses at most what came since.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[bytes] = []
        try:
            is_new = not path.exists()
            self.descriptor = os.open(path, APPENDING, 0o666)
            self.cut = repair_tail(self.descriptor)
            self.size = os.fstat(self.descriptor).st_size
            if is_new:
                sync_folder(path.parent)
        except OSError as error:
            raise writing_failed(path, error) from error

    def iter_lines(self) -> Iterator[Line]:
        """The lines that are in the file now."""
        with self.path.open("rb", buffering=BLOCK_BYTES) as file:
            yield from iter_lines(file, self.size)

    def add(self, line: bytes) -> None:
        """Keep a line, which ends with its newline."""
        self.lines.append(line)

    def flush(self) -> None:
        """Hand all lines to the kernel; on failure the file ends with the last whole line. RunError."""
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
        """Bring what was flushed to the disk."""
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            raise writing_failed(self.path, error) from error

    def close(self) -> None:
        """Flush, sync and close the file."""
        try:
            self.flush()
            self.sync()
        finally:
            os.close(self.descriptor)


def repair_tail(descriptor: int) -> int:
    """Cut a torn last line off, or end a whole one that lacks its newline; returns the bytes cut."""
    size = start = os.fstat(descriptor).st_size
    tail = b""
    while start > 0 and b"\n" not in tail:
        start = max(0, start - BLOCK_BYTES)
        tail = os.pread(descriptor, size - start, start)
    tail = tail.rpartition(b"\n")[2]
    if not tail:
        return 0
    try:
        is_whole = isinstance(json.loads(tail), dict)
    except (ValueError, RecursionError):
        is_whole = False
    if is_whole:
        os.write(descriptor, b"\n")
        return 0
    os.ftruncate(descriptor, size - len(tail))
    return len(tail)


def sync_folder(folder: Path) -> None:
    """Bring a new file's name to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A file that gets a line for each row of a source, in the source's order, and goes on where a killed run left it.

Does: hold the file for one process, mend its torn last line, walk what is there beside the source and see that each line
belongs to its row, and append. Beside it lies its record (`<name>.steps.json`), written when the work begins and again when
it is done. Does not: read the source, or know what is added to a row.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from open_r1.data.provenance import Step, read_file_steps, steps_file, write_file_steps
from open_r1.data.values import dump_row, load
from open_r1.errors import ConfigError, DataError, RunFolderError
from open_r1.rundir import LineAppender, describe_changes, hold_file


class LineByLine:
    """The file while one process writes it; `with hold(...)` makes it."""

    def __init__(self, path: Path, flag: str) -> None:
        self.path, self.flag = path, flag
        self.file = LineAppender(path)
        self.there = self.file.iter_lines()
        """The lines of earlier runs."""

    def next_there(self, row: Mapping[str, Any], number: int) -> dict[str, Any] | None:
        """What an earlier run added to this row; None when it didn't come so far."""
        line = next(self.there, None)
        if line is None:
            return None
        head = begin(row)
        if not line.content.startswith(head):
            raise DataError(
                f"line {number} of '{self.path}' is not of row {number} of the source as it is now; write to another "
                f"file, or anew with {self.flag}."
            )
        return load(b"{" + line.content[len(head) :])

    def end_there(self, count: int) -> None:
        """DataError when there are lines of rows that the source doesn't have any more."""
        if next(self.there, None) is not None:
            raise DataError(
                f"'{self.path}' has more lines than the {count:,} rows of the source; write to another file, or anew "
                f"with {self.flag}."
            )

    def add(self, rows: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
        """Append rows, each with what is added to it, and hand them to the kernel."""
        for row, added in rows:
            self.file.add(begin(row) + dump_row(added)[1:] + b"\n")
        self.file.flush()


def begin(row: Mapping[str, Any]) -> bytes:
    """How the line of a row begins, up to what is added to it."""
    head = dump_row(row)[:-1]
    return head + b"," if len(head) > 1 else head


@contextlib.contextmanager
def hold(path: Path, steps: list[Step], overwrite: bool, flag: str = "--overwrite") -> Iterator[LineByLine]:
    """Hold a file and begin it, or take it up; the last of `steps` is this work, of the same settings as before.

    `flag` is what sets `overwrite`, for messages.

    RunFolderError when another process writes it, or it was made with other settings or by something else.
    """
    if path.suffix != ".jsonl":
        raise ConfigError(f"--output {path} is of no known kind; end it in .jsonl.")
    with hold_file(path):
        if overwrite:
            path.unlink(missing_ok=True)
            steps_file(path).unlink(missing_ok=True)
        if path.exists() and path.stat().st_size:
            check_same(path, steps[-1], flag)
        write_file_steps(path, steps)
        lines = LineByLine(path, flag)
        try:
            yield lines
        finally:
            lines.file.close()


def check_same(path: Path, step: Step, flag: str) -> None:
    """RunFolderError when a file that is there isn't the beginning of this work."""
    made = read_file_steps(path)
    if not made:
        raise RunFolderError(
            f"'{path}' is there already and has no record beside it; give another name, or write over it with {flag}."
        )
    held = made[-1]
    before: dict[str, Any] = {"action": held.action, "source": held.source, **held.settings}
    now: dict[str, Any] = {"action": step.action, "source": step.source, **json.loads(dump_row(step.settings))}
    if changes := describe_changes(before, now):
        raise RunFolderError(
            f"'{path}' was made with other settings: {changes}; give another name, or write over it with {flag}."
        )

"""A file that gets a line for each row of a source, in the source's order, and continues where a killed run left it.

Beside it is its record (`<name>.steps.json`), written when the work begins and again when it is done. Earlier lines are read
beside the source again, and each must be of its row.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from open_r1.data.provenance import Step, read_file_steps, record_step, steps_file
from open_r1.data.values import dump_row, load
from open_r1.errors import ConfigError, DataError, RunFolderError
from open_r1.rundir import LineAppender, describe_changes, hold_file


class ResumableFile:
    """The file while one process writes it; `with resume_file(...)` opens it."""

    def __init__(self, path: Path, flag: str) -> None:
        self.path, self.flag = path, flag
        self.file = LineAppender(path)
        self.earlier = self.file.iter_lines()
        """The lines of earlier runs."""

    def next_earlier(self, row: Mapping[str, Any], number: int) -> dict[str, Any] | None:
        """What an earlier run added to this row; None when it ended before it."""
        line = next(self.earlier, None)
        if line is None:
            return None
        head = begin(row)
        if not line.content.startswith(head):
            raise DataError(
                f"line {number} of '{self.path}' is not of row {number} of the source as it is now; write to another "
                f"file, or start over with {self.flag}."
            )
        return load(b"{" + line.content[len(head) :])

    def end_earlier(self, count: int) -> None:
        """DataError when there are more lines than the source has rows."""
        if next(self.earlier, None) is not None:
            raise DataError(
                f"'{self.path}' has more lines than the {count:,} rows of the source; write to another file, or start over "
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
def resume_file(path: Path, step: Step, overwrite: bool, flag: str = "--overwrite") -> Iterator[ResumableFile]:
    """Lock a file, and begin it or continue it.

    Args:
        step: This work, which must have the settings of earlier runs.
        flag: The option that sets `overwrite`, for messages.

    Raises:
        RunFolderError: Another process writes the file, or it was made with other settings or by something else.
    """
    if path.suffix != ".jsonl":
        raise ConfigError(f"--output {path} has an unknown format; end it in .jsonl.")
    with hold_file(path):
        if overwrite:
            path.unlink(missing_ok=True)
            steps_file(path).unlink(missing_ok=True)
        if path.exists() and path.stat().st_size:
            check_same(path, step, flag)
        record_step(path, step)
        lines = ResumableFile(path, flag)
        try:
            yield lines
        finally:
            lines.file.close()


def check_same(path: Path, step: Step, flag: str) -> None:
    """RunFolderError when a file isn't the beginning of this work."""
    made = read_file_steps(path)
    if not made:
        raise RunFolderError(
            f"'{path}' already exists and has no record beside it; give another name, or replace it with {flag}."
        )
    held = made[-1]
    before: dict[str, Any] = {"action": held.action, "source": held.source, **held.settings}
    now: dict[str, Any] = {"action": step.action, "source": step.source, **json.loads(dump_row(step.settings))}
    if changes := describe_changes(before, now):
        raise RunFolderError(
            f"'{path}' was made with other settings: {changes}; give another name, or replace it with {flag}."
        )

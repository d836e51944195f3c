"""How rows came to be: the steps that made them, each with its settings and counts, kept beside the rows.

A `ResumableFile` gets a line for each row of a source, in the source's order. Its record (`<name>.steps.json`) is written
when the work begins and when it is done; earlier lines are read beside the source again, and each must be of its row.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import open_r1
from open_r1.data.sources.local import find_files
from open_r1.data.values import dump_row, load
from open_r1.errors import ConfigError, DataError, RunFolderError
from open_r1.hub.origins import STEPS, SUFFIX, step_records
from open_r1.rundir import LineAppender, check_keys, describe_changes, hold_file, read_json, write_json

Item = TypeVar("Item")

KEYS = {"action": str, "source": str, "settings?": dict, "counts?": dict, "version?": str}
REMEDY = "restore it, or remove it with the rows that it is about, and make them anew"


@dataclass(frozen=True)
class Step:
    """One step: what was done, to what, with which settings, and what came of it."""

    action: str
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    version: str = open_r1.__version__

    def as_markdown(self, number: int) -> str:
        """A numbered item with the settings and counts below it."""
        lines = [f"{number}. **{self.action}** of `{self.source}` (open-r1 {self.version})"]
        for name, values in (("settings", self.settings), ("counts", self.counts)):
            shown = "; ".join(
                f"{key} {_shown(value)}" for key, value in values.items() if value not in (None, "", [], {})
            )
            lines += [f"   - {name}: {shown}"] if shown else []
        return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items()) + ")"
    return f"`{value}`" if isinstance(value, str) else str(value)


def write_steps(folder: Path, steps: Sequence[Step]) -> None:
    """Write the steps into a folder."""
    write_json(folder / STEPS, {"steps": [asdict(step) for step in steps]})


def steps_file(path: Path) -> Path:
    """Where the steps of a single file are: beside it, under its name, since others there may be made otherwise."""
    return path.with_suffix(SUFFIX)


def record_step(path: Path, step: Step) -> None:
    """Write beside a file the steps behind its source, and the one that made it."""
    write_json(steps_file(path), {"steps": [asdict(one) for one in [*steps_behind(step.source), step]]})


def read_steps(path: Path) -> list[Step]:
    """The steps of a record; [] where there is none. RunFolderError, with the key, for one that was damaged."""
    if not path.is_file():
        return []
    steps = check_keys(path, "the record", read_json(path, REMEDY), {"steps": list}, REMEDY)["steps"]
    checked = [check_keys(path, f"steps[{number}]", step, KEYS, REMEDY) for number, step in enumerate(steps)]
    return [Step(**{one.name: step[one.name] for one in fields(Step) if one.name in step}) for step in checked]


def steps_behind(source: str) -> list[Step]:
    """The steps recorded beside a local source, oldest first; [] where nothing is."""
    records = step_records(Path(source.partition("*")[0]).expanduser())
    return next((steps for record in records if (steps := read_steps(record))), [])


class ResumableFile:
    """The file while one process writes it; `with resume_file(...)` opens it."""

    def __init__(self, path: Path, flag: str) -> None:
        self.path, self.flag = path, flag
        self.file = LineAppender(path)
        self.earlier = self.file.iter_lines()
        """The lines of earlier runs."""

    def new_rows(
        self, items: Iterable[tuple[Item, Mapping[str, Any]]], count: Callable[[Any], None] = lambda added: None
    ) -> Iterator[Item]:
        """The items whose rows no earlier run has written; `count` gets what was added to the others."""
        number = 0
        for number, (item, row) in enumerate(items, start=1):
            line = next(self.earlier, None)
            if line is None:
                yield item
                continue
            head = begin(row)
            if not line.content.startswith(head):
                raise DataError(
                    f"line {number} of '{self.path}' is not of row {number} of the source as it is now; write to another "
                    f"file, or start over with {self.flag}."
                )
            count(load(b"{" + line.content[len(head) :]))
        if next(self.earlier, None) is not None:
            raise DataError(
                f"'{self.path}' has more lines than the {number:,} rows of the source; write to another file, or start over "
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


def changes_between(held: Step, step: Step) -> str:
    """How a step differs from the one that made a file, in words; empty where it would do the same."""
    before: dict[str, Any] = {"action": held.action, "source": held.source, **held.settings}
    now: dict[str, Any] = {"action": step.action, "source": step.source, **json.loads(dump_row(step.settings))}
    return describe_changes(before, now)


def finished_counts(
    step: Step, output: Path | None, report: Path | None = None, *read: str
) -> Mapping[str, Any] | None:
    """The counts of the same step as its output has them: it is already done. None where there is something to do.

    That is where the output, or the `report`, is not there, was made by another step, or is older than the source or one of
    the other sources that were `read`.
    """
    if output is None or not all(path.is_file() for path in (output, report) if path):
        return None
    made = read_steps(steps_file(output))
    is_same = made and made[-1].counts and not changes_between(made[-1], step)
    return made[-1].counts if is_same and is_newer(output, step.source, *read) else None


def is_newer(path: Path, *sources: str) -> bool:
    """Whether a file was written after every local file of the sources was written, or put where it is."""
    paths = [Path(source).expanduser() for source in sources]
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else find_files(str(path)))]
    made_at = path.stat().st_ctime_ns
    return all(file.stat().st_ctime_ns <= made_at for file in files)


def check_same(path: Path, step: Step, flag: str) -> None:
    """RunFolderError when a file isn't the beginning of this work."""
    made = read_steps(steps_file(path))
    if not made:
        raise RunFolderError(
            f"'{path}' already exists and has no record beside it; give another name, or replace it with {flag}."
        )
    if changes := changes_between(made[-1], step):
        raise RunFolderError(
            f"'{path}' was made with other settings: {changes}; give another name, or replace it with {flag}."
        )

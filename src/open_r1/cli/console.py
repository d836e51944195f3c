"""What the command line says, and where: results on stdout, everything else on stderr.

Text of models, servers and data reaches the terminal through these functions only, as printable characters.
"""

from __future__ import annotations

import json
import logging
import re
import shlex
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from open_r1.printable import as_printable, duration, is_harmless
from open_r1.processes.ranks import is_main_process
from open_r1.text.secrets import hide_secrets

EVERY_ON_TERMINAL_S = 0.5
EVERY_S = 10.0
"""Seconds between two lines of progress where each stays, as in a log."""

LINE_BREAK = re.compile(r"\s*\n\s*")
CLEAR_LINE = "\r\x1b[K"


def tell(line: str) -> None:
    """One line on stderr, from the first process of a distributed launch."""
    if is_main_process():
        print(as_printable(hide_secrets(line)), file=sys.stderr, flush=True)


def show(text: str = "") -> None:
    """A result on stdout."""
    print(as_printable(text), flush=True)


def show_json(value: Any) -> None:
    """A result for a script on stdout; characters that a terminal acts upon are written as \\uXXXX."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    harmful = {one for one in text if not is_harmless(one)}
    escapes = str.maketrans({one: json.dumps(one)[1:-1] if one != "\x7f" else "\\u007f" for one in harmful})
    print(text.translate(escapes), flush=True)


class PrintableFormatter(logging.Formatter):
    """A log's format, in printable characters: a message may quote a server, a file or a model."""

    def format(self, record: logging.LogRecord) -> str:
        """The log line, with characters that a terminal acts upon made visible, and without secrets."""
        return as_printable(hide_secrets(super().format(record)))


def show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A `sys.excepthook` whose traceback is printable, whatever the error quotes."""
    sys.stderr.write(as_printable("".join(traceback.format_exception(kind, error, trace))))


def table(rows: Iterable[Sequence[Any]], headings: Sequence[str] = (), indent: int = 0) -> str:
    """Rows of cells as aligned text: numbers to the right, the rest to the left, two blanks between columns.

    Args:
        rows: Each of the same length; integers get commas, None is shown as a dash.
        headings: One a column, above the rows; none by default.
        indent: Blanks before each line.
    """
    rows = [list(row) for row in rows]
    lines = [*([list(headings)] if headings else []), *([cell_text(cell) for cell in row] for row in rows)]
    shapes = []
    for index, column in enumerate(zip(*lines, strict=True)):
        is_number = rows and all(type(row[index]) in (int, float, type(None)) for row in rows)
        shapes.append(f"{'>' if is_number else '<'}{max(map(len, column))}")
    aligned = ([f"{cell:{shape}}" for cell, shape in zip(line, shapes, strict=True)] for line in lines)
    return "\n".join((" " * indent + "  ".join(line)).rstrip() for line in aligned)


def cell_text(cell: Any) -> str:
    """The cell as a table shows it: a dash for None, commas in integers."""
    if cell is None:
        return "-"
    return f"{cell:,}" if type(cell) is int else str(cell)


def fail(message: str, status: int) -> int:
    """Print an error in one line on stderr; returns the exit status."""
    line = LINE_BREAK.sub(" ", hide_secrets(message.strip()))
    print(f"open-r1: {as_printable(line)}", file=sys.stderr)
    return status


def command_line() -> str:
    """The command as it was given, to be given again."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def count_line(done: int, total: int | None, unit: str, seconds: float) -> str:
    """How far work is: "1,200 of 4,000 rows (30.0 %), 400.0/s, 7 s left".

    Args:
        total: None where it is not known.
        unit: A plural, as "rows".
        seconds: Since the work began.
    """
    rate = done / max(seconds, 1e-9)
    if total is None:
        return f"{done:,} {unit}, {rate:,.1f}/s"
    left = f", {duration((total - done) / rate)} left" if 0 < done < total else ""
    return f"{done:,} of {total:,} {unit} ({100 * done / max(1, total):.1f} %), {rate:,.1f}/s{left}"


class ProgressLine:
    """Progress in one line on stderr: written over on a terminal, a new line every ten seconds elsewhere.

    Use it as a context manager, so that the line is gone when the work ends or fails.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.is_terminal = sys.stderr.isatty()
        self.every_s = EVERY_ON_TERMINAL_S if self.is_terminal else EVERY_S
        self.started = clock()
        self.next_at = self.started + self.every_s
        self.is_open = False

    def show(self, progress: Any) -> None:
        """Show the progress, a text or what has a `line()`, or nothing where the last line is too recent."""
        if self.clock() < self.next_at:
            return
        self.next_at = self.clock() + self.every_s
        line = progress if isinstance(progress, str) else progress.line()
        if not self.is_terminal:
            tell(line)
            return
        self.write(CLEAR_LINE + as_printable(line)[: shutil.get_terminal_size().columns - 1])
        self.is_open = True

    def counting(self, unit: str) -> Callable[[int, int | None], None]:
        """A callback (done, total) that shows a count of `unit`, a plural as "rows"; total None where it is not known."""
        return lambda done, total: self.show(count_line(done, total, unit, self.clock() - self.started))

    def end(self) -> None:
        """Remove the line from the terminal."""
        if self.is_open:
            self.write(CLEAR_LINE)
            self.is_open = False

    def write(self, text: str) -> None:
        """Write to stderr at once."""
        sys.stderr.write(text)
        sys.stderr.flush()

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

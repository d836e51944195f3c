"""Values of unknown shape from a run's files: what is not what it should be becomes None or empty, never an exception."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from open_r1.printable import as_printable
from open_r1.records import Estimate
from open_r1.rundir import open_regular
from open_r1.rundir.jsonl import iter_lines


def read_json(path: Path) -> Any:
    """The JSON value of a file, or None when it is missing, torn, a link or not JSON."""
    try:
        with open_regular(path) as file:
            return json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return None


def json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a JSON Lines file, each with the byte it starts at; what is not a JSON object is left out."""
    with contextlib.suppress(OSError), open_regular(path) as file:
        for line in iter_lines(file):
            with contextlib.suppress(ValueError, RecursionError):
                if isinstance(row := json.loads(line.content), dict):
                    yield line.start, row


def read_text(path: Path) -> str:
    """The text of a file, safe to show; empty when it can't be read."""
    try:
        with open_regular(path) as file:
            return text_of(file.read().decode("utf-8", "replace"))
    except OSError:
        return ""


def is_own(path: Path, root: Path) -> bool:
    """Whether a path lies in the run's own folder, with no link between: a page shows only that."""
    if not path.is_relative_to(root) or ".." in path.relative_to(root).parts:
        return False
    below = [path, *path.parents][: len(path.relative_to(root).parts)]
    return not any(part.is_symlink() for part in below)


def mapping(value: Any) -> Mapping[str, Any]:
    """A JSON object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def number_of(value: Any) -> float | None:
    """A finite number, or None: logs hold NaN, None and words."""
    with contextlib.suppress(OverflowError):
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None


def integer(value: Any) -> int | None:
    """A finite number without its fraction, or None."""
    number = number_of(value)
    return None if number is None else int(number)


def estimate(value: Any) -> Estimate | None:
    """A recorded estimate, or None where there is no value; a missing bound is the value itself."""
    value, low, high, n = (number_of(mapping(value).get(name)) for name in ("value", "low", "high", "n"))
    if value is None:
        return None
    return Estimate(value, value if low is None else low, value if high is None else high, int(n or 0))


def text_of(value: Any) -> str:
    """Any value as text that can be written as UTF-8 and shown: a chat becomes its messages, what a reader can't see
    becomes visible (see `printable`)."""
    if value is None:
        return ""
    if isinstance(value, list) and value and all(isinstance(message, dict) for message in value):
        value = "\n\n".join(f"{message.get('role', '')}: {message.get('content', '')}" for message in value)
    return as_printable(str(value).replace("\r\n", "\n"))

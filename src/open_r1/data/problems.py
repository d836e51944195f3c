"""Problems from a file, for evaluation: any source that `sources` reads, its columns named."""

from __future__ import annotations

import math
from typing import Any

from open_r1.data.sources import load_splits, require_columns
from open_r1.errors import DataError, nearest
from open_r1.records import Problem

SOLUTION_COLUMNS = ("solution", "answer")


def read_problem_file(name: str, prompt_column: str, solution_column: str | None) -> list[Problem]:
    """Every row as a Problem; `family` and `difficulty` columns are kept where they are there.

    DataError names the first row without a problem or an answer, or with a difficulty that is no number.
    """
    rows = load_splits(name, None, "train")["train"]
    found = rows.column_names
    require_columns(found, [prompt_column], name, "--prompt_column")
    column = solution_column or next((known for known in SOLUTION_COLUMNS if known in found), None)
    if column is None or column not in found:
        raise DataError(
            f"data set '{name}' has no column with the answers{nearest(column or SOLUTION_COLUMNS[0], found)} "
            f"Found: {', '.join(found)}; name it with --solution_column."
        )
    return [
        Problem(
            prompt=read_text(row, prompt_column, f"row {number} of data set '{name}'"),
            gold=read_text(row, column, f"row {number} of data set '{name}'"),
            family=str(row.get("family") or ""),
            difficulty=read_difficulty(row.get("difficulty"), f"row {number} of data set '{name}'"),
            metadata={"ordered": bool(row.get("ordered"))},
        )
        for number, row in enumerate(rows.to_list(), start=1)
    ]


def read_text(row: dict[str, Any], column: str, where: str) -> str:
    value = row[column]
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise DataError(f"{where} has {value!r} as its '{column}', where text is needed; mend or remove that row.")
    return str(value)


def read_difficulty(value: Any, where: str) -> float:
    """The difficulty as a number, 0 where there is none."""
    try:
        number = 0.0 if value is None else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where} has the difficulty {value!r}, which is no number; mend it or remove that column.")
    return number

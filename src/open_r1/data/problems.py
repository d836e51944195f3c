"""Problems from a file, for evaluation: any source that `sources` reads, its columns named."""

from __future__ import annotations

from open_r1.data.sources import load_splits, require_columns
from open_r1.errors import DataError, nearest
from open_r1.records import Problem

SOLUTION_COLUMNS = ("solution", "answer")


def read_problem_file(name: str, prompt_column: str, solution_column: str | None) -> list[Problem]:
    """Every row as a Problem; `family` and `difficulty` columns are kept where they are there."""
    rows = load_splits(name, None, "train")["train"]
    found = rows.column_names
    require_columns(found, [prompt_column], name, "--prompt_column")
    column = solution_column or next((known for known in SOLUTION_COLUMNS if known in found), None)
    if column is None or column not in found:
        raise DataError(
            f"data set '{name}' has no column with the answers{nearest(column or 'solution', found)} "
            f"Found: {', '.join(found)}; name it with --solution_column."
        )
    return [
        Problem(
            prompt=str(row[prompt_column]),
            gold=str(row[column]),
            family=str(row.get("family") or ""),
            difficulty=float(row.get("difficulty") or 0),
            metadata={"ordered": bool(row.get("ordered"))},
        )
        for row in rows.to_list()
    ]

"""Columns by name: that those needed are there, and those called otherwise are renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from open_r1.errors import DataError, nearest


def require_columns(found: Sequence[str], needed: Sequence[str], where: str, setting: str = "columns") -> None:
    """DataError naming the first column that isn't there, those that are, and the setting to change."""
    for column in needed:
        if column not in found:
            raise DataError(
                f"data set '{where}' has no column '{column}'{nearest(column, found)} "
                f"Found: {', '.join(found)}; name the right one with {setting}."
            )


def rename_columns(rows: Any, mapping: Mapping[str, str], where: str, setting: str) -> Any:
    """The rows with each column of `mapping` (found name -> wanted name) renamed.

    DataError for a column that isn't there, or a name that is taken by a column that isn't renamed itself.
    """
    if not mapping:
        return rows
    found = list(rows.column_names or next(iter(rows), {}))
    require_columns(found, list(mapping), where, setting)
    wanted = list(mapping.values())
    taken = [name for name in wanted if (name in found and name not in mapping) or wanted.count(name) > 1]
    if taken:
        raise DataError(
            f"data set '{where}' would have two columns '{taken[0]}' by {setting}; rename or drop one of them."
        )
    return rows.rename_columns(dict(mapping))

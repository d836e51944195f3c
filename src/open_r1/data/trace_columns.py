"""Which columns rows of traces have, and those that say what a trace is of."""

from __future__ import annotations

from itertools import islice

from open_r1.data.rows import LineRows, Rows

SEEN_ROWS = 1000


def columns_of(rows: Rows) -> list[str]:
    """The columns of a source; of JSON lines, whose rows may differ, those of the first thousand rows."""
    if not isinstance(rows, LineRows):
        return list(rows.columns)
    first = islice((row for chunk in rows.chunks(()) for row in chunk.rows()), SEEN_ROWS)
    return list({name: None for row in first for name in row})

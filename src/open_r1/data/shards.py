"""A folder of Parquet shards as the Hub lays data sets out, with a card that tells how they were made.

    <folder>/
      data/train-00000-of-00002.parquet  …
      README.md          the card: the steps, their counts and settings, the columns
      provenance.json    the steps, for the next one to carry on
      done.json          written last: rows of each split

Rows are written as they are read: memory doesn't grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.data.provenance import Step, write_steps
from open_r1.errors import RunFolderError
from open_r1.rundir import atomic_file, read_json, write_json, write_text

if TYPE_CHECKING:
    import pyarrow as pa

DATA, CARD, DONE = "data", "README.md", "done.json"
SHARD_BYTES = 256 << 20
"""In memory; compressed they are a third of it or so."""

ROWS_AT_ONCE = 1000


def write_folder(
    folder: Path, splits: Mapping[str, Any], steps: Sequence[Step], title: str, contents: str = ""
) -> dict[str, int]:
    """Write splits (of `datasets`, tables or streams) as shards with their card; returns the rows of each split.

    `contents` tells what the shards were made of from what others would be. RunFolderError when the folder holds
    something else already.
    """
    claim(folder)
    counts = {name: write_split(folder / DATA, name, rows) for name, rows in splits.items()}
    columns = {name: columns_of(rows) for name, rows in splits.items()}
    write_steps(folder, steps)
    write_text(folder / CARD, card(title, counts, next(iter(columns.values())), steps))
    write_json(folder / DONE, {"rows": counts} | ({"contents": contents} if contents else {}))
    return counts


def is_finished(folder: Path) -> bool:
    """Whether a folder holds shards that were written to their end."""
    return (folder / DONE).is_file() and "rows" in read_json(folder / DONE) and any((folder / DATA).glob("*.parquet"))


def contents_of(folder: Path) -> str:
    """What a finished folder was made of, as `write_folder` was told; empty where it was not."""
    return str(read_json(folder / DONE).get("contents", ""))


def claim(folder: Path) -> None:
    """Make the folder, or take one that an unfinished run left: its shards are written anew."""
    if (folder / DONE).exists():
        raise RunFolderError(f"'{folder}' holds a finished data set; remove it, or choose another folder.")
    strangers = (
        [path.name for path in folder.iterdir() if path.name not in (DATA, CARD, "provenance.json")]
        if folder.is_dir()
        else []
    )
    if strangers:
        raise RunFolderError(f"'{folder}' holds other things ({', '.join(strangers[:3])}); choose an empty folder.")
    (folder / DATA).mkdir(parents=True, exist_ok=True)
    for left in (folder / DATA).iterdir():
        left.unlink()


def write_split(folder: Path, split: str, rows: Any) -> int:
    """Write one split's shards; returns its rows. The number of shards is known at the end, so names are given then."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    total, paths = 0, []
    for tables in in_shards(tables_of(rows)):
        path = folder / f".{split}-{len(paths):05}.parquet"
        with atomic_file(path) as file:
            table = pa.concat_tables(tables)
            pq.write_table(table, file, compression="zstd", row_group_size=ROWS_AT_ONCE)
        total += table.num_rows
        paths.append(path)
    for number, path in enumerate(paths):
        path.rename(folder / f"{split}-{number:05}-of-{len(paths):05}.parquet")
    return total


def in_shards(tables: Iterator[pa.Table]) -> Iterator[list[pa.Table]]:
    """Tables together up to a shard's size."""
    shard: list[pa.Table] = []
    size = 0
    for table in tables:
        shard.append(table)
        size += table.nbytes
        if size >= SHARD_BYTES:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def tables_of(rows: Any) -> Iterator[pa.Table]:
    """The rows as Arrow tables, some hundred rows each, all of the set's own schema."""
    from datasets.table import table_cast

    schema = rows.features.arrow_schema if rows.features is not None else None
    for table in rows.with_format("arrow").iter(batch_size=ROWS_AT_ONCE):
        schema = table.schema if schema is None else schema
        yield table_cast(table.combine_chunks(), schema.remove_metadata())


def columns_of(rows: Any) -> dict[str, str]:
    """Column name -> its type in words."""
    if rows.features is None:
        return dict.fromkeys(rows.column_names or (), "")
    schema = rows.features.arrow_schema
    return {name: str(schema.field(name).type) for name in schema.names}


def card(title: str, counts: Mapping[str, int], columns: Mapping[str, str], steps: Sequence[Step]) -> str:
    """The data set's card, with the header that the Hub reads."""
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in counts)
    rows = "\n".join(f"| {split} | {count:,} |" for split, count in counts.items())
    named = "\n".join(f"| `{name}` | `{kind}` |" for name, kind in columns.items())
    made = "\n".join(step.as_markdown(number) for number, step in enumerate(steps, start=1)) or "Not recorded."
    return f"""---
tags:
- open-r1
configs:
- config_name: default
  data_files:
{files}
---

# {title}

| split | rows |
|---|---|
{rows}

## How it was made

{made}

## Columns

| name | type |
|---|---|
{named}
"""

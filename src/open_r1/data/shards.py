"""A folder of Parquet shards as the Hub lays data sets out, with a card that says how they were made; and its push.

data/train-00000-of-00002.parquet … and README.md, provenance.json with the steps, and done.json, written last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.data.progress import CountProgress, no_progress
from open_r1.data.provenance import Step, changes_between, is_newer, read_steps, steps_behind, write_steps
from open_r1.data.rows import batch_rows
from open_r1.data.sources import load_source
from open_r1.data.sources.local import find_files
from open_r1.errors import ConfigError, RunFolderError
from open_r1.hub.card import header, markdown_table
from open_r1.hub.origins import STEPS
from open_r1.hub.push import check_repo_id, push_folder
from open_r1.rundir import atomic_file, hash_files, read_json, write_json, write_text

if TYPE_CHECKING:
    import pyarrow as pa

DATA, CARD, DONE = "data", "README.md", "done.json"
SHARD_BYTES = 256 << 20  # size of a shard in memory; compressed it is about a third
ROWS_AT_ONCE = 1000
MAX_TABLES = 1 << 20


def publish(
    source: str,
    repo_id: str,
    output_dir: Path | None = None,
    *,
    config: str | None = None,
    revision: str = "main",
    private: bool = False,
    dry_run: bool = False,
    api: Any = None,
    report: Callable[[str], None] = lambda line: None,
    progress: CountProgress = no_progress,
) -> Path:
    """Push rows to the Hub as Parquet shards with a card; returns the folder of shards.

    A `source` that is a finished folder of shards is pushed as it is; those of another are written to `output_dir`, or used
    again from an earlier run. `private` makes a new repository private, `dry_run` pushes nothing, `report` gets notices.

    Raises:
        RunError: The Hub refuses or can't be reached; everything stays where it is.
    """
    check_repo_id(repo_id)
    folder = prepare(source, repo_id.partition("/")[2], output_dir, config, report, progress)
    if not dry_run:
        message, ignored = "Rows and card by open-r1 data publish", [DONE, ".*"]
        push_folder(
            folder, repo_id, message,
            repo_type="dataset", revision=revision, private=private or None, left_out=ignored, api=api,
        )  # fmt: skip
    return folder


def prepare(
    source: str,
    title: str,
    folder: Path | None,
    config: str | None,
    report: Callable[[str], None],
    progress: CountProgress,
) -> Path:
    """The folder of shards: the source itself, what an earlier run wrote, or what is written now."""
    if is_finished(Path(source)):
        return Path(source)
    if folder is None:
        raise ConfigError(
            f"'{source}' is not a finished folder of shards; name a new folder for them with --output_dir."
        )
    path = Path(source).expanduser()
    files = [found for found in path.rglob("*") if found.is_file()] if path.is_dir() else find_files(source)
    contents = " ".join([source, config or "", hash_files(files)])
    if is_finished(folder) and (earlier := read_json(folder / DONE).get("contents")):
        if earlier == contents:
            return folder
        report(f"'{folder}' contains shards of other rows; they are written again")
        (folder / DONE).unlink()
    loaded = load_source(source, config)
    splits = loaded if isinstance(loaded, dict) else {"train": loaded}
    step = Step("publish", source, {}, {name: len(rows) for name, rows in splits.items()})
    write_folder(folder, splits, [*steps_behind(source), step], title, contents, progress=progress)
    return folder


def write_folder(
    folder: Path,
    splits: Mapping[str, Any],
    steps: Sequence[Step],
    title: str,
    contents: str = "",
    *,
    progress: CountProgress = no_progress,
) -> dict[str, int]:
    """Write splits (of `datasets`, tables or streams) as shards with their card; returns the rows of each split.

    `contents` says what the shards were made of. RunFolderError when the folder contains something else already.
    """
    claim(folder)
    splits = {name: without_endpoints(rows) for name, rows in splits.items()}
    counts: dict[str, int] = {}
    for name, rows in splits.items():
        counts[name] = write_split(folder / DATA, name, rows, sum(counts.values()), progress)
    write_steps(folder, steps)
    write_text(folder / CARD, card(title, counts, columns_of(next(iter(splits.values()))), steps))
    write_json(folder / DONE, {"rows": counts} | ({"contents": contents} if contents else {}))
    return counts


def without_endpoints(rows: Any) -> Any:
    """The rows without the addresses of the servers that wrote their traces: they are of the user's own network."""
    columns = rows.column_names or ()
    return rows.remove_columns("endpoint") if {"endpoint", "request_samples"} <= set(columns) else rows


def is_finished(folder: Path) -> bool:
    """Whether a folder contains all shards of a data set."""
    return (folder / DONE).is_file() and "rows" in read_json(folder / DONE) and any((folder / DATA).glob("*.parquet"))


def is_finished_by(folder: Path, step: Step, *read: str) -> bool:
    """Whether a folder is what this step would make of the sources that it `read`s, as they are now."""
    made = read_steps(folder / STEPS)
    is_same = is_finished(folder) and bool(made) and not changes_between(made[-1], step)
    return is_same and is_newer(folder / DONE, *read)


def claim(folder: Path, overwrite: bool = False) -> None:
    """Make the folder, or take one that an unfinished run left: its shards are written again.

    RunFolderError for a folder with other files, or with a finished data set unless `overwrite`.
    """
    if overwrite and is_finished(folder):
        (folder / DONE).unlink()
    if (folder / DONE).exists():
        raise RunFolderError(f"'{folder}' contains a finished data set; remove it, or choose another folder.")
    own = (DATA, CARD, STEPS, ".lock")
    foreign = [path.name for path in folder.iterdir() if path.name not in own] if folder.is_dir() else []
    if foreign:
        raise RunFolderError(f"'{folder}' contains other files ({', '.join(foreign[:3])}); choose an empty folder.")
    (folder / DATA).mkdir(parents=True, exist_ok=True)
    for left in (folder / DATA).iterdir():
        left.unlink()


def write_split(folder: Path, split: str, rows: Any, before: int = 0, progress: CountProgress = no_progress) -> int:
    """Write one split's shards; returns its rows. The number of shards is known at the end, so names are given then.

    `before` is the number of rows of earlier splits, for `progress`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    total, paths = 0, []
    for tables in batch_rows(tables_of(rows), lambda table: table.nbytes, MAX_TABLES, SHARD_BYTES):
        path = folder / f".{split}-{len(paths):05}.parquet"
        with atomic_file(path) as file:
            table = pa.concat_tables(tables)
            pq.write_table(table, file, compression="zstd", row_group_size=ROWS_AT_ONCE)
        total += table.num_rows
        paths.append(path)
        progress(before + total, None)
    for number, path in enumerate(paths):
        path.rename(folder / f"{split}-{number:05}-of-{len(paths):05}.parquet")
    return total


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
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in counts]
    metadata = {"tags": ["open-r1"], "configs": [{"config_name": "default", "data_files": files}]}
    rows = markdown_table(["split", "rows"], [(split, f"{count:,}") for split, count in counts.items()])
    named = markdown_table(["name", "type"], [(f"`{name}`", f"`{kind}`") for name, kind in columns.items()])
    made = "\n".join(step.as_markdown(number) for number, step in enumerate(steps, start=1)) or "Not recorded."
    return f"{header(metadata)}\n# {title}\n\n{rows}\n## How it was made\n\n{made}\n\n## Columns\n\n{named}"

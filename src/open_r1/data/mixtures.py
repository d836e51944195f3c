"""Mixtures of sets as the guide's YAML writes them: a share of each, put together, shuffled, optionally split.

The result depends on the entries, their order and the seed alone. A weight is a share of its set's rows; with a budget of
tokens it is a share of the budget, and rows are taken in their shuffled order until it is used up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.configs.datasets import DatasetMixtureConfig
from open_r1.data.columns import GOLD_COLUMNS, rename_columns, require_columns, text_of
from open_r1.data.progress import CountProgress, no_progress
from open_r1.data.provenance import Step
from open_r1.data.shards import claim, is_finished_by, write_folder
from open_r1.data.sources import is_slice, load_splits, take_slice
from open_r1.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, DatasetDict

    from open_r1.configs import DatasetConfig, ScriptArguments

logger = logging.getLogger(__name__)

COUNTED_AT_ONCE = 256

CountTokens = Callable[[list[str]], list[int]]


@dataclass(frozen=True)
class Share:
    """What was taken of one entry: rows, of how many, and tokens where they were counted."""

    entry: DatasetConfig
    rows: int
    of_rows: int
    tokens: int | None = None

    def __str__(self) -> str:
        tokens = "" if self.tokens is None else f", {self.tokens:,} tokens"
        weight = "" if self.entry.weight is None else f", weight {self.entry.weight:g}"
        return f"{self.rows:,} of {self.of_rows:,} rows of {self.entry.id}{weight}{tokens}"


def get_dataset(args: ScriptArguments) -> DatasetDict:
    """The data set or mixture that the settings name, as a DatasetDict of splits."""
    if (mixture := getattr(args, "mixture", None)) is not None:
        return mix_shares(mixture)[0]
    name = str(args.dataset_name)
    splits = load_splits(
        name,
        args.dataset_config,
        args.dataset_train_split,
        revision=getattr(args, "dataset_revision", None),
        streaming=getattr(args, "dataset_streaming", False),
    )
    test_split = getattr(args, "dataset_test_split", "")
    if is_slice(test_split) and test_split not in splits:
        splits[test_split] = take_slice(name, splits, test_split)
    for split, rows in splits.items():
        splits[split] = rename_columns(
            rows, getattr(args, "dataset_column_map", None) or {}, name, "dataset_column_map"
        )
    return splits


def mix_shares(mixture: DatasetMixtureConfig) -> tuple[DatasetDict, list[Share]]:
    """The mixture's splits, and what was taken of each entry."""
    from datasets import DatasetDict, concatenate_datasets

    taken = [
        take_tokens(mixture, entry) if mixture.tokens else take_share(entry, mixture.seed)
        for entry in mixture.datasets
    ]
    parts, shares = with_one_type([rows for rows, _ in taken]), [share for _, share in taken]
    try:
        combined = concatenate_datasets(parts).shuffle(seed=mixture.seed)
    except ValueError as error:
        raise DataError(describe_misfit(mixture, parts, error)) from None
    total = sum(share.rows for share in shares)
    combined.info.description = f"mixture of {total:,} rows (seed {mixture.seed}): {'; '.join(map(str, shares))}"
    logger.info(combined.info.description)
    if mixture.test_split_size is None:
        return DatasetDict({"train": combined}), shares
    try:
        return combined.train_test_split(test_size=mixture.test_split_size, seed=mixture.seed), shares
    except ValueError as error:
        raise DataError(
            f"test_split_size = {mixture.test_split_size} leaves no row for training or testing of the {len(combined)} "
            f"rows of the mixture ({error}); choose another."
        ) from None


@dataclass(frozen=True)
class Mixed:
    """What a mixture consists of: rows by split, and what was taken of each entry."""

    rows: dict[str, int]
    shares: list[Share]

    def record(self) -> dict[str, Any]:
        """The same for a script."""
        taken = [{"id": s.entry.id, "rows": s.rows, "of_rows": s.of_rows, "tokens": s.tokens} for s in self.shares]
        return {"rows": self.rows, "datasets": taken}


def mix(
    mixture: Mapping[str, Any],
    output_dir: Path | None,
    *,
    recipe: str = "mixture",
    overwrite: bool = False,
    progress: CountProgress = no_progress,
    tell: Callable[[str], None] = lambda line: None,
) -> Mixed:
    """Write a mixture as Parquet shards with a card (see `shards`); the folder is whole when `done.json` is there.

    `mixture` is as `dataset_mixture` of a recipe, `recipe` its name in the record. Without `output_dir` rows are counted.
    A folder that is already done is left as it is, and `tell` says so.
    """
    checked = DatasetMixtureConfig.from_mapping(dict(mixture))
    step = Step("mix", recipe, mixture)
    sources = [entry.id for entry in checked.datasets]
    is_done = output_dir is not None and not overwrite and is_finished_by(output_dir, step, *sources)
    if output_dir and not is_done:
        claim(output_dir, overwrite)
    splits, shares = mix_shares(checked)
    mixed = Mixed({str(name): len(rows) for name, rows in splits.items()}, shares)
    if is_done:
        tell(f"already done in {output_dir}")
    elif output_dir:
        counts = {"rows": mixed.rows, **{str(number): str(share) for number, share in enumerate(shares)}}
        named = {str(name): rows for name, rows in splits.items()}
        write_folder(output_dir, named, [replace(step, counts=counts)], output_dir.name, progress=progress)
    return mixed


def with_one_type(parts: list[Dataset]) -> list[Dataset]:
    """The parts, each column of chats or the like in a type that all parts can have: keys and their order may differ.

    Text is text in whatever form a file has it; numbers are text, as their file has them, where another part has text.
    Other pairs of types are left as they are, for `describe_misfit`.
    """
    import pyarrow as pa
    from datasets import Features

    from open_r1.data.tables import JSON, join_schemas, plain_schema

    schemas = [part.features.arrow_schema for part in parts]
    joined = join_schemas(schemas)
    for name in set(joined.names).intersection(GOLD_COLUMNS):
        if {pa.int64(), pa.float64()} == {schema.field(name).type for schema in schemas if name in schema.names}:
            joined = joined.set(joined.names.index(name), pa.field(name, pa.string()))  # 4 is not written 4.0
    parts = [numbers_as_text(part, joined) for part in parts]
    schemas = [part.features.arrow_schema for part in parts]
    own = [
        {
            field.name: joined.field(field.name).type
            if pa.types.is_nested(field.type) or field.type == JSON
            else field.type
            for field in plain_schema(schema)
        }
        for schema in schemas
    ]
    wanted = [Features.from_arrow_schema(pa.schema(list(types.items()))) for types in own]
    return [
        part if schema.types == list(types.values()) else part.cast(features)
        for part, schema, types, features in zip(parts, schemas, own, wanted, strict=True)
    ]


def numbers_as_text(part: Dataset, joined: pa.Schema) -> Dataset:
    """A part whose columns of numbers are text where the `joined` schema has text, each number as its file has it."""
    import pyarrow as pa
    from datasets import Features, Value

    from open_r1.data.values import as_text

    schema = part.features.arrow_schema
    kinds = {name: schema.field(name).type for name in schema.names if joined.field(name).type == pa.string()}
    numbers = [name for name, kind in kinds.items() if pa.types.is_integer(kind) or pa.types.is_floating(kind)]
    if not numbers:
        return part

    def convert(table: pa.Table) -> pa.Table:
        for name in numbers:
            column = table[name]
            is_short = column.type == pa.float32()  # whose shortest writing is not that of the 64 bits
            texts = column.cast(pa.string()) if is_short else pa.array(map(as_text, column.to_pylist()), pa.string())
            table = table.set_column(table.column_names.index(name), name, texts)
        return table

    features = Features({**part.features, **dict.fromkeys(numbers, Value("string"))})
    return part.with_format("arrow").map(convert, batched=True, features=features).with_format(None)


def take_share(entry: DatasetConfig, seed: int) -> tuple[Dataset, Share]:
    """The first rows of an entry's seeded shuffle, as many as its weight says; all in their own order without one."""
    rows = load_entry(entry)
    if entry.weight is None:
        return rows, Share(entry, len(rows), len(rows))
    count = int(len(rows) * entry.weight)
    if count == 0:
        raise DataError(f"weight {entry.weight} of '{entry.id}' ({len(rows)} rows) takes no row; raise it.")
    return rows.shuffle(seed=seed).select(range(count)), Share(entry, count, len(rows))


def load_entry(entry: DatasetConfig) -> Dataset:
    """An entry's rows, its columns renamed and selected."""
    rows = load_splits(entry.id, entry.config, entry.split, revision=entry.revision)[entry.split]
    rows = rename_columns(rows, entry.column_map or {}, entry.id, "column_map")
    if entry.columns is None:
        return rows
    if not entry.columns or len(set(entry.columns)) < len(entry.columns):
        raise ConfigError(
            f"columns of '{entry.id}' is {entry.columns}; name each column that is wanted once, or leave `columns` out."
        )
    require_columns(rows.column_names, entry.columns, entry.id)
    return rows.select_columns(entry.columns)


def take_tokens(mixture: DatasetMixtureConfig, entry: DatasetConfig) -> tuple[Dataset, Share]:
    """Rows of an entry's seeded shuffle until its share of the budget is used up: the row that would pass it stays out.

    An entry that has less is taken whole, and the mixture is smaller by what it lacks.
    """
    total_weight = sum(other.weight or 0 for other in mixture.datasets)
    budget = int((mixture.tokens or 0) * (entry.weight or 0) / total_weight)
    rows = load_entry(entry).shuffle(seed=mixture.seed)
    count = token_counter(str(mixture.tokenizer))
    taken = used = 0
    counted = (tokens for batch in rows.iter(COUNTED_AT_ONCE) for tokens in count(texts_of(dict(batch))))
    for tokens in counted:
        if used + tokens > budget:
            break
        taken, used = taken + 1, used + tokens
    if taken == 0:
        raise DataError(f"{budget:,} tokens of '{entry.id}' take no row; raise tokens, or the weight of that entry.")
    if taken == len(rows):
        logger.warning("mixture: '%s' has %s tokens of the %s asked for", entry.id, f"{used:,}", f"{budget:,}")
    return rows.select(range(taken)), Share(entry, taken, len(rows), used)


def texts_of(columns: dict[str, list[Any]]) -> list[str]:
    """All text of each row of a batch: its messages', or that of its columns of text."""
    if "messages" in columns:
        return list(map(text_of, columns["messages"]))
    text = [values for values in columns.values() if any(isinstance(value, str) for value in values)]
    return ["\n".join(value or "" for value in row) for row in zip(*text, strict=True)]


def token_counter(tokenizer: str) -> CountTokens:
    """How many tokens texts have, by a folder with tokenizer.json, such a file, or a model on the Hub."""
    from tokenizers import Tokenizer

    path = Path(tokenizer).expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    try:
        loaded = Tokenizer.from_file(str(path)) if path.exists() else Tokenizer.from_pretrained(tokenizer)
    except Exception as error:  # noqa: BLE001 - the library raises bare Exceptions
        raise DataError(
            f"tokenizer '{tokenizer}' can't be loaded: {' '.join(str(error).split())}; give a folder with tokenizer.json."
        ) from None
    return lambda texts: [len(encoding) for encoding in loaded.encode_batch_fast(texts, add_special_tokens=False)]


def describe_misfit(mixture: DatasetMixtureConfig, parts: Sequence[Dataset], error: ValueError) -> str:
    """Which column of which sets has two types, so that the sets can't be put one after another."""
    first, name = parts[0].features, mixture.datasets[0].id
    for entry, part in zip(mixture.datasets[1:], parts[1:], strict=True):
        for column, kind in part.features.items():
            if first.get(column, kind) != kind:
                return (
                    f"column '{column}' is {first[column]} in '{name}' but {kind} in '{entry.id}', so they can't be mixed; "
                    "give it one type, or leave it out by 'columns'."
                )
    return f"the data sets of the mixture can't be put together: {error}; choose matching 'columns'."

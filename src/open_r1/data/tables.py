"""Rows of files as a table of `datasets`, on the disk and mapped from there: memory is that of one batch.

A column has one type. Numbers of both kinds are floats where that loses nothing; a column that mixes text with other
scalars, or has numbers longer than 64 bits, is text, each value as the file writes it; one that mixes lists or objects with
anything else is JSON, as `datasets.Json` has it. The file is in the cache of `datasets`, under a name for these files now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from open_r1.data.columns import GOLD_COLUMNS
from open_r1.data.rows import Rows, TableChunk, batch_rows
from open_r1.data.sources.hub import cache_failed
from open_r1.data.values import LongDecimal, as_text, dump_row
from open_r1.errors import DataError, RunError
from open_r1.rundir import atomic_file

if TYPE_CHECKING:
    from datasets import Dataset

Batch = list[dict[str, Any]]
JSON = pa.json_()
BATCH_ROWS = 1000

MISFIT = (pa.ArrowException, OverflowError, TypeError)  # what pyarrow raises for values that are not of one type


def load_table(paths: Sequence[Path], rows: Rows) -> Dataset:
    """The rows of files as a `Dataset`."""
    from datasets import Dataset, config

    path = Path(config.HF_DATASETS_CACHE) / f"open_r1-{identify(paths)}.arrow"
    if not path.exists():
        try:
            write_texts(path, rows) if rows.schema is None else write_tables(path, rows, rows.schema)
        except RunError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            raise cache_failed(error.__cause__) from error
    loaded = Dataset.from_file(str(path))
    if not len(loaded):
        raise DataError(f"data file '{paths[0]}' contains no rows; give a file with at least one row.")
    return loaded


def write_tables(path: Path, rows: Rows, schema: pa.Schema) -> None:
    """Write an Arrow file of rows that are tables, text in the one form that `datasets` mixes."""
    plain = plain_schema(schema)
    schema = schema if plain.types == schema.types else plain
    with atomic_file(path) as file, pa.ipc.new_stream(file, schema) as writer:
        for chunk in rows.chunks():
            assert isinstance(chunk, TableChunk), "rows with a schema are tables"
            writer.write_table(chunk.table.cast(schema))


def identify(paths: Iterable[Path]) -> str:
    """16 hex digits for files as they are now: their names, sizes and times of change."""
    seen = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def write_texts(path: Path, rows: Rows) -> None:
    """Write an Arrow file of all rows; a column whose type turns out to lose something becomes text."""
    types = find_types(rows)
    while True:
        schema = pa.schema(list(types.items()))
        try:
            with atomic_file(path) as file, pa.ipc.new_stream(file, schema) as writer:
                for batch in batch_rows(rows.read(), len, BATCH_ROWS):
                    writer.write_batch(to_record_batch(batch, schema, rows.to_text))
            return
        except LossyType as misfit:
            types[misfit.column] = JSON if pa.types.is_nested(types[misfit.column]) else pa.string()


class LossyType(Exception):
    """The type found for a column can't represent one of its values."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def to_record_batch(batch: Batch, schema: pa.Schema, to_text: Callable[[Any], str | None]) -> pa.RecordBatch:
    """Rows as Arrow has them. LossyType for a column whose type loses something."""
    arrays = []
    for field in schema:
        values = [row.get(field.name) for row in batch]
        try:
            arrays.append(to_array(values, field.type, to_text))
        except MISFIT:
            raise LossyType(field.name) from None
    return pa.record_batch(arrays, schema=schema)


def to_array(values: list[Any], kind: pa.DataType, to_text: Callable[[Any], str | None] = as_text) -> pa.Array:
    """Values as an array of a type."""
    if kind == JSON:
        texts = [None if value is None else to_json(value) for value in values]
        return pa.ExtensionArray.from_storage(kind, pa.array(texts, pa.string()))
    return pa.array([to_text(value) for value in values] if kind == pa.string() else values, kind)


def to_json(value: Any) -> bytes:
    """A value as JSON. DataError for one that `datasets`, whose reader has fewer digits, would give back otherwise."""
    from datasets.utils.json import ujson_loads

    text = dump_row(value)
    try:
        is_same = ujson_loads(text) == value
    except ValueError:
        is_same = False
    if not is_same:
        raise DataError(
            f"a column that mixes lists or objects with other values has {text.decode()[:80]}, whose digits would be lost; "
            "write such numbers as text, or give the column one type."
        )
    return text


def find_types(rows: Rows) -> dict[str, pa.DataType]:
    """Column -> the type that all its values can have, columns in the order in which they first appear."""
    types: dict[str, pa.DataType] = {}
    seen: dict[str, set[type]] = {}
    for batch in batch_rows(rows.read(), len, BATCH_ROWS):
        for name in {name: None for row in batch for name in row}:
            values = [row.get(name) for row in batch]
            kind = type_of(values)
            if name in GOLD_COLUMNS and {int, float} <= seen.setdefault(name, set()).union(map(type, values)):
                kind = pa.string()  # 4 is not written 4.0 for the sake of a 2.5 elsewhere
            seen.setdefault(name, set()).update(map(type, values))
            types[name] = merge(types[name], kind) if name in types else kind
    return {name: JSON if has_no_fields(kind) else kind for name, kind in types.items()}


def has_no_fields(kind: pa.DataType) -> bool:
    """Whether a type has an object without keys, which Parquet can't write."""
    if pa.types.is_struct(kind):
        return not kind.num_fields or any(has_no_fields(field.type) for field in kind)
    return pa.types.is_list(kind) and has_no_fields(kind.value_type)


def type_of(values: list[Any]) -> pa.DataType:
    """The type that fits all values of a batch."""
    try:
        if not any(type(value) is LongDecimal for value in values):
            return pa.array(values).type
    except MISFIT:
        pass
    return JSON if any(isinstance(value, list | dict) for value in values) else pa.string()


def merge(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type for values of both."""
    try:
        schemas = [pa.schema([("", kind)]) for kind in (one, other)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        is_json = any(kind == JSON or pa.types.is_nested(kind) for kind in (one, other))
        return JSON if is_json else pa.string()


def join_schemas(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The schema that the rows of all can have."""
    if all(schema.remove_metadata() == schemas[0].remove_metadata() for schema in schemas):
        return schemas[0]
    types: dict[str, pa.DataType] = {}
    for field in (field for schema in schemas for field in plain_schema(schema)):
        types[field.name] = merge(types.get(field.name, field.type), field.type)
    return pa.schema(list(types.items()))


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """A schema with each type in the form that `datasets` has; other writers' large strings and views are the same text."""
    return pa.schema([(field.name, plain_type(field.type)) for field in schema])


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without dictionaries, views and 64-bit offsets, at every depth."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, plain_type(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(plain_type(kind.value_type))
    return kind


def fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table in a schema that `join_schemas` found; null in the columns that it lacks."""
    arrays = []
    for field in schema:
        if field.name not in table.column_names:
            arrays.append(pa.nulls(table.num_rows, field.type))
        elif field.type == JSON and table[field.name].type != JSON:
            arrays.append(to_array(table[field.name].to_pylist(), JSON))
        elif table[field.name].type == pa.float32():  # by its shortest writing: 0.1, not 0.10000000149011612
            arrays.append(table[field.name].cast(pa.string()).cast(field.type))
        else:
            arrays.append(table[field.name].cast(field.type))
    return pa.table(arrays, schema=schema)

"""Random tables are read back as they were written: in every format, plain and compressed, one file and several."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from open_r1.configs import DatasetMixtureConfig
from open_r1.data.decontamination import decontaminate
from open_r1.data.deduplication import deduplicate
from open_r1.data.evaluation_index import EvalSet
from open_r1.data.mixtures import mix_shares
from open_r1.data.problems import ProblemSet, ProblemSource
from open_r1.data.row_file import Destination
from open_r1.data.selection import SelectSettings, select
from open_r1.data.shards import write_folder
from open_r1.data.sources import load_splits, open_rows
from open_r1.data.verification import OWN_COLUMNS, VerifySettings, verify
from open_r1.rundir import read_jsonl

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
WRITTEN = st.sampled_from(
    ["007", "NA", "None", "null", "nan", "1e5", "1.50", "2024-01-03", "True", " 7", "", "0.7", "\r\n"]
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LARGE = st.integers(-(2**80), 2**80)
SMALL = st.integers(-(2**63), 2**63 - 1)
SHORT = st.integers(-(10**9), 10**9).map(lambda number: number / 8)
NESTED = st.recursive(
    st.integers(-(2**53), 2**53) | SHORT | TEXT | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
CHATS = st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT}, optional={"name": TEXT}), max_size=3)
OF_TEXT_FILES = (TEXT, WRITTEN, FLOATS, LARGE, st.booleans(), WRITTEN | LARGE | FLOATS, NESTED, CHATS)
OF_TABLES = (TEXT | WRITTEN, FLOATS, SMALL, st.booleans(), st.lists(SMALL, max_size=3), CHATS)

PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}


def tables(kinds: tuple[Any, ...]) -> Any:
    """Rows with a prompt, a completion, and a gold of one of the kinds, each with nulls; a column may begin late."""

    def rows_of(kind: Any) -> Any:
        row = {"prompt": st.just("p").flatmap(lambda p: st.integers(0, 10**9).map(lambda n: f"{p} {n} a b c")),
               "completion": st.just("<think>\nx\n</think>\n4"), "value": st.none() | kind}  # fmt: skip
        return st.lists(st.fixed_dictionaries(row, optional={"late": st.none() | kind}), min_size=1, max_size=6,
                        unique_by=lambda row: row["prompt"])  # fmt: skip

    return st.sampled_from(kinds).flatmap(rows_of)


def encode(rows: list[dict[str, Any]], suffix: str) -> bytes:
    """Rows as the content of a file."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if suffix == ".jsonl":
        return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    if suffix == ".json":
        return json.dumps(rows).encode()
    if suffix == ".csv":
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows([[row.get(name) for name in columns] for row in rows])
        return text.getvalue().encode()
    table, sink = (
        pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows]),
        pa.BufferOutputStream(),
    )
    if suffix == ".parquet":
        pq.write_table(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return sink.getvalue().to_pybytes()


def write(folder: Path, rows: list[dict[str, Any]], suffix: str, packing: str, cut: int) -> str:
    """Rows in one file, or in two."""
    parts = [rows[:cut], rows[cut:]] if 0 < cut < len(rows) else [rows]
    for number, part in enumerate(parts):
        (folder / f"{number}{suffix}{packing}").write_bytes(PACKINGS[packing](encode(part, suffix)))
    return str(folder / f"*{suffix}{packing}") if len(parts) > 1 else str(folder / f"0{suffix}{packing}")


def plain(value: Any) -> Any:
    """A value without the nulls that a table has for keys of other rows; numbers by their value."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def same(found: Any, written: Any, is_csv: bool) -> bool:
    """Whether a value is the written one: itself, or its writing where its column is text."""
    if is_csv and type(found) is float and isinstance(written, int):  # a column of both kinds of numbers
        return found == written
    if is_csv:
        return ("" if found is None else str(found)) == ("" if written is None else str(written))
    if plain(found) == plain(written) and isinstance(found, bool) == isinstance(written, bool):
        return True
    if isinstance(found, str) and not isinstance(written, str | list | dict):
        return found == json.dumps(written) or (isinstance(written, float) and float(found) == written)
    return False


def check(found: list[dict[str, Any]], rows: list[dict[str, Any]], suffix: str) -> None:
    assert len(found) == len(rows)
    for one, row in zip(found, rows, strict=True):
        for name in row.keys() | (one.keys() & {"prompt", "completion", "value", "late"}):
            assert same(one.get(name), row.get(name), suffix == ".csv"), (name, one.get(name), row.get(name))


def read_by_every_verb(source: str, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What each verb that reads rows makes of them, where it leaves none out."""
    out = folder / "out"
    deduplicate(source, Destination(out / "dedup.jsonl"), columns=["prompt"], processes=1)
    decontaminate(
        source, [EvalSet("none", ["q w e r t z"])], Destination(out / "clean.jsonl"), columns=["prompt"], processes=1
    )
    select(source, out / "select.jsonl", SelectSettings(keep="all"), processes=1)
    verify(source, out / "verify.jsonl", VerifySettings(rewards=("format",)))
    mixed = mix_shares(DatasetMixtureConfig.from_mapping({"datasets": [{"id": source}]}))[0]["train"]
    write_folder(out / "shards", load_splits(source), [], "set")
    verified = [{k: v for k, v in row.items() if k not in OWN_COLUMNS} for row in read_jsonl(out / "verify.jsonl")]
    return {
        "rows": list(open_rows(source).read()),
        "training": load_splits(source)["train"].to_list(),
        "stream": list(load_splits(source, streaming=True)["train"]),
        "problems": [problem.columns for problem in ProblemSet(ProblemSource(source))],
        "mix": sorted(mixed.to_list(), key=lambda row: row["prompt"]),
        "publish": list(open_rows(str(out / "shards")).read()),
        **{name: read_jsonl(out / f"{name}.jsonl") for name in ("dedup", "clean", "select")},
        "verify": verified,
    }


FORMATS = [(suffix, packing) for suffix in (".jsonl", ".json", ".csv") for packing in PACKINGS] + [
    (".parquet", ""), (".arrow", ""), (".parquet", ".gz"), (".arrow", ".zst")
]  # fmt: skip
EXAMPLES = int(os.environ.get("OPEN_R1_ROUND_TRIPS", "25"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(FORMATS), st.integers(0, 4))
def test_every_verb_reads_exactly_what_was_written(data: st.DataObject, format: tuple[str, str], cut: int) -> None:
    suffix, packing = format
    is_text = suffix in (".jsonl", ".json", ".csv")
    kinds = OF_TEXT_FILES[:-2] if suffix == ".csv" else OF_TEXT_FILES if is_text else OF_TABLES
    rows = data.draw(tables(kinds))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", Path(folder) / "cache")
        source = write(Path(folder), rows, suffix, packing, cut)
        for verb, found in read_by_every_verb(source, Path(folder)).items():
            in_order = sorted(rows, key=lambda row: row["prompt"]) if verb == "mix" else rows
            with_context(verb, found, in_order, suffix)


def with_context(verb: str, found: list[dict[str, Any]], rows: list[dict[str, Any]], suffix: str) -> None:
    try:
        check(found, rows, suffix)
    except AssertionError as error:
        error.add_note(f"by {verb}, of {suffix}")
        raise

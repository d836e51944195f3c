"""A run on disk: its paths, the only ways in which its files are written, and whose an output folder is."""

from open_r1.rundir.claim import describe_changes, hold_file, hold_outputs
from open_r1.rundir.files import (
    atomic_file,
    check_keys,
    hash_files,
    open_regular,
    read_json,
    write_json,
    write_text,
    writing_failed,
)
from open_r1.rundir.jsonl import (
    LineAppender,
    append_line,
    index_rows,
    iter_lines,
    iter_rows,
    read_jsonl,
    read_row,
    write_jsonl,
)
from open_r1.rundir.paths import CHECKPOINT_MARKER, RunDir

__all__ = [
    "CHECKPOINT_MARKER",
    "LineAppender",
    "RunDir",
    "append_line",
    "atomic_file",
    "check_keys",
    "describe_changes",
    "hash_files",
    "hold_file",
    "hold_outputs",
    "index_rows",
    "iter_lines",
    "iter_rows",
    "open_regular",
    "read_json",
    "read_jsonl",
    "read_row",
    "write_json",
    "write_jsonl",
    "write_text",
    "writing_failed",
]

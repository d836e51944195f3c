"""Traces, a line a sample, as the original's files have them: a line a problem, its samples in lists.

Bounded memory: only where each line begins is kept, 24 bytes a sample.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from open_r1.data.trace_file import read_head
from open_r1.data.trace_lines import OWN_COLUMNS
from open_r1.data.trace_problems import key_of
from open_r1.rundir import atomic_file

Arrange = Callable[[Sequence[dict[str, Any]]], dict[str, Any]]
"""The samples of one problem, by their index -> the columns to put beside the problem's own."""


def group_traces(traces: Path, grouped: Path, arrange: Arrange) -> int:
    """Write a line for each problem that has a sample, in the order of their first; returns how many."""
    count = 0
    with atomic_file(grouped) as file:
        for rows in read_groups(traces):
            own = {name.removeprefix("source_"): rows[0][name] for name in rows[0] if name not in OWN_COLUMNS}
            file.write(orjson.dumps(own | arrange(rows)) + b"\n")
            count += 1
    return count


def read_groups(traces: Path) -> Iterator[list[dict[str, Any]]]:
    """Each problem's rows, ordered by sample."""
    import numpy as np

    keys, samples, starts = index_lines(traces)
    found = np.frombuffer(keys, dtype=np.uint64) if len(keys) else np.empty(0, dtype=np.uint64)
    _, first, group = np.unique(found, return_index=True, return_inverse=True)
    order = np.lexsort((np.array(samples), first[group])) if len(found) else []
    with traces.open("rb") as file:
        rows: list[dict[str, Any]] = []
        held = None
        for place in order:
            if held is not None and group[place] != held:
                yield rows
                rows = []
            held = group[place]
            file.seek(starts[place])
            rows.append(orjson.loads(file.readline()))
        if rows:
            yield rows


def index_lines(traces: Path) -> tuple[array[int], array[int], array[int]]:
    """Key, sample and start of every line."""
    keys, samples, starts = array("Q"), array("Q"), array("Q")
    start = 0
    with traces.open("rb") as file:
        for number, line in enumerate(file, start=1):
            head = read_head(line, f"{traces}:{number}")
            keys.append(key_of(head.problem_id))
            samples.append(head.sample)
            starts.append(start)
            start += len(line)
    return keys, samples, starts

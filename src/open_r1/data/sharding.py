"""One of several equal parts of the rows of a source, as a job of an array works on, and the parts' results put together.

    open-r1 data verify traces.jsonl --output verified.jsonl --shard 3/16     writes verified-00003-of-00016.jsonl
    open-r1 data merge verified.jsonl                                         writes verified.jsonl of all sixteen

A shard is a run of successive rows, so that its results follow those of the shard before. What is merged is what one process
writes; where the order of lines is chance, as of traces, it is the same lines.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from open_r1.data.provenance import Step, read_steps, record_step, steps_file
from open_r1.data.rows import Chunk, Rows
from open_r1.errors import DataError, RunFolderError
from open_r1.rundir import RunDir, atomic_file, describe_changes, hold_file, read_json, write_json

TAG = re.compile(r"-(\d{5,})-of-(\d{5,})")
FOUND = "found_items"
"""The items of each evaluation set that a shard contains: their number in all shards is not the sum of the shards'."""


@dataclass(frozen=True)
class Shard:
    """The `index`-th, from 0, of `count` parts."""

    index: int
    count: int

    def of(self, total: int) -> range:
        """The numbers of its rows among `total`."""
        return range(total * self.index // self.count, total * (self.index + 1) // self.count)

    def path(self, path: Path) -> Path:
        """Its own file or folder for results that go to `path` together."""
        suffixes = "".join(path.suffixes[-2:]) if path.name.endswith(".hits.jsonl") else path.suffix
        tag = f"-{self.index:05}-of-{self.count:05}"
        return path.with_name(f"{path.name.removesuffix(suffixes)}{tag}{suffixes}")


def read_shard(text: str) -> Shard:
    """`3/16`. ValueError for anything else."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not int(found[1]) < int(found[2]):
        raise ValueError(f"{text!r} is not a shard; write 0/16 for the first of sixteen, 15/16 for the last")
    return Shard(int(found[1]), int(found[2]))


def shard_rows(rows: Rows, shard: Shard) -> Rows:
    """The rows of a shard; the source is read once to count its rows. DataError where the shard has none."""
    part = shard.of(sum(chunk.count() for chunk in rows.chunks()))
    if not part:
        raise DataError(f"shard {shard.index}/{shard.count} of '{rows.name}' has no rows; make fewer shards.")

    def iterate(needed: tuple[str, ...]) -> Iterator[Chunk]:
        first = 0
        for chunk in rows.iterate(needed):
            end = first + chunk.count()
            if first < part.stop and part.start < end:
                yield chunk.part(max(0, part.start - first), min(end, part.stop) - first)
            first = end
            if first >= part.stop:
                return

    return replace(rows, iterate=iterate, first=part.start)


def merge_shards(path: Path, overwrite: bool = False) -> tuple[int, dict[str, Any]]:
    """Put the results of all shards together; returns the number of shards, and the counts of all.

    For a folder of traces, the samples; the same command without --shard then finds them, and writes what else belongs to
    the folder.

    Raises:
        RunFolderError: A shard is missing or not finished, they were made in different ways, or the result exists.
    """
    shards = find_shards(path)
    inner = path / "traces" if (shards[0] / "traces").is_dir() else path  # of pass-rate, and of generate
    existing = inner / "traces.jsonl" if shards[0].is_dir() else path
    if existing.exists() and not overwrite:
        raise RunFolderError(f"'{existing}' already exists; remove it, or replace it with --overwrite.")
    if shards[0].is_dir():
        with RunDir(inner).locked():
            merge_folders(RunDir(inner), [shard / inner.relative_to(path) for shard in shards])
        return len(shards), {}
    steps = [finished_step(shard) for shard in shards]
    first = steps[0]
    for shard, step in zip(shards, steps, strict=True):
        if (step.action, step.source, step.settings) != (first.action, first.source, first.settings):
            raise RunFolderError(f"'{shard}' was made with other settings than '{shards[0]}'; make all in one way.")
    counts = add_counts([step.counts for step in steps])
    with hold_file(path):
        concatenate(path, shards)
        hits = [shard.with_suffix(".hits.jsonl") for shard in shards]
        if all(hit.is_file() for hit in hits):
            concatenate(path.with_suffix(".hits.jsonl"), hits)
        record_step(path, replace(first, counts=counts))
    return len(shards), counts


def find_shards(path: Path) -> list[Path]:
    """All shards of a file or folder in their order. RunFolderError where some are missing."""
    beside = [one for one in path.parent.iterdir() if TAG.search(one.name)] if path.parent.is_dir() else []
    found: dict[Shard, Path] = {}
    for one in beside:
        for index, count in TAG.findall(one.name):
            shard = Shard(int(index), int(count))
            if shard.path(path).name == one.name:
                found[shard] = one
    sizes = {shard.count for shard in found}
    if not found:
        raise RunFolderError(f"there are no shards of '{path}' ({Shard(0, 2).path(path).name} and so on); name what the "
                             "commands with --shard were given.")  # fmt: skip
    if len(sizes) > 1:
        raise RunFolderError(
            f"'{path}' has shards of {' and of '.join(map(str, sorted(sizes)))}; remove the old ones."
        )
    wanted = [Shard(index, max(sizes)) for index in range(max(sizes))]
    if missing := [str(shard.index) for shard in wanted if shard not in found]:
        raise RunFolderError(
            f"{len(missing)} of {len(wanted)} shards of '{path}' are missing: {', '.join(missing[:8])}; run them first."
        )
    return [found[shard] for shard in wanted]


def finished_step(shard: Path) -> Step:
    """The step that made a shard. RunFolderError when it has not finished."""
    steps = read_steps(steps_file(shard))
    if not steps or not steps[-1].counts:
        raise RunFolderError(f"shard '{shard}' is not finished; run its command again.")
    return steps[-1]


def concatenate(path: Path, parts: Sequence[Path]) -> None:
    """Write one file of several; it appears when it is whole."""
    if path.suffix == ".parquet":
        from pyarrow.parquet import ParquetFile, ParquetWriter

        schema = ParquetFile(parts[0]).schema_arrow
        with atomic_file(path) as file, ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in (batch for part in parts for batch in ParquetFile(part).iter_batches()):
                writer.write_batch(batch)
        return
    with atomic_file(path) as file:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, file)


def merge_folders(run: RunDir, shards: Sequence[Path]) -> None:
    """Put the traces of all shards into one folder, as if one run had been interrupted after the last of them."""
    unfinished = [shard for shard in shards if not RunDir(shard).is_done()]
    if unfinished:
        raise RunFolderError(f"shard '{unfinished[0]}' is not finished; run its command again.")
    identities = [read_json(RunDir(shard).identity) for shard in shards]
    for shard, identity in zip(shards, identities, strict=True):
        if changes := describe_changes(identities[0], identity):
            raise RunFolderError(
                f"'{shard}' was made with other settings than '{shards[0]}': {changes}; make all in one way."
            )
    run.done.unlink(missing_ok=True)
    write_json(run.identity, identities[0])  # first: rows without it would be nobody's
    concatenate(run.path / "traces.jsonl", [shard / "traces.jsonl" for shard in shards])


def add_counts(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The counts of all shards: numbers are added, mappings key by key; of found items, each counts once."""
    added: dict[str, Any] = {}
    for name in dict.fromkeys(name for one in counts for name in one if name != FOUND):
        values = [one[name] for one in counts if name in one]
        if isinstance(values[0], Mapping):
            added[name] = add_counts(values)
            if all(isinstance(value, int) for value in added[name].values()):
                added[name] = dict(Counter(added[name]).most_common())
        else:
            added[name] = sum(values)
    found: dict[str, set[int]] = {}
    for name, items in (pair for one in counts for pair in one.get(FOUND, {}).items()):
        found.setdefault(name, set()).update(items)
    for name, items in found.items():
        own = counts[0]["sets"][name]
        added["sets"][name] |= {key: own[key] for key in ("items", "too_short")} | {"items_found": len(items)}
    return added

"""Near duplicates among more rows than one machine has memory for: datatrove's MinHash, here or over Slurm.

    pip install -e '.[datatrove]'
    python scripts/dedup_datatrove.py 'shards/*.jsonl' --columns problem --tasks 64 --partition cpu --output_dir unique

Rows are read and normalised as `open-r1 data dedup` does: word n-grams, and rows with other numbers or operators are never
duplicates. datatrove differs in three things. It compares no similarities after its buckets: it finds 99.9 % of the pairs at
0.9, and still 87 % of those at 0.8. Similarity is passed along a chain. datatrove chooses the row of a cluster that is kept.

Without --partition all tasks run in this machine's processes. Kept rows are in <output_dir>/rows-00000-of-00064.jsonl and so
on; a step that is interrupted continues with its missing tasks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document  # pyright: ignore[reportMissingImports]
from datatrove.executor import (  # pyright: ignore[reportMissingImports]
    LocalPipelineExecutor,
    SlurmPipelineExecutor,
)
from datatrove.pipeline.dedup import (  # pyright: ignore[reportMissingImports]
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.utils.word_tokenizers import WhitespaceTokenizer  # pyright: ignore[reportMissingImports]

from open_r1.data.columns import find_text_columns, read_texts
from open_r1.data.deduplication import NUM_HASHES, DedupSettings, fingerprint_text
from open_r1.data.rows import Changes
from open_r1.data.sharding import Shard, shard_rows
from open_r1.data.sources import open_rows
from open_r1.errors import OpenR1Error
from open_r1.rundir import atomic_file
from open_r1.text.ngrams import WITH_DRAWINGS, ngram_hashes

UNUSED = WhitespaceTokenizer()  # without one, datatrove asks for spaCy


class Signatures(MinhashDedupSignature):
    """datatrove's signatures, over the n-grams that `open-r1 data dedup` compares."""

    def get_shingles(self, text: str) -> np.ndarray:
        """64 bits an n-gram, which depend on the row's numbers and operators; of a shorter row, of all its words."""
        words = WITH_DRAWINGS.words([text])
        exact, details = (np.frombuffer(part, np.uint64) for part in fingerprint_text(words, 0, True))
        if not exact.any():
            return np.zeros((0, 1), np.uint64)
        is_short = len(words.hashes) < self.config.n_grams
        hashes = exact[:1] if is_short else ngram_hashes(words.hashes, self.config.n_grams)
        return (hashes ^ details[0]).reshape(-1, 1)


def read_documents(source: str, columns: list[str], data: Any, rank: int, world_size: int) -> Iterator[Document]:
    """The rows of one task, each with its line."""
    for chunk in shard_rows(open_rows(source), Shard(rank, world_size)).chunks(columns):
        texts = (text for batch in read_texts(chunk, columns) for text in batch)
        for text, line in zip(texts, chunk.lines(Changes()), strict=True):
            yield Document(text=text or " ", id=str(rank), metadata={"line": line})


def write_documents(folder: str, data: Any, rank: int, world_size: int) -> Iterator[Document]:
    """Write the rows that a task keeps; the file appears when it is whole."""
    with atomic_file(Shard(rank, world_size).path(Path(folder) / "rows.jsonl")) as file:
        for document in data:
            file.write(document.metadata["line"])
            yield document


def build_steps(source: str, columns: list[str], folder: Path, tasks: int, settings: DedupSettings) -> list[Any]:
    """datatrove's four steps: the number of tasks, name and pipeline of each."""
    width = settings.band_rows
    config = MinhashConfig(n_grams=settings.ngram, num_buckets=NUM_HASHES // width, hashes_per_bucket=width)
    read, work = partial(read_documents, source, columns), folder / "minhash"
    places = {name: str(work / name) for name in ("signatures", "buckets", "clusters")}
    keep = [read, MinhashDedupFilter(places["clusters"]), partial(write_documents, str(folder))]
    find = MinhashDedupBuckets(places["signatures"], places["buckets"], config=config)
    return [
        (tasks, "signatures", [read, Signatures(places["signatures"], config=config, language=UNUSED)]),
        (config.num_buckets, "buckets", [find]),
        (1, "clusters", [MinhashDedupCluster(places["buckets"], places["clusters"], config=config)]),
        (tasks, "rows", keep),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", help="rows: a file, a pattern in quotes, a folder")
    parser.add_argument("--columns", nargs="+", help="columns with the text (default: problem or the like)")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for the rows that are kept")
    parser.add_argument("--tasks", type=int, default=2, help="parts of the rows (default: 2)")
    parser.add_argument("--workers", type=int, default=2, help="processes on this machine (default: 2)")
    parser.add_argument("--threshold", type=float, default=0.9, help="similarity of near duplicates (default: 0.9)")
    parser.add_argument("--partition", help="Slurm's partition; each task is a job of an array")
    parser.add_argument("--time", default="4:00:00", help="Slurm's time limit of a task (default: 4:00:00)")
    arguments = parser.parse_args()
    columns = list(find_text_columns(open_rows(arguments.source), arguments.columns, "--columns"))
    settings, last = DedupSettings(threshold=arguments.threshold), None
    folder = arguments.output_dir.resolve()
    for tasks, name, steps in build_steps(arguments.source, columns, folder, arguments.tasks, settings):
        common = {"pipeline": steps, "tasks": tasks, "logging_dir": str(folder / "minhash" / "logs" / name)}
        if arguments.partition:
            slurm = {"time": arguments.time, "partition": arguments.partition, "job_name": f"open-r1-dedup-{name}"}
            shell = {"env_command": f"export PATH={Path(sys.executable).parent}:$PATH"}
            last = SlurmPipelineExecutor(**common, **slurm, **shell, depends=last)
        else:
            last = LocalPipelineExecutor(**common, workers=min(tasks, arguments.workers), depends=last)
    assert last is not None
    last.run()


if __name__ == "__main__":
    try:
        main()
    except OpenR1Error as error:
        sys.exit(f"open-r1: {error}")

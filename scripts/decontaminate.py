"""Open-R1's decontamination script: the same flags, over `open-r1 data decontaminate`.

    python scripts/decontaminate.py --dataset open-r1/verifiable-coding-problems-python --problem_column problem --cleanup
    python scripts/decontaminate.py --dataset problems.jsonl --against math500.jsonl aime24.jsonl --cleanup

A local file gives a local file, `<name>_decontaminated.jsonl` or the like. A Hub data set is written to a local Parquet file
first and then pushed under its new name by `open-r1 data publish`, so that a push that fails loses nothing. With
`--cleanup` rows that contain evaluation items are dropped, otherwise a column `contaminated_<set>` says which they are. Rows
are found by our rule, whose faults are fewer; `--rule open-r1` is the original's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from open_r1.cli._data_decontaminate import show_summary
from open_r1.cli._data_publish import push
from open_r1.cli.console import ProgressLine, fail
from open_r1.cli.main import quieten_libraries
from open_r1.data.decontamination import KNOWN_SETS, decontaminate
from open_r1.data.evaluation_index import Rule
from open_r1.data.row_file import Destination
from open_r1.data.sources import open_rows
from open_r1.errors import OpenR1Error

ORIGINAL_NAMES = {"aime24": "aime_2024", "aime25": "aime_2025", "math_500": "math_500", "gpqa": "gpqa", "lcb": "lcb"}
DEFAULT_SETS = [f"{KNOWN_SETS[name]}&name={original}" for name, original in ORIGINAL_NAMES.items()]


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="Hub id, file, or pattern in quotes")
    parser.add_argument("--config", help="configuration of a Hub data set")
    parser.add_argument("--split", default="train", help="split to look through (default: train)")
    parser.add_argument("--ngram_size", type=int, default=8, help="words of an n-gram (default: 8)")
    parser.add_argument("--problem_column", default="problem", help="column with the problem (default: problem)")
    parser.add_argument("--cleanup", action="store_true", help="drop contaminated rows instead of marking them")
    parser.add_argument("--new_dataset_name", help="default: the data set's with _decontaminated added")
    parser.add_argument("--against", nargs="+", default=DEFAULT_SETS, metavar="SET", help="evaluation sets")
    parser.add_argument("--rule", choices=("coverage", "open-r1"), default="coverage", help="default: coverage")
    parser.add_argument("--processes", type=int, help="default: one a core")
    parser.add_argument("--overwrite", action="store_true", help="write over files that are there")
    parser.add_argument("--no_push", action="store_true", help="leave a Hub data set's result as a local file")
    return parser.parse_args(words)


def is_local(dataset: str) -> bool:
    return Path(dataset).expanduser().exists() or any(mark in dataset for mark in "*?[")


def name_output(arguments: argparse.Namespace) -> Path:
    """The file to write: of the source's kind for a local one, Parquet for one from the Hub."""
    source = Path(arguments.dataset)
    if not is_local(arguments.dataset):
        name = arguments.new_dataset_name or f"{arguments.dataset}_decontaminated"
        return Path(f"{name.replace('/', '__')}.parquet")
    kind = ".jsonl" if any(suffix in (".jsonl", ".ndjson") for suffix in source.suffixes) else ".parquet"
    stem = source.name.partition(".")[0].replace("*", "all")
    return Path(arguments.new_dataset_name or source.with_name(f"{stem}_decontaminated{kind}"))


def clean(arguments: argparse.Namespace) -> None:
    output = name_output(arguments)
    destination = Destination(output, output.with_suffix(".hits.jsonl"), not arguments.cleanup, arguments.overwrite)
    with ProgressLine() as line:
        summary = decontaminate(
            open_rows(arguments.dataset, arguments.config, arguments.split),
            arguments.against,
            destination,
            Rule(arguments.rule, arguments.ngram_size),
            columns=[arguments.problem_column],
            processes=arguments.processes,
            num_examples=3,
            progress=line.counting("rows"),
        )
    show_summary(summary, destination)
    if not arguments.no_push and not is_local(arguments.dataset):
        push(str(output), arguments.new_dataset_name or f"{arguments.dataset}_decontaminated", output.with_suffix(""))


def main() -> int:
    arguments = parse_arguments()
    quieten_libraries()
    try:
        clean(arguments)
    except OpenR1Error as error:
        return fail(str(error), error.exit_status)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`open-r1 data select VERIFIED --output FILE`: the traces worth training on, the best of each problem."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli._data_verify import check_source, show_counts
from open_r1.errors import ConfigError, DataError, RunFolderError

if TYPE_CHECKING:
    from open_r1.data.rows import Rows
    from open_r1.data.selection import Columns

FILTERS = ("truncated", "looping", "no_closed_thinking", "no_answer", "mixed_language", "duplicate")

EXAMPLE = """examples:
  open-r1 data select verified.jsonl --output sft.jsonl --keep_per_problem 2 --by shortest --as messages
  open-r1 data select verified.jsonl --output diverse.jsonl --keep_per_problem 4 --by diverse --max_tokens 16384
  open-r1 data select traces/traces.jsonl --output all.jsonl --keep all --without truncated duplicate

A trace is left out for the first that holds: no completion, truncated, looping, thinking not closed, no answer after it,
mixed language, not verified, too short or too long, a duplicate, not chosen. Counts of each are printed and recorded.
"""


def add_parser(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "select",
        help="the traces worth training on, the best of each problem",
        description="Leave out bad traces, each for a reason that is counted, and keep the best of each problem.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verified", help="what data verify wrote, or any source with a completion a row")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the traces that are kept: .jsonl")
    parser.add_argument("--config", help="configuration of a Hub data set")
    parser.add_argument("--split", default="train", help="split of a folder or Hub data set (default: train)")
    parser.add_argument(
        "--completion_column", default="completion", help="column with the trace (default: completion)"
    )
    parser.add_argument("--prompt_column", help="column with the problem (default: prompt, problem, question …)")
    parser.add_argument("--id_column", help="column that tells problems apart (default: problem_id, else the problem)")
    group = parser.add_argument_group("what is left out")
    group.add_argument(
        "--keep", choices=("verified", "rules", "all"), default="verified",
        help="verified: right by rules or judge; rules: by rules alone; all (default: verified)",
    )  # fmt: skip
    group.add_argument("--without", nargs="+", default=[], choices=FILTERS, metavar="FILTER",
                       help=f"filters to do without: {', '.join(FILTERS)}")  # fmt: skip
    group.add_argument("--thinking_optional", action="store_true", help="keep traces without any thinking, too")
    group.add_argument("--max_looping", type=float, default=0.3, metavar="SHARE",
                       help="of 20-token windows that stand there four times or more (default: 0.3)")  # fmt: skip
    group.add_argument("--max_foreign", type=float, default=0.1, metavar="SHARE",
                       help="of words in another script than the problem's (default: 0.1)")  # fmt: skip
    group.add_argument("--min_tokens", type=int, help="shorter traces are left out")
    group.add_argument("--max_tokens", type=int, help="longer traces are left out")
    group = parser.add_argument_group("rejection sampling")
    group.add_argument("--keep_per_problem", type=int, metavar="K", help="so many traces a problem (default: all)")
    group.add_argument(
        "--by", choices=("shortest", "longest", "first", "random", "diverse"), default="shortest",
        help="which ones (default: shortest)",
    )  # fmt: skip
    group.add_argument("--seed", type=int, default=0, help="of random and diverse (default: 0)")
    group = parser.add_argument_group("what is written")
    group.add_argument("--as", dest="form", choices=("rows", "messages"), default="rows",
                       help="rows as they are, or conversations for SFT (default: rows)")  # fmt: skip
    group.add_argument("--system_prompt", help="system prompt of the conversations")
    parser.add_argument("--processes", type=int, metavar="N", help="processes (default: one a core; same result)")
    parser.add_argument("--overwrite", action="store_true", help="write over a file that is there")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from open_r1.data.processes import available_cores
    from open_r1.data.selection import SelectSettings, Writing, select_traces
    from open_r1.data.sources import open_rows

    check_request(arguments)
    settings = SelectSettings(
        keep=arguments.keep,
        without=tuple(arguments.without),
        thinking_optional=arguments.thinking_optional,
        max_looping=arguments.max_looping,
        max_foreign=arguments.max_foreign,
        min_tokens=arguments.min_tokens,
        max_tokens=arguments.max_tokens,
        per_problem=arguments.keep_per_problem,
        by=arguments.by,
        seed=arguments.seed,
    )
    rows = open_rows(arguments.verified, arguments.config, arguments.split)
    writing = Writing(find_columns(rows, arguments), arguments.form, arguments.system_prompt)
    processes = available_cores() if arguments.processes is None else arguments.processes
    counts = select_traces(rows, arguments.output, settings, writing, processes)
    if arguments.json:
        print(json.dumps(counts, indent=2))
    else:
        show(counts, arguments.output)
    return 0


def check_request(arguments: argparse.Namespace) -> None:
    if arguments.output.suffix != ".jsonl":
        raise ConfigError(f"--output {arguments.output} is of no known kind; end it in .jsonl.")
    if arguments.output.exists() and not arguments.overwrite:
        raise RunFolderError(
            f"'{arguments.output}' is there already; give another name, or write over it with --overwrite."
        )
    if arguments.system_prompt is not None and arguments.form == "rows":
        raise ConfigError("--system_prompt has a place in conversations alone; add --as messages.")


def find_columns(rows: Rows, arguments: argparse.Namespace) -> Columns:
    """Where the parts of a trace are. DataError for what must be there and isn't."""
    from open_r1.data.columns import PROMPT_COLUMNS, require_columns
    from open_r1.data.provenance import steps_behind
    from open_r1.data.selection import Columns

    found = check_source(rows, arguments)
    for flag in ("prompt_column", "id_column"):
        if (name := getattr(arguments, flag)) is not None:
            require_columns(found, [name], rows.name, f"--{flag}")
    problems = (arguments.prompt_column,) if arguments.prompt_column else PROMPT_COLUMNS
    problems = tuple(name for name in problems if name in found)

    def known(name: str) -> str | None:
        return name if name in found else None

    problem_id = arguments.id_column or known("problem_id")
    if not problems and (arguments.form == "messages" or problem_id is None):
        raise DataError(
            f"'{rows.name}' has no column of problems that is known by its name ({', '.join(PROMPT_COLUMNS)}). "
            f"Found: {', '.join(found)}; name it with --prompt_column."
        )
    if arguments.keep != "all":
        steps = steps_behind(rows.name)
        if "verified" not in found:
            raise DataError(
                f"'{rows.name}' has no column 'verified'; run `open-r1 data verify` on it first, or add --keep all."
            )
        if steps and steps[-1].action == "verify" and not steps[-1].counts:
            raise DataError(f"the verification of '{rows.name}' was not finished; run the same `data verify` again.")
    return Columns(
        arguments.completion_column, problems, problem_id, known("finish_reason"), known("completion_tokens"),
        known("verified"), known("verified_by"),
    )  # fmt: skip


def show(counts: dict[str, Any], output: Path) -> None:
    print(
        f"{counts['kept']:,} of {counts['traces']:,} traces are kept, of {counts['problems_kept']:,} of "
        f"{counts['problems']:,} problems; left out:"
    )
    show_counts(counts["left_out"])
    print(f"in {output}")

"""The traces worth training on, the best of each problem.

Leave out bad traces, each for a reason that is counted, and keep the best of each problem.

examples:
  open-r1 data select verified.jsonl --output sft.jsonl --keep_per_problem 2 --by shortest --as messages
  open-r1 data select verified.jsonl --output diverse.jsonl --keep_per_problem 4 --by diverse --max_tokens 16384
  open-r1 data select traces/traces.jsonl --output all.jsonl --keep all --without truncated duplicate

A trace is left out for the first of these that applies: no completion, truncated, looping, thinking not closed, no answer
after it, mixed language, not verified, too short or too long, a duplicate, not chosen. Counts of each are printed and
recorded. The output appears when it is whole.
"""

from __future__ import annotations

import argparse
from typing import Any

from open_r1.cli.console import ProgressLine, show, show_json, table, tell
from open_r1.cli.options import add, add_results, add_rows, add_settings, read_rows, read_settings

GROUPS = {
    "what is left out": "keep without thinking_optional max_looping max_foreign min_tokens max_tokens",
    "rejection sampling": "per_problem by seed",
    "what is written": "form system_prompt",
    "columns": "completion_column prompt_column id_column",
}


def add_options(parser: Any) -> None:
    """The options of `data select`, a group for each kind of filter."""
    from open_r1.data.selection import OPTIONAL, SelectSettings

    add_rows(parser, "verified", "what data verify wrote, or any source with a completion per row")
    for title, names in GROUPS.items():
        changes = {"without": {"choices": OPTIONAL, "metavar": "FILTER"}}
        add_settings(parser.add_argument_group(title), SelectSettings, *names.split(), **changes)
    add(parser, "processes")
    add_results(parser, "output", required=True, help="the traces that are kept: .jsonl")


def run(arguments: argparse.Namespace) -> int:
    """Write the traces that pass the filters, and show how many each filter leaves out."""
    from open_r1.data.selection import SelectSettings, select
    from open_r1.rundir import hold_outputs

    output = None if arguments.dry_run else arguments.output
    rows, settings = read_rows(arguments, arguments.verified), read_settings(SelectSettings, arguments)
    named = {"overwrite": arguments.overwrite, "processes": arguments.processes}
    with hold_outputs(output), ProgressLine() as line:
        counts = select(rows, output, settings, **named, progress=line.counting("traces"), tell=tell)
    if arguments.json:
        show_json(counts)
        return 0
    show(
        f"{counts['kept']:,} of {counts['traces']:,} traces are kept, of {counts['problems_kept']:,} of "
        f"{counts['problems']:,} problems; left out:"
    )
    show(table(((count, name) for name, count in counts["left_out"].items()), indent=2))
    show(f"in {output}" if output else "nothing was written")
    return 0

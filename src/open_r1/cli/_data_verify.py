"""A verdict with its reason on every trace; resumable.

Judge every trace: programs by their tests, answers by the answer layer, the rest by a judge model.

examples:
  open-r1 data verify traces/traces.jsonl --output verified.jsonl
  open-r1 data verify traces/traces.jsonl --output verified.jsonl --rewards binary_code --set code_provider=piston
  open-r1 data verify traces/traces.jsonl --output verified.jsonl --judge_server http://localhost:8000/v1 --judge_for wrong

Each trace gets verified (true, false, null), verify_score, verify_reason, extracted_answer and verified_by. The same command
continues where it stopped, and adds what has been appended to the traces since.
"""

from __future__ import annotations

import argparse
from typing import Any

from open_r1.cli.console import ProgressLine, show, show_json, table, tell
from open_r1.cli.options import (
    add,
    add_results,
    add_reward_choice,
    add_rows,
    add_settings,
    add_shard,
    read_rows,
    read_settings,
)


def add_options(parser: Any) -> None:
    """The options of `data verify`."""
    from open_r1.data.verification import VerifySettings
    from open_r1.generation.judge_model import JudgeSettings

    add_rows(parser, "traces", "what data generate wrote, or any source with a completion per row")
    add_settings(parser, VerifySettings, "completion_column", "threshold")
    add_reward_choice(
        parser, "rewards to judge by; the first that applies to a row judges it (default: by the columns)"
    )
    add_settings(parser.add_argument_group("a judge model for what rules can't decide"), JudgeSettings)
    add(parser, "api_key_env")
    add_shard(parser)
    add_results(parser, "output", required=True, help="the same rows with verdicts: .jsonl")


def run(arguments: argparse.Namespace) -> int:
    """Write the rows with a verdict each, by rewards and by a judge model where rewards can't decide."""
    from open_r1.data.verification import VerifySettings, prepare, verify
    from open_r1.generation.judge_model import JudgeSettings, open_judge

    rows, settings = read_rows(arguments, arguments.traces), read_settings(VerifySettings, arguments)
    output = arguments.shard.path(arguments.output) if arguments.shard else arguments.output
    if arguments.dry_run:
        _, _, used = prepare(rows, output, settings, None)
        show(f"would judge the traces of {rows.name} by {', '.join(used['rewards'])}; nothing was written")
        return 0
    judge = open_judge(read_settings(JudgeSettings, arguments), arguments.api_key_env, tell)
    with ProgressLine() as line:
        progress = line.counting("traces")
        record = verify(rows, output, settings, judge=judge, overwrite=arguments.overwrite, progress=progress)
    is_done = record["earlier"] == record["traces"]
    if is_done:
        tell(f"already done in {output}")
    if arguments.json:
        show_json(record)
        return 0
    earlier = f" ({record['earlier']:,} of them in an earlier run)" if record["earlier"] and not is_done else ""
    show(
        f"{record['traces']:,} traces{earlier}: {record['verified']:,} verified, {record['refuted']:,} refuted, "
        f"{record['undecided']:,} undecided"
    )
    show(table(((count, name) for name, count in record["reasons"].items()), indent=2))
    if record.get("judge_failures"):
        show("the judge left open: " + ", ".join(f"{name} {n:,}" for name, n in record["judge_failures"].items()))
    show(f"in {output}")
    return 0

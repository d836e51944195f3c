"""`open-r1 data verify TRACES --output FILE`: a verdict with its reason on every trace, resumable."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from open_r1.cli.console import ProgressLine, show, show_json, table, tell
from open_r1.cli.options import add, add_results, add_rows, add_settings, read_settings

SUMMARY = "a verdict with its reason on every trace; resumable"
DESCRIPTION = "Judge every trace: programs by their tests, answers by the answer layer, the rest by a judge model."
EXAMPLE = """examples:
  open-r1 data verify traces/traces.jsonl --output verified.jsonl
  open-r1 data verify traces/traces.jsonl --output verified.jsonl --rewards binary_code --set code_provider=piston
  open-r1 data verify traces/traces.jsonl --output verified.jsonl --judge_server http://localhost:8000/v1 --judge_for wrong

Each trace gets verified (true, false, null), verify_score, verify_reason, extracted_answer and verified_by. The same command
continues where it stopped, and adds what has been appended to the traces since.
"""


def add_options(parser: Any) -> None:
    """The command's options."""
    from open_r1.data.judge_model import JudgeSettings
    from open_r1.data.verification import VerifySettings

    add_rows(parser, "traces", "what data generate wrote, or any source with a completion per row")
    add_settings(parser, VerifySettings, "completion_column", "threshold")
    add_reward_choice(
        parser, "rewards to judge by; the first that applies to a row judges it (default: by the columns)"
    )
    add_settings(parser.add_argument_group("a judge model for what rules can't decide"), JudgeSettings)
    add(parser, "api_key_env")
    add_results(parser, "output", required=True, help="the same rows with verdicts: .jsonl")


def add_reward_choice(parser: Any, rewards: str) -> None:
    """Which rewards, with which settings, for every action that scores rows."""
    from open_r1.data.trace_rewards import RewardChoice

    group = parser.add_argument_group("rewards")
    add_settings(group, RewardChoice, "rewards", "solution_column", rewards={"help": rewards})
    add(group, "set", help="a setting of the rewards; may be repeated")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    from open_r1.data.judge_model import JudgeSettings, open_judge
    from open_r1.data.sources import open_rows
    from open_r1.data.verification import VerifySettings, prepare, verify

    settings = read_settings(VerifySettings, arguments)
    rows = open_rows(arguments.traces, arguments.dataset_config, arguments.split)
    if arguments.dry_run:
        _, _, used = prepare(rows, arguments.output, settings, None)
        show(f"would judge the traces of {rows.name} by {', '.join(used['rewards'])}; nothing was written")
        return 0
    judge = open_judge(read_settings(JudgeSettings, arguments), arguments.api_key_env, tell)
    with ProgressLine() as line:
        record = verify(
            rows,
            arguments.output,
            settings,
            judge=judge,
            overwrite=arguments.overwrite,
            progress=line.counting("traces"),
        )
    if arguments.json:
        show_json(record)
    else:
        show_record(record, arguments.output)
    return 0


def show_record(record: dict[str, Any], output: Path) -> None:
    """Print the counts, and where the verdicts are."""
    earlier = f" ({record['earlier']:,} of them in an earlier run)" if record["earlier"] else ""
    show(f"{record['traces']:,} traces{earlier}: {record['verified']:,} verified, {record['refuted']:,} refuted, "
         f"{record['undecided']:,} undecided")  # fmt: skip
    show(table(((count, name) for name, count in record["reasons"].items()), indent=2))
    if record.get("judge_failures"):
        show("the judge left open: " + ", ".join(f"{name} {n:,}" for name, n in record["judge_failures"].items()))
    show(f"in {output}")

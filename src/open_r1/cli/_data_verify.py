"""`open-r1 data verify TRACES --output FILE`: a verdict with its reason on every trace, resumable."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import tell
from open_r1.errors import ConfigError

if TYPE_CHECKING:
    from open_r1.data.judge_model import JudgeModel
    from open_r1.data.rows import Rows

SHOW_EVERY_ROWS = 10_000

EXAMPLE = """examples:
  open-r1 data verify traces/traces.jsonl --output verified.jsonl
  open-r1 data verify traces/traces.jsonl --output verified.jsonl --rewards binary_code --set code_provider=piston
  open-r1 data verify traces/traces.jsonl --output verified.jsonl --judge_server http://localhost:8000/v1 --judge_for wrong

Each trace gets verified (true, false, null), verify_score, verify_reason, extracted_answer and verified_by. The same command
goes on where it stopped, and takes in what has been added to the traces since.
"""


def add_parser(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "verify",
        help="a verdict with its reason on every trace; resumable",
        description="Judge every trace: programs by their tests, answers by the answer layer, the rest by a judge model.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("traces", help="what data generate wrote, or any source with a completion a row")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="the same rows with verdicts: .jsonl"
    )
    parser.add_argument("--config", help="configuration of a Hub data set")
    parser.add_argument("--split", default="train", help="split of a folder or Hub data set (default: train)")
    parser.add_argument(
        "--completion_column", default="completion", help="column with the trace (default: completion)"
    )
    add_reward_arguments(
        parser, "rewards to judge by; a row is judged by the first that applies (default: by the columns)"
    )
    parser.add_argument(
        "--threshold", type=float, default=1.0, help="score from which on a trace is right (default: 1)"
    )
    group = parser.add_argument_group("a judge model for what rules can't decide")
    group.add_argument("--judge_server", nargs="+", metavar="URL", help="one or several servers of OpenAI's chat API")
    group.add_argument("--judge_model", metavar="NAME", help="its name at the server (default: the one it has)")
    group.add_argument(
        "--judge_for", choices=("undecided", "unparsable", "wrong"), default="unparsable",
        help="asked where the gold can't be read; also where the answer can't; also where it is wrong or missing "
        "(default: unparsable)",
    )  # fmt: skip
    group.add_argument("--judge_concurrency", type=int, default=32, help="requests in flight at each (default: 32)")
    group.add_argument("--judge_max_tokens", type=int, default=2048, help="limit of its reply (default: 2048)")
    group.add_argument("--api_key_env", default="OPENAI_API_KEY", help="environment variable with the key")
    parser.add_argument("--overwrite", action="store_true", help="write over a file that is there")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    parser.set_defaults(run=run)


def add_reward_arguments(parser: argparse.ArgumentParser, text: str) -> None:
    """Which rewards, with which settings; the same for every action that scores traces."""
    parser.add_argument("--rewards", "--reward_funcs", nargs="+", metavar="NAME", help=text)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of the rewards")
    parser.add_argument("--solution_column", help="column with the gold (default: solution, else answer, of each row)")


def run(arguments: argparse.Namespace) -> int:
    from open_r1.data.sources import open_rows
    from open_r1.data.trace_rewards import build_rewards, names_for
    from open_r1.data.verification import TraceVerifier, VerifySettings, verify_traces
    from open_r1.rewards.recipe import read_reward_settings

    settings = VerifySettings(arguments.completion_column, arguments.solution_column, arguments.threshold)
    rows = open_rows(arguments.traces, arguments.config, arguments.split)
    columns = check_source(rows, arguments)
    names = arguments.rewards or names_for(columns, arguments.solution_column, rows.name)
    given = read_reward_settings(arguments.set, names)
    built = build_rewards(names, columns, arguments.solution_column, argparse.Namespace(**given), rows.name)
    judge = make_judge(arguments)
    identity: dict[str, Any] = {
        "rewards": names,
        **given,
        "completion_column": settings.completion_column,
        "solution_column": settings.solution_column,
        "threshold": settings.threshold,
        "judge": judge and judge.name,
        "judge_for": judge and judge.scope,
    }
    shown = Shown()
    verifier = TraceVerifier(built, settings, judge)
    record = verify_traces(rows, arguments.output, verifier, identity, arguments.overwrite, shown.show)
    if arguments.json:
        print(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        show(record, arguments.output)
    return 0


def check_source(rows: Rows, arguments: argparse.Namespace) -> list[str]:
    """The source's columns; refuses one without completions, and one that would be written over while it is read."""
    from open_r1.data.columns import require_columns

    source = Path(rows.name).expanduser()
    if source.exists() and source.resolve() == arguments.output.resolve():
        raise ConfigError(f"'{rows.name}' is what is read; write the result to another file.")
    columns = list(rows.columns)
    require_columns(columns, [arguments.completion_column], rows.name, "--completion_column")
    return columns


def make_judge(arguments: argparse.Namespace) -> JudgeModel | None:
    """The judge model, there and of one name; None where none is asked for."""
    if not arguments.judge_server:
        if arguments.judge_model:
            raise ConfigError("--judge_model needs the server that has it; name it with --judge_server URL.")
        return None
    from open_r1.data.judge_model import JudgeModel
    from open_r1.generation.openai_server import OpenAIServer, ServerSettings

    if arguments.judge_max_tokens < 1:
        raise ConfigError(f"--judge_max_tokens must be at least 1, but is {arguments.judge_max_tokens}.")
    server = OpenAIServer(
        ServerSettings(
            urls=tuple(arguments.judge_server),
            model=arguments.judge_model,
            api_key_env=arguments.api_key_env,
            concurrency=arguments.judge_concurrency,
            timeout_s=300,
            patience_s=60,
        ),
        tell,
    )
    tell(f"judge: {server.find_model()}")
    return JudgeModel(server, arguments.judge_for, arguments.judge_max_tokens)


class Shown:
    """Tells of progress every so many rows."""

    def __init__(self) -> None:
        self.next_at = SHOW_EVERY_ROWS

    def show(self, counts: Any) -> None:
        if counts.rows >= self.next_at:
            tell(f"{counts.rows:,} traces, {counts.verdicts['verified']:,} of them verified")
            self.next_at = counts.rows + SHOW_EVERY_ROWS


def show(record: dict[str, Any], output: Path) -> None:
    earlier = f" ({record['earlier']:,} of them in an earlier run)" if record["earlier"] else ""
    print(f"{record['traces']:,} traces{earlier}: {record['verified']:,} verified, {record['refuted']:,} refuted, "
          f"{record['undecided']:,} undecided")  # fmt: skip
    show_counts(record["reasons"])
    if record.get("judge_failures"):
        print("the judge left open: " + ", ".join(f"{name} {n:,}" for name, n in record["judge_failures"].items()))
    print(f"in {output}", file=sys.stdout)


def show_counts(counts: dict[str, int]) -> None:
    for name, count in counts.items():
        print(f"  {count:>9,}  {name}")

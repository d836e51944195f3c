"""List, describe and try the reward functions.

examples:
  open-r1 rewards list
  open-r1 rewards describe cosine
  open-r1 rewards score completions.jsonl --rewards accuracy format --set max_completion_len=2048
"""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, show_json, table, tell
from open_r1.cli.options import add, add_verb
from open_r1.errors import DataError

if TYPE_CHECKING:
    from open_r1.records import Outcome
    from open_r1.rewards.spec import RewardSpec

TEXT_COLUMNS = ("completion", "completions", "text", "response", "messages")


def add_options(parser: Any) -> None:
    """The actions of `rewards`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_verb(actions, "list", run_list.__doc__, add_list_options, run_list)
    add_verb(actions, "describe", run_describe.__doc__, add_describe_options, run_describe)
    add_verb(actions, "score", run_score.__doc__, add_score_options, run_score)


def add_list_options(parser: Any) -> None:
    """The options of `rewards list`."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, and module:name of your own")
    add(parser, "json")


def add_describe_options(parser: Any) -> None:
    """The options of `rewards describe`."""
    parser.add_argument("name", metavar="NAME", help="a reward, or module:name of your own")
    add(parser, "json")


def add_score_options(parser: Any) -> None:
    """The options of `rewards score`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="JSONL; a line is a completion with its columns")
    add(parser, "rewards", required=True)
    add(parser, "set", help="a setting of the rewards; may be repeated")
    add(parser, "output", help="write each line's values, reasons and details to this JSONL file")
    add(parser, "json")


def run_list(arguments: argparse.Namespace) -> int:
    """Every reward in a line.

    Example: open-r1 rewards list
    """
    from open_r1.rewards.registry import get_spec, reward_specs

    specs = [get_spec(name) for name in arguments.names or reward_specs()]
    if arguments.json:
        show_json([_spec_record(spec) for spec in specs])
    else:
        show(table([spec.name, spec.summary] for spec in specs))
    return 0


def run_describe(arguments: argparse.Namespace) -> int:
    """One reward: formula, source, columns, settings.

    Example: open-r1 rewards describe cosine
    """
    from open_r1.rewards.registry import get_spec

    record = _spec_record(get_spec(arguments.name))
    if arguments.json:
        show_json(record)
        return 0
    for label, value in record.items():
        items = [f"{key} = {default}" for key, default in value.items()] if isinstance(value, dict) else value
        shown = ", ".join(items) or "none" if isinstance(items, list) else items
        show(f"{label + ':':<15}{shown}")
    return 0


def run_score(arguments: argparse.Namespace) -> int:
    """Score a JSONL file of completions.

    A line of the file has a `completion` (text, or a chat as a list of messages) and the columns the rewards need; several
    lines of one prompt follow each other where rewards compare them.

    Example: open-r1 rewards score completions.jsonl --rewards accuracy format --set max_completion_len=2048
    """
    tell(f"reading {arguments.file}")
    from open_r1.rewards.registry import build_reward
    from open_r1.rewards.settings import read_reward_settings

    settings = argparse.Namespace(**read_reward_settings(arguments.set, arguments.rewards))
    rewards = {name: build_reward(name, settings) for name in arguments.rewards}
    columns = read_columns(arguments.file)
    outcomes = {name: reward.score(**columns) for name, reward in rewards.items()}
    if arguments.output:
        from open_r1.rundir import write_jsonl

        samples = zip(*outcomes.values(), strict=True)
        write_jsonl(arguments.output, ({n: _record(o) for n, o in zip(outcomes, s, strict=True)} for s in samples))
    _print_summary(outcomes, columns, as_json=arguments.json)
    return 0


def read_columns(path: Path) -> dict[str, list[Any]]:
    """The file's columns, the completions under `completions`. DataError names the row that can't be scored."""
    from open_r1.data.sources import open_rows

    rows = list(open_rows(str(path)).read())
    found = next((name for name in TEXT_COLUMNS if name in rows[0]), None)
    if found is None:
        raise DataError(
            f"{path} has no column of completions; found {', '.join(rows[0])}. Name it one of: {', '.join(TEXT_COLUMNS)}."
        )
    for number, row in enumerate(rows, start=1):
        if found not in row:
            raise DataError(f"{path}, sample {number} has no {found}; give it one, which may be empty.")
        if not isinstance(row[found], str | list | None):
            raise DataError(f"{path}, sample {number} has a {found} that is neither text nor a chat: {row[found]!r}.")
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names if name != found}
    columns["completions"] = [row[found] or "" for row in rows]
    if "solution" not in columns and "answer" in columns:
        columns["solution"] = columns["answer"]
    if "prompt" in columns:
        columns.setdefault("prompts", columns["prompt"])
    return columns


def _record(outcome: Outcome) -> dict[str, Any]:
    record: dict[str, Any] = {"value": outcome.value, "reason": outcome.reason}
    return record | ({"details": dict(outcome.details)} if outcome.details else {})


def _print_summary(outcomes: dict[str, list[Outcome]], columns: dict[str, list[Any]], as_json: bool) -> None:
    from open_r1.rewards.combination import summarise
    from open_r1.rewards.tables import histogram, summary_table

    sizes = group_sizes(columns)
    summaries = {name: summarise(found, sizes) for name, found in outcomes.items()}
    if as_json:
        show_json({name: vars(summary) for name, summary in summaries.items()})
        return
    show("\n".join(summary_table(outcomes, summaries)))
    for name, summary in summaries.items():
        values = [outcome.value for outcome in outcomes[name] if outcome.value is not None]
        show(f"\n{name}: {len(values)} scored, {len(outcomes[name]) - len(values)} unscored")
        for reason, count in sorted(summary.reasons.items(), key=lambda item: (-item[1], item[0])):
            show(f"  {count:>7}  {reason}")
        for line in histogram(values):
            show(f"  {line}")


def group_sizes(columns: dict[str, list[Any]]) -> list[int]:
    """How many lines each prompt has; a file without prompts is one group."""
    keys = columns.get("prompts") or [None] * len(columns["completions"])
    return [sum(1 for _ in lines) for _, lines in groupby(map(repr, keys))]


def _spec_record(spec: RewardSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "function": spec.function_name,
        "kind": spec.kind,
        "summary": spec.summary,
        "formula": spec.formula,
        "source": spec.source,
        "needs columns": list(spec.needs_columns),
        "settings": {setting.key: setting.default for setting in spec.settings},
    }

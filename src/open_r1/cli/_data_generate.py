"""Traces from a teacher, many for each problem; resumable.

Generate traces for problems by servers of OpenAI's chat API, or by a model in this process.

examples:
  open-r1 data generate problems.jsonl --server http://node1:8000/v1 http://node2:8000/v1 --num_samples 4 \\
      --max_new_tokens 16384 --output_dir traces
  open-r1 data generate problems.jsonl --backend transformers --model runs/tiny/sft --max_new_tokens 64 --output_dir traces

The same command again continues where it stopped. More --num_samples or more problems add to what is there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import ProgressLine, command_line, show, show_json, tell
from open_r1.cli.options import add_results, add_settings, add_shard, read_settings
from open_r1.errors import RunError

if TYPE_CHECKING:
    from open_r1.data.generation import TraceSettings
    from open_r1.data.problems import ProblemSet, ProblemSource
    from open_r1.data.teacher import TeacherSettings


def add_options(parser: Any) -> None:
    """The options of `data generate`."""
    from open_r1.data.generation import TraceSettings
    from open_r1.data.problems import ProblemSource

    parser.add_argument("source", help="problems: a file, a folder, a Hub id, or tasks:NAME?level=2&n=1000")
    add_settings(parser.add_argument_group("problems"), ProblemSource)
    add_settings(parser.add_argument_group("sampling"), TraceSettings)
    add_teacher(parser)
    add_shard(parser)
    add_results(parser, "output_dir", required=True, help="folder for traces.jsonl and what belongs to it")


def add_teacher(parser: Any) -> None:
    """The model that writes traces, for every action that asks one."""
    from open_r1.data.teacher import TeacherSettings

    add_settings(
        parser.add_argument_group("the model and how it is asked"), TeacherSettings, server={"metavar": "URL"}
    )


def run(arguments: argparse.Namespace) -> int:
    """Sample traces into the output folder; a dry run shows the plan alone."""
    from open_r1.data.generation import TraceSettings
    from open_r1.data.problems import ProblemSource
    from open_r1.data.teacher import TeacherSettings

    teacher = read_settings(TeacherSettings, arguments)
    settings = read_settings(TraceSettings, arguments)
    source, shard = read_settings(ProblemSource, arguments, name=arguments.source), arguments.shard
    folder = shard.path(arguments.output_dir) if shard else arguments.output_dir
    if arguments.dry_run:
        problems = read_problems(source)
        check_template(problems, teacher)
        return show_plan(folder, problems, settings)
    generate(source, folder, teacher, settings, arguments.overwrite, arguments.json)
    return 0


def generate(
    source: ProblemSource,
    folder: Path,
    teacher: TeacherSettings,
    settings: TraceSettings,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Generate, show progress and the result. RunError when samples are missing at the end."""
    from open_r1.data.generation import describe_end, describe_missing, generate_traces
    from open_r1.data.teacher import open_teacher

    problems, command = read_problems(source), command_line()
    check_template(problems, teacher)
    completer = open_teacher(teacher, None if overwrite else folder, tell)
    given: dict[str, Any] = {"identity": teacher.identity(), "overwrite": overwrite, "command": command}
    with ProgressLine() as line:
        summary = generate_traces(problems, folder, completer, settings, **given, progress=line.show)
    is_done = not summary["samples_missing"] and not summary["last_run"]["samples"]
    tell(f"already done in {folder}" if is_done else describe_end(summary, folder))
    if json:
        show_json(summary)
    if summary["samples_missing"]:
        raise RunError(f"{describe_missing(summary, folder)}; the same command tries them again: {command}")


def read_problems(source: ProblemSource) -> ProblemSet:
    """The problems, with notices about rows that are left out or repeat a prompt."""
    tell(f"reading {source.name}")
    from open_r1.data.problems import ProblemSet

    problems = ProblemSet(source)
    survey = problems.survey
    if survey.unusable:
        tell(f"notice: {survey.unusable:,} rows without a usable problem are left out ({'; '.join(survey.examples)})")
    if survey.repeated:
        tell(
            f"notice: {sum(survey.repeated.values()):,} rows share {len(survey.repeated):,} prompts; each row gets traces "
            "of its own (open-r1 data dedup removes repeated ones)"
        )
    return problems


def check_template(problems: ProblemSet, teacher: TeacherSettings) -> None:
    """ModelError where the template of a model in this process refuses every prompt; a notice where it refuses some."""
    from open_r1.generation.templates import check_turns

    turns = problems.survey.turns
    refused = check_turns(str(teacher.model), turns) if teacher.backend != "server" else {}
    for roles, reason in refused.items():
        said = f"{turns[roles]:,} prompts ({', then '.join(roles)}) will fail"
        tell(f"notice: {said}, since the chat template refuses them: {reason}")


def show_plan(folder: Path, problems: ProblemSet, settings: TraceSettings) -> int:
    """How much would be asked, and the first request's conversation."""
    count = problems.survey.num_problems
    show(f"{count:,} problems × {settings.num_samples} samples into {folder}; nothing was asked")
    for message in next(iter(problems)).messages:
        show(f"--- {message['role']}\n{message['content']}")
    most = settings.prices.cost(0, count * settings.num_samples * settings.max_new_tokens)
    if most is not None:
        show(f"--- at most {most:,.2f} for the completions, if each reached {settings.max_new_tokens:,} tokens")
    return 0

"""`open-r1 eval MODEL --problems FILE`: pass@1 with 95 % intervals, every sample kept."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from open_r1.cli.run import tell
from open_r1.errors import ConfigError, RunFolderError


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "eval",
        help="accuracy of a model on a file of problems, with 95 %% intervals",
        description="Complete every problem greedily and from samples, check the answers, and keep every sample.",
        epilog="Example: open-r1 eval runs/tiny/grpo --problems runs/tiny/problems/held_out.jsonl",
    )
    parser.add_argument("model", help="a model folder or Hub id")
    parser.add_argument("--problems", required=True, help="JSONL, Parquet or CSV with a problem and its answer a row")
    parser.add_argument("--prompt_column", default="prompt", help="column with the problem (default: prompt)")
    parser.add_argument("--solution_column", help="column with the answer (default: solution, else answer)")
    parser.add_argument("--output_dir", type=Path, help="where samples.jsonl and summary.json go")
    parser.add_argument(
        "--num_samples", type=int, default=4, help="samples a problem beside the greedy one (default: 4)"
    )
    parser.add_argument("--temperature", type=float, default=1.0, help="of the samples (default: 1.0)")
    parser.add_argument("--max_new_tokens", type=int, default=256, help="limit of a completion (default: 256)")
    parser.add_argument("--max_problems", type=int, help="only the first so many problems")
    parser.add_argument("--batch_size", type=int, default=256, help="sequences at once (default: 256)")
    parser.add_argument("--system_prompt", help="system prompt before every problem")
    parser.add_argument("--seed", type=int, default=0, help="of the samples (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="write over an evaluation that output_dir holds")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from open_r1.data.problems import read_problem_file
    from open_r1.evaluation import Mode, evaluate, score_answers, write_evaluation
    from open_r1.generation import Sampling
    from open_r1.rundir import RunDir

    sampled = Sampling(
        arguments.num_samples, arguments.temperature, max_new_tokens=arguments.max_new_tokens, seed=arguments.seed
    )
    modes = [Mode("greedy", Sampling(max_new_tokens=arguments.max_new_tokens)), Mode("sampled", sampled)]
    check_request(arguments)
    problems = read_problem_file(arguments.problems, arguments.prompt_column, arguments.solution_column)
    problems = problems[: arguments.max_problems]
    if arguments.output_dir:
        RunDir(arguments.output_dir).create()
    evaluation = evaluate(
        load_generator(arguments),
        problems,
        modes,
        score_answers,
        Path(arguments.problems).stem,
        arguments.model,
    )
    if arguments.output_dir:
        write_evaluation(arguments.output_dir, evaluation)
        tell(f"every sample is in {arguments.output_dir / 'samples.jsonl'}")
    else:
        tell("samples were not kept: name a folder for them with --output_dir")
    show(evaluation.summary, arguments.json)
    return 0


def check_request(arguments: argparse.Namespace) -> None:
    """What can't be done as asked, found before anything is loaded."""
    if arguments.max_problems is not None and arguments.max_problems < 1:
        raise ConfigError(f"--max_problems must be at least 1, but is {arguments.max_problems}; leave it out for all.")
    if arguments.batch_size < 1:
        raise ConfigError(f"--batch_size must be at least 1, but is {arguments.batch_size}; raise it.")
    if arguments.output_dir and (arguments.output_dir / "summary.json").exists() and not arguments.overwrite:
        raise RunFolderError(
            f"'{arguments.output_dir}' already holds an evaluation (summary.json); choose another --output_dir, or "
            "write over it with --overwrite."
        )


def load_generator(arguments: argparse.Namespace) -> Any:
    from open_r1.generation.in_process import TransformersGenerator

    return TransformersGenerator.from_folder(
        arguments.model, batch_size=arguments.batch_size, system_prompt=arguments.system_prompt, report=tell
    )


def show(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        json.dump(summary, sys.stdout, indent=2)
        print()
        return
    print(f"{summary['model']} on {summary['num_problems']} problems of {summary['name']}")
    for mode, result in summary["modes"].items():
        rows = {"all": result["accuracy"], **(result["groups"] if len(result["groups"]) > 1 else {})}
        for group, share in rows.items():
            interval = f"[{100 * share['low']:5.1f}, {100 * share['high']:5.1f}]"
            print(f"  {mode:8} {group or 'all':20} {100 * share['value']:5.1f} %  {interval}  n = {share['n']}")
        print(
            f"  {mode:8} {result['mean_tokens']:.1f} tokens on average, {result['truncated_share']:.1%} cut off, "
            f"{result['no_answer_share']:.1%} without an answer, {result['unscored_share']:.1%} unscored"
        )

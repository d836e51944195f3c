"""What `open-r1 eval` may be asked: its options, and what can't be done as asked, found before anything is loaded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from open_r1.errors import ConfigError, RunFolderError

BACKENDS = ("transformers", "vllm", "server")
FOLDER = Path("data/evals")

DEFAULTS: dict[str, Any] = {"prompt_column": "prompt", "seed": 0, "batch_size": 256, "num_gpus": 1}
"""Of options that are refused where they have no use, so that it must be seen whether they were given."""

SAMPLING = ("num_samples", "temperature", "top_p", "max_new_tokens", "seed")
NOT_WITH_LIGHTEVAL = (*SAMPLING, "data", "max_problems", "skip_unusable", "server", "batch_size", "max_model_len")
NOT_WITH_SERVER = ("num_gpus", "max_model_len", "batch_size")
NOT_WITH_PROBLEMS = ("lighteval", "data", "skip_unusable")
OF_PROBLEMS = ("prompt_column", "solution_column")


def add_options(parser: argparse.ArgumentParser) -> None:
    for add in (_add_what, _add_how, _add_who, _add_out):
        add(parser)


def _add_what(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to evaluate on")
    what.add_argument(
        "--benchmarks", nargs="+", metavar="NAME",
        help="names of --list, tasks:NAME?key=value, reasoning_gym:NAME, or files (FILE?prompt=COLUMN&answer=COLUMN)",
    )  # fmt: skip
    what.add_argument("--list", action="store_true", help="list the benchmarks and their defaults")
    what.add_argument(
        "--data", action="append", default=[], metavar="NAME=FILE", help="a local file in the benchmark's columns"
    )
    what.add_argument("--max_problems", type=int, help="only the first so many problems")
    what.add_argument("--skip_unusable", action="store_true", help="leave out problems whose gold can't be read")
    what.add_argument("--problems", help="instead of benchmarks: a file with a problem and its answer a row")
    what.add_argument("--prompt_column", help="of --problems: the problem's column (default: prompt)")
    what.add_argument("--solution_column", help="of --problems: the answer's column (default: solution, else answer)")


def _add_how(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how to sample")
    how.add_argument(
        "--num_samples", "--n", type=int, help="samples a problem (default: the benchmark's; 4 with --problems)"
    )
    how.add_argument("--temperature", type=float, help="default: 0.6; 1.0 with --problems")
    how.add_argument("--top_p", type=float, help="default: 0.95; 1.0 with --problems")
    how.add_argument("--max_new_tokens", type=int, help="default: 32768, or what fits; 256 with --problems")
    how.add_argument("--system_prompt", help="system prompt before every problem")
    how.add_argument("--seed", type=int, help="of the samples and the shuffling (default: 0)")


def _add_who(parser: argparse.ArgumentParser) -> None:
    who = parser.add_argument_group("who answers")
    who.add_argument("--backend", choices=BACKENDS, help="default: transformers, or server where one is named")
    who.add_argument("--server", nargs="+", metavar="URL", help="addresses of servers that have the model")
    who.add_argument("--concurrency", type=int, default=64, help="requests in flight at each server (default: 64)")
    who.add_argument(
        "--wait_for_server", type=float, default=0.0, metavar="SECONDS", help="give a server time to come up"
    )
    who.add_argument("--timeout", type=float, default=3600.0, help="seconds a request may take (default: 3600)")
    who.add_argument("--patience", type=float, default=300.0, help="seconds without any answer before giving up")
    who.add_argument("--api_key_env", default="OPENAI_API_KEY", help="variable with the key (default: OPENAI_API_KEY)")
    who.add_argument("--batch_size", type=int, help="sequences at once in this process (default: 256)")
    who.add_argument("--parallel", choices=("data", "tensor"), help="of --backend vllm, over --num_gpus")
    who.add_argument("--num_gpus", type=int, help="GPUs of --parallel (default: 1)")
    who.add_argument("--max_model_len", type=int, help="context of --backend vllm (default: the model's)")


def _add_out(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument_group("results")
    out.add_argument("--output_dir", type=Path, help=f"where results go (default for benchmarks: {FOLDER}/MODEL)")
    out.add_argument("--overwrite", action="store_true", help="start over in a folder that holds an evaluation")
    out.add_argument("--json", action="store_true", help="print the summaries as JSON")
    out.add_argument(
        "--lighteval", choices=("print", "run"), help="print the lighteval commands for this instead, or run them"
    )


def check_use(arguments: argparse.Namespace) -> None:
    """ConfigError for an option that was given and that nothing here would read."""
    rules = [
        (
            arguments.lighteval and not arguments.problems,
            NOT_WITH_LIGHTEVAL,
            "with --lighteval, whose settings are the guide's",
        ),
        (arguments.server, NOT_WITH_SERVER, "with --server, which decides that itself"),
        (arguments.problems, NOT_WITH_PROBLEMS, "with --problems"),
        (
            not arguments.problems,
            OF_PROBLEMS,
            "without --problems; of a benchmark write FILE?prompt=COLUMN&answer=COLUMN",
        ),
        (arguments.backend != "vllm", ("max_model_len",), "without --backend vllm"),
        (not arguments.parallel, ("num_gpus",), "without --parallel data or --parallel tensor"),
    ]
    for applies, names, where in rules:
        for name in names:
            value = getattr(arguments, name)
            if applies and not (value is None or value is False or value == []):
                shown = "" if value is True else f" {' '.join(map(str, value)) if isinstance(value, list) else value}"
                raise ConfigError(f"--{name}{shown} has no use {where}; leave it out.")


def with_defaults(arguments: argparse.Namespace) -> argparse.Namespace:
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    return argparse.Namespace(**{**vars(arguments), **DEFAULTS, **given})


def check_request(arguments: argparse.Namespace) -> None:
    """What can't be done as asked, found before anything is loaded."""
    if bool(arguments.problems) == bool(arguments.benchmarks):
        raise ConfigError(
            "give either --benchmarks NAME or --problems FILE; open-r1 eval --list shows the benchmarks."
        )
    if arguments.backend == "server" and not arguments.server:
        raise ConfigError("--backend server needs its address: --server http://localhost:8000/v1.")
    if arguments.server and arguments.backend not in (None, "server"):
        raise ConfigError(f"--server has no use with --backend {arguments.backend}; leave one of them out.")
    if arguments.problems and (arguments.server or arguments.backend not in (None, "transformers")):
        raise ConfigError(
            "--problems is answered by transformers in this process; for other backends write --benchmarks "
            f"'{arguments.problems}?prompt={arguments.prompt_column}'."
        )
    if arguments.parallel and arguments.backend != "vllm" and not arguments.lighteval:
        raise ConfigError(f"--parallel {arguments.parallel} needs --backend vllm.")
    for name in ("num_gpus", "num_samples", "max_new_tokens", "max_model_len"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name} must be at least 1, but is {value}.")
    if arguments.max_problems is not None and arguments.max_problems < 1:
        raise ConfigError(f"--max_problems must be at least 1, but is {arguments.max_problems}; leave it out for all.")
    if arguments.batch_size < 1:
        raise ConfigError(f"--batch_size must be at least 1, but is {arguments.batch_size}; raise it.")
    if (
        arguments.problems
        and arguments.output_dir
        and (arguments.output_dir / "summary.json").exists()
        and not arguments.overwrite
    ):
        raise RunFolderError(
            f"'{arguments.output_dir}' already holds an evaluation (summary.json); choose another --output_dir, or "
            "write over it with --overwrite."
        )

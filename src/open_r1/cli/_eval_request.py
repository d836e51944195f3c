"""What `open-r1 eval` may be asked: its options, and what can't be done as asked, found before anything is loaded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from open_r1.cli.options import add, add_model
from open_r1.errors import ConfigError

FOLDER = Path("data/evals")

SAMPLING = ("num_samples", "temperature", "top_p", "max_new_tokens", "seed")
NOT_WITH_LIGHTEVAL = (*SAMPLING, "data", "max_problems", "skip_unusable", "server", "batch_size", "max_model_len")
NOT_WITH_SERVER = ("num_gpus", "max_model_len", "batch_size")
NOT_WITH_PROBLEMS = ("lighteval", "data")
OF_PROBLEMS = ("prompt_column", "solution_column")
AT_LEAST_ONE = (
    "num_gpus",
    "num_samples",
    "max_new_tokens",
    "max_model_len",
    "max_problems",
    "batch_size",
    "concurrency",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """All options; one that is refused where it has no use has no default, so that it shows whether it was given."""
    add_model(parser)
    for add_group in (_add_problems, _add_sampling, _add_backend, _add_results):
        add_group(parser)


def _add_problems(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("problems")
    add(group, "benchmarks", nargs="+", metavar="NAME", help="names of --list, tasks:NAME?key=value, reasoning_gym:NAME, "
        "files (FILE?prompt=COLUMN&answer=COLUMN), or module:NAME")  # fmt: skip
    add(group, "list", "--list_benchmarks", action="store_true", help="list the benchmarks and their defaults")
    add(
        group, "data", action="append", default=[], metavar="NAME=FILE", help="a local file in the benchmark's columns"
    )
    add(group, "problems", metavar="FILE", help="a file of short held-out problems: a benchmark that is answered greedily "
        "and by samples at temperature 1")  # fmt: skip
    add(group, "prompt_column", help="column with the problem, with --problems (default: by its name)")
    add(group, "solution_column", help="column with the gold answer, with --problems (default: by its name)")
    add(group, "max_problems")
    add(group, "skip_unusable", help="leave out problems that can't be scored instead of refusing them")


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sampling")
    add(group, "num_samples", help="samples a problem (default: the benchmark's)")
    add(group, "temperature", help="temperature of the samples; 0 is greedy (default: 0.6; 1.0 with --problems)")
    add(group, "top_p", help="share of the probability that is sampled from (default: 0.95; 1.0 with --problems)")
    add(group, "max_new_tokens", help="most tokens of a completion (default: 32768 or what fits; 256 with --problems)")
    add(group, "system_prompt")
    add(group, "seed", help="seed of the samples and of the order of options (default: 0)")


def _add_backend(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who answers")
    add(group, "backend", help="default: transformers, or server where one is named")
    add(group, "server")
    add(group, "concurrency", default=64)
    add(group, "wait_for_server")
    add(group, "timeout", default=3600.0)
    add(group, "patience", default=300.0)
    add(group, "api_key_env")
    add(group, "batch_size", help="sequences at once in this process (default: 256)")
    add(group, "parallel", choices=("data", "tensor"), help="with --backend vllm: how --num_gpus are used")
    add(group, "num_gpus", type=int, metavar="N", help="GPUs of --parallel (default: 1)")
    add(group, "max_model_len", help="with --backend vllm: tokens of prompt and completion (default: the model's own)")


def _add_results(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    add(group, "output_dir", help=f"folder for the results, one in it for each benchmark (default: {FOLDER}/MODEL)")
    add(group, "overwrite", help="start over in folders that contain other evaluations")
    add(group, "dry-run", help="load and check the problems, and show what would be sampled")
    add(group, "json", help="print the summaries as JSON")
    add(
        group,
        "lighteval",
        choices=("print", "run"),
        help="print lighteval's commands for these benchmarks, or run them",
    )


def check_request(arguments: argparse.Namespace) -> None:
    """ConfigError for what can't be done as asked."""
    if not arguments.model:
        raise ConfigError("no model was named: open-r1 eval MODEL --benchmarks NAME.")
    check_use(arguments)
    if bool(arguments.problems) == bool(arguments.benchmarks):
        raise ConfigError(
            "give either --benchmarks NAME or --problems FILE; open-r1 eval --list shows the benchmarks."
        )
    if arguments.backend == "server" and not arguments.server:
        raise ConfigError("--backend server needs its address: --server http://localhost:8000/v1.")
    if arguments.server and arguments.backend not in (None, "server"):
        raise ConfigError(f"--server has no use with --backend {arguments.backend}; leave one of them out.")
    if arguments.parallel and arguments.backend != "vllm" and not arguments.lighteval:
        raise ConfigError(f"--parallel {arguments.parallel} needs --backend vllm.")
    for name in AT_LEAST_ONE:
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name} must be at least 1, but is {value}; raise it or leave it out.")


def check_use(arguments: argparse.Namespace) -> None:
    """ConfigError for an option that was given and that nothing here would read."""
    rules: list[tuple[Any, tuple[str, ...], str]] = [
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
            "without --problems; for a benchmark write FILE?prompt=COLUMN&answer=COLUMN",
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

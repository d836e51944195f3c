"""Benchmarks of a model, with the guide's flags, here or as a Slurm job.

    python scripts/run_benchmarks.py --model-id MODEL --benchmarks aime24,math_500,gpqa,lcb
    python scripts/run_benchmarks.py --list-benchmarks
    python scripts/run_benchmarks.py --model-id MODEL --benchmarks aime24 --slurm [--tensor-parallel]

It takes every option of `open-r1 eval`. By default vLLM answers where it is installed, else transformers.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from open_r1.cli import eval as eval_verb
from open_r1.cli.main import run_parsed
from open_r1.cli.options import Parser, add
from open_r1.errors import ConfigError

SCRIPT = Path(__file__).parents[1] / "slurm" / "evaluate.slurm"


def build_parser() -> Parser:
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    eval_verb.add_options(parser)
    add_slurm_options(parser)
    parser.set_defaults(run=evaluate)
    return parser


def add_slurm_options(parser: Any) -> None:
    add(parser, "slurm", action="store_true", help="submit slurm/evaluate.slurm, a job for each benchmark")
    add(parser, "tensor_parallel", action="store_true", help="with --slurm: one model over all GPUs of a job")


def run(words: Sequence[str] | None = None) -> int:
    """The exit status of the evaluation, or of the first submission that failed."""
    given = list(sys.argv[1:] if words is None else words)
    parsed = build_parser().parse_args(given)
    parsed.words = given
    return run_parsed(parsed)


def evaluate(arguments: argparse.Namespace) -> int:
    if arguments.slurm and not arguments.list:
        return submit(arguments)
    if arguments.tensor_parallel:
        raise ConfigError(
            "--tensor-parallel is an option of a Slurm job: add --slurm, or here give --backend vllm --parallel tensor "
            "--num_gpus N."
        )
    if not (arguments.backend or arguments.server or arguments.lighteval) and importlib.util.find_spec("vllm"):
        arguments.backend = "vllm"
    return eval_verb.run(arguments)


def submit(arguments: argparse.Namespace) -> int:
    """Submit a job for each benchmark, with the other options as they were given."""
    from open_r1.evaluation.benchmarks import get_benchmark, split_names

    if not arguments.model or not arguments.benchmarks:
        raise ConfigError("give --model-id MODEL and --benchmarks NAME,NAME; --list shows the names.")
    names = split_names(arguments.benchmarks)
    for name in names:
        get_benchmark(name)
    parallel = "tp" if arguments.tensor_parallel else "dp"
    for name in names:
        words = ["sbatch", str(SCRIPT), arguments.model, name, parallel, *other_words(arguments.words)]
        try:
            status = subprocess.run(words, check=False).returncode
        except FileNotFoundError:
            raise ConfigError(
                "sbatch is not on PATH: submit where Slurm is, or leave --slurm out to run here."
            ) from None
        if status:
            return status
    return 0


def other_words(words: Sequence[str]) -> list[str]:
    """The words of a command line without the model, the benchmarks and the options of the submission."""
    parser = Parser()
    add(parser, "model")
    add(parser, "benchmarks", nargs="+", help="names")
    add_slurm_options(parser)
    parser.set_defaults(takes_settings=True)
    return parser.parse_known_args(words)[1]


if __name__ == "__main__":
    sys.exit(run())

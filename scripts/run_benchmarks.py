"""Benchmarks of a model, with the guide's flags, here or as a Slurm job.

    python scripts/run_benchmarks.py --model-id MODEL --benchmarks aime24,math_500,gpqa,lcb
    python scripts/run_benchmarks.py --list-benchmarks
    python scripts/run_benchmarks.py --model-id MODEL --benchmarks aime24 --slurm [--tensor-parallel]

Everything else that `open-r1 eval` takes may follow. By default vLLM answers where it is installed, else transformers.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from open_r1.cli.console import fail
from open_r1.cli.main import main

SCRIPT = Path(__file__).parents[1] / "slurm" / "evaluate.slurm"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model-id", "--model_id", help="a model folder or Hub id")
    parser.add_argument("--benchmarks", nargs="+", help="names, with commas or spaces between")
    parser.add_argument(
        "--list", "--list-benchmarks", "--list_benchmarks", action="store_true", help="list the benchmarks"
    )
    parser.add_argument("--system-prompt", "--system_prompt", help="system prompt before every problem")
    parser.add_argument("--slurm", action="store_true", help="submit slurm/evaluate.slurm, a job a benchmark")
    parser.add_argument(
        "--tensor-parallel", "--tensor_parallel", action="store_true", help="one model over a job's GPUs"
    )
    return parser


def run(words: Sequence[str] | None = None) -> int:
    """The exit status of the evaluation, or of the first submission that failed."""
    arguments, rest = build_parser().parse_known_args(words)
    if arguments.list:
        return main(["eval", "--list"])
    if not arguments.model_id or not arguments.benchmarks:
        return fail("give --model-id MODEL and --benchmarks NAME,NAME; --list shows the names.", 2)
    if arguments.system_prompt is not None:
        rest = ["--system_prompt", arguments.system_prompt, *rest]
    if arguments.slurm:
        return submit(arguments.model_id, arguments.benchmarks, arguments.tensor_parallel, rest)
    if arguments.tensor_parallel:
        return fail(
            "--tensor-parallel is of a Slurm job: add --slurm, or here give --backend vllm --parallel tensor --num_gpus N.",
            2,
        )
    has_backend = any(word.split("=")[0] in ("--backend", "--server", "--lighteval") for word in rest)
    if not has_backend and importlib.util.find_spec("vllm") is not None:
        rest = ["--backend", "vllm", *rest]
    return main(["eval", arguments.model_id, "--benchmarks", *arguments.benchmarks, *rest])


def submit(model: str, benchmarks: Sequence[str], tensor_parallel: bool, rest: Sequence[str]) -> int:
    from open_r1.errors import OpenR1Error
    from open_r1.evaluation.benchmarks import get_benchmark, split_names

    try:
        names = split_names(benchmarks)
        for name in names:
            get_benchmark(name)
    except OpenR1Error as error:
        return fail(str(error), error.exit_status)
    for name in names:
        words = ["sbatch", str(SCRIPT), model, name, "tp" if tensor_parallel else "dp", *rest]
        try:
            status = subprocess.run(words, check=False).returncode
        except FileNotFoundError:
            return fail("sbatch is not on PATH: submit where Slurm is, or leave --slurm out to run here.", 2)
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(run())

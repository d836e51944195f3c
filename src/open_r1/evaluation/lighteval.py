"""lighteval beside our own evaluator: its commands as the guide has them, and its results in our table.

lighteval and Open R1 need different versions of the same library, so that it is only ever run as a command of an
environment of its own: the one that OPEN_R1_LIGHTEVAL names (the program's path), or what is on PATH.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from open_r1.errors import ConfigError, DataError, RunError, nearest
from open_r1.evaluation.statistics import Z95
from open_r1.evaluation.table import Result
from open_r1.processes.python import child_environment
from open_r1.records import Estimate

TASKS: Mapping[str, str] = {
    "aime24": "lighteval|aime24|0|0",
    "aime25": "lighteval|aime25|0|0",
    "math_500": "lighteval|math_500|0|0",
    "gpqa": "lighteval|gpqa:diamond|0|0",
    "lcb": "extended|lcb:codegeneration|0|0",
    "lcb_v4": "extended|lcb:codegeneration_v4|0|0",
    "gsm8k": "lighteval|gsm8k|0|0",
}
"""Benchmark -> lighteval's task."""

VARIABLE = "OPEN_R1_LIGHTEVAL"
METRICS = re.compile(r"pass@1|pass@k:k=1\b|extractive_match|codegen_pass@1|gpqa_pass@1|em\b|acc\b")
INSTALL = "python -m venv lighteval && lighteval/bin/pip install 'lighteval[vllm,extended_tasks]'"


def command(
    model: str,
    benchmark: str,
    folder: Path,
    parallel: str | None = None,
    num_gpus: int = 1,
    system_prompt: str | None = None,
) -> list[str]:
    """The words of the guide's line for a benchmark. ConfigError for one that lighteval lacks."""
    if benchmark not in TASKS:
        raise ConfigError(
            f"lighteval has no task for '{benchmark}'{nearest(benchmark, TASKS)} It has: {', '.join(TASKS)}."
        )
    arguments = [f"model_name={model}", "dtype=bfloat16"]
    if parallel:
        arguments.append(f"{parallel}_parallel_size={num_gpus}")
    arguments += [
        "max_model_length=32768",
        "gpu_memory_utilization=0.8",
        "generation_parameters={max_new_tokens:32768,temperature:0.6,top_p:0.95}",
    ]
    words = ["lighteval", "vllm", ",".join(arguments), TASKS[benchmark], "--use-chat-template"]
    return [*words, *(["--system-prompt", system_prompt] if system_prompt else []), "--output-dir", str(folder)]


def as_line(words: Sequence[str]) -> str:
    """Ready to paste; several GPUs need vLLM's processes to be spawned."""
    line = shlex.join(words)
    return f"VLLM_WORKER_MULTIPROC_METHOD=spawn {line}" if "_parallel_size=" in line else line


def find_program() -> str:
    """The lighteval to run; ConfigError says how to get one."""
    named = os.environ.get(VARIABLE)
    found = shutil.which(named or "lighteval")
    if found is None:
        where = f"{VARIABLE}={named} is not a program" if named else "lighteval is not on PATH"
        raise ConfigError(
            f"{where}. It needs an environment of its own: {INSTALL}; then set {VARIABLE}=lighteval/bin/lighteval."
        )
    return found


def run(words: Sequence[str], folder: Path, tell: Callable[[str], None]) -> list[Result]:
    """Run one of the commands and read what it wrote. RunError when it fails or leaves no results."""
    program = find_program()
    before = set(result_files(folder))
    tell(as_line(words))
    environment = child_environment({"VLLM_WORKER_MULTIPROC_METHOD": "spawn"})
    ended = subprocess.run([program, *words[1:]], env=environment, check=False)
    if ended.returncode:
        raise RunError(f"lighteval ended with status {ended.returncode}; its messages are above.")
    new = [path for path in result_files(folder) if path not in before]
    if not new:
        raise RunError(f"lighteval left no results_*.json in '{folder}'; see its messages above.")
    return [result for path in new for result in read_results_file(path)]


def result_files(folder: Path) -> list[Path]:
    """The results files under a folder, in order."""
    return sorted(folder.rglob("results_*.json"))


def read_results_file(path: Path) -> list[Result]:
    """The pass@1 of every task of a results file that we know, its interval from the standard error it gives."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        model = str(content["config_general"]["model_name"])
        measured = dict(content["results"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{path}' is not a results file of lighteval: {error!r}.") from None
    results = []
    for task, metrics in measured.items():
        benchmark = benchmark_of(task)
        if benchmark and isinstance(metrics, dict) and (estimate := main_estimate(metrics)):
            results.append(Result(f"{model} (lighteval)", benchmark, estimate))
    return results


def benchmark_of(task: str) -> str | None:
    """`lighteval|gpqa:diamond|0` -> gpqa; the suite and what follows the name differ between versions."""
    names = {full.split("|")[1]: benchmark for benchmark, full in TASKS.items()}
    parts = task.split("|")
    return next((names[part] for part in parts if part in names), None)


def main_estimate(metrics: Mapping[str, Any]) -> Estimate | None:
    """Of several kinds of pass@1 the one over most samples."""
    found = [name for name in metrics if METRICS.search(name) and not name.endswith("_stderr")]
    if not found:
        return None
    name = max(found, key=samples_in)
    value, error = float(metrics[name]), float(metrics.get(f"{name}_stderr") or math.nan)
    if math.isnan(error):
        return Estimate(value, math.nan, math.nan, 0)
    return Estimate(value, max(0.0, value - Z95 * error), min(1.0, value + Z95 * error), 0)


def samples_in(metric: str) -> int:
    """`math_pass@1:64_samples` and `pass@k:k=1&n=64` -> 64; 1 where nothing is said."""
    match = re.search(r":(\d+)_samples|n=(\d+)", metric)
    return int(match[1] or match[2]) if match else 1

"""lighteval's commands as the guide has them, ready to paste; it needs an environment of its own."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_r1.errors import ConfigError, nearest

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


def command_line(
    model: str,
    benchmark: str,
    folder: Path,
    parallel: str | None = None,
    num_gpus: int = 1,
    system_prompt: str | None = None,
    hub: Mapping[str, Any] | None = None,
) -> str:
    """The guide's line for a benchmark; `hub` as for `backends`. ConfigError for one that lighteval lacks."""
    if benchmark not in TASKS:
        raise ConfigError(
            f"lighteval has no task for '{benchmark}'{nearest(benchmark, TASKS)} It has: {', '.join(TASKS)}."
        )
    arguments = [f"model_name={model}", "dtype=bfloat16", "max_model_length=32768", "gpu_memory_utilization=0.8"]
    if parallel:
        arguments.insert(2, f"{parallel}_parallel_size={num_gpus}")
    arguments[1:1] = [f"{key}={value}" for key, value in (hub or {}).items()]
    arguments.append("generation_parameters={max_new_tokens:32768,temperature:0.6,top_p:0.95}")
    words = ["lighteval", "vllm", ",".join(arguments), TASKS[benchmark], "--use-chat-template"]
    words += ["--system-prompt", system_prompt] if system_prompt else []
    line = shlex.join([*words, "--output-dir", str(folder)])
    return f"VLLM_WORKER_MULTIPROC_METHOD=spawn {line}" if parallel else line  # several GPUs need it

"""The original's two generation scripts, their flags on our engine: `open_r1/generate.py`, `scripts/generate_reasoning.py`.

Both generate into a folder as `open-r1 data generate` does, so that they can be killed and started again, and then write the
file or push the data set that the original made: a row per problem, its samples in lists.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from open_r1.cli._data_generate import generate
from open_r1.cli._data_publish import push
from open_r1.cli.console import tell
from open_r1.cli.main import run_parsed
from open_r1.data.generation import TraceSettings
from open_r1.data.problems import ProblemSource
from open_r1.data.teacher import TeacherSettings
from open_r1.data.traces import group_traces
from open_r1.errors import ConfigError
from open_r1.generation.server_settings import DEFAULT_SERVER

REASONING_TEMPLATE = (
    "You will be given a problem. Please reason step by step, and put your final answer within \\boxed{{}}:\n{prompt}"
)
DISTILABEL_TEMPLATE = "{{ instruction }}"

GENERATE: dict[str, dict[str, Any]] = {
    "--hf-dataset": {"required": True, "help": "data set: a Hub id, a file or a folder"},
    "--hf-dataset-config": {"help": "its configuration"},
    "--hf-dataset-split": {"default": "train", "help": "its split"},
    "--prompt-column": {"default": "prompt", "help": "column with the problem"},
    "--prompt-template": {"default": DISTILABEL_TEMPLATE, "help": "Jinja; `instruction` is the prompt"},
    "--model": {"required": True, "help": "the model's name at the server"},
    "--vllm-server-url": {"default": DEFAULT_SERVER, "help": "one address, or several with commas between"},
    "--temperature": {"type": float, "help": "the server's where it is not given"},
    "--top-p": {"type": float, "help": "the server's where it is not given"},
    "--max-new-tokens": {"type": int, "default": 8192, "help": "most tokens of a completion"},
    "--num-generations": {"type": int, "default": 1, "help": "completions a problem"},
    "--input-batch-size": {"type": int, "default": 64, "help": "requests in flight a replica"},
    "--client-replicas": {"type": int, "default": 1, "help": "multiplies the requests in flight"},
    "--timeout": {"type": float, "default": 600, "help": "seconds for a reply"},
    "--retries": {"type": int, "default": 7, "help": "further tries for a sample in one run"},
    "--hf-output-dataset": {"help": "repository on the Hub to push to"},
    "--private": {"action": "store_true", "help": "make that repository private"},
    "--output-dir": {"type": Path, "help": "folder for the traces; data/generate/ and the names if not given"},
    "--wait-for-server": {"type": float, "default": 0, "help": "seconds to wait for the server to come up"},
}
REASONING: dict[str, dict[str, Any]] = {
    "--dataset-name": {"required": True, "help": "data set: a Hub id, a file or a folder"},
    "--output-file": {"type": Path, "required": True, "help": "JSONL, a line a problem"},
    "--prompt-column": {"required": True},
    "--uuid-column": {"required": True, "help": "column with the problem's id; may be the prompt's"},
    "--api-addr": {"default": "localhost:39876", "help": "HOST:PORT, or several with commas between"},
    "--num-generations": {"type": int, "default": 4, "help": "completions a problem"},
    "--prompt-template": {"default": REASONING_TEMPLATE, "help": "{prompt} is the problem; {{}} is {}"},
    "--temperature": {"type": float, "default": 0.6, "help": "temperature of the samples"},
    "--top-p": {"type": float, "default": 0.95, "help": "share of the probability that is sampled from"},
    "--max-tokens": {"type": int, "default": 16384, "help": "most tokens of a completion"},
    "--max-concurrent": {"type": int, "default": 1000, "help": "requests in flight"},
    "--model": {"help": "the model's name at the server; the one it has if not given"},
    "--timeout": {"type": float, "default": 3600, "help": "seconds for a reply"},
}


def run_generate(words: Sequence[str] | None = None) -> int:
    """`generate.py`: problems of a data set to the Hub, or to a folder alone."""
    return run(generate_set, GENERATE, words)


def run_generate_reasoning(words: Sequence[str] | None = None) -> int:
    """`generate_reasoning.py`: problems of a data set to a JSONL file."""
    return run(generate_reasoning, REASONING, words)


def run(work: Callable[[argparse.Namespace], int], options: dict[str, Any], words: Sequence[str] | None) -> int:
    """The exit status of one script."""
    parser = argparse.ArgumentParser(
        description="Generate completions of a data set's problems from a server.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, settings in options.items():
        parser.add_argument(name, **settings)
    parser.set_defaults(run=work)
    return run_parsed(parser.parse_args(words))


def generate_set(arguments: argparse.Namespace) -> int:
    """Generate, and push a row per problem where a repository is named."""
    name = re.sub(r"[^\w.-]+", "-", f"{arguments.hf_dataset}-{arguments.model}").strip("-.") or "traces"
    folder = arguments.output_dir or Path("data/generate") / name
    template = arguments.prompt_template
    problems = ProblemSource(
        arguments.hf_dataset,
        config=arguments.hf_dataset_config,
        split=arguments.hf_dataset_split,
        prompt_column=arguments.prompt_column,
        prompt_template=None if template.strip() == DISTILABEL_TEMPLATE else template,
    )
    given = {"temperature": arguments.temperature, "top_p": arguments.top_p}
    sampling = TraceSettings(
        arguments.num_generations,
        max_new_tokens=arguments.max_new_tokens,
        **{name: value for name, value in given.items() if value is not None},
    )
    teacher = TeacherSettings(
        model=arguments.model,
        server=addresses(arguments.vllm_server_url),
        concurrency=arguments.input_batch_size * arguments.client_replicas,
        timeout=arguments.timeout,
        wait_for_server=arguments.wait_for_server,
        extra_body={name: None for name, value in given.items() if value is None},  # the server's own, then
        max_attempts=arguments.retries + 1,
    )
    generate(problems, folder, teacher, sampling)
    if arguments.hf_output_dataset:
        grouped = folder / "grouped.jsonl"
        group_traces(folder / "traces.jsonl", grouped, arrange_distilabel)
        push(str(grouped), arguments.hf_output_dataset, folder / "shards", private=arguments.private)
    return 0


def addresses(text: str) -> tuple[str, ...]:
    """Addresses with commas between."""
    return tuple(address.strip() for address in text.split(",") if address.strip())


def arrange_distilabel(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The columns of `generate.py`'s data set."""
    return {
        "generation": [row["completion"] for row in rows],
        "finish_reason": [row["finish_reason"] for row in rows],
        "model_name": rows[0]["model"],
    }


def generate_reasoning(arguments: argparse.Namespace) -> int:
    """Generate, and write a line per problem with the samples so far."""
    folder = arguments.output_file.with_name(f"{arguments.output_file.name}.traces")
    problems = ProblemSource(
        arguments.dataset_name,
        prompt_column=arguments.prompt_column,
        id_column=None if arguments.uuid_column == arguments.prompt_column else arguments.uuid_column,
        prompt_template=jinja_of(arguments.prompt_template),
    )
    sampling = TraceSettings(arguments.num_generations, arguments.temperature, arguments.top_p, arguments.max_tokens)
    teacher = TeacherSettings(
        model=arguments.model,
        server=addresses(arguments.api_addr),
        concurrency=arguments.max_concurrent,
        timeout=arguments.timeout,
    )
    try:
        generate(problems, folder, teacher, sampling)
    finally:
        if (folder / "traces.jsonl").exists():
            count = group_traces(folder / "traces.jsonl", arguments.output_file, arrange_reasoning)
            tell(f"{count:,} problems with their samples so far are in {arguments.output_file}")
    return 0


def jinja_of(template: str) -> str:
    """The original's template, of Python's format, as Jinja's. ConfigError for one that isn't."""
    try:
        text = template.format(prompt="\0")
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(
            f"--prompt-template {template!r} can't be used ({error!r}): {{prompt}} is the problem, and other braces are "
            "written twice."
        ) from None
    return "{{ prompt }}".join(
        f"{{% raw %}}{part}{{% endraw %}}" if "{" in part else part for part in text.split("\0")
    )


def arrange_reasoning(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The columns of `generate_reasoning.py`'s file."""
    usages = [{name: row[name] for name in ("prompt_tokens", "completion_tokens")} for row in rows]
    return {
        "generations": [row["completion"] for row in rows],
        "finish_reasons": [row["finish_reason"] for row in rows],
        "api_metadata": usages,
    }

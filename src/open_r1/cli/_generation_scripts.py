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
from open_r1.cli.console import fail, tell
from open_r1.cli.main import quieten_libraries
from open_r1.data.generation import TraceSettings
from open_r1.data.problems import ProblemSource
from open_r1.data.teacher import DEFAULT_SERVER, TeacherSettings
from open_r1.data.traces import group_traces
from open_r1.errors import ConfigError, OpenR1Error

REASONING_TEMPLATE = (
    "You will be given a problem. Please reason step by step, and put your final answer within \\boxed{{}}:\n{prompt}"
)
DISTILABEL_TEMPLATE = "{{ instruction }}"


def run_generate(words: Sequence[str] | None = None) -> int:
    """`generate.py`: problems of a data set to the Hub, or to a folder alone."""
    return run(generate_set, generate_parser(), words)


def run_generate_reasoning(words: Sequence[str] | None = None) -> int:
    """`generate_reasoning.py`: problems of a data set to a JSONL file."""
    return run(generate_reasoning, reasoning_parser(), words)


def run(
    work: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser, words: Sequence[str] | None
) -> int:
    """The exit status."""
    arguments = parser.parse_args(words)
    quieten_libraries()
    try:
        work(arguments)
    except OpenR1Error as error:
        return fail(str(error), error.exit_status)
    except KeyboardInterrupt:
        return fail("interrupted; run the same command again to go on.", 130)
    return 0


def generate_parser() -> argparse.ArgumentParser:
    """The options of `generate.py`."""
    parser = argparse.ArgumentParser(description="Generate completions of a data set's problems from a server.")
    parser.add_argument("--hf-dataset", required=True, help="data set: a Hub id, a file or a folder")
    parser.add_argument("--hf-dataset-config", help="its configuration")
    parser.add_argument("--hf-dataset-split", default="train", help="default: train")
    parser.add_argument("--prompt-column", default="prompt", help="default: prompt")
    parser.add_argument("--prompt-template", default=DISTILABEL_TEMPLATE, help="Jinja; `instruction` is the prompt")
    parser.add_argument("--model", required=True, help="the model's name at the server")
    parser.add_argument(
        "--vllm-server-url", default=DEFAULT_SERVER, help="one address, or several with commas between"
    )
    parser.add_argument("--temperature", type=float, help="default: the server's")
    parser.add_argument("--top-p", type=float, help="default: the server's")
    parser.add_argument("--max-new-tokens", type=int, default=8192, help="default: 8192")
    parser.add_argument("--num-generations", type=int, default=1, help="completions a problem (default: 1)")
    parser.add_argument("--input-batch-size", type=int, default=64, help="requests in flight a replica (default: 64)")
    parser.add_argument(
        "--client-replicas", type=int, default=1, help="multiplies the requests in flight (default: 1)"
    )
    parser.add_argument("--timeout", type=float, default=600, help="seconds for a reply (default: 600)")
    parser.add_argument("--retries", type=int, help="further tries for a sample in one run (default: 7)")
    parser.add_argument("--hf-output-dataset", help="repository on the Hub to push to")
    parser.add_argument("--private", action="store_true", help="make that repository private")
    parser.add_argument(
        "--output-dir", type=Path, help="folder for the traces (default: data/generate/ and the names)"
    )
    parser.add_argument("--wait-for-server", type=float, default=0, help="seconds to wait for the server to come up")
    return parser


def generate_set(arguments: argparse.Namespace) -> None:
    """Generate, and push a row per problem where a repository is named."""
    folder = arguments.output_dir or Path("data/generate") / slug(f"{arguments.hf_dataset}-{arguments.model}")
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
    retries = {} if arguments.retries is None else {"max_attempts": arguments.retries + 1}
    teacher = TeacherSettings(
        model=arguments.model,
        server=addresses(arguments.vllm_server_url),
        concurrency=arguments.input_batch_size * arguments.client_replicas,
        timeout=arguments.timeout,
        wait_for_server=arguments.wait_for_server,
        extra_body={name: None for name, value in given.items() if value is None},  # the server's own, then
        **retries,
    )
    generate(problems, folder, teacher, sampling)
    if arguments.hf_output_dataset:
        grouped = folder / "grouped.jsonl"
        group_traces(folder / "traces.jsonl", grouped, arrange_distilabel)
        push(str(grouped), arguments.hf_output_dataset, folder / "shards", private=arguments.private)


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


def reasoning_parser() -> argparse.ArgumentParser:
    """The options of `generate_reasoning.py`."""
    parser = argparse.ArgumentParser(description="Generate completions of a data set's problems into a JSONL file.")
    parser.add_argument("--dataset-name", required=True, help="data set: a Hub id, a file or a folder")
    parser.add_argument("--output-file", type=Path, required=True, help="JSONL, a line a problem")
    parser.add_argument("--prompt-column", required=True)
    parser.add_argument("--uuid-column", required=True, help="column with the problem's id; may be the prompt's")
    parser.add_argument("--api-addr", default="localhost:39876", help="HOST:PORT, or several with commas between")
    parser.add_argument("--num-generations", type=int, default=4, help="default: 4")
    parser.add_argument("--prompt-template", default=REASONING_TEMPLATE, help="{prompt} is the problem; {{}} is {}")
    parser.add_argument("--temperature", type=float, default=0.6, help="default: 0.6")
    parser.add_argument("--top-p", type=float, default=0.95, help="default: 0.95")
    parser.add_argument("--max-tokens", type=int, default=16384, help="default: 16384")
    parser.add_argument("--max-concurrent", type=int, default=1000, help="requests in flight (default: 1000)")
    parser.add_argument("--model", help="the model's name at the server (default: the one it has)")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for a reply (default: 3600)")
    return parser


def generate_reasoning(arguments: argparse.Namespace) -> None:
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


def slug(text: str) -> str:
    """Text as a folder's name."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "traces"

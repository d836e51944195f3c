"""The original's two generation scripts, their flags on our engine: `open_r1/generate.py`, `scripts/generate_reasoning.py`.

Both draw into a folder as `open-r1 data generate` does, so that they can be killed and started again, and then write the
file or push the data set that the original made: a row a problem, its samples in lists.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from open_r1.cli._data_generate import DEFAULT_SERVER
from open_r1.cli.console import fail, tell
from open_r1.cli.main import main
from open_r1.errors import ConfigError, OpenR1Error

REASONING_TEMPLATE = (
    "You will be given a problem. Please reason step by step, and put your final answer within \\boxed{{}}:\n{prompt}"
)
DISTILABEL_TEMPLATE = "{{ instruction }}"


def run_generate(words: Sequence[str] | None = None) -> int:
    """`generate.py`: problems of a data set to the Hub, or to a folder alone."""
    return guarded(generate, generate_parser(), words)


def run_generate_reasoning(words: Sequence[str] | None = None) -> int:
    """`generate_reasoning.py`: problems of a data set to a JSONL file."""
    return guarded(generate_reasoning, reasoning_parser(), words)


def guarded(work: Any, parser: argparse.ArgumentParser, words: Sequence[str] | None) -> int:
    try:
        return work(parser.parse_args(words))
    except OpenR1Error as error:
        return fail(str(error), error.exit_status)


def generate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Draw completions of a data set's problems from a server.")
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


def generate(arguments: argparse.Namespace) -> int:
    folder = arguments.output_dir or Path("data/generate") / slug(f"{arguments.hf_dataset}-{arguments.model}")
    words = ["--prompt_column", arguments.prompt_column, "--split", arguments.hf_dataset_split]
    words += ["--concurrency", str(arguments.input_batch_size * arguments.client_replicas)]
    words += ["--max_new_tokens", str(arguments.max_new_tokens), "--wait_for_server", str(arguments.wait_for_server)]
    words += ["--num_samples", str(arguments.num_generations), "--timeout", str(arguments.timeout)]
    words += ["--model", arguments.model]
    if arguments.hf_dataset_config:
        words += ["--config", arguments.hf_dataset_config]
    if arguments.prompt_template.strip() != DISTILABEL_TEMPLATE:
        words += ["--prompt_template", arguments.prompt_template]
    if arguments.retries is not None:
        words += ["--max_attempts", str(arguments.retries + 1)]
    words += sampling_words(arguments.temperature, arguments.top_p)
    status = draw(arguments.hf_dataset, folder, arguments.vllm_server_url, words)
    if status or not arguments.hf_output_dataset:
        return status
    grouped = folder / "grouped.jsonl"
    write_groups(folder, grouped, arrange_distilabel)
    words = ["--repo_id", arguments.hf_output_dataset, "--output_dir", str(folder / "shards")]
    return main(["data", "publish", str(grouped), *words, *(["--private"] if arguments.private else [])])


def sampling_words(temperature: float | None, top_p: float | None) -> list[str]:
    """Settings where they are given; else the server's own, by taking ours out of the request."""
    given = {"temperature": temperature, "top_p": top_p}
    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    absent = ", ".join(f'"{name}": null' for name, value in given.items() if value is None)
    return [*words, "--extra_body", f"{{{absent}}}"] if absent else words


def arrange_distilabel(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "generation": [row["completion"] for row in rows],
        "finish_reason": [row["finish_reason"] for row in rows],
        "model_name": rows[0]["model"],
    }


def reasoning_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Draw completions of a data set's problems into a JSONL file.")
    parser.add_argument("--dataset-name", required=True, help="data set: a Hub id, a file or a folder")
    parser.add_argument("--output-file", type=Path, required=True, help="JSONL, a line a problem")
    parser.add_argument("--prompt-column", required=True)
    parser.add_argument("--uuid-column", required=True, help="column that tells problems apart; may be the prompt's")
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


def generate_reasoning(arguments: argparse.Namespace) -> int:
    folder = arguments.output_file.with_name(f"{arguments.output_file.name}.traces")
    words = ["--prompt_column", arguments.prompt_column, "--concurrency", str(arguments.max_concurrent)]
    words += ["--num_samples", str(arguments.num_generations), "--max_new_tokens", str(arguments.max_tokens)]
    words += ["--temperature", str(arguments.temperature), "--top_p", str(arguments.top_p)]
    words += ["--prompt_template", jinja_of(arguments.prompt_template), "--timeout", str(arguments.timeout)]
    if arguments.uuid_column != arguments.prompt_column:
        words += ["--id_column", arguments.uuid_column]
    if arguments.model:
        words += ["--model", arguments.model]
    status = draw(arguments.dataset_name, folder, arguments.api_addr, words)
    if (folder / "traces.jsonl").exists():
        count = write_groups(folder, arguments.output_file, arrange_reasoning)
        tell(f"{count:,} problems with what was drawn for them are in {arguments.output_file}")
    return status


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
    usages = [{name: row[name] for name in ("prompt_tokens", "completion_tokens")} for row in rows]
    return {
        "generations": [row["completion"] for row in rows],
        "finish_reasons": [row["finish_reason"] for row in rows],
        "api_metadata": usages,
    }


def draw(source: str, folder: Path, servers: str, words: Sequence[str]) -> int:
    """`open-r1 data generate` with these words."""
    addresses = [address.strip() for address in servers.split(",") if address.strip()]
    return main(["data", "generate", source, "--output_dir", str(folder), *words, "--server", *addresses])


def write_groups(folder: Path, grouped: Path, arrange: Any) -> int:
    from open_r1.data.traces import group_traces

    return group_traces(folder / "traces.jsonl", grouped, arrange)


def slug(text: str) -> str:
    """Text as a folder's name."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "traces"

"""`open-r1 data generate SOURCE`: traces from a teacher, many for each problem, resumable."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import tell
from open_r1.errors import ConfigError, RunError

if TYPE_CHECKING:
    from open_r1.data.problems import ProblemSet
    from open_r1.data.progress import Progress
    from open_r1.generation import Completer

DEFAULT_SERVER = "http://localhost:8000/v1"
BACKENDS = ("server", "transformers", "vllm")
SHOW_EVERY_S = 10.0
SHOW_EVERY_ON_TERMINAL_S = 0.5

EXAMPLE = """examples:
  open-r1 data generate problems.jsonl --server http://node1:8000/v1 http://node2:8000/v1 --num_samples 4 \\
      --max_new_tokens 16384 --output_dir traces
  open-r1 data generate problems.jsonl --backend transformers --model runs/tiny/sft --max_new_tokens 64 --output_dir traces

The same command again goes on where it stopped. More --num_samples or more problems add to what is there.
"""


def add_parser(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "generate",
        help="traces from a teacher, many for each problem; resumable",
        description="Draw traces for problems from servers of OpenAI's chat API, or from a model in this process.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="problems: a file, a folder, a Hub id, or tasks:NAME?level=2&n=1000")
    parser.add_argument(
        "--output_dir", type=Path, required=True, help="folder for traces.jsonl and what belongs to it"
    )
    add_problem_arguments(parser)
    add_sampling_arguments(parser)
    add_server_arguments(parser)
    add_output_arguments(parser)
    parser.set_defaults(run=run)


def add_problem_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("problems")
    group.add_argument("--config", help="configuration of the data set")
    group.add_argument("--split", default="train", help="split of the data set (default: train)")
    group.add_argument("--revision", help="revision of a data set of the Hub")
    group.add_argument(
        "--streaming", action="store_true", help="read the problems as they are needed, keep no copy of them"
    )
    group.add_argument(
        "--prompt_column", help="column with the problem (default: prompt, problem, question, instruction)"
    )
    group.add_argument("--id_column", help="column with an id of each problem (default: a hash of the prompt)")
    group.add_argument("--columns", nargs="*", help="columns of the problems that the traces carry (default: all)")
    group.add_argument(
        "--prompt_template", help="Jinja text around the problem, as 'Think, then box it: {{ prompt }}'"
    )
    group.add_argument("--system_prompt", help="system prompt before every problem")
    group.add_argument("--max_problems", type=int, help="only the first so many problems")
    group.add_argument(
        "--skip_unusable", action="store_true", help="leave out rows without a problem instead of refusing"
    )


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sampling")
    group.add_argument("--num_samples", type=int, default=1, help="traces a problem (default: 1)")
    group.add_argument("--temperature", type=float, default=0.6, help="default: 0.6")
    group.add_argument("--top_p", type=float, default=0.95, help="default: 0.95")
    group.add_argument("--max_new_tokens", type=int, default=8192, help="limit of a trace (default: 8192)")
    group.add_argument("--seed", type=int, default=0, help="each sample's own seed is made from it (default: 0)")
    group.add_argument(
        "--samples_per_request", type=int, default=1, help="choices to ask for at once (n of the API; default: 1)"
    )


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the model and how to ask it")
    group.add_argument("--model", help="its name at the server (default: the one it has), or a model folder or Hub id")
    group.add_argument("--backend", choices=BACKENDS, default="server", help="default: server")
    group.add_argument(
        "--server", nargs="+", metavar="URL", help=f"one or several servers (default: {DEFAULT_SERVER})"
    )
    group.add_argument("--api_key_env", default="OPENAI_API_KEY", help="environment variable with the key")
    group.add_argument("--concurrency", type=int, default=64, help="requests in flight at each server (default: 64)")
    group.add_argument("--requests_per_minute", type=float, help="limit at each server (default: none)")
    group.add_argument(
        "--tokens_per_minute", type=float, help="limit at each server, prompt and completion (default: none)"
    )
    group.add_argument("--timeout", type=float, default=900, help="seconds to wait for one reply (default: 900)")
    group.add_argument("--max_attempts", type=int, default=8, help="tries for a sample in one run (default: 8)")
    group.add_argument(
        "--pause", type=float, default=0.5, help="seconds before the second try; doubles (default: 0.5)"
    )
    group.add_argument(
        "--patience", type=float, default=300, help="seconds of failures until a server is given up (default: 300)"
    )
    group.add_argument("--wait_for_server", type=float, default=0, help="seconds to wait for a server to come up")
    group.add_argument(
        "--extra_body", type=read_object, default={}, metavar="JSON", help="added to every request; null drops"
    )
    group.add_argument("--batch_size", type=int, default=64, help="requests at once in this process (default: 64)")
    group.add_argument(
        "--engine_options",
        type=read_object,
        default={},
        metavar="JSON",
        help='of vllm.LLM, as {"tensor_parallel_size": 2}',
    )
    group.add_argument("--price_prompt", type=float, help="cost of a million prompt tokens")
    group.add_argument("--price_completion", type=float, help="cost of a million completion tokens")
    group.add_argument("--max_cost", type=float, help="stop when so much is spent")


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--overwrite", action="store_true", help="remove the traces that the folder holds, and start over"
    )
    parser.add_argument("--dry-run", "--dry_run", action="store_true", help="show what would be asked; ask nothing")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(arguments: argparse.Namespace) -> int:
    from open_r1.data.generation import describe_end, draw_traces

    check_request(arguments)
    settings = read_settings(arguments)
    problems = read_problems(arguments)
    if arguments.dry_run:
        return show_plan(arguments, problems, settings)
    completer = make_completer(arguments)
    shown = ProgressLine()
    try:
        summary = draw_traces(
            arguments.output_dir,
            problems,
            settings,
            completer,
            shown.show,
            SHOW_EVERY_ON_TERMINAL_S if shown.is_terminal else SHOW_EVERY_S,
            {"extra_body": arguments.extra_body} | identify_model(arguments),
            arguments.overwrite,
            command_line(),
        )
    finally:
        shown.end()
    tell(describe_end(summary, arguments.output_dir))
    if arguments.json:
        print(json.dumps(summary, indent=2))
    if summary["samples_missing"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["failed"].items())
        raise RunError(
            f"{summary['samples_missing']:,} samples could not be drawn ({reasons}): see "
            f"{arguments.output_dir / 'failed.jsonl'}; the same command tries them again: {command_line()}"
        )
    return 0


def command_line() -> str:
    """The command as it was given, to be given again."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def check_request(arguments: argparse.Namespace) -> None:
    """What can't be done as asked, found before anything is loaded."""
    for name in ("max_problems", "batch_size"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name} must be at least 1, but is {value}.")
    if arguments.backend != "server":
        if not arguments.model:
            raise ConfigError(f"--backend {arguments.backend} needs a model: name a folder or a Hub id with --model.")
        if arguments.server:
            raise ConfigError(f"--server has no use with --backend {arguments.backend}; leave one of them out.")
        if arguments.extra_body:
            raise ConfigError(f"--extra_body has no use with --backend {arguments.backend}; leave one of them out.")
    if arguments.engine_options and arguments.backend != "vllm":
        raise ConfigError("--engine_options are those of --backend vllm; leave them out, or choose that backend.")


def read_settings(arguments: argparse.Namespace) -> Any:
    from open_r1.data.generation import TraceSettings
    from open_r1.data.progress import Prices

    return TraceSettings(
        num_samples=arguments.num_samples,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        max_new_tokens=arguments.max_new_tokens,
        seed=arguments.seed,
        samples_per_request=arguments.samples_per_request,
        prices=Prices(arguments.price_prompt, arguments.price_completion),
        max_cost=arguments.max_cost,
    )


def read_problems(arguments: argparse.Namespace) -> ProblemSet:
    from open_r1.data.problems import ProblemSet, ProblemSource

    problems = ProblemSet(
        ProblemSource(
            name=arguments.source,
            config=arguments.config,
            split=arguments.split,
            revision=arguments.revision,
            streaming=arguments.streaming,
            prompt_column=arguments.prompt_column,
            id_column=arguments.id_column,
            prompt_template=arguments.prompt_template,
            system_prompt=arguments.system_prompt,
            columns=None if arguments.columns is None else tuple(arguments.columns),
            first_problem=getattr(arguments, "first_problem", 0),
            max_problems=arguments.max_problems,
            skip_unusable=arguments.skip_unusable,
        )
    )
    survey = problems.survey
    if survey.unusable:
        tell(f"notice: {survey.unusable:,} rows without a usable problem are left out ({'; '.join(survey.examples)})")
    if survey.repeated:
        tell(
            f"notice: {sum(survey.repeated.values()):,} rows share {len(survey.repeated):,} prompts; each row gets traces "
            "of its own (open-r1 data dedup takes repeated ones out)"
        )
    return problems


def make_completer(arguments: argparse.Namespace) -> Completer:
    """Whatever answers: the servers, or a model in this process."""
    if arguments.backend == "server":
        return make_server(arguments)
    from open_r1.generation.batching import BatchedGenerator

    if arguments.backend == "vllm":
        from open_r1.generation.vllm_in_process import VLLMGenerator

        generator: Any = VLLMGenerator(arguments.model, **arguments.engine_options)
    else:
        from open_r1.generation.in_process import TransformersGenerator

        generator = TransformersGenerator.from_folder(arguments.model, batch_size=arguments.batch_size)
    return BatchedGenerator(generator, arguments.model, arguments.batch_size)


def identify_model(arguments: argparse.Namespace) -> dict[str, str]:
    """What tells a local model from another in the same folder; a server's is known by its name alone."""
    from open_r1.model_folder import model_files
    from open_r1.rundir import hash_files

    files = [] if arguments.backend == "server" else model_files(arguments.model)
    return {"contents of the model folder": hash_files(files)} if files else {}


def make_server(arguments: argparse.Namespace) -> Completer:
    from open_r1.data.generation import held_model
    from open_r1.generation.openai_server import OpenAIServer, ServerSettings

    held = None if arguments.overwrite else held_model(arguments.output_dir)
    server = OpenAIServer(
        ServerSettings(
            urls=tuple(arguments.server or [DEFAULT_SERVER]),
            model=arguments.model or held,
            api_key_env=arguments.api_key_env,
            concurrency=arguments.concurrency,
            timeout_s=arguments.timeout,
            max_attempts=arguments.max_attempts,
            pause_s=arguments.pause,
            patience_s=arguments.patience,
            wait_for_server_s=arguments.wait_for_server,
            requests_per_minute=arguments.requests_per_minute,
            tokens_per_minute=arguments.tokens_per_minute,
            extra_body=arguments.extra_body,
        ),
        tell,
    )
    if held is None:  # a new folder is made only for what can work; one that is complete needs no server
        tell(f"model: {server.find_model()}")
    return server


def show_plan(arguments: argparse.Namespace, problems: ProblemSet, settings: Any) -> int:
    """How much would be asked, and the first request's conversation."""
    count = problems.survey.num_problems
    print(f"{count:,} problems × {settings.num_samples} samples into {arguments.output_dir}; nothing was asked")
    first = next(iter(problems))
    for message in first.messages:
        print(f"--- {message['role']}\n{message['content']}")
    most = settings.prices.cost(0, count * settings.num_samples * settings.max_new_tokens)
    if most is not None:
        print(f"--- at most {most:,.2f} for the completions, if each reached {settings.max_new_tokens:,} tokens")
    return 0


class ProgressLine:
    """One line on stderr: written over on a terminal, line after line elsewhere."""

    def __init__(self) -> None:
        self.is_terminal = sys.stderr.isatty()
        self.is_open = False

    def show(self, progress: Progress) -> None:
        if not self.is_terminal:
            tell(progress.line())
            return
        sys.stderr.write(f"\r\x1b[K{progress.line()}")
        sys.stderr.flush()
        self.is_open = True

    def end(self) -> None:
        if self.is_open:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def read_object(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}); write it as '{{\"top_k\": 20}}'") from None
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError("not a JSON object; write it as '{\"top_k\": 20}'")
    return content

"""`open-r1 eval MODEL --benchmarks aime24,math_500`: scores with 95 % intervals, every sample kept, resumable.

`--problems FILE` is the short form for a file at hand: greedy and sampled, in one go, by the model in this process.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from open_r1.cli.run import tell
from open_r1.errors import ConfigError, OpenR1Error, RunFolderError

BACKENDS = ("transformers", "vllm", "server")
FOLDER = Path("data/evals")

DEFAULTS: dict[str, Any] = {"prompt_column": "prompt", "seed": 0, "batch_size": 256, "num_gpus": 1}
"""Of options that are refused where they have no use, so that it must be seen whether they were given."""

SAMPLING = ("num_samples", "temperature", "top_p", "max_new_tokens", "seed")
NOT_WITH_LIGHTEVAL = (*SAMPLING, "data", "max_problems", "skip_unusable", "server", "batch_size", "max_model_len")
NOT_WITH_SERVER = ("num_gpus", "max_model_len", "batch_size")
NOT_WITH_PROBLEMS = ("lighteval", "data", "skip_unusable")
OF_PROBLEMS = ("prompt_column", "solution_column")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "eval",
        help="scores of a model on benchmarks, with 95 %% intervals",
        description="Sample a model's answers to the problems of benchmarks, check them, and keep every sample. "
        "Run it again after an interruption, and it goes on with what is missing.",
        epilog="Examples: open-r1 eval MODEL --benchmarks aime24,math_500 | "
        "open-r1 eval MODEL --benchmarks math_500 --data math_500=math500.jsonl --server http://localhost:8000/v1 | "
        "open-r1 eval runs/tiny/grpo --problems runs/tiny/problems/held_out.jsonl",
    )
    parser.add_argument("model", nargs="?", help="a model folder, a Hub id, or the name that a server has for it")
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
    how = parser.add_argument_group("how to sample")
    how.add_argument(
        "--num_samples", "--n", type=int, help="samples a problem (default: the benchmark's; 4 with --problems)"
    )
    how.add_argument("--temperature", type=float, help="default: 0.6; 1.0 with --problems")
    how.add_argument("--top_p", type=float, help="default: 0.95; 1.0 with --problems")
    how.add_argument("--max_new_tokens", type=int, help="default: 32768, or what fits; 256 with --problems")
    how.add_argument("--system_prompt", help="system prompt before every problem")
    how.add_argument("--seed", type=int, help="of the samples and the shuffling (default: 0)")
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
    out = parser.add_argument_group("results")
    out.add_argument("--output_dir", type=Path, help=f"where results go (default for benchmarks: {FOLDER}/MODEL)")
    out.add_argument("--overwrite", action="store_true", help="start over in a folder that holds an evaluation")
    out.add_argument("--json", action="store_true", help="print the summaries as JSON")
    out.add_argument(
        "--lighteval", choices=("print", "run"), help="print the lighteval commands for this instead, or run them"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.list:
        return list_benchmarks()
    if not arguments.model:
        raise ConfigError("no model was named: open-r1 eval MODEL --benchmarks NAME.")
    check_use(arguments)
    arguments = with_defaults(arguments)
    check_request(arguments)
    if arguments.problems:
        return run_problems(arguments)
    if arguments.lighteval:
        return run_lighteval(arguments)
    return run_benchmarks(arguments)


def list_benchmarks() -> int:
    from open_r1.evaluation.benchmarks import benchmarks

    for name, benchmark in benchmarks().items():
        samples = f"{benchmark.num_samples} samples"
        print(f"{name:14} {benchmark.title:52} {samples:11} {benchmark.source}")
    print("tasks:NAME     problems of this package's families, as tasks:linear_equation?level=2&n=200")
    print("reasoning_gym:NAME  problems of reasoning-gym, as reasoning_gym:chain_sum?size=100")
    print("FILE           your own problems, as mine.jsonl?prompt=question&answer=final&subject=topic")
    return 0


# --- benchmarks -----------------------------------------------------------------------------------------------------


def run_benchmarks(arguments: argparse.Namespace) -> int:
    """Check everything, load the model, run one benchmark after another, show the table."""
    from open_r1.evaluation.run import make_plan, run_benchmark
    from open_r1.evaluation.table import read_results, render_table
    from open_r1.rundir import RunDir, write_json, write_text

    data = read_data(arguments.data)
    plans = [
        make_plan(benchmark, wanted(arguments), data.pop(name, None), tell)
        for name, benchmark in chosen(arguments.benchmarks).items()
    ]
    if data:
        raise ConfigError(f"--data names '{next(iter(data))}', which is not among the benchmarks asked for.")
    folder = arguments.output_dir or FOLDER / arguments.model.strip("./").replace(":", "-")
    run_dir = RunDir(folder)
    run_dir.create()
    folders = {plan.name: folder / folder_name(plan.name) for plan in plans}
    for plan in plans:
        tell(f"{plan.name}: {len(plan.questions):,} problems × {plan.settings.num_samples} samples, {plan.data}")
    backend = make_backend(arguments)
    if arguments.overwrite:  # now that the new run is known to be possible
        for path in folders.values():
            if (path / "drawn").is_dir():  # and nothing that isn't an evaluation
                RunDir(path).clear()
    summaries = {plan.name: run_one(plan, backend, folders[plan.name], run_benchmark) for plan in plans}
    model = backend.completer.model
    earlier = read_earlier(folder, set(folders.values()), model)
    results = [result for path in [*folders.values(), *earlier] for result in read_results(path)]
    table = render_table(results)
    write_text(folder / "table.md", f"{table}\n")
    kept = {summary["name"]: summary for summary in earlier.values()}
    write_json(folder / "results.json", {"model": model, "benchmarks": {**kept, **summaries}})
    if arguments.json:
        json.dump(summaries, sys.stdout, indent=2)
        print()
    else:
        for summary in summaries.values():
            show_benchmark(summary)
        print(f"\npass@1 in percent, with its 95 % interval\n\n{table}")
    tell(f"every sample is in {folder}/*/samples.jsonl")
    return 0


def read_earlier(folder: Path, now: set[Path], model: str) -> dict[Path, dict[str, Any]]:
    """The summaries of this model's other benchmarks that lie finished in a folder; a damaged one is told and left out."""
    from open_r1.evaluation.table import read_result
    from open_r1.rundir import read_json

    earlier: dict[Path, dict[str, Any]] = {}
    for path in sorted(folder.glob("*/")):
        if path in now or not (path / "summary.json").is_file():
            continue
        try:
            result = read_result(path)
        except OpenR1Error as error:
            tell(f"notice: left out of the table: {error}")
            continue
        if result is not None and result.model == model:
            earlier[path] = read_json(path / "summary.json")
    return earlier


def run_one(plan: Any, backend: Any, folder: Path, run_benchmark: Any) -> dict[str, Any]:
    from open_r1.cli._data_generate import ProgressLine, command_line

    line = ProgressLine()
    try:
        return run_benchmark(plan, backend, folder, line.show, tell, command_line())
    finally:
        line.end()


def chosen(words: list[str]) -> dict[str, Any]:
    """The benchmarks asked for, by the names they were asked for; ConfigError for none, or one twice."""
    from open_r1.evaluation.benchmarks import get_benchmark, split_names

    names = split_names(words)
    if not names:
        raise ConfigError("--benchmarks names none; open-r1 eval --list shows them.")
    found = {name: get_benchmark(name) for name in names}
    titles = [benchmark.name for benchmark in found.values()]
    for title in titles:
        if titles.count(title) > 1:
            raise ConfigError(f"two benchmarks are called '{title}'; name one of them: FILE?name=another")
    return found


def read_data(words: list[str]) -> dict[str, str]:
    pairs = {name: path for name, _, path in (word.partition("=") for word in words)}
    for name, path in pairs.items():
        if not path:
            raise ConfigError(f"--data {name} is not of the form NAME=FILE, as math_500=math500.jsonl.")
    return pairs


def folder_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".") or "benchmark"


def wanted(arguments: argparse.Namespace) -> Any:
    from open_r1.evaluation.run import Wanted

    return Wanted(
        num_samples=arguments.num_samples,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        max_new_tokens=arguments.max_new_tokens,
        seed=arguments.seed,
        system_prompt=arguments.system_prompt,
        max_problems=arguments.max_problems,
        skip_unusable=arguments.skip_unusable,
    )


def make_backend(arguments: argparse.Namespace) -> Any:
    from open_r1.evaluation import backends

    if arguments.server or arguments.backend == "server":
        from open_r1.generation.openai_server import ServerSettings

        settings = ServerSettings(
            urls=tuple(arguments.server or ()),
            model=arguments.model,
            api_key_env=arguments.api_key_env,
            concurrency=arguments.concurrency,
            timeout_s=arguments.timeout,
            patience_s=arguments.patience,
            wait_for_server_s=arguments.wait_for_server,
        )
        return backends.server_backend(settings, tell)
    if arguments.backend == "vllm":
        options = {"max_model_len": arguments.max_model_len} if arguments.max_model_len else {}
        return backends.vllm_backend(
            arguments.model, arguments.batch_size, arguments.parallel, arguments.num_gpus, **options
        )
    return backends.transformers_backend(arguments.model, arguments.batch_size, tell)


def show_benchmark(summary: dict[str, Any]) -> None:
    """A benchmark's figures in a few lines."""
    result = summary["modes"]["sampled"]
    print(f"\n{summary['title']}: {summary['num_problems']} problems × {result['num_samples']} samples")
    print(f"  avg@{result['num_samples']:<5} {percent(result['accuracy'])}{errors(result)}")
    for name, key in (("pass", "pass_at"), ("maj", "maj_at")):
        figures = [f"@{k} {100 * share['value']:.1f}" for k, share in result[key].items() if k != "1" and share["n"]]
        if figures:
            print(f"  {name:9} {'  '.join(figures)}")
    for kind, groups in result["by"].items():
        for group, share in groups.items():
            print(f"  {kind} {group:24} {percent(share)}")
    shares = {name: result[f"{name}_share"] for name in ("truncated", "no_answer", "unscored")}
    print("  " + ", ".join(f"{name.replace('_', ' ')} {share:.1%}" for name, share in shares.items()))
    if result["mean_tokens"] is not None:
        print(f"  mean tokens {result['mean_tokens']:,.0f}, of which thinking {result['mean_thinking_tokens']:,.0f}")


def errors(result: dict[str, Any]) -> str:
    said = []
    if result["standard_error"] is not None:
        said.append(f"standard error {100 * result['standard_error']:.2f} over problems")
    if result["repeat_error"] is not None:
        said.append(f"{100 * result['repeat_error']:.2f} from sampling alone")
    return f"  ({', '.join(said)})" if said else ""


def percent(share: dict[str, Any]) -> str:
    if share["value"] is None:
        return f"    - {'':18} n = {share['n']}"
    return f"{100 * share['value']:5.1f} %  [{100 * share['low']:5.1f}, {100 * share['high']:5.1f}]  n = {share['n']}"


def run_lighteval(arguments: argparse.Namespace) -> int:
    """Print or run lighteval's commands for the same benchmarks; what it measured goes into the same table."""
    from open_r1.evaluation import lighteval
    from open_r1.evaluation.benchmarks import split_names
    from open_r1.evaluation.table import render_table

    folder = arguments.output_dir or FOLDER / arguments.model.strip("./").replace(":", "-")
    commands = [
        lighteval.command(
            arguments.model, name, folder, arguments.parallel, arguments.num_gpus, arguments.system_prompt
        )
        for name in split_names(arguments.benchmarks)
    ]
    if arguments.lighteval == "print":
        for words in commands:
            print(lighteval.as_line(words))
        return 0
    results = [result for words in commands for result in lighteval.run(words, folder, tell)]
    print(render_table(results))
    return 0


# --- a file of problems ---------------------------------------------------------------------------------------------


def run_problems(arguments: argparse.Namespace) -> int:
    from open_r1.data.problems import read_problem_file
    from open_r1.evaluation import Mode, evaluate, score_answers, write_evaluation
    from open_r1.generation import Sampling
    from open_r1.rundir import RunDir

    limit = 256 if arguments.max_new_tokens is None else arguments.max_new_tokens
    sampled = Sampling(
        4 if arguments.num_samples is None else arguments.num_samples,
        1.0 if arguments.temperature is None else arguments.temperature,
        1.0 if arguments.top_p is None else arguments.top_p,
        limit,
        arguments.seed,
    )
    modes = [Mode("greedy", Sampling(max_new_tokens=limit)), Mode("sampled", sampled)]
    problems = read_problem_file(arguments.problems, arguments.prompt_column, arguments.solution_column)
    problems = problems[: arguments.max_problems]
    if arguments.output_dir:
        RunDir(arguments.output_dir).create()
    evaluation = evaluate(
        load_generator(arguments),
        problems,
        modes,
        score_answers,
        Path(arguments.problems).stem,
        arguments.model,
    )
    if arguments.output_dir:
        write_evaluation(arguments.output_dir, evaluation)
        tell(f"every sample is in {arguments.output_dir / 'samples.jsonl'}")
    else:
        tell("samples were not kept: name a folder for them with --output_dir")
    show(evaluation.summary, arguments.json)
    return 0


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


def load_generator(arguments: argparse.Namespace) -> Any:
    from open_r1.generation.in_process import TransformersGenerator

    return TransformersGenerator.from_folder(
        arguments.model, batch_size=arguments.batch_size, system_prompt=arguments.system_prompt, report=tell
    )


def without_nan(value: Any) -> Any:
    """JSON has no NaN: null in its place, however deep."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def show(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        json.dump(without_nan(summary), sys.stdout, indent=2)
        print()
        return
    print(f"{summary['model']} on {summary['num_problems']} problems of {summary['name']}")
    for mode, result in summary["modes"].items():
        rows = {"all": result["accuracy"], **(result["groups"] if len(result["groups"]) > 1 else {})}
        for group, share in rows.items():
            if math.isnan(share["value"]):
                print(f"  {mode:8} {group or 'all':20}     - {'':18} n = {share['n']}")
                continue
            interval = f"[{100 * share['low']:5.1f}, {100 * share['high']:5.1f}]"
            print(f"  {mode:8} {group or 'all':20} {100 * share['value']:5.1f} %  {interval}  n = {share['n']}")
        print(
            f"  {mode:8} {result['mean_tokens']:.1f} tokens on average, {result['truncated_share']:.1%} cut off, "
            f"{result['no_answer_share']:.1%} without an answer, {result['unscored_share']:.1%} unscored"
        )

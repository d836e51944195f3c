"""`open-r1 eval MODEL --benchmarks aime24,math_500`: scores with 95 % intervals, every sample kept, resumable.

`--problems FILE` is the short form for a file at hand: greedy and sampled, in one go, by the model in this process.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from open_r1.cli._eval_request import FOLDER, add_options, check_request, check_use, with_defaults
from open_r1.cli.console import tell
from open_r1.errors import ConfigError, OpenR1Error


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
    add_options(parser)
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


def load_generator(arguments: argparse.Namespace) -> Any:
    from open_r1.generation.in_process import TransformersGenerator

    return TransformersGenerator.from_folder(
        arguments.model, batch_size=arguments.batch_size, system_prompt=arguments.system_prompt, report=tell
    )


def show(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        json.dump(summary, sys.stdout, indent=2)
        print()
        return
    print(f"{summary['model']} on {summary['num_problems']} problems of {summary['name']}")
    for mode, result in summary["modes"].items():
        rows = {"all": result["accuracy"], **(result["groups"] if len(result["groups"]) > 1 else {})}
        for group, share in rows.items():
            print(f"  {mode:8} {group or 'all':20} {percent(share)}")
        print(
            f"  {mode:8} {result['mean_tokens']:.1f} tokens on average, {result['truncated_share']:.1%} cut off, "
            f"{result['no_answer_share']:.1%} without an answer, {result['unscored_share']:.1%} unscored"
        )

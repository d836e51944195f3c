"""Scores of a model on benchmarks, with 95 % intervals.

Sample a model's answers to the problems of benchmarks, check them, and keep every sample.

examples:
  open-r1 eval MODEL --benchmarks aime24,math_500
  open-r1 eval MODEL --benchmarks math_500 --data math_500=math500.jsonl --server http://localhost:8000/v1
  open-r1 eval runs/tiny/grpo --problems runs/tiny/problems/held_out.jsonl

The same command again goes on after an interruption with what is missing. More --num_samples add to what is there.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import ProgressLine, command_line, show, show_json, table, tell
from open_r1.cli.options import add, add_model, read_settings
from open_r1.errors import ConfigError, OpenR1Error

if TYPE_CHECKING:
    from open_r1.evaluation import Benchmark, Plan
    from open_r1.evaluation.backends import Backend


FOLDER = Path("data/evals")

SAMPLING = ("num_samples", "temperature", "top_p", "max_new_tokens", "seed")
NOT_WITH_LIGHTEVAL = (
    *SAMPLING,
    "data",
    "max_problems",
    "skip_unusable",
    "rewards",
    "server",
    "batch_size",
    "max_model_len",
)
AT_LEAST_ONE = "num_gpus num_samples max_new_tokens max_model_len max_problems batch_size concurrency".split()


def add_options(parser: argparse.ArgumentParser) -> None:
    """All options; one that is refused where it has no use has no default, so that it shows whether it was given."""
    add_model(parser)
    group = parser.add_argument_group("problems")
    add(group, "benchmarks", nargs="+", metavar="NAME", help="names of --list, tasks:NAME?key=value, reasoning_gym:NAME, "
        "files (FILE?prompt=COLUMN&answer=COLUMN), or module:NAME")  # fmt: skip
    add(group, "list", "--_list_benchmarks", action="store_true", help="list the benchmarks and their defaults")
    add(
        group, "data", action="append", default=[], metavar="NAME=FILE", help="a local file in the benchmark's columns"
    )
    add(group, "problems", metavar="FILE", help="a file of short held-out problems: a benchmark that is answered greedily "
        "and by samples at temperature 1")  # fmt: skip
    add(group, "prompt_column", help="column with the problem, with --problems (default: by its name)")
    add(group, "solution_column", help="column with the gold answer, with --problems (default: by its name)")
    add(group, "max_problems")
    add(group, "rewards", help="score by rewards in place of the benchmark's check: names, or my.py:f of your own")
    add(group, "skip_unusable", help="leave out problems that can't be scored or don't fit, instead of refusing")
    group = parser.add_argument_group("sampling")
    add(group, "num_samples", help="samples a problem (default: the benchmark's)")
    add(group, "temperature", help="temperature of the samples; 0 is greedy (default: 0.6; 1.0 with --problems)")
    add(group, "top_p", help="share of the probability that is sampled from (default: 0.95; 1.0 with --problems)")
    add(group, "max_new_tokens", help="most tokens of a completion (default: 32768 or what fits; 256 with --problems)")
    add(group, "system_prompt")
    add(group, "seed", help="seed of the samples and of the order of options (default: 0)")
    _add_backend_and_results(parser)


def _add_backend_and_results(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who answers")
    add(group, "model_revision", metavar="NAME", help="branch, tag or commit of a model on the Hub (default: main)")
    add(group, "trust_remote_code")
    add(group, "backend", help="default: transformers, or server where one is named")
    add(group, "server")
    add(group, "concurrency", default=64)
    add(group, "wait_for_server")
    add(group, "timeout", default=3600.0)
    add(group, "patience", default=300.0)
    add(group, "api_key_env")
    add(group, "batch_size", help="sequences at once in this process (default: 256)")
    add(group, "parallel", choices=("data", "tensor"), help="with --backend vllm: how --num_gpus are used")
    add(group, "num_gpus", type=int, metavar="N", help="GPUs of --parallel (default: 1)")
    add(group, "max_model_len", help="with --backend vllm: tokens of prompt and completion (default: the model's own)")
    group = parser.add_argument_group("results")
    add(group, "output_dir", help=f"folder for the results, one in it for each benchmark (default: {FOLDER}/MODEL)")
    add(group, "overwrite", help="start over in folders that contain other evaluations")
    add(group, "dry-run", help="load and check the problems, and show what would be sampled")
    add(group, "json", help="print the summaries as JSON")
    add(group, "lighteval", choices=("print",), help="print lighteval's commands for these benchmarks")


def run(arguments: argparse.Namespace) -> int:
    """Check everything, load the model, run one benchmark after another, show the table."""
    if arguments.list:
        _list_benchmarks()
        return 0
    check_request(arguments)
    from open_r1.evaluation.backends import name_at

    named = name_at(arguments.model, arguments.model_revision)
    folder = arguments.output_dir or FOLDER / named.strip("./").replace(":", "-")
    if arguments.lighteval:
        _print_lighteval(arguments, folder)
        return 0
    tell(f"reading the problems of {arguments.problems or ', '.join(arguments.benchmarks)}")
    plans = make_plans(arguments)
    if arguments.dry_run:
        _show_plans(plans, folder, arguments.json)
        return 0
    for plan in plans:
        tell(f"{plan.name}: {len(plan.problems):,} problems × {plan.num_samples} samples, {plan.data}")
    summaries = run_plans(plans, arguments, folder)
    if arguments.json:
        show_json(summaries)
    else:
        for summary in summaries.values():
            show_summary(summary)
        show(f"\npass@1 in percent, with its 95 % interval\n\n{(folder / 'table.md').read_text(encoding='utf-8')}")
    tell(f"every sample is in {folder}/*/samples.jsonl")
    return 0


KINDS = """tasks:NAME          problems of this package's families, as tasks:linear_equation?level=2&n=200
reasoning_gym:NAME  problems of reasoning-gym, as reasoning_gym:chain_sum?size=100
FILE                your own problems, as mine.jsonl?prompt=question&answer=final&subject=topic
module:NAME         your own Benchmark"""


def _list_benchmarks() -> None:
    from open_r1.evaluation import benchmarks

    rows = [(name, one.title, f"{one.num_samples} samples", str(one.source)) for name, one in benchmarks().items()]
    show(table(rows))
    show(KINDS)


def check_request(arguments: argparse.Namespace) -> None:
    """ConfigError for options that are missing, out of range or exclude each other."""
    if not arguments.model:
        raise ConfigError("no model was named: open-r1 eval MODEL --benchmarks NAME.")
    check_use(arguments)
    if bool(arguments.problems) == bool(arguments.benchmarks):
        raise ConfigError(
            "give either --benchmarks NAME or --problems FILE; open-r1 eval --list shows the benchmarks."
        )
    if arguments.backend == "server" and not arguments.server:
        raise ConfigError("--backend server needs its address: --server http://localhost:8000/v1.")
    if arguments.server and arguments.backend not in (None, "server"):
        raise ConfigError(f"--server has no use with --backend {arguments.backend}; leave one of them out.")
    if arguments.parallel and arguments.backend != "vllm" and not arguments.lighteval:
        raise ConfigError(f"--parallel {arguments.parallel} needs --backend vllm.")
    for name in AT_LEAST_ONE:
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name} must be at least 1, but is {value}; raise it or leave it out.")


def check_use(arguments: argparse.Namespace) -> None:
    """ConfigError for an option that was given and that nothing here would read."""
    is_lighteval = arguments.lighteval and not arguments.problems
    rules: list[tuple[Any, tuple[str, ...], str]] = [
        (is_lighteval, NOT_WITH_LIGHTEVAL, "with --lighteval, whose settings are the guide's"),
        (
            arguments.server,
            ("num_gpus", "max_model_len", "batch_size", "model_revision", "trust_remote_code"),
            "with --server, which decides that itself",
        ),
        (Path(arguments.model).is_dir(), ("model_revision",), "with a folder, which has no revisions"),
        (arguments.problems, ("lighteval", "data"), "with --problems"),
        (
            not arguments.problems,
            ("prompt_column", "solution_column"),
            "without --problems; for a benchmark write FILE?prompt=COLUMN&answer=COLUMN",
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


def make_plans(arguments: argparse.Namespace) -> list[Plan]:
    """The benchmarks asked for, their problems loaded and checked."""
    from open_r1.evaluation import EvaluationSettings, plan_evaluation

    settings = read_settings(EvaluationSettings, arguments, seed=arguments.seed or 0)
    data = {name: path for name, _, path in (word.partition("=") for word in arguments.data)}
    for name in (name for name, path in data.items() if not path):
        raise ConfigError(f"--data {name} does not have the form NAME=FILE, as math_500=math500.jsonl.")
    plans = [
        plan_evaluation(benchmark, settings, data.pop(name, None), tell, "" if arguments.server else arguments.model)
        for name, benchmark in _choose_benchmarks(arguments).items()
    ]
    if data:
        raise ConfigError(f"--data names '{next(iter(data))}', which is not among the benchmarks asked for.")
    return plans


def _choose_benchmarks(arguments: argparse.Namespace) -> dict[str, Benchmark]:
    from open_r1.evaluation.benchmarks import get_benchmark, split_names
    from open_r1.evaluation.benchmarks.by_source import held_out_benchmark

    if arguments.problems:
        file = arguments.problems
        return {file: held_out_benchmark(file, arguments.prompt_column, arguments.solution_column)}
    names = split_names(arguments.benchmarks)
    if not names:
        raise ConfigError("--benchmarks names none; open-r1 eval --list shows them.")
    found = {name: get_benchmark(name) for name in names}
    titles = Counter(benchmark.name for benchmark in found.values())
    for title in (title for title, times in titles.items() if times > 1):
        raise ConfigError(f"two benchmarks are called '{title}'; name one of them: FILE?name=another")
    return found


def _show_plans(plans: Sequence[Plan], folder: Path, as_json: bool) -> None:
    from dataclasses import asdict

    planned = [
        {
            "name": plan.name,
            "problems": len(plan.problems),
            "data": plan.data,
            "folder": str(folder / _folder_name(plan.name)),
            "modes": {mode.name: asdict(mode.sampling) for mode in plan.modes},
        }
        for plan in plans
    ]
    if as_json:
        show_json(planned)
        return
    for entry in planned:
        show(f"{entry['name']}: {entry['problems']:,} problems of {entry['data']}, into {entry['folder']}")
        for name, sampling in entry["modes"].items():
            show(f"  {name}: " + ", ".join(f"{key} {value}" for key, value in sampling.items()))


def run_plans(plans: Sequence[Plan], arguments: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """The summary of each benchmark; table.md and results.json are written too."""
    from open_r1.evaluation import run_evaluation
    from open_r1.evaluation.engine import COMPLETIONS
    from open_r1.evaluation.summary import SUMMARY, read_summary
    from open_r1.evaluation.table import read_modes, render_table
    from open_r1.rundir import RunDir, write_json, write_text

    RunDir(folder).create()
    folders = {plan.name: folder / _folder_name(plan.name) for plan in plans}
    backend = _make_backend(arguments)
    summaries = {}
    for plan in plans:
        run_dir = RunDir(folders[plan.name])
        with run_dir.locked(), ProgressLine() as line:
            if arguments.overwrite and (run_dir.path / COMPLETIONS).is_dir():  # and nothing that isn't an evaluation
                run_dir.clear()
            summaries[plan.name] = run_evaluation(plan, backend, folders[plan.name], line.show, tell, command_line())
    model, kept = backend.completer.model, {}
    results = [result for path in folders.values() for result in read_modes(path)]
    for path in sorted(set(folder.glob("*/")) - set(folders.values())):  # earlier evaluations of this model
        try:
            modes = read_modes(path) if (path / SUMMARY).is_file() else []
        except OpenR1Error as error:
            tell(f"notice: left out of the table: {error}")
            continue
        if modes and modes[0].model == model:
            results += modes
            kept[modes[0].benchmark] = read_summary(path)
    write_text(folder / "table.md", f"{render_table(results)}\n")
    write_json(folder / "results.json", {"model": model, "benchmarks": {**kept, **summaries}})
    return summaries


def _folder_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".") or "benchmark"


def _make_backend(arguments: argparse.Namespace) -> Backend:
    from open_r1.evaluation import backends

    if arguments.server:
        from open_r1.generation.server_settings import ServerSettings

        return backends.server_backend(read_settings(ServerSettings, arguments), tell)
    batch_size = arguments.batch_size or 256
    if arguments.backend == "vllm":
        options = hub_options(arguments)
        options |= {"tokenizer_revision": options["revision"]} if "revision" in options else {}
        options |= {"max_model_len": arguments.max_model_len} if arguments.max_model_len else {}
        return backends.vllm_backend(
            arguments.model, batch_size, arguments.parallel, arguments.num_gpus or 1, **options
        )
    return backends.transformers_backend(arguments.model, batch_size, hub=hub_options(arguments))


def hub_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What to load of a model on the Hub, and whether its code may run, where that was asked for."""
    revision = {"revision": arguments.model_revision} if arguments.model_revision else {}
    return revision | ({"trust_remote_code": True} if arguments.trust_remote_code else {})


def show_summary(summary: dict[str, Any]) -> None:
    """Show each mode's scores with intervals, by group too, and the shares of truncated, missing and unscored answers."""
    for name, result in summary["modes"].items():
        count = result["num_samples"]
        show(f"\n{summary['title']}: {summary['num_problems']} problems × {count} samples, {name}")
        show(f"  avg@{count:<5} {percent(result['accuracy'])}{errors(result)}")
        for label in ("pass", "maj"):
            shares = {k: share for k, share in result[f"{label}_at"].items() if k != "1" and share["n"]}
            if shares:
                figures = [f"@{k} {100 * share['value']:.1f}" for k, share in shares.items()]
                show(f"  {label:9} {'  '.join(figures)}")
        for kind, groups in result["by"].items():
            for group, share in groups.items():
                show(f"  {kind} {group:24} {percent(share)}")
        shares = {label: result[f"{label}_share"] for label in ("truncated", "no_answer", "unscored")}
        show("  " + ", ".join(f"{label.replace('_', ' ')} {share:.1%}" for label, share in shares.items()))
        if result["mean_tokens"] is not None:
            thinking = result["mean_thinking_tokens"]
            show(f"  mean tokens {result['mean_tokens']:,.1f}, of which thinking {thinking:,.1f}")


def errors(result: dict[str, Any]) -> str:
    """The standard errors in brackets, in percentage points; empty where there are none."""
    words = {"standard_error": "standard error {:.2f} over problems", "repeat_error": "{:.2f} from sampling alone"}
    parts = [form.format(100 * result[key]) for key, form in words.items() if result[key] is not None]
    return f"  ({', '.join(parts)})" if parts else ""


def percent(share: dict[str, Any]) -> str:
    """The share in percent with its interval; a dash where it is unknown."""
    if share["value"] is None:
        return f"    - {'':18} n = {share['n']}"
    return f"{100 * share['value']:5.1f} %  [{100 * share['low']:5.1f}, {100 * share['high']:5.1f}]  n = {share['n']}"


def _print_lighteval(arguments: argparse.Namespace, folder: Path) -> None:
    from open_r1.evaluation.benchmarks import split_names
    from open_r1.evaluation.lighteval import command_line

    options = arguments.parallel, arguments.num_gpus or 1, arguments.system_prompt, hub_options(arguments)
    lines = [command_line(arguments.model, name, folder, *options) for name in split_names(arguments.benchmarks)]
    show("\n".join(lines))

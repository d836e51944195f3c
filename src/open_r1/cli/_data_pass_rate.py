"""`open-r1 data pass-rate SOURCE`: how often a model solves each problem, and the problems within a window."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli._data_generate import (
    SHOW_EVERY_ON_TERMINAL_S,
    SHOW_EVERY_S,
    ProgressLine,
    add_server_arguments,
    command_line,
    identify_model,
    make_completer,
)
from open_r1.cli._data_verify import add_reward_arguments
from open_r1.cli.console import tell
from open_r1.errors import ConfigError, RunError, nearest

if TYPE_CHECKING:
    from open_r1.configs.reader import Setting
    from open_r1.data.pass_rate import Scorer
    from open_r1.data.problems import ProblemSet

EXAMPLE = """examples:
  open-r1 data pass-rate problems.jsonl --server http://localhost:8000/v1 --num_samples 8 --min 0.1 --max 0.6 \\
      --output_dir rated
  open-r1 data pass-rate --config recipes/dataset_filtering/filter_dapo.yaml --server http://localhost:8000/v1 \\
      --output_dir rated

A recipe holds the same settings as flags do; flags win. problems.jsonl gets every problem with pass_rate and difficulty,
kept.jsonl those with min < pass_rate < max. The same command goes on where it stopped, in drawing and in scoring.
"""

LOADING = ("model_revision", "dtype", "torch_dtype", "attn_implementation", "trust_remote_code")
"""Settings of the original's recipes about loading the model, which whoever serves it has loaded by now."""


def add_parser(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "pass-rate",
        help="how often a model solves each problem, and those within a window; resumable",
        description="Draw completions of every problem, score them, write each problem's pass rate, keep a window.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", nargs="?", help="problems: a file, a folder, a Hub id, or tasks:NAME?level=2&n=1000")
    parser.add_argument("--config", dest="recipe", type=Path, metavar="RECIPE", help="YAML with settings")
    parser.add_argument("--output_dir", type=Path, help="folder for everything (default: pass_rates/<source>)")
    add_problem_arguments(parser)
    add_sampling_arguments(parser)
    add_server_arguments(parser)
    parser.add_argument("--model_name_or_path", dest="model", help=argparse.SUPPRESS)
    parser.add_argument("--chat_template", help="Jinja chat template that the server is to use")
    for name in LOADING:
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    add_reward_arguments(parser, "rewards to score by (default: the first that the columns allow)")
    parser.add_argument(
        "--reward_weights", nargs="+", type=read_weight, metavar="WEIGHT",
        help="a weight each, or NAME=WEIGHT (default: all alike)",
    )  # fmt: skip
    group = parser.add_argument_group("the problems that are kept")
    group.add_argument("--min", "--pass_rate_min", "--low_reward_threshold", dest="min", type=float, default=0.1,
                       help="kept are rates above it (default: 0.1)")  # fmt: skip
    group.add_argument("--max", "--pass_rate_max", "--high_reward_threshold", dest="max", type=float, default=0.9,
                       help="kept are rates below it (default: 0.9)")  # fmt: skip
    group.add_argument("--output_dataset_name", metavar="REPO", help="push the kept problems to the Hub as user/name")
    parser.add_argument("--allow_missing", action="store_true", help="score although samples could not be drawn")
    parser.add_argument("--rescore", action="store_true", help="score anew, by other rewards or with more samples")
    parser.add_argument(
        "--overwrite", action="store_true", help="remove the samples that the folder holds, and start over"
    )
    parser.add_argument("--dry-run", "--dry_run", action="store_true", help="show what would be asked; ask nothing")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    defaults = {}
    for action in parser._actions:  # what isn't given is left out, so that a recipe's settings show
        if action.dest not in ("help", "recipe"):
            defaults.setdefault(action.dest, action.default)
            action.default = argparse.SUPPRESS
    parser.set_defaults(run=run, parser=parser, defaults=defaults)


def add_problem_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("problems")
    group.add_argument("--dataset_name", help="the same as the source")
    group.add_argument("--dataset_config", help="configuration of the data set")
    group.add_argument("--split", "--dataset_split", dest="split", default="train", help="split (default: train)")
    group.add_argument("--revision", "--dataset_revision", dest="revision", help="revision of a data set of the Hub")
    group.add_argument("--streaming", action="store_true", help="read the problems as they are needed")
    group.add_argument("--prompt_column", "--dataset_prompt_column", dest="prompt_column",
                       help="column with the problem (default: prompt, problem, question, instruction)")  # fmt: skip
    group.add_argument("--id_column", help="column with an id of each problem (default: a hash of the prompt)")
    group.add_argument("--prompt_template", help="Jinja text around the problem, as 'Think first: {{ prompt }}'")
    group.add_argument("--system_prompt", help="system prompt before every problem")
    group.add_argument("--max_problems", type=int, help="only so many problems")
    group.add_argument("--dataset_start_index", type=int, help="begin with this row, counted from 0")
    group.add_argument("--dataset_end_index", type=int, help="end before this row")
    group.add_argument("--skip_unusable", action="store_true", help="leave out rows without a problem")


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sampling")
    group.add_argument("--num_samples", "--num_generations", dest="num_samples", type=int, default=8,
                       help="completions a problem (default: 8)")  # fmt: skip
    group.add_argument("--temperature", type=float, default=1.0, help="default: 1")
    group.add_argument("--top_p", type=float, default=1.0, help="default: 1")
    group.add_argument("--max_new_tokens", "--max_completion_length", dest="max_new_tokens", type=int, default=8192,
                       help="limit of a completion (default: 8192)")  # fmt: skip
    group.add_argument("--seed", type=int, default=0, help="each sample's own seed is made from it (default: 0)")
    group.add_argument("--samples_per_request", type=int, default=1, help="choices to ask for at once (default: 1)")


def run(arguments: argparse.Namespace) -> int:
    from open_r1.data.pass_rate import Window, score_problems

    request = merge(arguments)
    check_request(request)
    window = Window(request.min, request.max)
    problems = read_problems(request)
    scorer, settings = make_scorer(request, problems)
    if request.dry_run:
        return show_plan(request, problems, settings)
    draw(request, problems)
    summary = score_problems(
        request.output_dir,
        problems,
        request.num_samples,
        scorer,
        window,
        settings,
        request.rescore or request.overwrite,
        request.allow_missing,
        lambda done, wanted: tell(f"{done:,} of {wanted:,} problems scored now"),
    )
    if request.json:
        print(json.dumps(summary, indent=2))
    else:
        show(summary, request.output_dir)
    return publish(request) if request.output_dataset_name else 0


def merge(arguments: argparse.Namespace) -> argparse.Namespace:
    """The settings: flags before the recipe before the defaults."""
    given = {
        key: value for key, value in vars(arguments).items() if key not in ("parser", "defaults", "recipe", "run")
    }
    recipe = read_recipe_file(arguments.recipe, arguments.parser) if arguments.recipe else {}
    request = argparse.Namespace(**(arguments.defaults | recipe | given))
    if "dataset_name" in given or request.source is None:
        request.source = request.dataset_name
    if request.source is None:
        raise ConfigError("no problems were named; give a file, a folder or a Hub id, or dataset_name in a recipe.")
    if request.output_dir is None:
        request.output_dir = default_folder(request)
    request.output_dir = Path(request.output_dir)
    request.reward_settings = recipe.get("reward_settings", {})
    return request


def default_folder(request: argparse.Namespace) -> Path:
    """A folder by the source's name, and by the rows where only some of them are asked for."""
    name = Path(request.source.partition("?")[0].replace(":", "-")).stem
    rows = (request.dataset_start_index, request.dataset_end_index)
    return Path("pass_rates") / (name + "".join(f"-{row}" for row in rows if row is not None))


def read_recipe_file(path: Path, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """A recipe's settings by the names that flags have. ConfigError, with file and line, for what no flag is called."""
    from open_r1.configs.reader import read_recipe

    actions = {word.lstrip("-"): action for action in parser._actions for word in action.option_strings}
    settings: dict[str, Any] = {"reward_settings": {}}
    for setting in read_recipe(path):
        action = actions.get(setting.key)
        if action is not None and setting.key not in ("help", "config", "set"):
            if setting.value is not None:
                settings[action.dest] = convert(action, setting)
        elif setting.key in reward_options():
            settings["reward_settings"][setting.key] = setting.value
        else:
            known = [*actions, *reward_options()]
            hint = nearest(setting.key, known)
            advice = hint if hint != "." else "; remove it: the settings are the flags of open-r1 data pass-rate."
            raise ConfigError(f"{setting.origin}: unknown setting '{setting.key}'{advice}")
    return settings


def reward_options() -> set[str]:
    from open_r1.rewards.registry import reward_specs

    return {option for spec in reward_specs().values() for option in spec.options}


def convert(action: argparse.Action, setting: Setting) -> Any:
    """A value of YAML as the flag would have read it."""
    value = setting.value
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ConfigError(f"{setting.origin}: {setting.key} must be true or false, but is {value!r}.")
        return value
    if action.dest == "reward_weights" and isinstance(value, dict):
        return list(value.items())
    if action.dest == "extra_body" and isinstance(value, dict):
        return value
    words = value if isinstance(value, list) else [value]
    read: Any = action.type if callable(action.type) else str
    try:
        values = [read(str(word)) for word in words]
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise ConfigError(f"{setting.origin}: {setting.key} = {value!r} can't be used: {error}.") from None
    if action.choices is not None and (unknown := [one for one in values if one not in action.choices]):
        raise ConfigError(
            f"{setting.origin}: {setting.key} = {unknown[0]!r} is none of {', '.join(map(str, action.choices))}."
        )
    if action.nargs is None or action.nargs == "?":
        if len(values) != 1:
            raise ConfigError(f"{setting.origin}: {setting.key} takes one value, but has {len(values)}.")
        return values[0]
    return values


def read_weight(word: str) -> float | tuple[str, float]:
    """`0.4`, or `accuracy=0.4`."""
    name, equals, number = word.rpartition("=")
    try:
        return (name, float(number)) if equals else float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is no weight; write 0.4 or accuracy=0.4") from None


def check_request(request: argparse.Namespace) -> None:
    for name in ("max_problems", "batch_size"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name} must be at least 1, but is {value}.")
    first, end = request.dataset_start_index, request.dataset_end_index
    if (first or 0) < 0 or (end is not None and end <= (first or 0)):
        raise ConfigError(
            f"rows from {first or 0} to {end} are none; give 0 <= dataset_start_index < dataset_end_index."
        )
    if request.backend != "server":
        check_in_process(request)
    elif ignored := [name for name in LOADING if getattr(request, name) is not None]:
        tell(f"notice: {', '.join(ignored)}: the server has loaded the model its own way")
    if request.output_dataset_name and request.output_dataset_name.count("/") != 1:
        raise ConfigError(f"--output_dataset_name {request.output_dataset_name} is not of the form user/name.")


def check_in_process(request: argparse.Namespace) -> None:
    if not request.model:
        raise ConfigError(f"--backend {request.backend} needs a model: name a folder or a Hub id with --model.")
    for name in ("server", "chat_template", "extra_body"):
        if getattr(request, name):
            raise ConfigError(f"--{name} has no use with --backend {request.backend}; leave one of them out.")
    if request.backend == "vllm":
        request.engine_options = load_options(request) | (request.engine_options or {})
        return
    if request.engine_options:
        raise ConfigError("--engine_options are those of --backend vllm; leave them out, or choose that backend.")
    if request.model_revision not in (None, "main"):
        raise ConfigError(
            f"model_revision {request.model_revision} can't be chosen with --backend transformers; give the folder that "
            f"`hf download {request.model} --revision {request.model_revision}` prints as --model."
        )


def load_options(request: argparse.Namespace) -> dict[str, Any]:
    """The recipe's settings about loading as vLLM calls them; it chooses its attention itself."""
    found = {
        "revision": request.model_revision,
        "dtype": request.dtype or request.torch_dtype,
        "trust_remote_code": None
        if request.trust_remote_code is None
        else request.trust_remote_code.lower() == "true",
    }
    return {name: value for name, value in found.items() if value is not None}


def read_problems(request: argparse.Namespace) -> ProblemSet:
    from open_r1.cli import _data_generate

    request.config, request.columns = request.dataset_config, None
    first = request.dataset_start_index or 0
    if request.dataset_end_index is not None:
        wanted = request.dataset_end_index - first
        request.max_problems = wanted if request.max_problems is None else min(wanted, request.max_problems)
    request.first_problem = first
    return _data_generate.read_problems(request)


def make_scorer(request: argparse.Namespace, problems: ProblemSet) -> tuple[Scorer, dict[str, Any]]:
    """What scores, and the settings that two runs must have in common."""
    from open_r1.data.pass_rate import Scorer, constant_weights
    from open_r1.data.trace_rewards import build_rewards, names_for
    from open_r1.rewards.recipe import read_reward_settings

    source = problems.source.name
    names = request.rewards or names_for(problems.found, request.solution_column, source)[:1]
    settings = request.reward_settings | read_reward_settings(request.set, names)
    rewards = build_rewards(names, problems.found, request.solution_column, argparse.Namespace(**settings), source)
    weights: Any = request.reward_weights
    if weights and any(isinstance(weight, tuple) for weight in weights):
        if not all(isinstance(weight, tuple) for weight in weights):
            raise ConfigError("--reward_weights has weights with names and without; give all of them names, or none.")
        weights = dict(weights)
    values = constant_weights(weights, names)
    used = {"rewards": names, "weights": values, "solution_column": request.solution_column, **settings}
    return Scorer(rewards, values, request.solution_column), used


def draw(request: argparse.Namespace, problems: ProblemSet) -> None:
    """Draw the samples that are missing. RunError, which says how to go on, where that fails."""
    from open_r1.data.generation import TraceSettings, describe_end, draw_traces
    from open_r1.data.progress import Prices

    prices = Prices(request.price_prompt, request.price_completion)
    settings = TraceSettings(
        request.num_samples, request.temperature, request.top_p, request.max_new_tokens, request.seed,
        request.samples_per_request, prices, request.max_cost,
    )  # fmt: skip
    folder = request.output_dir / "traces"
    template = {"chat_template": request.chat_template} if request.chat_template else {}
    extra = {**request.extra_body, **template}
    completer = make_completer(argparse.Namespace(**{**vars(request), "output_dir": folder, "extra_body": extra}))
    shown = ProgressLine()
    every_s = SHOW_EVERY_ON_TERMINAL_S if shown.is_terminal else SHOW_EVERY_S
    try:
        drawn = draw_traces(
            folder, problems, settings, completer, shown.show, every_s,
            {"extra_body": extra, "engine_options": request.engine_options or {}} | identify_model(request),
            request.overwrite, command_line(),
        )  # fmt: skip
    finally:
        shown.end()
    tell(describe_end(drawn, folder))
    if drawn["samples_missing"] and not request.allow_missing:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in drawn["failed"].items())
        raise RunError(
            f"{drawn['samples_missing']:,} samples could not be drawn ({reasons}): see {folder / 'failed.jsonl'}; the same "
            f"command tries them again, --allow_missing goes on without them: {command_line()}"
        )


def show_plan(request: argparse.Namespace, problems: ProblemSet, settings: dict[str, Any]) -> int:
    from open_r1.cli import _data_generate
    from open_r1.data.generation import TraceSettings

    sampling = TraceSettings(request.num_samples, request.temperature, request.top_p, request.max_new_tokens)
    _data_generate.show_plan(request, problems, sampling)
    weighed = ", ".join(f"{n} (weight {w:g})" for n, w in zip(settings["rewards"], settings["weights"], strict=True))
    print(f"--- scored by {weighed}; kept where {request.min:g} < pass_rate < {request.max:g}")
    return 0


def publish(request: argparse.Namespace) -> int:
    """The kept problems as shards, pushed; everything stays where it is when the Hub doesn't take it."""
    from open_r1.cli import _data_publish

    where = argparse.Namespace(
        source=str(request.output_dir / "kept.jsonl"), repo_id=request.output_dataset_name, config=None, revision="main",
        output_dir=request.output_dir / "shards", private=False, dry_run=False,
    )  # fmt: skip
    return _data_publish.run(where)


def show(summary: dict[str, Any], folder: Path) -> None:
    mean = "none" if summary["mean"] is None else f"{summary['mean']:.3f}"
    print(f"{summary['problems']:,} problems, {summary['samples']:,} samples scored, mean pass rate {mean}")
    most = max(1, *summary["tenths"])
    for tenth, count in enumerate(summary["tenths"]):
        print(f"  {tenth / 10:.1f} {'#' * round(40 * count / most):<40} {count:,}")
    print(f"never solved {summary['never_solved']:,}, always {summary['always_solved']:,}, "
          f"without a single score {summary['problems_unscored']:,}")  # fmt: skip
    if summary["samples_unscored"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["unscored_now"].items())
        print(
            f"{summary['samples_unscored']:,} samples could not be scored" + (f" (now: {reasons})" if reasons else "")
        )
    print(
        f"{summary['kept']:,} problems with {summary['min']:g} < pass_rate < {summary['max']:g} in {folder / 'kept.jsonl'}"
    )
    print(f"all of them in {folder / 'problems.jsonl'}")

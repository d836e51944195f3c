"""How often a model solves each problem, and those within a window; resumable.

Generate completions of every problem, score them, write each problem's pass rate, keep a window.

examples:
  open-r1 data pass-rate problems.jsonl --server http://localhost:8000/v1 --num_samples 8 --min 0.1 --max 0.6 \\
      --output_dir rated
  open-r1 data pass-rate --config recipes/dataset_filtering/filter_dapo.yaml --server http://localhost:8000/v1 \\
      --output_dir rated

A recipe has the same settings as flags; flags win. problems.jsonl gets every problem with pass_rate and difficulty,
kept.jsonl those with min < pass_rate < max. The same command continues where it stopped, in generating and in scoring.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from open_r1.cli._data_generate import add_teacher, check_template, read_problems, show_plan
from open_r1.cli._data_publish import push
from open_r1.cli.console import ProgressLine, command_line, show, show_json, tell
from open_r1.cli.options import add, add_results, add_reward_choice, add_settings, add_shard, read_settings
from open_r1.configs.fields import setting
from open_r1.errors import ConfigError, nearest

LOADING = ("model_revision", "dtype", "torch_dtype", "attn_implementation", "trust_remote_code")


@dataclass(frozen=True)
class Request:
    """What only this verb is asked, with words of the original's recipes. A server has loaded the model its own way."""

    dataset_name: str | None = setting(None, argparse.SUPPRESS)
    dataset_start_index: int | None = setting(None, "begin with this row, counted from 0")
    dataset_end_index: int | None = setting(None, "end before this row")
    chat_template: str | None = setting(None, "Jinja chat template that the server is to use")
    output_dataset_name: str | None = setting(None, "push the kept problems to the Hub")
    rescore: bool = setting(False, "score again, by other rewards or with more samples")
    model_revision: str | None = setting(None, argparse.SUPPRESS)
    dtype: str | None = setting(None, argparse.SUPPRESS)
    torch_dtype: str | None = setting(None, argparse.SUPPRESS)
    attn_implementation: str | None = setting(None, argparse.SUPPRESS)
    trust_remote_code: str | None = setting(None, argparse.SUPPRESS)
    output_dir: str | None = None
    overwrite: bool = False


def add_options(parser: Any) -> None:
    """The options of `data pass-rate`, which a recipe may give too."""
    from open_r1.data.generation import TraceSettings
    from open_r1.data.pass_rate import SAMPLING, PassRateSettings
    from open_r1.data.problems import ProblemSource

    parser.add_argument("source", nargs="?", help="problems: a file, a folder, a Hub id, or tasks:NAME?level=2&n=1000")
    add(parser, "config", dest="recipe")
    add_settings(parser.add_argument_group("problems"), ProblemSource)
    defaults = {name: {"default": getattr(SAMPLING, name)} for name in ("num_samples", "temperature", "top_p")}
    add_settings(parser.add_argument_group("sampling"), TraceSettings, **defaults)
    add_teacher(parser)
    add_reward_choice(parser, "rewards to score by (default: the first that the columns allow)")
    add(parser, "reward_weights", nargs="+", type=read_weight, metavar="WEIGHT",
        help="a weight each, or NAME=WEIGHT (default: equal weights)")  # fmt: skip
    spellings = {
        "min": {"spellings": ("--pass_rate_min", "--low_reward_threshold")},
        "max": {"spellings": ("--pass_rate_max", "--high_reward_threshold")},
    }
    group = parser.add_argument_group("the problems that are kept")
    add_settings(group, PassRateSettings, "min", "max", "allow_missing", **spellings)
    add_settings(parser, Request)
    add_shard(parser)
    add_results(parser, "output_dir", help="folder for everything (default: pass_rates/<source>)")
    leave_out_defaults(parser)


def leave_out_defaults(parser: Any) -> None:
    """Give the parser no values but those that are given, so that a recipe's show; it keeps its defaults beside."""
    defaults: dict[str, Any] = {}
    for action in parser._actions:
        if action.dest not in ("help", "recipe"):
            defaults.setdefault(action.dest, action.default)
            action.default = argparse.SUPPRESS
    parser.set_defaults(parser=parser, defaults=defaults)


def run(arguments: argparse.Namespace) -> int:
    """Sample and score every problem, keep those of medium pass rate, and push them if asked to."""
    from open_r1.data.generation import TraceSettings
    from open_r1.data.pass_rate import SUMMARY as SUMMARY_FILE
    from open_r1.data.pass_rate import PassRateSettings, measure_pass_rate
    from open_r1.data.teacher import open_teacher
    from open_r1.rundir import read_json

    request, reward_settings = merge(arguments)
    check_request(request)
    teacher = read_teacher(request)
    weights = read_weights(request.reward_weights)
    settings = read_settings(PassRateSettings, request, reward_weights=weights, reward_settings=reward_settings)
    sampling = read_settings(TraceSettings, request)
    problems = read_problems(read_source(request))
    check_template(problems, teacher)
    if request.dry_run:
        _, used = settings.scorer(problems)
        show_plan(request.output_dir, problems, sampling)
        weighed = ", ".join(f"{n} (weight {w:g})" for n, w in zip(used["rewards"], used["weights"], strict=True))
        show(f"--- scored by {weighed}; kept where {settings.min:g} < pass_rate < {settings.max:g}")
        return 0
    settings.scorer(problems)  # refuses what can't be computed before a model is loaded
    completer = open_teacher(teacher, None if request.overwrite else request.output_dir / "traces", tell)
    given: dict[str, Any] = {"overwrite": request.overwrite, "rescore": request.rescore, "command": command_line()}
    given["identity"] = teacher.identity() | {"engine_options": dict(teacher.engine_options)}
    with ProgressLine() as line, ProgressLine() as scored:
        given |= {"progress": line.show, "scored": scored.counting("problems")}
        path = request.output_dir / SUMMARY_FILE
        earlier = read_json(path) if path.is_file() else {}
        summary = measure_pass_rate(problems, request.output_dir, completer, sampling, settings, **given)
    if earlier and earlier | {"unscored_now": {}} == summary:
        tell(f"already done in {request.output_dir}")
    if request.json:
        show_json(summary)
    else:
        show_summary(summary, request.output_dir)
    if request.output_dataset_name:
        push(str(request.output_dir / "kept.jsonl"), request.output_dataset_name, request.output_dir / "shards")
    return 0


def merge(arguments: argparse.Namespace) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The settings, flags before the recipe before the defaults; and the recipe's settings of rewards."""
    recipe, reward_settings = read_recipe_file(arguments.recipe, arguments.parser) if arguments.recipe else ({}, {})
    given = set(vars(arguments))
    for name, value in (arguments.defaults | recipe).items():
        if name not in given:
            setattr(arguments, name, value)
    if arguments.dataset_name and (arguments.source is None or "dataset_name" in given):
        arguments.source = arguments.dataset_name
    if arguments.source is None:
        raise ConfigError("no problems were named; give a file, a folder or a Hub id, or dataset_name in a recipe.")
    arguments.output_dir = Path(arguments.output_dir or default_folder(arguments))
    if arguments.shard and arguments.output_dataset_name:
        raise ConfigError("--output_dataset_name pushes all kept problems; leave it out with --shard.")
    if arguments.shard:
        arguments.output_dir = arguments.shard.path(arguments.output_dir)
    return arguments, reward_settings


def default_folder(request: argparse.Namespace) -> Path:
    """A folder by the source's name, and by the rows where only some of them are asked for."""
    name = Path(request.source.partition("?")[0].replace(":", "-")).stem
    rows = (request.dataset_start_index, request.dataset_end_index)
    return Path("pass_rates") / (name + "".join(f"-{row}" for row in rows if row is not None))


def read_recipe_file(path: Path, parser: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A recipe's settings, by their fields and of rewards. ConfigError, with file and line, for an unknown one."""
    from open_r1.configs.reader import read_recipe
    from open_r1.configs.types import read_value
    from open_r1.data.generation import TraceSettings
    from open_r1.data.pass_rate import PassRateSettings
    from open_r1.data.problems import ProblemSource
    from open_r1.data.teacher import TeacherSettings
    from open_r1.rewards.registry import reward_specs

    reward_options = {option for spec in reward_specs().values() for option in spec.options}
    records = (ProblemSource, TraceSettings, TeacherSettings, PassRateSettings, Request)
    hints = {name: hint for record in records for name, hint in get_type_hints(record).items() if name != "set"}
    flags = parser.declared()
    fields = {action.option_strings[0]: action.dest for action in parser._actions if action.option_strings}
    settings: dict[str, Any] = {}
    of_rewards: dict[str, Any] = {}
    for one in read_recipe(path):
        name = fields.get(flags.get(f"--{one.key}", ""))
        if name in hints:
            if one.value is not None:
                is_list = any(get_origin(hint) is tuple for hint in (hints[name], *get_args(hints[name])))
                listed = replace(one, value=[one.value]) if is_list and not isinstance(one.value, list) else one
                settings[name] = read_value(listed, hints[name])
        elif one.key in reward_options:
            of_rewards[one.key] = one.value
        else:
            hint = nearest(one.key, [*(flag[2:] for flag in flags), *reward_options])
            advice = hint if hint != "." else "; remove it: the settings are the flags of open-r1 data pass-rate."
            raise ConfigError(f"{one.origin}: unknown setting '{one.key}'{advice}")
    return settings, of_rewards


def read_weight(word: str) -> float | tuple[str, float]:
    """`0.4`, or `accuracy=0.4`."""
    name, equals, number = word.rpartition("=")
    try:
        return (name, float(number)) if equals else float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is not a weight; write 0.4 or accuracy=0.4") from None


def read_weights(weights: Any) -> Any:
    """A list of weights, or a mapping by name where they have names."""
    named = [isinstance(weight, tuple) for weight in weights or () if not isinstance(weights, dict)]
    if any(named) and not all(named):
        raise ConfigError("--reward_weights has weights with names and without; give all of them names, or none.")
    return dict(weights) if any(named) else weights


def check_request(request: argparse.Namespace) -> None:
    """ConfigError for options that don't fit together; a notice for those that have no effect."""
    first, end = request.dataset_start_index, request.dataset_end_index
    if (first or 0) < 0 or (end is not None and end <= (first or 0)):
        raise ConfigError(
            f"rows from {first or 0} to {end} are none; give 0 <= dataset_start_index < dataset_end_index."
        )
    ignored = [name for name in LOADING if getattr(request, name) is not None]
    if request.backend == "server" and ignored:
        tell(f"notice: {', '.join(ignored)}: the server has loaded the model its own way")
    if request.output_dataset_name and request.output_dataset_name.count("/") != 1:
        raise ConfigError(f"--output_dataset_name {request.output_dataset_name} is not of the form user/name.")


def read_source(request: argparse.Namespace) -> Any:
    """The problems' source, with the rows that are asked for."""
    from open_r1.data.problems import ProblemSource

    first, end = request.dataset_start_index or 0, request.dataset_end_index
    counts = [count for count in (request.max_problems, end and end - first) if count is not None]
    rows = {"first_problem": first, "max_problems": min(counts, default=None)}
    return read_settings(ProblemSource, request, name=request.source, **rows)


def read_teacher(request: argparse.Namespace) -> Any:
    """The model's settings, those of the original's recipes about loading and its template among them."""
    from open_r1.data.teacher import TeacherSettings

    template = {"chat_template": request.chat_template} if request.chat_template else {}
    if template and request.backend != "server":
        raise ConfigError(f"--chat_template has no effect with --backend {request.backend}; leave one of them out.")
    trust = request.trust_remote_code and str(request.trust_remote_code).lower() == "true"
    dtype = request.dtype or request.torch_dtype
    named = {"revision": request.model_revision, "dtype": dtype, "trust_remote_code": trust}
    loading = {name: value for name, value in named.items() if value is not None and request.backend == "vllm"}
    if request.backend == "transformers" and request.model_revision not in (None, "main"):
        raise ConfigError(
            f"model_revision {request.model_revision} can't be chosen with --backend transformers; give the folder that "
            f"`hf download {request.model} --revision {request.model_revision}` prints as --model."
        )
    extra_body, options = {**request.extra_body, **template}, {**loading, **request.engine_options}
    return read_settings(TeacherSettings, request, extra_body=extra_body, engine_options=options)


def show_summary(summary: dict[str, Any], folder: Path) -> None:
    """Print the counts, and where the results are."""
    mean = "none" if summary["mean"] is None else f"{summary['mean']:.3f}"
    show(f"{summary['problems']:,} problems, {summary['samples']:,} samples scored, mean pass rate {mean}")
    most = max(1, *summary["tenths"])
    for tenth, count in enumerate(summary["tenths"]):
        show(f"  {tenth / 10:.1f} {'#' * round(40 * count / most):<40} {count:,}")
    show(f"never solved {summary['never_solved']:,}, always {summary['always_solved']:,}, "
         f"without a single score {summary['problems_unscored']:,}")  # fmt: skip
    if summary["samples_unscored"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["unscored_now"].items())
        show(f"{summary['samples_unscored']:,} samples could not be scored{f' (now: {reasons})' if reasons else ''}")
    window = f"{summary['min']:g} < pass_rate < {summary['max']:g}"
    show(f"{summary['kept']:,} problems with {window} in {folder / 'kept.jsonl'}")
    show(f"all of them in {folder / 'problems.jsonl'}")

"""A recipe as its launcher needs it: found by model, task and name, with the settings that decide how it is started.

The settings are read as they are written, last one first to count: the training itself reads, converts and checks all of
them (`open_r1.training.parse`), which needs torch.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import open_r1
from open_r1.configs.reader import COMMAND_LINE, Setting, read_flags, read_recipe
from open_r1.configs.renames import RENAMES
from open_r1.configs.types import SWITCHES
from open_r1.errors import ConfigError, UsageError, nearest

Task = Literal["sft", "grpo"]
TASKS: tuple[Task, ...] = get_args(Task)
PACKAGE = Path(open_r1.__file__).parent
CHECKOUT = PACKAGE.parents[1]


class WrittenSettings:
    """A training's settings as they are written: each from where it was last given, under its present name."""

    task: Task
    written: Sequence[Setting]

    @cached_property
    def settings(self) -> dict[str, Setting]:
        """The settings by name."""
        renames = {name: rename.new for name, rename in RENAMES.items() if rename.new}
        return {renames.get(setting.key, setting.key): setting for setting in self.written}

    def value(self, name: str, default: Any = None) -> Any:
        """A setting's value, `default` where it is neither in the recipe nor on the command line."""
        setting = self.settings.get(name)
        if setting is None:
            return default
        if setting.origin != COMMAND_LINE:
            return setting.value
        values = [part.value for part in setting.parts]
        return values[0] if len(values) == 1 else values or True

    def is_on(self, name: str, default: bool = False) -> bool:
        """Whether a switch is on."""
        value = self.value(name, default)
        return SWITCHES.get(str(value).lower(), default)

    def count(self, name: str, default: int) -> int:
        """A whole number of at least 1; `default` where it is not given or null. ConfigError for anything else."""
        value = self.value(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{self.origin(name)}: {name} must be a whole number of at least 1, but is {value!r}.")
        return value

    def origin(self, name: str) -> str:
        """Where a setting is written, for messages."""
        return self.settings[name].origin if name in self.settings else "default"

    @property
    def on_cpu(self) -> bool:
        """Whether it asks for a CPU, also beside a GPU."""
        return self.is_on("use_cpu")


@dataclass(frozen=True)
class LaunchRecipe(WrittenSettings):
    """A recipe with what the command line adds to it.

    Args:
        arguments: Settings of the command line, as `--key=value` words.
    """

    task: Task
    path: Path
    arguments: tuple[str, ...] = ()

    @cached_property
    def written(self) -> list[Setting]:  # type: ignore[override]
        """The recipe's settings, then the command line's."""
        return [*read_recipe(self.path), *read_flags(self.arguments)]

    @property
    def wants_vllm_node(self) -> bool:
        """Whether its samples come from a server of vLLM that the launch has to start."""
        is_server = self.is_on("use_vllm") and self.value("vllm_mode", "colocate") == "server"
        is_elsewhere = any(self.value(key) for key in ("vllm_server_base_url", "vllm_server_host"))
        return self.task == "grpo" and is_server and not is_elsewhere and not self.on_cpu

    def words(self) -> list[str]:
        """The training's command line: its script, the recipe and the settings beside it."""
        return [shown(PACKAGE / f"{self.task}.py"), "--config", shown(self.path), *self.arguments]


def shown(path: Path) -> str:
    """A path as a command line has it: relative where it lies below the working folder."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def roots(name: str) -> list[Path]:
    """The folders of that name, here and in the checkout."""
    return [Path(shown(path)) for path in dict.fromkeys([Path(name).resolve(), CHECKOUT / name]) if path.is_dir()]


def open_recipe(path: Path, task: str | None, arguments: str) -> LaunchRecipe:
    """A recipe that is named by its file; its task is that of its folder or name. UsageError where it has none."""
    if not path.is_file():
        raise ConfigError(f"recipe '{path}' does not exist; name a YAML file, or --model, --task and --config.")
    check_trains(path, read_recipe(path))
    of_file = task_of(path)
    named = task or of_file
    if of_file and named != of_file and check_task(str(named)):
        raise UsageError(
            f"--task is {named}, but '{path}' is a recipe of {of_file}; leave --task out, or name another recipe."
        )
    if named is None:
        raise UsageError(f"neither the folder nor the name of '{path}' says what it trains; add --task sft or grpo.")
    return LaunchRecipe(check_task(named), path, split(arguments))


PASS_RATES = ("pass_rate_min", "pass_rate_max", "low_reward_threshold", "high_reward_threshold", "prompt_template")
"""Settings that only recipes of pass rates have."""


def check_trains(path: Path, settings: Iterable[Setting]) -> None:
    """UsageError for a recipe of pass rates, which has much in common with one of GRPO."""
    if found := next((one for one in settings if one.key in PASS_RATES), None):
        raise UsageError(
            f"'{path}' trains nothing: it measures pass rates ({found.key}, {found.origin}), which is sampling and scoring. "
            f"`open-r1 data pass-rate --config {path}` runs it, and with --dry-run says what it would sample."
        )


def task_of(path: Path) -> Task | None:
    """What a recipe trains by the name of its folder, or its own; None where neither says it."""
    return next((one for one in TASKS if one in (path.parent.name, path.stem)), None)


def find_recipe(model: str, task: str, name: str, arguments: str) -> LaunchRecipe:
    """`recipes/MODEL/TASK/config_NAME.yaml`, here or in the checkout. UsageError names the nearest where it is not."""
    task = check_task(task)
    files = {path for root in roots("recipes") for one in TASKS for path in root.glob(f"*/{one}/config_*.yaml")}
    of_model = [path for path in files if path.parents[1].name == model]
    if not of_model:
        models = sorted({path.parents[1].name for path in files})
        raise UsageError(f"no recipe is for the model '{model}'{nearest(model, models)} Models: {', '.join(models)}.")
    of_task = {path.stem.removeprefix("config_"): path for path in sorted(of_model) if path.parent.name == task}
    if not of_task:
        others = ", ".join(sorted({path.parent.name for path in of_model}))
        raise UsageError(f"'{model}' has no recipe for {task}; it has some for {others}.")
    if name not in of_task:
        known = ", ".join(of_task)
        raise UsageError(
            f"'{model}' has no {task} recipe called '{name}'{nearest(name, of_task)} Its recipes: {known}."
        )
    return LaunchRecipe(task, of_task[name], split(arguments))


def check_task(task: str) -> Task:
    """The task; UsageError for another word."""
    for one in TASKS:
        if task == one:
            return one
    raise UsageError(f"unknown task '{task}'{nearest(task, TASKS)} Tasks: {', '.join(TASKS)}.")


def split(arguments: str) -> tuple[str, ...]:
    """The words of `--args`. ConfigError for a quote that is not closed, and for a second recipe."""
    try:
        words = tuple(shlex.split(arguments))
    except ValueError as error:
        raise ConfigError(f"--args {arguments!r} can't be read: {error}; close the quote.") from None
    if any(setting.key == "config" for setting in read_flags(words)):
        raise UsageError("--args names a second recipe by --config; leave it out, and give its settings one by one.")
    return words


def last_of(words: Sequence[str]) -> str:
    """The end of an enumeration: "a, b or c"."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""

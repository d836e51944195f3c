"""Training with what belongs to it, for the commands `sft` and `grpo` and for the stages of the same names.

A stage has a recipe beside the pipeline's, settings that override it, and an input model. It is the command of the same
name: same settings, same checks, same run folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from open_r1.configs.fields import setting
from open_r1.configs.reader import Setting, as_setting, read_recipe
from open_r1.configs.stage_arguments import StageArguments
from open_r1.errors import ConfigError
from open_r1.pipeline.benchmarks import evaluate_trained, plan_benchmarks
from open_r1.pipeline.stage import Context, Stage, naming_stage
from open_r1.training.parse import Resolved, make_arguments, resolve_stage


def check_arguments(arguments: StageArguments) -> None:
    """ConfigError for rewards that can't be built with these settings."""
    if arguments.kind == "grpo":
        from open_r1.rewards import check_recipe

        check_recipe(arguments.script, arguments.training.reward_weights)


def run_training(
    arguments: StageArguments, report: Callable[[str], None], identity: dict[str, Any] | None = None
) -> Any:
    """Train as the settings say, then run the benchmarks that they name on the model.

    Args:
        report: Gets a line of progress at a time.
        identity: What the run's folder is known by; by default the settings.

    Returns:
        The training area's record of the finished stage: its folder and its number of steps.
    """
    if arguments.kind == "sft":
        from open_r1.training.sft import run_sft as train
    else:
        from open_r1.training.grpo import run_grpo as train

    plans = plan_benchmarks(arguments.training, report)
    stage = train(arguments, report, *([identity] if identity else []))
    evaluate_trained(plans, stage.folder, arguments.training.per_device_eval_batch_size, report)
    return stage


@dataclass(frozen=True)
class TrainingStage(Stage):
    """What the stages `sft` and `grpo` share."""

    makes: ClassVar[tuple[str, ...]] = ("model.safetensors",)
    resumes: ClassVar[bool] = True
    reads: ClassVar[str] = ""

    recipe: str = setting("", "The recipe of the stage, by its path from the pipeline's.")
    overrides: dict[str, Any] = setting({}, "Settings in place of the recipe's.")

    def settings(self) -> dict[str, Any]:
        """Recipe and overrides as values, so that the fingerprint follows what they say, not where they are."""
        values = {setting.key: setting.value for setting in self.recipe_settings}
        return {"stage": self.needs(), **values, **self.overrides}

    @cached_property
    def recipe_settings(self) -> list[Setting]:
        path = self.base / self.recipe
        if not path.is_file():
            raise ConfigError(
                f"stage '{self.name}': recipe '{path}' does not exist; give its path from the pipeline's."
            )
        return read_recipe(path)

    @property
    def override_settings(self) -> Sequence[Setting]:
        return (self.setting("overrides") or as_setting("overrides", self.overrides, f"stage {self.name}")).parts

    def prepare(self, root: Path, seed: int) -> Resolved:
        """The settings as the command would resolve them; ConfigError for what it would refuse."""
        model, data = self.needs()
        given = {
            "model_name_or_path": str(root / model),
            "dataset_name": str(root / data / self.reads),
            "output_dir": str(root / self.name),
            "seed": seed,
        }
        of_pipeline = [Setting(key, value, "pipeline") for key, value in given.items()]
        settings = [*self.recipe_settings, *self.override_settings, *of_pipeline]
        resolved = resolve_stage(self.kind, [], settings)  # type: ignore[arg-type]
        arguments = make_arguments(resolved)
        with naming_stage(self.name):
            check_arguments(arguments)
        return resolved

    def run(self, context: Context) -> dict[str, Any]:
        arguments = make_arguments(context.prepared)
        stage = run_training(arguments, context.report, {"fingerprint": context.fingerprint})
        return {"steps": stage.steps}

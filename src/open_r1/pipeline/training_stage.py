"""What the stages `sft` and `grpo` share: a recipe beside the pipeline's, settings that override it, an input model."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from open_r1.configs.settings import Setting, read_recipe
from open_r1.errors import ConfigError
from open_r1.pipeline.benchmarks import evaluate_trained, plan_benchmarks
from open_r1.pipeline.stage import Context, Stage


@dataclass(frozen=True)
class TrainingStage(Stage):
    """What `sft` and `grpo` stages share: a recipe beside the pipeline's, settings that override it, an input model.

    The stage is the command of the same name: same settings, same checks, same run folder.
    """

    makes: ClassVar[tuple[str, ...]] = ("model.safetensors",)
    resumes: ClassVar[bool] = True
    reads: ClassVar[str] = ""

    recipe: str = ""
    overrides: dict[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """Recipe and overrides as values, so that the fingerprint follows what they say, not where they stand."""
        values = {setting.key: setting.value for setting in self.recipe_settings()}
        return {"stage": self.needs(), **values, **self.overrides}

    def recipe_settings(self) -> list[Setting]:
        path = self.base / self.recipe
        if not path.is_file():
            raise ConfigError(
                f"stage '{self.name}': recipe '{path}' does not exist; give its path from the pipeline's."
            )
        return read_recipe(path)

    def arguments(self, root: Path, seed: int) -> Any:
        """The settings as the command would parse them; ConfigError for what it would refuse."""
        from open_r1.configs.parse import parse_stage

        model, data = self.needs()
        given = {
            "model_name_or_path": str(root / model),
            "dataset_name": str(root / data / self.reads),
            "output_dir": str(root / self.name),
            "seed": seed,
        }
        settings = [
            *self.recipe_settings(),
            *(Setting(key, value, f"stage {self.name}") for key, value in self.overrides.items()),
            *(Setting(key, value, "pipeline") for key, value in given.items()),
        ]
        return parse_stage(self.kind, [], settings)  # type: ignore[arg-type]

    def prepare(self, root: Path, seed: int) -> None:
        self.arguments(root, seed)

    def run(self, context: Context) -> dict[str, Any]:
        arguments = self.arguments(context.root, context.seed)
        plans = plan_benchmarks(arguments.training, context.report)
        stage = self.train(arguments, context.report, {"fingerprint": context.fingerprint})
        evaluate_trained(plans, stage.folder, arguments.training.per_device_eval_batch_size, context.report)
        return {"steps": stage.steps}

    @abstractmethod
    def train(self, *stage: Any) -> Any:
        """The area's function that carries the stage out."""

"""The stages `sft` and `grpo`: the commands of these names, by a recipe beside the pipeline's, with overrides of it.

The pipeline gives them the model, the data, the seed and the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from open_r1.configs.checks import MAY_CHANGE
from open_r1.configs.fields import setting
from open_r1.configs.reader import Setting, as_setting, read_recipe
from open_r1.errors import ConfigError
from open_r1.pipeline.stage import WEIGHTS, Context, Stage, StageName, naming_stage
from open_r1.pipeline.training import check_data, parse_training, run_training
from open_r1.training.parse import StageArguments

SET_HERE = ("model_name_or_path", "dataset_name", "output_dir", "seed")  # what the pipeline gives to a stage


@dataclass(frozen=True)
class TrainingStage(Stage):
    """What the stages `sft` and `grpo` share."""

    makes: ClassVar[tuple[str, ...]] = (WEIGHTS,)
    resumes: ClassVar[bool] = True
    gpus: ClassVar[int | None] = None
    recipe: str = setting("", "The recipe of the stage, by its path from the pipeline's.")
    overrides: dict[str, Any] = setting({}, "Settings in place of the recipe's.")

    def settings(self) -> dict[str, Any]:
        """Recipe and overrides as values, so that the fingerprint follows what they say, not where they are.

        What doesn't change the model, as how often it is saved, is left out.
        """
        values = {setting.key: setting.value for setting in self.recipe_settings} | self.overrides
        return {"stage": self.given()} | {
            key: values[key] for key in values if key.replace("-", "_") not in MAY_CHANGE
        }

    @cached_property
    def recipe_settings(self) -> list[Setting]:
        """The settings of the stage's recipe. ConfigError when the file does not exist."""
        path = self.base / self.recipe
        if not path.is_file():
            raise ConfigError(
                f"stage '{self.name}': recipe '{path}' does not exist; give its path from the pipeline's."
            )
        return read_recipe(path)

    def check(self) -> None:
        """ConfigError, with the line, for an override of what the stage sets itself."""
        overrides = self.setting("overrides") or as_setting("overrides", self.overrides, f"stage {self.name}")
        for part in (part for part in overrides.parts if part.key.replace("-", "_") in (*SET_HERE, "dataset_mixture")):
            raise ConfigError(
                f"{part.origin}: stage '{self.name}': {part.key} can't be overridden, since the stage sets it: by its "
                f"{' and '.join(self.inputs)}, and by the pipeline's seed and output_dir."
            )

    def prepare(self, root: Path, seed: int) -> StageArguments:
        """The settings as the command would resolve them; ConfigError for what it would refuse."""
        model, data = self.given()
        places = (
            self.place(model, root),
            self.place(data, root, self.reads[self.inputs[1]]),
            str(root / self.name),
            seed,
        )
        of_pipeline = [Setting(key, value, "pipeline") for key, value in zip(SET_HERE, places, strict=True)]
        overrides = self.setting("overrides") or as_setting("overrides", self.overrides, f"stage {self.name}")
        settings = [*self.recipe_settings, *overrides.parts, *of_pipeline]
        with naming_stage(self.name):
            arguments = parse_training(self.kind, [], settings)  # type: ignore[arg-type]
            if data not in self.needs() and Path(places[1]).exists():
                check_data(replace(arguments))  # a copy: reading data adapts the settings to them
        return arguments

    def check_own(self, value: str, file: str) -> None:
        """ModelError for a folder without a model; `prepare` reads rows of the user's own as the training does."""
        if file == WEIGHTS:
            super().check_own(value, file)

    def run(self, context: Context) -> dict[str, Any]:
        """Train, or continue an interrupted training; returns the number of steps."""
        arguments = replace(context.prepared)  # made again: an earlier stage has used the process's devices
        stage = run_training(arguments, context.report, {"fingerprint": context.fingerprint})
        return {"steps": stage.steps}


@dataclass(frozen=True)
class SFTStage(TrainingStage):
    """Supervised fine-tuning of a model on traces."""

    kind: ClassVar[str] = "sft"
    inputs: ClassVar[tuple[str, ...]] = ("model", "traces")
    reads: ClassVar[Mapping[str, str]] = {"model": WEIGHTS, "traces": "traces.jsonl"}

    model: StageName = setting(StageName("model"), "The stage with the model, or a folder or Hub id.")
    traces: StageName = setting(StageName("traces"), "The stage with the traces, or a file.")


@dataclass(frozen=True)
class GRPOStage(TrainingStage):
    """Reinforcement learning of a model on the problems of `rl.jsonl`."""

    kind: ClassVar[str] = "grpo"
    inputs: ClassVar[tuple[str, ...]] = ("model", "problems")
    reads: ClassVar[Mapping[str, str]] = {"model": WEIGHTS, "problems": "rl.jsonl"}

    model: StageName = setting(StageName("sft"), "The stage with the model, or a folder or Hub id.")
    problems: StageName = setting(StageName("problems"), "The stage with the problems, or a file.")

"""The kinds of stage: problems, traces, model, sft, grpo, report; `evaluation_stage` has evaluate and benchmark.

Each is short: it reads the folders of the stages it names, calls one area, and writes into its own folder. torch and
TRL are imported inside `run`, so that reading and checking a pipeline stays light.
"""

from __future__ import annotations

import itertools
import random
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

from open_r1.configs.settings import Setting, read_recipe
from open_r1.configs.types import fits, in_words
from open_r1.errors import ConfigError, nearest
from open_r1.pipeline.benchmarks import evaluate_trained, plan_benchmarks
from open_r1.pipeline.stage import Context, Stage, StageName, naming_stage, positive
from open_r1.records import Problem
from open_r1.rundir import read_jsonl, write_jsonl
from open_r1.tasks import STYLES, draw_problems, get_family, write_trace
from open_r1.text.tags import render_completion


def problem_row(problem: Problem) -> dict[str, Any]:
    return {
        "id": problem.id,
        "prompt": problem.prompt,
        "solution": problem.gold,
        "family": problem.family,
        "difficulty": problem.difficulty,
        "ordered": bool(problem.metadata.get("ordered")),
    }


def read_problems(path: Path) -> list[Problem]:
    return [
        Problem(row["prompt"], row["solution"], row["family"], row["difficulty"], {"ordered": row["ordered"]})
        for row in read_jsonl(path)
    ]


@dataclass(frozen=True)
class ProblemsStage(Stage):
    """Draws problems: `sft.jsonl` and `rl.jsonl` from the training split, `held_out.jsonl` from the held-out one.

    `families` maps a task family to its range of difficulty; counts are in all, shared out evenly.
    """

    kind: ClassVar[str] = "problems"
    makes: ClassVar[tuple[str, ...]] = ("sft.jsonl", "rl.jsonl", "held_out.jsonl")

    families: dict[str, list[int]] = field(default_factory=dict)
    sft: int = 1000
    rl: int = 1000
    held_out: int = 500

    def check(self) -> None:
        if not self.families:
            raise ConfigError(f"stage '{self.name}': families is empty; name at least one, as 'sums: [2, 6]'.")
        for name, difficulties in self.families.items():
            family = get_family(name)
            low, high = family.difficulties
            if len(difficulties) != 2 or not low <= difficulties[0] <= difficulties[1] <= high:
                raise ConfigError(
                    f"stage '{self.name}': difficulty of {name} must be [lowest, highest] within [{low}, {high}], "
                    f"but is {difficulties}."
                )
        for name in ("sft", "rl", "held_out"):
            positive(name, getattr(self, name), f"stage '{self.name}'")

    def run(self, context: Context) -> dict[str, Any]:
        for part, split, salt in (("sft", "train", 0), ("rl", "train", 1), ("held_out", "held_out", 2)):
            count = getattr(self, part)
            drawn = self.draw(count, split, 3 * context.seed + salt)
            write_jsonl(context.run.path / f"{part}.jsonl", [problem_row(problem) for problem in drawn])
            context.report(f"{count} problems in {part}.jsonl")
        return {"sft": self.sft, "rl": self.rl, "held_out": self.held_out}

    def draw(self, count: int, split: Any, seed: int) -> list[Problem]:
        """`count` problems, the families taking turns, in a seeded order."""
        names = sorted(self.families)
        drawn: list[Problem] = []
        for index, name in enumerate(names):
            share = count // len(names) + (index < count % len(names))
            low, high = self.families[name]
            drawn += draw_problems(get_family(name), share, split, seed, (low, high))
        random.Random(seed).shuffle(drawn)
        return drawn


@dataclass(frozen=True)
class TracesStage(Stage):
    """Writes a worked trace for every SFT problem, as a teacher would who is careful with some and lazy with others.

    `style` is how careful traces are written; `lazy_share` maps a difficulty to the share of traces that skip the
    work (interpolated between the difficulties given).
    """

    kind: ClassVar[str] = "traces"
    makes: ClassVar[tuple[str, ...]] = ("traces.jsonl",)
    inputs: ClassVar[tuple[str, ...]] = ("problems",)

    problems: StageName = StageName("problems")
    style: str = "terse"
    lazy_share: dict[float, float] = field(default_factory=dict)

    def check(self) -> None:
        if self.style not in STYLES:
            raise ConfigError(
                f"stage '{self.name}': unknown style '{self.style}'{nearest(self.style, STYLES)} "
                f"Styles: {', '.join(STYLES)}."
            )
        for difficulty, share in self.lazy_share.items():
            if not 0 <= share <= 1:
                raise ConfigError(f"stage '{self.name}': lazy_share[{difficulty}] must be 0 to 1, but is {share}.")

    def run(self, context: Context) -> dict[str, Any]:
        rng = random.Random(f"traces/{context.seed}")
        rows = []
        for problem in read_problems(context.folder(self.problems) / "sft.jsonl"):
            is_lazy = rng.random() < interpolate(self.lazy_share, problem.difficulty)
            rows.append(trace_row(problem, "lazy" if is_lazy else self.style, context.seed))
        write_jsonl(context.run.path / "traces.jsonl", rows)
        lazy = sum(row["style"] == "lazy" for row in rows)
        context.report(f"{len(rows)} traces, {lazy} of them lazy")
        return {"traces": len(rows), "lazy": lazy}


def interpolate(points: Mapping[float, float], position: float) -> float:
    """Linear between the points, flat beyond them, 0 without any."""
    if not points:
        return 0.0
    known = sorted(points.items())
    for (left, low), (right, high) in itertools.pairwise(known):
        if left <= position <= right:
            return low + (high - low) * (position - left) / (right - left)
    return known[0][1] if position < known[0][0] else known[-1][1]


def trace_row(problem: Problem, style: str, seed: int) -> dict[str, Any]:
    trace = write_trace(problem, style, seed)
    messages = [
        {"role": "user", "content": problem.prompt},
        {"role": "assistant", "content": render_completion(trace.thinking, trace.answer)},
    ]
    return {"messages": messages, "style": style, "family": problem.family, "difficulty": problem.difficulty}


@dataclass(frozen=True)
class ModelStage(Stage):
    """Makes a tokenizer from the traces and a small model with random weights: the base model of the demonstration."""

    kind: ClassVar[str] = "model"
    makes: ClassVar[tuple[str, ...]] = ("model.safetensors", "tokenizer.json")
    inputs: ClassVar[tuple[str, ...]] = ("traces",)

    traces: StageName = StageName("traces")
    shape: dict[str, Any] = field(default_factory=dict)

    def prepare(self, root: Path, seed: int) -> None:
        from open_r1.training.tiny_models import ModelShape

        hints = get_type_hints(ModelShape)
        for key, value in self.shape.items():
            if key not in hints:
                raise ConfigError(
                    f"stage '{self.name}': shape has an unknown key '{key}'{nearest(key, hints)} "
                    f"A shape has: {', '.join(hints)}."
                )
            limit = " above 0" if fits(value, float) else ""
            if not fits(value, hints[key]) or (limit and value <= 0):
                raise ConfigError(
                    f"stage '{self.name}': shape.{key} must be {in_words(hints[key])}{limit}, but is {value!r}; mend it."
                )
        with naming_stage(self.name):
            ModelShape(**self.shape)

    def run(self, context: Context) -> dict[str, Any]:
        from open_r1.training.tiny_models import ModelShape, make_model_folder

        rows = read_jsonl(context.folder(self.traces) / "traces.jsonl")
        texts = [message["content"] for row in rows[:2000] for message in row["messages"]]
        parameters = make_model_folder(context.run.path, texts, ModelShape(**self.shape), context.seed)
        context.report(f"{parameters:,} parameters with random weights")
        return {"parameters": parameters}


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


@dataclass(frozen=True)
class SFTStage(TrainingStage):
    """Supervised fine-tuning of `model` on the traces of `traces`."""

    kind: ClassVar[str] = "sft"
    inputs: ClassVar[tuple[str, ...]] = ("model", "traces")
    reads: ClassVar[str] = "traces.jsonl"

    model: StageName = StageName("model")
    traces: StageName = StageName("traces")

    def train(self, *stage: Any) -> Any:
        from open_r1.training.sft import run_sft

        return run_sft(*stage)


@dataclass(frozen=True)
class GRPOStage(TrainingStage):
    """Reinforcement learning of `model` on the RL problems of `problems`."""

    kind: ClassVar[str] = "grpo"
    inputs: ClassVar[tuple[str, ...]] = ("model", "problems")
    reads: ClassVar[str] = "rl.jsonl"

    model: StageName = StageName("sft")
    problems: StageName = StageName("problems")

    def prepare(self, root: Path, seed: int) -> None:
        from open_r1.rewards import check_recipe

        arguments = self.arguments(root, seed)
        with naming_stage(self.name):
            check_recipe(arguments.script, arguments.training.reward_weights)

    def train(self, *stage: Any) -> Any:
        from open_r1.training.grpo import run_grpo

        return run_grpo(*stage)


@dataclass(frozen=True)
class ReportStage(Stage):
    """Writes report.html beside the stages, from their records."""

    kind: ClassVar[str] = "report"
    always: ClassVar[bool] = True

    def run(self, context: Context) -> dict[str, Any]:
        from open_r1.report import build_report

        path = build_report(context.root)
        context.report(f"open {path}")
        return {"report": path.name}

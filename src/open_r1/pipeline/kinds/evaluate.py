"""The stage `evaluate`: a model on the pipeline's own held-out problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from open_r1.pipeline.problem_rows import read_problems
from open_r1.pipeline.stage import Context, Stage, StageName, naming_stage, positive
from open_r1.rundir import write_json


@dataclass(frozen=True)
class EvaluateStage(Stage):
    """Evaluates a model on held-out problems, greedily and from samples, and compares with an earlier evaluation."""

    kind: ClassVar[str] = "evaluate"
    makes: ClassVar[tuple[str, ...]] = ("summary.json", "samples.jsonl")
    inputs: ClassVar[tuple[str, ...]] = ("model", "problems", "baseline")

    model: StageName
    problems: StageName = StageName("problems")
    baseline: StageName | None = None
    num_samples: int = 4
    temperature: float = 1.0
    max_new_tokens: int = 256
    batch_size: int = 1024

    def check(self) -> None:
        for name in ("num_samples", "max_new_tokens", "batch_size"):
            positive(name, getattr(self, name), f"stage '{self.name}'")
        with naming_stage(self.name):
            self.sampling(0)

    def run(self, context: Context) -> dict[str, Any]:
        from open_r1.evaluation import compare, evaluate, read_evaluation, score_answers, write_evaluation
        from open_r1.evaluation.summary import from_record
        from open_r1.generation.in_process import TransformersGenerator

        problems = read_problems(context.folder(self.problems) / "held_out.jsonl")
        is_long = len(problems) * self.num_samples > self.batch_size
        options = {"batch_size": self.batch_size, **({"report": context.report} if is_long else {})}
        generator = TransformersGenerator.from_folder(context.folder(self.model), **options)
        evaluation = evaluate(
            generator,
            problems,
            self.modes(context.seed),
            score_answers,
            "held_out",
            self.model,
        )
        if self.baseline:
            before = read_evaluation(context.folder(self.baseline))
            write_json(context.run.path / "comparison.json", compare(before, evaluation))
        write_evaluation(context.run.path, evaluation)
        for mode, result in evaluation.summary["modes"].items():
            share = from_record(result["accuracy"])
            context.report(
                f"{mode}: {share.value:.1%} [{share.low:.1%}, {share.high:.1%}] of {len(problems)} problems, "
                f"{result['mean_tokens']:.1f} tokens"
            )
        return {mode: result["accuracy"] for mode, result in evaluation.summary["modes"].items()}

    def modes(self, seed: int) -> list[Any]:
        from open_r1.evaluation import Mode
        from open_r1.generation import Sampling

        return [Mode("greedy", Sampling(max_new_tokens=self.max_new_tokens)), Mode("sampled", self.sampling(seed))]

    def sampling(self, seed: int) -> Any:
        from open_r1.generation import Sampling

        return Sampling(self.num_samples, self.temperature, max_new_tokens=self.max_new_tokens, seed=seed)

"""The stage that evaluates an earlier stage's model, on held-out problems of the pipeline or on a benchmark.

after: {kind: evaluate, model: grpo, problems: problems, baseline: before}
math: {kind: benchmark, model: grpo, benchmark: math_500, data: math500.jsonl, baseline: math_before}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT
from open_r1.pipeline.stage import KINDS, WEIGHTS, Context, Stage, StageName, naming_stage
from open_r1.rundir import write_json

if TYPE_CHECKING:
    from open_r1.evaluation import Benchmark, EvaluationSettings

SHOW_EVERY_S = 10.0
HELD_OUT_BATCH, BENCHMARK_BATCH = 1024, 256
"""Samples at once: of short answers to held-out problems, and of a benchmark's."""


@dataclass(frozen=True)
class EvaluationStage(Stage):
    """Evaluates a model; settings left out are the benchmark's own or, without one, those of held-out problems."""

    kind: ClassVar[str] = "evaluate"
    makes: ClassVar[tuple[str, ...]] = ("summary.json", "samples.jsonl")
    resumes: ClassVar[bool] = True
    gpus: ClassVar[int | None] = 1
    reads: ClassVar[Mapping[str, str]] = {"model": WEIGHTS, "problems": "held_out.jsonl", "baseline": "summary.json"}

    model: StageName = setting(MISSING, "The stage with the model, or a folder or Hub id.")
    problems: StageName = setting(
        StageName("problems"), "The stage with `held_out.jsonl`, or a file, where no benchmark is named."
    )
    benchmark: str | None = setting(None, "A benchmark by name, instead of held-out problems.")
    data: str | None = setting(None, "A local file in the benchmark's columns.")
    baseline: StageName | None = setting(None, "An earlier evaluation, for the paired difference in comparison.json.")
    num_samples: int | None = setting(None, "Samples a problem.", COUNT)
    temperature: float | None = setting(None, "Temperature of the samples; 0 is greedy.")
    max_new_tokens: int | None = setting(None, "Most tokens of a completion.", COUNT)
    max_problems: int | None = setting(None, "Only the first so many problems.", COUNT)
    system_prompt: str | None = setting(None, "System prompt put before every problem.")
    batch_size: int | None = setting(None, "Sequences at once (default: 1024, and 256 of a benchmark).", COUNT)
    use_cpu: bool = setting(False, "Evaluate on the CPU, also beside an accelerator.")

    def given(self) -> list[str]:
        """The model, the problems unless a benchmark has them, and the baseline."""
        named = (self.model, self.baseline) if self.benchmark else (self.model, self.problems, self.baseline)
        return [stage for stage in named if stage]

    def check(self) -> None:
        """ConfigError for a mode of sampling that the benchmark or the settings don't allow."""
        with naming_stage(self.name):
            self.modes()

    def modes(self) -> list[str]:
        """The names of its modes of sampling, the first that it reports first."""
        from open_r1.evaluation.engine import choose_modes

        return [mode.name for mode in choose_modes(self._find_benchmark(Path()), self._settings(0))]

    def reads_hub(self) -> bool:
        """Whether the problems are a benchmark's on the Hub."""
        from open_r1.evaluation.benchmarks import benchmarks

        return self.data is None and self.benchmark in benchmarks()

    def prepare(self, root: Path, seed: int) -> None:
        """Plan the evaluation, where its problems are there before the pipeline runs."""
        if self.benchmark or self.problems not in self.needs():
            self.plan(root, seed)

    def _find_benchmark(self, root: Path) -> Benchmark:
        from open_r1.evaluation.benchmarks import get_benchmark
        from open_r1.evaluation.benchmarks.by_source import held_out_benchmark

        if self.benchmark:
            return get_benchmark(self.benchmark)
        return held_out_benchmark(self.place(self.problems, root, "held_out.jsonl"))

    def _settings(self, seed: int) -> EvaluationSettings:
        from open_r1.evaluation import EvaluationSettings

        names = ("num_samples", "temperature", "max_new_tokens", "max_problems", "system_prompt")
        return EvaluationSettings(seed=seed, **{name: getattr(self, name) for name in names})

    def plan(self, root: Path, seed: int) -> Any:
        """The benchmark with its problems, loaded and checked."""
        from open_r1.evaluation import plan_evaluation

        beside = self.base / self.data if self.data else None
        data = str(beside) if beside is not None and beside.exists() else self.data
        return plan_evaluation(
            self._find_benchmark(root), self._settings(seed), data, model=self.place(self.model, root)
        )

    def run(self, context: Context) -> dict[str, Any]:
        """Score the model, and compare it with the baseline; returns each mode's accuracy."""
        from open_r1.evaluation import run_evaluation
        from open_r1.evaluation.backends import transformers_backend
        from open_r1.evaluation.sampling import at_most_every
        from open_r1.evaluation.summary import from_record
        from open_r1.evaluation.table import compare_folders

        folder = context.run.path
        batch_size = self.batch_size or (BENCHMARK_BATCH if self.benchmark else HELD_OUT_BATCH)
        plan = self.plan(context.root, context.seed)
        backend = transformers_backend(self.place(self.model, context.root), batch_size, self.use_cpu)
        show = at_most_every(SHOW_EVERY_S, context.report)
        summary = run_evaluation(plan, backend, folder, show, context.report, model_name=self.model)
        if self.baseline:
            write_json(folder / "comparison.json", compare_folders(context.folder(self.baseline), folder))
        for mode, result in summary["modes"].items():
            accuracy = f"{from_record(result['accuracy']).as_percent()} % of {summary['num_problems']} problems"
            context.report(f"{mode}: {accuracy}, {result['mean_tokens']:.1f} tokens")
        facts = {mode: result["accuracy"] for mode, result in summary["modes"].items()}
        return facts


KINDS["benchmark"] = EvaluationStage

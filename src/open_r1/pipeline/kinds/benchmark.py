"""The stage `benchmark`: a benchmark run on an earlier stage's model, compared with an earlier evaluation of it.

    math: {kind: benchmark, model: grpo, benchmark: math_500, data: math500.jsonl, baseline: math_before}

It goes on with the missing samples when it was interrupted. `evaluate` is for the pipeline's own held-out problems.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from open_r1.pipeline.stage import Context, Stage, StageName, naming_stage, positive
from open_r1.rundir import write_json

RUN = "run"
"""Where the benchmark's run keeps its samples as they come, in the stage's folder."""

LEFT = ("summary.json", "samples.jsonl")


@dataclass(frozen=True)
class BenchmarkStage(Stage):
    """Settings left out are the benchmark's own."""

    kind: ClassVar[str] = "benchmark"
    makes: ClassVar[tuple[str, ...]] = LEFT
    inputs: ClassVar[tuple[str, ...]] = ("model", "baseline")
    resumes: ClassVar[bool] = True

    model: StageName
    benchmark: str
    data: str | None = None
    baseline: StageName | None = None
    num_samples: int | None = None
    temperature: float | None = None
    max_new_tokens: int | None = None
    max_problems: int | None = None
    batch_size: int = 256

    def check(self) -> None:
        from open_r1.evaluation.benchmarks import get_benchmark

        for name in ("num_samples", "max_new_tokens", "max_problems", "batch_size"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name), f"stage '{self.name}'")
        with naming_stage(self.name):
            get_benchmark(self.benchmark)

    def prepare(self, root: Path, seed: int) -> None:
        self.plan(seed)

    def plan(self, seed: int) -> Any:
        from open_r1.evaluation.benchmarks import get_benchmark
        from open_r1.evaluation.run import Wanted, make_plan

        wanted = Wanted(
            self.num_samples, self.temperature, None, self.max_new_tokens, seed, max_problems=self.max_problems
        )
        beside = self.base / self.data if self.data else None
        data = str(beside) if beside is not None and beside.exists() else self.data
        return make_plan(get_benchmark(self.benchmark), wanted, data)

    def run(self, context: Context) -> dict[str, Any]:
        from open_r1.evaluation import compare, read_evaluation
        from open_r1.evaluation.backends import transformers_backend
        from open_r1.evaluation.run import run_benchmark
        from open_r1.evaluation.table import read_results, render_table

        folder = context.run.path
        backend = transformers_backend(str(context.folder(self.model)), self.batch_size, context.report)
        summary = run_benchmark(self.plan(context.seed), backend, folder / RUN, tell=context.report)
        for name in LEFT:
            shutil.copyfile(folder / RUN / name, folder / name)
        write_json(folder / "summary.json", {**summary, "model": self.model})
        if self.baseline:
            before = read_evaluation(context.folder(self.baseline))
            write_json(folder / "comparison.json", compare(before, read_evaluation(folder)))
        context.report(render_table(read_results(folder)[:1], published=False))
        return {mode: result["accuracy"] for mode, result in summary["modes"].items()}

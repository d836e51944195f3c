"""The stage `generate`: samples of an earlier stage's model, several of each problem, by the engine in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT
from open_r1.data.generation import TraceRun, TraceSettings, identity_of
from open_r1.data.problems import ProblemSet, ProblemSource
from open_r1.data.provenance import Step, steps_behind, write_steps
from open_r1.errors import ConfigError
from open_r1.pipeline.stage import WEIGHTS, Context, Stage, StageName, naming_stage

SHOW_EVERY_S = 10.0


@dataclass(frozen=True)
class GenerateStage(Stage):
    """Samples several completions of every problem from a model; a killed stage generates what is missing."""

    kind: ClassVar[str] = "generate"
    makes: ClassVar[tuple[str, ...]] = ("traces.jsonl",)
    inputs: ClassVar[tuple[str, ...]] = ("model", "problems")
    reads: ClassVar[Mapping[str, str]] = {"model": WEIGHTS, "problems": "rl.jsonl"}
    resumes: ClassVar[bool] = True
    gpus: ClassVar[int | None] = 1

    model: StageName = setting(MISSING, "The stage with the model, or a folder or Hub id.")
    problems: StageName = setting(StageName("problems"), "The stage with `rl.jsonl`, or a file or Hub data set.")
    dataset_config: str | None = setting(None, "Configuration of a Hub data set.")
    columns: list[str] | None = setting(None, "Columns of the problems that the traces get (default: all).")
    num_samples: int = setting(4, "Samples a problem.", COUNT)
    temperature: float = setting(1.0, "Temperature of the samples; 0 is greedy.")
    top_p: float = setting(1.0, "Share of the probability that is sampled from.")
    max_new_tokens: int = setting(8192, "Most tokens of a sample.", COUNT)
    max_problems: int | None = setting(None, "Only the first so many problems.", COUNT)
    system_prompt: str | None = setting(None, "System prompt put before every problem.")
    backend: Literal["transformers", "vllm"] = setting("transformers", "The engine in this process.")
    engine_options: dict[str, Any] = setting({}, "Options of vllm.LLM, as {tensor_parallel_size: 8}.")
    batch_size: int = setting(256, "Sequences at once.", COUNT)
    use_cpu: bool = setting(False, "Generate on the CPU, also beside an accelerator; of transformers.")

    def check(self) -> None:
        """ConfigError for a way of sampling that is not possible, or for options of an engine that isn't chosen."""
        if self.engine_options and self.backend != "vllm":
            raise ConfigError(
                f"stage '{self.name}': engine_options are those of backend vllm, but backend is {self.backend}; leave them "
                "out, or choose vllm."
            )
        with naming_stage(self.name):
            self._settings(0)

    def reads_hub(self) -> bool:
        """Whether the problems are a data set of the Hub."""
        return not self.needs_problems() and not Path(self.place(self.problems, Path())).exists()

    def needs_problems(self) -> bool:
        """Whether an earlier stage makes the problems."""
        return self.problems in self.needs()

    def prepare(self, root: Path, seed: int) -> None:
        """Read the problems, where they are there before the pipeline runs; DataError for what can't be asked."""
        if not self.needs_problems():
            ProblemSet(self._source(root))

    def _source(self, root: Path) -> ProblemSource:
        name = self.place(self.problems, root, "rl.jsonl")
        return ProblemSource(
            name,
            config=self.dataset_config,
            columns=tuple(self.columns) if self.columns else None,
            max_problems=self.max_problems,
            system_prompt=self.system_prompt,
        )

    def _settings(self, seed: int) -> TraceSettings:
        return TraceSettings(self.num_samples, self.temperature, self.top_p, self.max_new_tokens, seed)

    def run(self, context: Context) -> dict[str, Any]:
        """Generate the samples that are missing; returns their number and their tokens."""
        source = self._source(context.root)
        problems, settings = ProblemSet(source), self._settings(context.seed)
        completer = self._open_model(context.root)

        def show(progress: Any) -> None:
            context.report(progress.line())

        summary = TraceRun(context.run.path, problems, settings, completer, show, SHOW_EVERY_S).run()
        facts = {name: summary[name] for name in ("samples", "samples_missing", "completion_tokens")}
        step = Step("generate", source.name, identity_of(problems, settings, completer), facts)
        write_steps(context.run.path, [*steps_behind(source.name), step])
        missing = f", {facts['samples_missing']:,} failed: see failed.jsonl" if facts["samples_missing"] else ""
        context.report(f"{facts['samples']:,} samples, {facts['completion_tokens']:,} tokens{missing}")
        return facts

    def _open_model(self, root: Path) -> Any:
        from open_r1.evaluation.backends import transformers_backend, vllm_backend

        model = self.place(self.model, root)
        if self.backend == "vllm":
            return vllm_backend(model, self.batch_size, **self.engine_options).completer
        return transformers_backend(model, self.batch_size, self.use_cpu).completer

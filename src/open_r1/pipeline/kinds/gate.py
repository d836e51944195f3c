"""The stage `gate`: the pipeline goes on only when an evaluation's accuracy is high enough.

enough: {kind: gate, evaluation: evaluate_sft, above: 0.5, by: low}
larger: {kind: sft, model: Qwen/Qwen2.5-7B, recipe: sft_7b.yaml, after: [enough]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from typing import Any, ClassVar, Literal

from open_r1.configs.fields import setting
from open_r1.configs.ranges import Range
from open_r1.errors import ConfigError, GateNotMet, RunError, nearest
from open_r1.pipeline.kinds.evaluate import EvaluationStage
from open_r1.pipeline.stage import Context, Stage, StageName


@dataclass(frozen=True)
class GateStage(Stage):
    """Stops the pipeline with exit status 3 when an evaluation's accuracy is not above a limit.

    Stages that must not run then name the gate in `after`. A gate is evaluated in every run, also when its stages are done.
    """

    kind: ClassVar[str] = "gate"
    always: ClassVar[bool] = True
    inputs: ClassVar[tuple[str, ...]] = ("evaluation",)
    reads: ClassVar[Mapping[str, str]] = {"evaluation": "summary.json"}

    evaluation: StageName = setting(MISSING, "The stage with the evaluation.")
    above: float = setting(MISSING, "The share of right answers that must be exceeded.", Range(0, 1, open_high=True))
    by: Literal["value", "low"] = setting(
        "value", "What must exceed it: the estimate, or the low end of its 95 % interval."
    )
    mode: str | None = setting(None, "The mode of sampling, `greedy` or `sampled`; by default the evaluation's first.")

    def check(self) -> None:
        """ConfigError for an evaluation that is not a stage."""
        if not self.needs():
            raise ConfigError(f"stage '{self.name}': evaluation must name a stage, but is '{self.evaluation}'.")

    def check_needs(self, before: Mapping[str, Stage]) -> None:
        """ConfigError, too, for a mode of sampling that the evaluation does not have."""
        super().check_needs(before)
        evaluation = before[self.evaluation] if self.needs() else None
        modes = evaluation.modes() if isinstance(evaluation, EvaluationStage) else []
        if self.mode and modes and self.mode not in modes:
            raise ConfigError(
                f"mode is '{self.mode}', which evaluation '{self.evaluation}' does not have{nearest(self.mode, modes)} "
                f"It has: {', '.join(modes)}."
            )

    def run(self, context: Context) -> dict[str, Any]:
        """The accuracy that was compared; GateNotMet when it is not above the limit."""
        from open_r1.evaluation.summary import from_record, read_summary

        modes = read_summary(context.folder(self.evaluation))["modes"]
        mode = self.mode or next(iter(modes))
        if mode not in modes:
            raise RunError(
                f"stage '{self.name}': evaluation '{self.evaluation}' has no mode '{mode}', only {', '.join(modes)}; "
                f"correct mode of '{self.name}'."
            )
        accuracy = from_record(modes[mode]["accuracy"])
        compared = getattr(accuracy, self.by)
        found = f"{mode} accuracy of {self.evaluation} is {accuracy.as_percent()} %"
        if not compared > self.above:  # an accuracy that is not known is not above anything
            raise GateNotMet(
                f"gate '{self.name}' is not met: {found}, and {WORDS[self.by]} must be above {100 * self.above:g} %; "
                "improve the stages before it, or lower its limit, and run the same command again."
            )
        context.report(f"{found}: above {100 * self.above:g} %")
        return {"mode": mode, "accuracy": modes[mode]["accuracy"]}


WORDS = {"value": "the estimate", "low": "the low end of its interval"}

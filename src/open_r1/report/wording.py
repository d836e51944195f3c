"""Numbers and outcomes in words: how the page says what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from open_r1.records import Estimate
from open_r1.report.charts import read_points
from open_r1.report.run_records import Evaluation, Stage, TrainingRun
from open_r1.report.values import mapping, number_of, text_of

SPACE = "\u202f"  # narrow and unbreakable, between a number and its unit
MODEL_NAMES = {"base": "Base", "model": "Base", "sft": "SFT", "grpo": "GRPO"}
BENCHMARK_NAMES = {"held_out": "held-out problems"}
MARK_SIGNS = {"right": "✓", "wrong": "✗", "partial": "◐", "unscored": "?"}


def name_model(model: str) -> str:
    """`sft` -> `SFT`; a name of the user's own stays as it is."""
    return MODEL_NAMES.get(model, model)


def name_evaluated(evaluation: Evaluation) -> str:
    """The model of an evaluation by the last part of its path, where it is a folder's."""
    return name_model(Path(evaluation.line[0]).name if evaluation.line[0].startswith("/") else evaluation.model)


def name_benchmark(benchmark: str) -> str:
    """`held_out` -> `held-out problems`."""
    return BENCHMARK_NAMES.get(benchmark, f"problems of {benchmark}")


def say_percent(share: float | None) -> str:
    """A share of 0..1 as `48.2 %`; a dash for None."""
    return "–" if share is None else f"{100 * share:.1f}{SPACE}%"


def say_interval(estimate: Estimate) -> str:
    """An interval of a share or a difference in percent: `45.1 to 51.3`, with a true minus sign."""
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}".replace("-", "−")


def say_points(difference: Estimate) -> str:
    """A difference of two accuracies in percentage points: `+48.1`, with a true minus sign."""
    return f"{100 * difference.value:+.1f}".replace("-", "−")


def say_number(value: float | None) -> str:
    """Three significant digits, or whole where larger: 0.0123, 1.89, 12,345."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}".replace("-", "−")


def say_tokens(tokens: float | None) -> str:
    """A mean number of tokens, or a dash."""
    return "–" if tokens is None else f"{tokens:,.1f}"


def say_seconds(seconds: float | None) -> str:
    """A duration as `12.3 s`, `4 min 05 s` or `1 h 02 min`; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{SPACE}h {minutes:02}{SPACE}min" if hours else f"{minutes}{SPACE}min {rest:02}{SPACE}s"


def say_accuracies(labels: Sequence[str], evaluations: Sequence[Evaluation], mode: str, is_pipeline: bool) -> str:
    """`Greedy accuracy on 600 held-out problems: 0.0 % (Base) → 48.2 % (SFT) → 96.3 % (GRPO).`

    An arrow leads to a model from one that it came from; in a pipeline also where that is not on record.
    """
    said, before = "", None
    for label, evaluation in zip(labels, evaluations, strict=True):
        if (summary := evaluation.modes.get(mode)) and summary.accuracy:
            is_unknown = is_pipeline and len(evaluation.line) == 1
            comes_from = before is not None and (is_unknown or before.line[0] in evaluation.line[1:])
            said += (" → " if comes_from else "; ") if before else ""
            said += f"{say_percent(summary.accuracy.value)} ({label})"
            before = evaluation
    if not said:
        return ""
    number = evaluations[-1].num_problems
    problems = f"{number:,} " if number is not None else ""
    benchmark = f"{problems}{name_benchmark(evaluations[-1].benchmark)}"
    return f"{mode.capitalize()} accuracy on {benchmark}: {said}."


def say_gain(label: str, baseline: str, difference: Estimate) -> str:
    """The paired difference, and whether it differs from chance."""
    size = f"{say_points(difference)} points"
    interval = f"[95{SPACE}% interval {say_interval(difference)}]"
    if difference.low > 0:
        return f"{label}’s gain over {baseline} is {size} {interval}."
    if difference.high < 0:
        return f"{label} lost accuracy against {baseline}: {size} {interval}."
    return f"{label} differs from {baseline} by {size} {interval}: the interval contains zero."


def say_training(run: TrainingRun) -> str:
    """`GRPO, 120 steps: reward 0.41 → 1.82; completion length 45 → 81 tokens.` First and last tenth of the steps."""
    if run.kind == "grpo":
        shown = [("reward", "reward", ""), ("completions/mean_length", "completion length", " tokens")]
    else:
        shown = [("loss", "loss", ""), ("mean_token_accuracy", "token accuracy", "")]
    parts = [part for key, label, unit in shown if (part := _say_course(run.metrics, key, label, unit))]
    steps = [step for row in run.metrics if (step := number_of(row.get("step"))) is not None]
    length = f", {max(steps):,.0f} steps" if steps else ""
    return f"{name_model(run.name)}{length}: {'; '.join(parts)}." if parts else ""


def _say_course(metrics: Sequence[Mapping[str, Any]], key: str, label: str, unit: str) -> str:
    values = [value for _, value in read_points(metrics, key)]
    if len(values) < 2:
        return ""
    tenth = max(1, len(values) // 10)
    first, last = sum(values[:tenth]) / tenth, sum(values[-tenth:]) / tenth
    return f"{label} {say_number(first)} → {say_number(last)}{unit}"


def say_alarms(run: TrainingRun) -> list[str]:
    """`Alarm at step 12: entropy fell …` for each alarm of a training, in the order in which they were raised."""
    found = [(number_of(row.get("step")), text_of(row.get("text"))) for row in run.alarms]
    return [f"Alarm at step {'?' if step is None else f'{step:,.0f}'}: {text}" for step, text in found]


def count_alarms(trainings: Sequence[TrainingRun]) -> str:
    """`Alarms while training: GRPO 2.`; "" without one."""
    counts = [(name_model(run.name), len(say_alarms(run))) for run in trainings]
    named = [f"{name} {count}" for name, count in counts if count]
    return f"Alarms while training: {', '.join(named)}." if named else ""


def say_unfinished(stages: Sequence[Stage]) -> str:
    """What failed and what is still to come; "" for a finished pipeline. The report's own stage doesn't count."""
    others = [stage for stage in stages if stage.kind != "report"]
    failed = [stage.name for stage in others if stage.status == "failed"]
    waiting = [stage.name for stage in others if stage.status not in ("done", "skipped", "failed")]
    sentences = (("Failed", failed), ("Not finished yet", waiting))
    return " ".join(f"{words}: {', '.join(names)}." for words, names in sentences if names)


def say_preflight(record: Mapping[str, Any]) -> str:
    """`Before training, 8 problems with 64 completions: 3.1 % cut off, 54.7 % right, …`; "" without a record."""
    prompts, completions = number_of(record.get("prompts")), number_of(record.get("completions"))
    if prompts is None or completions is None:
        return ""
    shown = (
        ("truncated_share", "cut off"),
        ("no_answer_share", "without an answer"),
        ("right_share", "right"),
        ("right_without_format_share", "of the right ones without the format"),
        ("zero_variance_share", "of the groups without variance"),
    )
    shares = [
        f"{say_percent(share)} {words}" for key, words in shown if (share := number_of(record.get(key))) is not None
    ]
    return f"Before training, {prompts:,.0f} problems with {completions:,.0f} completions: {', '.join(shares)}."


def say_findings(record: Mapping[str, Any]) -> list[str]:
    """What the pre-flight check warned of."""
    findings = record.get("findings")
    texts = [text_of(mapping(found).get("text")) for found in findings] if isinstance(findings, list) else []
    return [f"Before training: {text}" for text in texts if text]

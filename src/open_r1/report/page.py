"""The report page: what the template shows, put together from a run's records, rendered and written.

Every text of the run reaches the page through Jinja's autoescape; no code here makes markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2

from open_r1.report import charts, wording
from open_r1.report.charts import Panel, draw_chart
from open_r1.report.run_files import Compare, read_run
from open_r1.report.run_records import Evaluation, RunRecords, Sample, TrainingRun, mark_of
from open_r1.report.samples import count_unscored
from open_r1.report.selection import choose_problems, choose_rollouts
from open_r1.report.values import text_of
from open_r1.rewards.registry import reward_specs
from open_r1.rundir import write_text
from open_r1.text.secrets import hide_secrets
from open_r1.text.tags import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN
from open_r1.text.thinking import restore_opening

PAGE_NAME = "report.html"
CLIPS = {"prompt": (600, 12), "thinking": (600, 12), "answer": (600, 12), "other": (300, 6)}
"""Characters and lines shown before a fold; text outside the tags is mostly a model that has not learned them."""
MAX_SHOWN_CHARS = 20_000  # the page contains so much of one completion; the run's files contain the rest
SFT_PANELS = (
    Panel("Loss", (("loss", "training"), ("eval_loss", "held-out"))),
    Panel("Token accuracy", (("mean_token_accuracy", "training"), ("eval_mean_token_accuracy", "held-out")), True),
    Panel("Entropy", (("entropy", "training"),)),
)
GRPO_PANELS = (
    Panel("Reward", (("reward", "training"), ("eval_reward", "held-out"))),
    Panel("Completion length, tokens", (("completions/mean_length", "training"),)),
    Panel("Completions cut off", (("completions/clipped_ratio", "training"),), True),
    Panel("Groups without variance", (("frac_reward_zero_std", "training"),), True),
    Panel("Entropy", (("entropy", "training"),)),
    Panel("KL from the reference", (("kl", "training"),)),
)
MORE_PANELS = (
    Panel("Gradient norm", (("grad_norm", "training"),)),
    Panel("Learning rate", (("learning_rate", "training"),)),
    Panel("Seconds a step", (("step_time", "training"),)),
)


@dataclass(frozen=True)
class ShownBenchmark:
    """The evaluations of one benchmark, earliest first; `rows` are (label, baseline, evaluation)."""

    name: str
    labels: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]
    modes: tuple[str, ...]
    groups: tuple[str, ...]
    rows: tuple[tuple[str, str, Evaluation], ...]


@dataclass(frozen=True)
class Passage:
    """A stretch of a completion; `rest` is behind the fold, `left_out` characters are not on the page."""

    kind: str
    head: str
    rest: str
    left_out: int


def build_report(run_dir: Path, compare: Compare | None = None) -> Path:
    """Write report.html from the run's files and return its path. RunFolderError when the folder records no run.

    `compare` is `evaluation.table.compare_folders`; without it only gains that are on record are shown.
    """
    records = read_run(run_dir, compare)
    by_name: dict[str, list[Evaluation]] = {}
    for evaluation in records.evaluations:
        by_name.setdefault(evaluation.benchmark, []).append(evaluation)
    benchmarks = [_show_benchmark(name, found) for name, found in by_name.items()]
    main = max(benchmarks, key=lambda benchmark: len(benchmark.evaluations), default=None)
    strict = {"autoescape": True, "undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, **strict)  # type: ignore[arg-type]
    shown = (clip, describe_sample, mark_of, mark_sample, split_completion)
    environment.globals.update(say=wording, charts=charts, **{function.__name__: function for function in shown})
    page = environment.get_template("page.html.jinja").render(
        records=records,
        headline=_headline(records, main),
        unfinished=wording.say_unfinished(records.stages),
        alarms=wording.count_alarms(records.trainings),
        benchmarks=benchmarks,
        main=main,
        choice=choose_problems(main.evaluations, main.modes[0]) if main and main.modes else None,
        trainings=[_show_training(run) for run in records.trainings],
        total_seconds=sum(stage.seconds or 0.0 for stage in records.stages),
        environment=_flatten(records.environment),
    )
    write_text(run_dir / PAGE_NAME, page.lstrip())
    return run_dir / PAGE_NAME


def _show_benchmark(name: str, evaluations: Sequence[Evaluation]) -> ShownBenchmark:
    names = [wording.name_evaluated(evaluation) for evaluation in evaluations]
    labels = [  # with the stage where one model is evaluated twice
        f"{model} ({item.stage})" if names.count(model) > 1 else model
        for model, item in zip(names, evaluations, strict=True)
    ]
    by_name = dict(zip((item.stage for item in evaluations), labels, strict=True))
    summaries = [summary for item in evaluations for summary in item.modes.values()]
    baselines = [by_name.get(item.baseline, wording.name_model(item.baseline)) for item in evaluations]
    return ShownBenchmark(
        name=name,
        labels=tuple(labels),
        evaluations=tuple(evaluations),
        modes=tuple(dict.fromkeys(mode for item in evaluations for mode in item.modes)),
        groups=tuple(sorted({group for summary in summaries for group in summary.groups})),
        rows=tuple(zip(labels, baselines, evaluations, strict=True)),
    )


def _headline(records: RunRecords, main: ShownBenchmark | None) -> list[str]:
    if main is None or not main.modes:
        return [sentence for run in records.trainings if (sentence := wording.say_training(run))]
    sentences = [wording.say_accuracies(main.labels, main.evaluations, main.modes[0], bool(records.stages))]
    for label, baseline, evaluation in reversed(main.rows):
        if difference := evaluation.differences.get(main.modes[0]):
            sentences.append(wording.say_gain(label, baseline, difference))
            break
    return [sentence for sentence in sentences if sentence]


def _show_training(run: TrainingRun) -> dict[str, Any]:
    panels, more = SFT_PANELS, MORE_PANELS
    if run.kind == "grpo":
        panels = (GRPO_PANELS[0], _accuracy_panel(), _rewards_panel(run, "", "mean", False), *GRPO_PANELS[1:])
        kinds = (("standard deviation", "std", False), ("groups without variance", "zero_variance", True))
        more = (*(_rewards_panel(run, *kind) for kind in (*kinds, ("unscored share", "unscored", True))), *more)
    return {
        "title": wording.name_model(run.name),
        "summary": wording.say_training(run),
        "preflight": wording.say_preflight(run.preflight),
        "findings": wording.say_findings(run.preflight),
        "alarms": wording.say_alarms(run),
        "charts": [chart for panel in panels if (chart := draw_chart(panel, run.metrics))],
        "more_charts": [chart for panel in more if (chart := draw_chart(panel, run.metrics))],
        "groups": choose_rollouts(run.rollout_paths),
        "has_rollouts": run.kind == "grpo" or bool(run.rollout_paths),
        "unscored": count_unscored(run.rollout_paths),
    }


def _accuracy_panel() -> Panel:
    names = [spec.function_name for spec in reward_specs().values() if spec.is_default and spec.kind == "answer"]
    labels = (("", "training"), ("eval_", "held-out"))
    series = tuple((f"{where}rewards/{name}/mean", label) for name in names for where, label in labels)
    return Panel("Accuracy of the rollouts", series, is_share=True)


def _rewards_panel(run: TrainingRun, what: str, measure: str, is_share: bool) -> Panel:
    keys = dict.fromkeys(key for row in run.metrics for key in row)
    names = sorted(match[1] for key in keys if (match := re.fullmatch(rf"rewards/(.+)/{measure}", key)))
    series = tuple((f"rewards/{name}/{measure}", name.removesuffix("_reward")) for name in names)
    return Panel(f"Each reward’s {what}" if what else "Each reward", series, is_share)


def mark_sample(sample: Sample) -> str:
    """`✓ right`, `✗ wrong`, `◐ partial 0.50`, `? unscored`."""
    mark = mark_of(sample.score)
    return f"{wording.MARK_SIGNS[mark]} {mark}" + (f" {sample.score:.2f}" if mark == "partial" else "")


def describe_sample(sample: Sample) -> str:
    """`96 tokens, cut off, no answer`: length, end, and why it isn't right."""
    parts = [f"{sample.num_tokens:,} tokens"] if sample.num_tokens is not None else []
    parts += ["cut off"] if sample.finish_reason == "length" else []
    if mark_of(sample.score) != "right" and sample.reason not in ("", "wrong"):
        parts.append(sample.reason.replace("_", " "))
    return ", ".join(parts)


def split_completion(text: str) -> list[Passage]:
    """The passages "thinking", "answer" and "other" without tags; text before a first </think> is thinking."""
    text, kind = restore_opening(text), "other"
    after = {THINK_OPEN: "thinking", THINK_CLOSE: "other", ANSWER_OPEN: "answer", ANSWER_CLOSE: "other"}
    pieces = re.split("(" + "|".join(map(re.escape, after)) + ")", text[:MAX_SHOWN_CHARS])
    found: list[tuple[str, str]] = []
    for piece in pieces:
        if piece in after:
            kind = after[piece]
        elif piece.strip():
            found.append((kind, piece.strip("\n")))
    passages = [clip(piece, kind) for kind, piece in found]
    if passages and len(text) > MAX_SHOWN_CHARS:
        passages[-1] = replace(passages[-1], left_out=len(text) - MAX_SHOWN_CHARS)
    return passages


def clip(text: str, kind: str) -> Passage:
    """The text's beginning, as much as CLIPS allows, and the rest."""
    max_chars, max_lines = CLIPS[kind]
    end = min(max_chars, len("\n".join(text.split("\n")[:max_lines])))
    if len(text) - end < max_chars // 4 and text.count("\n", end) < max_lines // 3:
        end = len(text)  # a fold must hide enough to be worth a click
    return Passage(kind, text[:end], text[end:].removeprefix("\n"), 0)


def _flatten(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, entry in value.items():
        name = f"{prefix}{text_of(key)}"
        if isinstance(entry, dict):
            rows += _flatten(entry, f"{name}.")
        else:
            text = text_of(", ".join(map(str, entry)) if isinstance(entry, list) else entry)
            rows.append((name, hide_secrets(f"{name}: {text}").removeprefix(f"{name}: ")))
    return rows

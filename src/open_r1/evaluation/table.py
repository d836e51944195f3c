"""Results side by side: a table like the guide's with published rows, and the paired differences of two evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.errors import DataError
from open_r1.estimates import estimate_difference, mean
from open_r1.evaluation.benchmarks import benchmarks
from open_r1.evaluation.summary import SAMPLES, SUMMARY, as_record, from_record, read_summary
from open_r1.records import Estimate
from open_r1.rundir import read_jsonl

PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "OpenR1-Distill-7B": {"aime24": 52.7, "math_500": 89.0, "gpqa": 52.8, "lcb": 39.4},
    "DeepSeek-R1-Distill-Qwen-7B": {"aime24": 51.3, "math_500": 93.5, "gpqa": 52.4, "lcb": 37.4},
    "OpenR1-Distill-1.5B": {"aime24": 30.7, "math_500": 83.1, "gpqa": 35.8, "lcb": 16.1},
    "DeepSeek-R1-Distill-Qwen-1.5B": {"aime24": 28.9, "math_500": 83.9, "gpqa": 33.8, "lcb": 16.9},
}
"""Published results, in percent: pass@1 at temperature 0.6, top_p 0.95, 32,768 tokens; 64 samples a problem of AIME 2024,
4 of MATH-500, 8 of GPQA Diamond, 16 of LiveCodeBench. Source: the Open-R1 guide."""

MAIN = "sampled"  # the mode that tables show, where an evaluation has it
SAME = ("problems", "num_samples", "temperature", "top_p", "max_new_tokens", "system_prompt", "shuffle_seed")
"""Settings in which two results should agree; a difference is noted beside their comparison."""


@dataclass(frozen=True)
class Result:
    """One model on one benchmark in one mode; `folder` contains the samples."""

    model: str
    benchmark: str
    estimate: Estimate
    mode: str = ""
    folder: Path | None = None
    settings: Mapping[str, Any] | None = None


def read_results(folder: Path) -> list[Result]:
    """The results, of every mode, of an output folder or of the folders in it. DataError when there is none."""
    found = [path for path in (folder, *sorted(folder.glob("*/"))) if (path / SUMMARY).is_file()]
    results = [result for path in found for result in read_modes(path)]
    if not results:
        raise DataError(
            f"'{folder}' contains no finished evaluation (summary.json); give what `open-r1 eval --output_dir` wrote."
        )
    return results


def read_modes(folder: Path) -> list[Result]:
    """The result of every mode of an evaluation's folder; none for a summary of something else."""
    summary = read_summary(folder)
    modes = summary.get("modes")
    if not isinstance(modes, dict):
        return []
    settings = summary.get("settings")
    try:
        named = str(summary["model"]), str(summary["name"])
        return [
            Result(*named, from_record(entry["accuracy"]), mode, folder, settings) for mode, entry in modes.items()
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"'{folder / SUMMARY}' is incomplete: {error!r}; it must give model, name and the accuracy of each mode "
            "(value, low, high, n). Run that evaluation again with --overwrite."
        ) from None


def render_table(results: Sequence[Result], published: bool = True) -> str:
    """A Markdown table: a row a model, a column a benchmark, percent with the 95 % interval; published rows below."""
    columns = list(dict.fromkeys(result.benchmark for result in results))
    sampled = {result.folder for result in results if result.mode == MAIN}
    cells: dict[str, dict[str, str]] = {}
    for result in results:
        if result.mode == MAIN or result.folder not in sampled:
            shown = "-" if math.isnan(result.estimate.value) else result.estimate.as_percent()
            cells.setdefault(result.model, {})[result.benchmark] = shown
    for model, scores in PUBLISHED.items() if published else ():
        if known := {column: f"{scores[column]:.1f}" for column in columns if column in scores}:
            cells[f"{model} (published)"] = known
    titles = {name: benchmark.title.partition(",")[0] for name, benchmark in benchmarks().items()}
    lines = [["model", *(titles.get(column, column) for column in columns)]]
    lines += [[model, *(row.get(column, "") for column in columns)] for model, row in cells.items()]
    safe = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in safe) for column in range(len(safe[0]))]
    rendered = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in safe
    ]
    rendered.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(rendered)


@dataclass(frozen=True)
class Comparison:
    """The paired difference of two results on the problems that both scored, and what else differs between them."""

    benchmark: str
    mode: str
    first: str
    second: str
    difference: Estimate
    remarks: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """The difference in words; it is significant where its interval excludes 0."""
        if self.difference.n < 2:
            return "too few problems in common"
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "no significant difference"


def compare_results(first: Sequence[Result], second: Sequence[Result]) -> list[Comparison]:
    """Every benchmark and mode that both have."""
    found = {(result.benchmark, result.mode): result for result in second}
    pairs = ((result, found.get((result.benchmark, result.mode))) for result in first)
    return [compare_pair(result, other) for result, other in pairs if other is not None]


def compare_pair(first: Result, second: Result) -> Comparison:
    """The paired difference over the problems of both, with remarks on settings that differ."""
    one, two = problem_means(first), problem_means(second)
    shared = sorted(one.keys() & two.keys())
    most = max(len(one), len(two))
    remarks = [f"{len(shared)} of {most} problems are in both"] if len(shared) < most else []
    settings = ((key, (first.settings or {}).get(key), (second.settings or {}).get(key)) for key in SAME)
    remarks += [f"{key}: {ours!r} and {theirs!r}" for key, ours, theirs in settings if ours != theirs]
    difference = estimate_difference([one[key] for key in shared], [two[key] for key in shared])
    return Comparison(first.benchmark, first.mode, first.model, second.model, difference, tuple(remarks))


def compare_folders(before: Path, after: Path) -> dict[str, Any]:
    """comparison.json of a pipeline's stage: the difference after - before in each mode that both evaluations have."""
    pairs = compare_results(read_modes(before), read_modes(after))
    baseline = pairs[0].first if pairs else str(read_summary(before).get("model"))
    return {"baseline": baseline, "modes": {pair.mode: {"difference": as_record(pair.difference)} for pair in pairs}}


def problem_means(result: Result) -> dict[str, float]:
    """Each problem's mean score over its scored samples, by problem id; problems without any are left out."""
    if result.folder is None:
        return {}
    path = result.folder / SAMPLES
    if not path.is_file():
        raise DataError(
            f"'{path}' does not exist, but {result.benchmark} is compared by its samples; restore the file, or run that "
            "evaluation again with --overwrite."
        )
    scores: dict[str, list[float]] = {}
    for row in read_jsonl(path):
        if row.get("mode") == result.mode and row["score"] is not None:
            scores.setdefault(row["problem_id"], []).append(row["score"])
    return {problem: mean(values) for problem, values in scores.items()}

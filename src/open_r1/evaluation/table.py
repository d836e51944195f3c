"""Results side by side: a table like the guide's, with intervals, published rows below, and paired differences.

A result is a benchmark's folder (`run`), or a row that lighteval left. Does not: compute one model's estimates (`summary`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.errors import DataError
from open_r1.evaluation.evaluate import problem_means
from open_r1.evaluation.reference import PUBLISHED, TITLES
from open_r1.evaluation.statistics import estimate_difference
from open_r1.evaluation.summary import from_record
from open_r1.records import Estimate
from open_r1.rundir import read_json, read_jsonl

SAME = ("questions", "num_samples", "temperature", "top_p", "max_new_tokens", "system_prompt", "shuffle_seed")
"""Settings that two results must share to be compared without a remark."""


@dataclass(frozen=True)
class Result:
    """One model on one benchmark. `folder` holds the samples; None for a result that came without."""

    model: str
    benchmark: str
    estimate: Estimate
    mode: str = ""
    folder: Path | None = None
    settings: Mapping[str, Any] | None = None


def read_results(folder: Path) -> list[Result]:
    """The results of an output folder: itself, or the folders in it. DataError when there is none."""
    found = [path for path in (folder, *sorted(folder.glob("*/"))) if (path / "summary.json").is_file()]
    results = [result for path in found if (result := read_result(path)) is not None]
    if not results:
        raise DataError(
            f"'{folder}' holds no finished evaluation (summary.json); give what `open-r1 eval --output_dir` wrote."
        )
    return results


def read_result(folder: Path) -> Result | None:
    """A benchmark's folder; None for a summary of another kind. Of several modes the sampled one counts."""
    summary = read_json(folder / "summary.json")
    modes = summary.get("modes")
    if not isinstance(modes, dict) or not modes:
        return None
    mode = "sampled" if "sampled" in modes else next(iter(modes))
    try:
        estimate = from_record(modes[mode]["accuracy"])
        model, name = str(summary["model"]), str(summary["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"'{folder / 'summary.json'}' is not whole: {error!r} where it should give model, name and the accuracy of "
            f"'{mode}' (value, low, high, n); run that evaluation again with --overwrite."
        ) from None
    return Result(model, name, estimate, mode, folder, summary.get("settings"))


def render_table(results: Sequence[Result], published: bool = True) -> str:
    """A Markdown table: a row a model, a column a benchmark, percent with the 95 % interval; published rows below."""
    columns = list(dict.fromkeys(result.benchmark for result in results))
    cells: dict[str, dict[str, str]] = {}
    for result in results:
        cells.setdefault(result.model, {})[result.benchmark] = show_percent(result.estimate)
    if published:
        for model, scores in PUBLISHED.items():
            known = {column: f"{scores[column]:.1f}" for column in columns if column in scores}
            if known:
                cells[f"{model} (published)"] = known
    lines = [["model", *(TITLES.get(column, column) for column in columns)]]
    lines += [[model, *(row.get(column, "") for column in columns)] for model, row in cells.items()]
    return align(lines)


def show_percent(estimate: Estimate) -> str:
    """The estimate, with its interval where it has one; a dash where nothing could be scored."""
    if math.isnan(estimate.value):
        return "-"
    return f"{100 * estimate.value:.1f}" if math.isnan(estimate.low) else estimate.as_percent()


def align(lines: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table whose columns line up; a bar in a name is escaped."""
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
    first: str
    second: str
    difference: Estimate
    remarks: tuple[str, ...]

    @property
    def verdict(self) -> str:
        if self.difference.n < 2:
            return "too few problems in common"
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "not told apart"


def compare_results(first: Sequence[Result], second: Sequence[Result]) -> list[Comparison]:
    """Every benchmark that both have."""
    by_name = {result.benchmark: result for result in second}
    return [compare_pair(result, by_name[result.benchmark]) for result in first if result.benchmark in by_name]


def compare_pair(first: Result, second: Result) -> Comparison:
    one, two = means_of(first), means_of(second)
    shared = sorted(one.keys() & two.keys())
    remarks = []
    if len(shared) < max(len(one), len(two)):
        remarks.append(f"{len(shared)} of {max(len(one), len(two))} problems are in both")
    ours, theirs = first.settings or {}, second.settings or {}
    remarks += [
        f"{key}: {ours.get(key)!r} and {theirs.get(key)!r}" for key in SAME if ours.get(key) != theirs.get(key)
    ]
    if not shared:
        difference = Estimate(float("nan"), float("nan"), float("nan"), 0)
    else:
        difference = estimate_difference([one[key] for key in shared], [two[key] for key in shared])
    return Comparison(first.benchmark, first.model, second.model, difference, tuple(remarks))


def means_of(result: Result) -> dict[str, float]:
    if result.folder is None:
        return {}
    path = result.folder / "samples.jsonl"
    if not path.is_file():
        raise DataError(
            f"'{path}' does not exist, but the samples are what {result.benchmark} is compared by; restore the file, or "
            "run that evaluation again with --overwrite."
        )
    rows = read_jsonl(path)
    return problem_means(row for row in rows if row.get("mode") == result.mode)

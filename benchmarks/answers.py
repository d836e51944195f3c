"""The answer layer on labelled pairs: how many verdicts are wrong, and each of them.

    python benchmarks/answers.py --data ../shared/data [--output benchmarks/results]

Measures: false accepts, right answers that are not accepted and unscored pairs of `answers/cases.jsonl` (gold, completion,
right); and how many formulas of MATH's problems, boxed as they stand there, score 1, with and without the problem known.
Numerals, letters and words, which are answers wherever they stand, and formulas that are written as their gold is are
counted apart.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import time
from collections import Counter
from pathlib import Path

from open_r1.answers.check import Verdict, check_answers, is_bare
from open_r1.answers.latex import MAX_CHARS, canonical

FORMULA = re.compile(r"\$\$([^$]+)\$\$|\$((?:\\.|[^$\\])+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)


def read(path: Path) -> list[dict]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def measure_pairs(rows: list[dict]) -> list[str]:
    started = time.perf_counter()
    verdicts = check_answers([row["gold"] for row in rows], [row["completion"] for row in rows])
    elapsed = time.perf_counter() - started
    kinds = [kind_of(row["right"], verdict) for row, verdict in zip(rows, verdicts, strict=True)]
    counts, right = Counter(kinds), sum(row["right"] for row in rows)
    wrong = len(rows) - right
    lines = [
        "## Labelled pairs",
        "",
        "| | count | of | share |",
        "|---|---|---|---|",
        share("wrong answers accepted", counts["false accept"], wrong),
        share("right answers accepted", right - counts["false reject"] - counts["unscored right"], right),
        share("unscored", counts["unscored right"] + counts["unscored wrong"], len(rows)),
        "",
        f"{len(rows)} pairs in {elapsed:.1f} s.",
        "",
        "| verdict | gold | completion |",
        "|---|---|---|",
    ]
    return lines + [
        f"| {kind}, `{verdict.reason}` | `{row['gold']}` | `{row['completion'][-80:]}` |"
        for row, verdict, kind in zip(rows, verdicts, kinds, strict=True)
        if kind
    ]


def kind_of(is_right: bool, verdict: Verdict) -> str:
    """What is wrong with a verdict; "" for one that is as labelled."""
    value = verdict.outcome.value
    if value is None:
        return "unscored right" if is_right else "unscored wrong"
    if value == float(is_right):
        return ""
    return "false reject" if is_right else "false accept"


def share(name: str, count: int, of: int) -> str:
    return f"| {name} | {count} | {of} | {100 * count / max(1, of):.2f} % |"


def measure_copies(rows: list[dict]) -> list[str]:
    cases = [
        (row["answer"], next(filter(None, match.groups())), row["problem"])
        for row in rows
        if row["answer"]
        for match in FORMULA.finditer(row["problem"])
    ]
    golds, formulas, problems = map(list, zip(*cases, strict=True))
    verdicts = check_answers(golds, [rf"\boxed{{{formula}}}" for formula in formulas], None, None, problems)
    copied = {problem for problem, verdict in zip(problems, verdicts, strict=True) if verdict.reason == "copied"}
    accepted = [
        (problem, formula, verdict.gold or "")
        for problem, formula, verdict in zip(problems, formulas, verdicts, strict=True)
        if verdict.is_correct and is_formula(formula) and canonical(formula) != verdict.gold
    ]
    lines = [
        "## Formulas of the problem, boxed as they stand there",
        "",
        f"{len(cases)} formulas of {len(rows)} problems of MATH.",
        "",
        "| problems for which a formula of theirs scores 1 | count |",
        "|---|---|",
        f"| problem not known | {len(copied | {problem for problem, _, _ in accepted})} |",
        f"| problem known | {len({problem for problem, _, _ in accepted})} |",
        "",
    ]
    return lines + [f"- `{formula}` for `{gold}`" for _, formula, gold in accepted]


def is_formula(text: str) -> bool:
    return not is_bare(canonical(text[:MAX_CHARS]))


def machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    date = datetime.date.today().isoformat()
    return f"{date}, {platform.system()} {platform.machine()}, {cores} cores, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with answers/cases.jsonl")
    parser.add_argument("--output", type=Path, help="folder for answers.md")
    options = parser.parse_args()
    problems = [row for name in ("math500.jsonl", "math_train.jsonl") for row in read(options.data / name)]
    lines = ["# The answer layer on labelled pairs", "", f"{machine()}. `python benchmarks/answers.py`", ""]
    lines += [*measure_pairs(read(options.data / "answers" / "cases.jsonl")), "", *measure_copies(problems)]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "answers.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

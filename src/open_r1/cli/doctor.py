"""What this machine has and lacks, with the commands that fix it.

Look at Python, the installed versions, GPUs and their driver, torch, compilers, the sandbox, disk, limits, keys, the
network and Slurm. A note is something that not everyone needs. Exit status: 0 no problem, 1 a problem.

examples:
  open-r1 doctor
  open-r1 doctor --for recipes/Qwen2.5-1.5B-Instruct/grpo/config_demo.yaml
  open-r1 doctor --json
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, show_json, table, tell
from open_r1.cli.options import add

if TYPE_CHECKING:
    from open_r1.launch.doctor import Finding


def add_options(parser: Any) -> None:
    """The options of `doctor`."""
    add(
        parser,
        "for",
        dest="recipe",
        type=Path,
        metavar="RECIPE",
        help="judge by this recipe or pipeline: what it needs and the machine lacks is a problem",
    )
    add(parser, "json")


def run(arguments: argparse.Namespace) -> int:
    """Show the findings; exit status 1 where one is a problem."""
    tell("examining this machine")
    from open_r1.launch.doctor import examine, judge_for, needs_of

    needs = needs_of(arguments.recipe) if arguments.recipe else None
    findings = examine()
    if needs is not None:
        findings = judge_for(findings, needs)
    if arguments.json:
        show_json({"has_problem": has_problem(findings), "findings": [asdict(finding) for finding in findings]})
    else:
        show("\n".join(describe(findings)))
    return int(has_problem(findings))


def has_problem(findings: Sequence[Finding]) -> bool:
    """Whether something will fail."""
    return any(finding.level == "problem" for finding in findings)


def describe(findings: Sequence[Finding]) -> list[str]:
    """The findings as lines, each with its fix below it, and a line that counts them."""
    rows: list[tuple[str, str, str]] = []
    for finding in findings:
        rows.append((finding.level, finding.subject, finding.found))
        if finding.fix:
            rows.append(("", "", f"fix: {finding.fix}"))
    counted = Counter(finding.level for finding in findings)
    return [table(rows), "", f"{counted['problem']} problems, {counted['note']} notes, {counted['ok']} ok"]

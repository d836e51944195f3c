"""The first hours under benchmarks/first_hour are valid scripts, of verbs and data that the README or a guide shows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

SCRIPTS = ("own_task", "own_data_lora", "compare_runs")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_first_hour_uses_what_the_docs_show(repo: Path, name: str) -> None:
    script = repo / "benchmarks" / "first_hour" / f"{name}.sh"
    subprocess.run(["bash", "-n", script], check=True, timeout=10)
    docs = "\n".join(path.read_text() for path in (repo / "README.md", *sorted((repo / "docs").rglob("*.md"))))
    text = script.read_text()
    verbs = set(re.findall(r"open-r1 ([a-z]+)", text))
    flags = set(re.findall(r"--[a-z_]+", text.replace("curl -", "")))
    assert verbs and all(f"open-r1 {verb}" in docs for verb in verbs)
    assert flags - {"--learning_rate"} == {flag for flag in flags if flag in docs}  # that one is TRL's own

"""The guide to evaluation says what is true: its commands parse, its table has every benchmark with its samples."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from open_r1.cli.main import build_parser, verb_modules
from open_r1.evaluation.benchmarks import benchmarks, get_benchmark


@pytest.fixture
def guide(repo: Path) -> str:
    return (repo / "docs" / "guides" / "evaluation.md").read_text(encoding="utf-8")


def test_its_commands_parse(guide: str) -> None:
    lines = [
        line
        for block in guide.replace("\\\n", " ").split("```bash\n")[1:]
        for line in block.split("```")[0].splitlines()
    ]
    found = [shlex.split(line)[1:] for line in lines if line.startswith("open-r1 ")]
    assert {words[0] for words in found} == {"eval", "compare"}
    for words in found:
        assert words[0] in verb_modules()
        build_parser().parse_args(words)


def test_its_table_has_every_benchmark_with_its_samples(guide: str) -> None:
    told: dict[str, int] = {}
    for line in guide.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            names = re.findall(r"`([^`]+)`", cells[0])
            counts = [int(number) for number in cells[2].split(", ")]
            told |= dict(zip(names, counts * len(names) if len(counts) == 1 else counts, strict=False))
    named = {name: count for name, count in told.items() if name in benchmarks()}
    assert named == {name: benchmark.num_samples for name, benchmark in benchmarks().items()}
    assert told["tasks:linear_equation?level=2&n=200"] == get_benchmark("tasks:linear_equation").num_samples

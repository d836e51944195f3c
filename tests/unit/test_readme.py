"""The README is true: its picture is there, its commands parse; the results page is the kept benchmark."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from open_r1.cli.main import build_parser, verb_modules


def test_the_first_command_stands_in_the_first_lines(repo: Path) -> None:
    assert "make demo" in (repo / "README.md").read_text().splitlines()[:20]


def test_the_first_screen_has_a_picture_that_is_there(repo: Path) -> None:
    first_screen = "\n".join((repo / "README.md").read_text().splitlines()[:25])
    picture = re.search(r"!\[.+\]\((.+\.png)\)", first_screen)
    assert picture and (repo / picture[1]).stat().st_size < 300_000


def test_the_table_is_the_kept_output_of_the_benchmark(repo: Path) -> None:
    kept = (repo / "benchmarks" / "results" / "demo.md").read_text().split("# The demonstration\n\n", 1)[1].strip()
    assert kept in (repo / "docs" / "results.md").read_text()


def commands(repo: Path) -> list[list[str]]:
    blocks = (repo / "README.md").read_text().split("```bash\n")[1:]
    lines = "\n".join(block.split("```")[0] for block in blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("open-r1 ") and "--help" not in line]


def test_every_command_of_the_readme_parses(repo: Path) -> None:
    found = commands(repo)
    assert {words[0] for words in found} >= {"sft", "grpo", "eval"}
    for words in found:
        assert words[0] in verb_modules()
        build_parser().parse_known_args(words)


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_the_settings_of_the_readme_are_known(repo: Path, kind: str) -> None:
    from open_r1.training.parse import parse_stage

    of_kind = [words[1:] for words in commands(repo) if words[0] == kind]
    assert of_kind
    for words in of_kind:
        on_this_machine = [word for word in words if word not in ("--vllm_mode", "colocate")]
        arguments = parse_stage(kind, [*on_this_machine, "--use_vllm", "false"] if "--config" in words else words)  # type: ignore[arg-type]
        assert arguments.training.output_dir

"""The words that CONTRIBUTING asks not to use are in no message, docstring, comment or page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PLACES = ("README.md", "CHANGELOG.md", "docs", "src", "scripts", "benchmarks")
ENDINGS = {".py", ".md", ".jinja"}
OUTPUT = "benchmarks/results"


def unwanted_phrases(repo: Path) -> list[str]:
    """The left column of CONTRIBUTING's table, a phrase each."""
    table = (repo / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Words")[1]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", table, re.MULTILINE)[1:]
    return [phrase.strip() for row in rows for phrase in row.split(",")]


def texts(repo: Path) -> Iterator[tuple[Path, str]]:
    for place in PLACES:
        root = repo / place
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            if path.suffix in ENDINGS and not str(path.relative_to(repo)).startswith(OUTPUT):
                yield path, path.read_text(encoding="utf-8")


def find_phrases(text: str, phrases: list[str]) -> list[tuple[int, str]]:
    """The lines of a text that contain one of the phrases, as whole words in any case."""
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, phrases)) + r")\b", re.IGNORECASE)
    return [(number, found[0]) for number, line in enumerate(text.split("\n"), 1) if (found := pattern.search(line))]


def test_no_text_uses_a_phrase_that_contributing_advises_against(repo: Path) -> None:
    phrases = unwanted_phrases(repo)
    found = [
        f"{path.relative_to(repo)}:{number}: {phrase}"
        for path, text in texts(repo)
        for number, phrase in find_phrases(text, phrases)
    ]
    assert found == []


@pytest.mark.parametrize("line", ["It can't be MENDED.", "the file holds rows", "could be had"])
def test_a_phrase_is_found_in_any_case(repo: Path, line: str) -> None:
    assert find_phrases(line, unwanted_phrases(repo))


def test_a_word_that_only_contains_one_is_left_in_peace(repo: Path) -> None:
    assert not find_phrases("an amendment to the threshold; the household drawsheet", unwanted_phrases(repo))

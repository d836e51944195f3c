"""A data source with a prefix of its own is one new file."""

from __future__ import annotations

from pathlib import Path

import pytest

import open_r1.data.sources as sources
from open_r1.data.problems import ProblemSet, ProblemSource
from open_r1.data.sources import has_prefix, load_splits, open_rows

SOURCE = """
from open_r1.configs.references import SourceReference

PREFIX = "squares"


def load(source: SourceReference):
    source.require_known(("n",))
    n = source.whole_number("n", 3, most=10)
    return [{"problem": f"{source.what} of {i}?", "solution": str(i * i)} for i in range(n)]
"""


def test_one_file_adds_a_source_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_prefix("squares:square?n=2")
    (tmp_path / "squares_source.py").write_text(SOURCE)
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    assert has_prefix("squares:square?n=2")
    assert load_splits("squares:square?n=2")["train"].to_list()[1] == {"problem": "square of 1?", "solution": "1"}
    assert [row["solution"] for row in open_rows("squares:square").read()] == ["0", "1", "4"]
    assert [row["solution"] for row in open_rows("squares:square", streaming=True).read()] == ["0", "1", "4"]
    assert [problem.columns["solution"] for problem in ProblemSet(ProblemSource("squares:square?n=2"))] == ["0", "1"]

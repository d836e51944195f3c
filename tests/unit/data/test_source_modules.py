"""A data source with a prefix of its own is one new file."""

from __future__ import annotations

from pathlib import Path

import pytest

import open_r1.data.sources as sources
from open_r1.data.problems import ProblemSet, ProblemSource
from open_r1.data.sources import has_prefix, load_splits, open_rows

SOURCE = """
from open_r1.data.sources.base import SourceSpec

PREFIX = "squares"


def load(spec: SourceSpec):
    spec.require_known(("n",))
    return [{"problem": f"{spec.what} of {i}?", "solution": str(i * i)} for i in range(spec.integer("n", 3, 10))]
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


@pytest.mark.parametrize(("n", "is_valid"), [("0", True), ("10", True), ("11", False), ("-1", False), ("x", False)])
def test_a_whole_number_is_from_0_to_its_limit(n: str, is_valid: bool) -> None:
    spec = sources.SourceSpec.parse(f"p:what?n={n}")
    if is_valid:
        assert spec.integer("n", 1, 10) == int(n)
    else:
        with pytest.raises(ValueError, match=f"n={n}, which is not a whole number from 0 to 10"):
            spec.integer("n", 1, 10)

"""The demonstration itself, as the regression test of the whole: one seed through the shipped recipe."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_shipped_recipe_keeps_its_promises(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repo / "benchmarks"))
    import demo

    result = demo.run_seed(0, tmp_path / "run")
    missed = [promise for promise in demo.verdicts([result]) if "minutes" not in promise]
    assert not missed, demo.accuracy_table([result])


def test_the_promises_can_be_missed(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above is no rubber stamp: an untrained model misses all of them but the first."""
    monkeypatch.syspath_prepend(str(repo / "benchmarks"))
    import demo

    zero = {"value": 0.0, "low": 0.0, "high": 0.0}
    modes = {mode: {"accuracy": zero} for mode in ("greedy", "sampled")}
    result = {
        "seed": 0,
        "seconds": 1.0,
        "summaries": {stage: {"modes": modes} for stage in demo.STAGES},
        "gain": {"greedy": {"difference": zero}},
        "lengths": [2.0, 1.0],
    }
    assert len(demo.verdicts([result])) == 6

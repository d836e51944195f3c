"""The geometry of the report's charts."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from open_r1.records import Estimate
from open_r1.report.charts import (
    HEIGHT,
    MAX_POINTS,
    WIDTH,
    Panel,
    draw_chart,
    interval_bar,
    moving_average,
    read_points,
    thin,
)

LOSS = Panel("Loss", (("loss", "training"),))


def rows(values: list[float | None]) -> list[dict[str, float | None]]:
    return [{"step": step, "loss": value} for step, value in enumerate(values, start=1)]


def test_a_step_logged_again_after_a_resume_counts_once_as_logged_last():
    metrics = [
        {"step": 1, "loss": 3.0},
        {"step": 2, "loss": 2.5},
        {"step": 2, "loss": 2.0},
        {"step": 2, "eval_loss": 9},
    ]
    assert read_points(metrics, "loss") == [(1, 3.0), (2, 2.0)]


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "3", True, [1]])
def test_what_is_no_number_is_left_out(value):
    assert read_points([{"step": 1, "loss": value}, {"loss": 1.0}], "loss") == []


def test_nothing_logged_is_no_chart():
    assert draw_chart(LOSS, []) is None
    assert draw_chart(LOSS, rows([None, math.nan])) is None


def test_a_long_run_is_thinned_without_moving_its_mean():
    points = [(float(step), float(step % 7)) for step in range(10_000)]
    thinned = thin(points, MAX_POINTS)
    assert len(thinned) == MAX_POINTS
    assert sum(y for _, y in thinned) / MAX_POINTS == pytest.approx(sum(y for _, y in points) / len(points), abs=0.02)


def test_a_moving_average_keeps_a_straight_line_straight():
    line = [(float(x), 2.0 * x) for x in range(50)]
    assert [y for _, y in moving_average(line, 7)] == pytest.approx([y for _, y in line])


def test_shares_are_drawn_on_the_whole_scale():
    chart = draw_chart(Panel("Share", (("loss", "training"),), is_share=True), rows([0.01, 0.02]))
    assert chart is not None
    assert [tick.label for tick in chart.y_ticks] == ["0%", "25%", "50%", "75%", "100%"]


@example([5e-324])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=400))
def test_every_line_stays_inside_its_box(values):
    chart = draw_chart(LOSS, rows(list(values)))
    assert chart is not None
    assert 2 <= len(chart.y_ticks) <= 12
    for line in chart.lines:
        for x, y in re.findall(r"([-\d.e+]+) ([-\d.e+]+)", line.raw):
            assert 0 <= float(x) <= WIDTH
            assert 0 <= float(y) <= HEIGHT


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_an_interval_stays_on_its_track(a, b, c):
    low, value, high = sorted((a, b, c))
    bar = interval_bar(Estimate(value, low, high, 10))
    assert 0 <= bar.low <= bar.value + 0.01 <= 100.02
    assert bar.low + bar.width <= 100.02

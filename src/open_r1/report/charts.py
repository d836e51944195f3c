"""Line charts and interval bars as plain geometry; the page's template makes SVG of them.

Why not matplotlib: importing it takes longer than the whole page, and its own lines follow its light and dark colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from open_r1.records import Estimate
from open_r1.report.values import number_of

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 20, 10, 24
MAX_POINTS = 300
SMOOTH_FROM = 40  # a line of at least so many points gets a moving average over a twentieth of them
MAX_VALUE = 1e30  # the largest value of a chart: a diverged loss is cut there, so that spans stay finite
Points = Sequence[tuple[float, float]]
Span = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """What one chart is to show: metric keys with their labels. Shares have the axis 0..100 %."""

    title: str
    series: tuple[tuple[str, str], ...]
    is_share: bool = False


@dataclass(frozen=True)
class Line:
    """`raw` and `smooth` are SVG path data; `smooth` is "" for a short line."""

    label: str
    raw: str
    smooth: str
    end_x: float
    end_y: float


class Tick(NamedTuple):
    """A mark on an axis: its place in the chart's box, and what is written there."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A chart laid out in a box of WIDTH × HEIGHT."""

    title: str
    description: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


class IntervalBar(NamedTuple):
    """An interval on a bar, in percent of the bar: where it begins, the value in it, and its width."""

    low: float
    value: float
    width: float


def interval_bar(estimate: Estimate) -> IntervalBar:
    """The bar of an estimated share on a track of 0..100, in percent of the track."""
    low, value, high = (100 * min(1.0, max(0.0, part)) for part in (estimate.low, estimate.value, estimate.high))
    return IntervalBar(round(low, 2), round(value, 2), round(max(0.0, high - low), 2))


def read_points(metrics: Iterable[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(step, value) in order of step; a step logged again after a resume counts once, as logged last."""
    points: dict[float, float] = {}
    for row in metrics:
        step, value = number_of(row.get("step")), number_of(row.get(key))
        if step is not None and value is not None:
            points[step] = max(-MAX_VALUE, min(MAX_VALUE, value))
    return sorted(points.items())


def draw_chart(panel: Panel, metrics: Sequence[Mapping[str, Any]]) -> Chart | None:
    """The panel's chart, or None when nothing of it was logged."""
    shown = [(label, read_points(metrics, key)) for key, label in panel.series]
    shown = [(label, points) for label, points in shown if points]
    if not shown:
        return None
    steps = [step for _, points in shown for step, _ in points]
    values = [value for _, points in shown for _, value in points]
    x_axis = _axis(min(steps), max(steps), 6, whole=True)
    y_axis = [0.0, 0.25, 0.5, 0.75, 1.0] if panel.is_share else _axis(min(0.0, *values), max(values), 4)
    x_span = (min(steps), max(max(steps), min(steps) + 1))
    y_span = (y_axis[0], y_axis[-1])
    form = ".1%" if panel.is_share else ".4g"
    described = [
        f"{label}: {points[0][1]:{form}} at step {points[0][0]:g}, {points[-1][1]:{form}} at step {points[-1][0]:g}"
        for label, points in shown
    ]
    return Chart(
        title=panel.title,
        description="; ".join(described) + ".",
        lines=tuple(_line(label, points, x_span, y_span) for label, points in shown),
        x_ticks=tuple(Tick(_x(at, x_span), f"{at:,.6g}") for at in x_axis if x_span[0] <= at <= x_span[1]),
        y_ticks=tuple(Tick(_y(at, y_span), f"{at:.0%}" if panel.is_share else f"{at:,.6g}") for at in y_axis),
    )


def _line(label: str, points: Points, x_span: Span, y_span: Span) -> Line:
    thinned = thin(points, MAX_POINTS)
    smooth = moving_average(thinned, max(3, len(thinned) // 20)) if len(thinned) >= SMOOTH_FROM else []
    end = (smooth or thinned)[-1]
    raw, smoothed = _path(thinned, x_span, y_span), _path(smooth, x_span, y_span)
    return Line(label, raw, smoothed, _x(end[0], x_span), _y(end[1], y_span))


def thin(points: Points, limit: int) -> list[tuple[float, float]]:
    """At most `limit` points: each the mean of a run of neighbours."""
    if len(points) <= limit:
        return list(points)
    edges = [round(index * len(points) / limit) for index in range(limit + 1)]
    return [_mean_point(points[start:end]) for start, end in pairwise(edges)]


def moving_average(points: Points, window: int) -> list[tuple[float, float]]:
    """Each value replaced by the mean of the `window` around it: narrower, and still centred, towards the ends."""
    halves = [min(window // 2, index, len(points) - 1 - index) for index in range(len(points))]
    return [
        (points[index][0], _mean_point(points[index - half : index + half + 1])[1])
        for index, half in enumerate(halves)
    ]


def _mean_point(points: Points) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y / len(points) for _, y in points)


SMALLEST_SPAN = 1e-300  # below it a step of the axis would underflow


def _axis(low: float, high: float, parts: int, whole: bool = False) -> list[float]:
    """Round numbers that cover low..high in about `parts` steps of 1, 2 or 5 times a power of ten."""
    span = high - low if high > low else abs(high)
    span = span if span > SMALLEST_SPAN else 1.0
    exponent = 10.0 ** math.floor(math.log10(span / parts))
    step = next(exponent * factor for factor in (1, 2, 5, 10) if exponent * factor * parts >= span * 0.999)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


def _path(points: Points, x_span: tuple[float, float], y_span: tuple[float, float]) -> str:
    if len(points) == 1:
        points = [points[0], points[0]]
    pairs = [f"{_x(x, x_span)} {_y(y, y_span)}" for x, y in points]
    return "M" + "L".join(pairs) if pairs else ""


def _x(value: float, span: tuple[float, float]) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - span[0]) / (span[1] - span[0]), 1)


def _y(value: float, span: tuple[float, float]) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - span[0]) / (span[1] - span[0]), 1)

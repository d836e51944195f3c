"""What rewards gave a batch, as lines of text: a table with a line a reward, and a histogram of one reward's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from open_r1.records import Outcome
from open_r1.rewards.combination import RewardSummary

BAR_WIDTH = 40
HISTOGRAM_BINS = 10
FEW_VALUES = 4
"""Up to this many different values are listed one by one on a line."""

LEVELS = "▁▂▃▄▅▆▇█"


def summary_table(outcomes: Mapping[str, Sequence[Outcome]], summaries: Mapping[str, RewardSummary]) -> list[str]:
    """A header, and for each reward its mean, std, groups without variance, unscored share and distribution."""
    width = max(6, *map(len, summaries))
    lines = [f"{'reward':<{width}}    mean     std  no variance  unscored  values"]
    for name, summary in summaries.items():
        values = [outcome.value for outcome in outcomes[name] if outcome.value is not None]
        lines.append(
            f"{name:<{width}}  {_number(summary.mean)}  {_number(summary.std)}  {_share(summary.zero_variance_share):>11}"
            f"  {summary.unscored_share:>8.1%}  {distribution(values)}"
        )
    return lines


def distribution(values: Sequence[float]) -> str:
    """The values in a few characters: `0 × 29, 1 × 35`, or ten bins between the ends, `-1 █▂▁▁▁▁▁▁▁▅ 1`."""
    distinct = sorted(set(values))
    if len(distinct) <= FEW_VALUES:
        return ", ".join(f"{value:.3g} × {values.count(value)}" for value in distinct)
    counts = [count for _, count in equal_bins(values)]
    bars = "".join(LEVELS[-(-count * (len(LEVELS) - 1) // max(counts))] for count in counts)
    return f"{distinct[0]:.3g} {bars} {distinct[-1]:.3g}"


def histogram(values: Sequence[float]) -> list[str]:
    """The values' histogram as lines with bars."""
    bins = histogram_bins(values)
    most = max((count for _, count in bins), default=1)
    return [f"{start:8.3f} {count:>7} {LEVELS[-1] * round(BAR_WIDTH * count / most)}" for start, count in bins]


def histogram_bins(values: Sequence[float]) -> list[tuple[float, int]]:
    """Each value and its count where they are few, else ten equal bins: where each begins, and its count."""
    distinct = sorted(set(values))
    is_few = len(distinct) <= HISTOGRAM_BINS
    return [(value, values.count(value)) for value in distinct] if is_few else equal_bins(values)


def equal_bins(values: Sequence[float]) -> list[tuple[float, int]]:
    """Ten bins of equal width between the least and the greatest value: where each begins, and its count."""
    low, width = min(values), (max(values) - min(values)) / HISTOGRAM_BINS
    places = [min(HISTOGRAM_BINS - 1, int((value - low) / width)) for value in values]
    return [(low + place * width, places.count(place)) for place in range(HISTOGRAM_BINS)]


def _number(value: float | None) -> str:
    return f"{'–':>6}" if value is None else f"{value:6.3f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"

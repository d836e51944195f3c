"""Writes the part of docs/reference/rewards.md that the rewards say of themselves, and its plots.

    python scripts/make_rewards_page.py            # write
    python scripts/make_rewards_page.py --check    # exit status 1 if the page isn't what the code says

Formulas, sources, columns and settings come from the rewards' specs, every value shown from calling the reward.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from open_r1.rewards import RewardSpec, RewardWeights, reward_specs
from open_r1.rewards.spec import RewardSetting, score_examples

DOCS = Path(__file__).resolve().parents[1] / "docs" / "reference"
PAGE = DOCS / "rewards.md"
PLOTS = DOCS / "rewards"
BEGIN, END = "<!-- begin: made by scripts/make_rewards_page.py -->\n", "<!-- end -->\n"

SCHEDULES = {
    "constant": 1.0,
    "linear": {"schedule": "linear", "from": 0.4, "to": 0.0, "end": 0.5},
    "cosine": {"schedule": "cosine", "from": 0.4, "to": 0.0},
    "step": {"schedule": "step", "values": [0.0, 0.1, 0.3], "at": [0.3, 0.7]},
}


def render_page() -> str:
    """The page as it is, with the part between the marks rewritten."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    specs = list(reward_specs().values())
    made = "\n".join([*render_overview(specs), *(line for spec in specs for line in render_reward(spec))])
    return f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}"


def render_overview(specs: Sequence[RewardSpec]) -> Iterator[str]:
    yield from ("## Overview", "", "| reward | value | needs columns |", "|---|---|---|")
    for spec in specs:
        yield f"| [`{spec.name}`](#{spec.name}) | {escape(spec.summary)} | {names(spec.needs_columns)} |"
    yield ""


def render_reward(spec: RewardSpec) -> Iterator[str]:
    yield from (f"## {spec.name}", "", f"{escape(spec.summary[:1].upper() + spec.summary[1:])}.", "")
    yield from (f"    {spec.formula}", "", f"- Source: {spec.source}", f"- Called `{spec.function_name}` in metrics")
    yield from (f"- Kind: {spec.kind}", f"- Needs columns: {names(spec.needs_columns)}", "")
    if spec.settings:
        yield from ("| setting | default | what it is |", "|---|---|---|", *map(render_setting, spec.settings), "")
    if spec.cases:
        yield from ("| completion | value | reason |", "|---|---|---|")
        for label, outcome in zip(spec.cases, score_examples(spec.make(), list(spec.cases.values())), strict=True):
            yield f"| `{label.replace('|', '¦')}` | {outcome.value:.3g} | `{outcome.reason}` |"
        yield ""
    if spec.curve:
        yield from (f"![{spec.name}](rewards/{spec.name}.svg)", "")


def render_setting(setting: RewardSetting) -> str:
    limits = f", {setting.range.in_words()}" if setting.range else ""
    return f"| `{setting.key}` | `{setting.default}` | {setting.help}{limits} |"


def names(values: Sequence[str]) -> str:
    return ", ".join(f"`{value}`" for value in values) or "none"


def escape(text: str) -> str:
    """`text` with its tags kept from being read as HTML."""
    return text.replace("<", "&lt;").replace(">", "&gt;")


def draw_curve(axes: Axes, spec: RewardSpec) -> None:
    """What the reward gives over a quantity, with its default settings."""
    assert spec.curve is not None
    for label, example_at in spec.curve.lines.items():
        outcomes = score_examples(spec.make(), [example_at(x) for x in spec.curve.xs])
        axes.plot(spec.curve.xs, [outcome.value or 0.0 for outcome in outcomes], label=label or None)
    axes.set_xlabel(spec.curve.x_label)


def draw_schedules(axes: Axes) -> None:
    weights = RewardWeights.read(SCHEDULES, list(SCHEDULES))
    moments = [moment / 200 for moment in range(201)]
    for place, name in enumerate(SCHEDULES):
        axes.plot(moments, [weights.at(moment)[place] for moment in moments], label=name)
    axes.set_xlabel("training progress")


def draw(name: str) -> None:
    """One plot as SVG, the same bytes each time."""
    mpl.rcParams.update({"svg.hashsalt": name, "svg.fonttype": "none", "font.size": 9})
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    axes = figure.subplots()
    if name == "schedules":
        draw_schedules(axes)
    else:
        draw_curve(axes, reward_specs()[name])
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PLOTS / f"{name}.svg", metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    plots = ["schedules", *(spec.name for spec in reward_specs().values() if spec.curve)]
    if parser.parse_args().check:
        missing = [name for name in plots if not (PLOTS / f"{name}.svg").exists()]
        if PAGE.read_text(encoding="utf-8") == render_page() and not missing:
            return 0
        sys.stderr.write("docs/reference/rewards.md is out of date; run: python scripts/make_rewards_page.py\n")
        return 1
    PLOTS.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render_page(), encoding="utf-8")
    for name in plots:
        draw(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())

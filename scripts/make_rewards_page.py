"""Writes docs/reference/rewards.md and its plots from the rewards themselves.

    python scripts/make_rewards_page.py            # write
    python scripts/make_rewards_page.py --check    # exit status 1 if the page isn't what the code says

Formulas, sources, columns and settings come from the registry, every plotted value from calling the reward.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from open_r1.rewards import (
    RewardFunction,
    RewardWeights,
    accuracy_reward,
    format_reward,
    get_code_format_reward,
    get_cosine_scaled_reward,
    get_repetition_penalty_reward,
    get_soft_overlong_punishment,
    graded_format_reward,
    len_reward,
    reasoning_steps_reward,
    reward_specs,
    tag_count_reward,
    think_format_reward,
)
from open_r1.rewards.base import RewardSpec

DOCS = Path(__file__).resolve().parents[1] / "docs" / "reference"
PAGE = DOCS / "rewards.md"
PLOTS = DOCS / "rewards"

WELL_FORMED = "<think>\n…\n</think>\n<answer>\n6\n</answer>"
STAGES = {
    "6": "6",
    "<think>…": "<think>\n…",
    "<think>…</think>": "<think>\n…\n</think>\n",
    "<think>…</think> 6": "<think>\n…\n</think>\n6",
    "<think>…</think><answer>6": "<think>\n…\n</think>\n<answer>\n6",
    "<think>…</think><answer>6</answer>": WELL_FORMED,
    "… and text after it": f"{WELL_FORMED}\nand more",
}
ANSWERS = (r"\boxed{1/2}", r"\boxed{50\%}", r"\boxed{0.5}", r"\boxed{2}", r"\boxed{1/2 or 2}", "something else")

INTRODUCTION = """# Rewards

A reward is a function of completions that gives each a number, or *nothing*: a sample that could not be scored is
unscored, with a reason, and never 0. In a recipe rewards are named in `reward_funcs` and weighed in `reward_weights`:

```yaml
reward_funcs: [accuracy, format, reasoning_steps, repetition_penalty]
reward_weights: {accuracy: 0.4, format: 0.3, reasoning_steps: 0.2, repetition_penalty: 0.1}
```

From Python, with nothing but the completions and the columns a reward needs:

```python
from open_r1.rewards import accuracy_reward

accuracy_reward([r"So it is \\\\boxed{1/2}."], solution=["0.5"])          # [1.0]
accuracy_reward.score([r"So it is \\\\boxed{1/2}."], solution=["0.5"])    # [Outcome(value=1.0, reason='correct')]
```

From the shell:

```sh
open-r1 rewards list
open-r1 rewards describe cosine
open-r1 rewards score completions.jsonl --rewards accuracy format
```

This page is made by `python scripts/make_rewards_page.py`: formulas and columns are the code's own, and every point of
every plot is a value that the reward gave.
"""

ANSWER_LAYER = """## How an answer is checked

`accuracy`, `cosine` and `length` share one answer layer, as trace verification, pass rates and evaluation do.

**Where the answer is looked for**, first found first taken: only after the last `</think>`; there in the last
`<answer>` block (its last box, else an anchored answer, else the block itself if it is short); else in the last
`\\\\boxed{}`; else after an anchor ("the answer is", "Answer:", "####", "答案是"); else in the whole text when it is one
short line. An empty or unclosed box is no box.

**How it is compared**: spelling is made one (`\\\\dfrac 43`, `$\\\\frac{4}{3}$`, full-width digits, units, thousands
separators); then text, choice letters and exact numbers are compared in microseconds; lists, tuples, sets and intervals
part by part; what is left goes to math-verify in processes that can be killed.

| reason | value | when |
|---|---|---|
| `correct` | 1 | the answer equals the gold answer |
| `wrong` | 0 | it doesn't |
| `no_answer` | 0 | none was found, or it was cut off |
| `unparsable_answer` | 0 | it can't be read, or is too large to be an answer |
| `unparsable_gold` | unscored | the gold answer is missing or can't be read |
| `timeout` | unscored | algebra took longer than the limit (3 s) and was killed |
| `error` | unscored | algebra failed |

Decisions that one may want to know:

- A percent sign is a unit: `50%` equals `50` and `1/2`. Other units, degrees and currencies are left out: `18 eggs`,
  `9.8 m/s^2`, `5厘米`. A single letter is a unit only beside a slash, in `\\\\text{…}`, or as a spaced `m`, for it may be a
  variable. A dozen, a million or 万 multiply.
- Decimals are exact, except that a fraction without a finite decimal form equals that fraction rounded or cut off after
  six or more decimals, and a root or π its value rounded so.
- A list without brackets has no order: `1, -2` equals `-2, 1`. Where order matters (sorting), the data say so with a
  column `ordered: true`. Tuples and intervals have one always; `(1, 2]` isn't `(1, 2)`. Values with names go by them:
  `x=2, y=3` is `y=3, x=2` and `(2, 3)`, not `3, 2`.
- Where the gold is one letter from A to J, the letter of `B. 5`, `(B) Paris`, `Option B`, `选B` or `b` is the answer.
- Several guesses answer nothing: `2 or 3 or 5` isn't `5`.
- Work left undone is no answer to a question whose answer is a plain number: `7+5`, `3\\\\cdot4`, `4^2-2^2`, `|7+5|` aren't
  `12`. It is how a policy copies the problem into the box. A power, a root, a fraction, a factorial, a binomial are.
- The base of a numeral may be left out where the gold has it (`1011_2`, `1011`), not changed or added.
"""

PROGRAMS = """## How a program is judged

`code` and `binary_code` take the last fenced block of the problem's language after the thinking, and run it on the
tests in `verification_info`, by default in this machine's own sandbox (`code_provider`). The data sets' forms are
understood as they are, as objects or as JSON text:

```json
{"language": "python", "test_cases": [{"input": "1 2\\n", "output": "3\\n", "type": "stdin_stdout"}]}
{"language": "python", "test_cases": [{"fn_name": "add", "input": [1, 2], "output": [3], "type": "function_call"}]}
{"language": "python", "fn_name": "add", "inputs": [[1, 2]], "outputs": [3]}
```

**Programs** read standard input; the whole of what they print is compared with the output token by token, and they must
end with exit status 0. **Functions** (Python) are called with the input's list of arguments, or an argument a line; they
may be methods of `class Solution`; what they print is left out. The result is compared as JSON: a tuple is a list, floats
may differ by a relative or absolute 1e-9. A list of one item as a call's output stands for the list or the item, since
data sets wrap it without saying so.

Two keys are ours. `comparison` says how outputs are compared: `tokens` (the default), `lines` (white space at a line's
end doesn't count), `exact` (of a call: as Python's `==` has it), or
`{"mode": "numeric", "absolute": 1e-6, "relative": 1e-6, "ignores_case": true}`. `checker`, a program
`{"language": "python", "source": "…"}`, decides where several outputs are right: it is called with the files
`input.txt output.txt answer.txt`, and its exit status is 0 for right, 1 or 2 for wrong.

Expected outputs and checkers never enter the box that a submission runs in. Identical (program, test) pairs run once,
also between the two rewards.

| reason | value | when |
|---|---|---|
| `passed` | 1 | every test was passed |
| `wrong_answer`, `runtime_error`, `compile_error` | by the share | why the first test failed |
| `time_limit`, `memory_limit`, `output_limit` | by the share | why the first test failed |
| `program_too_large` | 0 | the program is larger than 1 MiB |
| `no_code` | 0 | there is no closed block of the language after the thinking |
| `not_applicable` | left out | the row has no `verification_info` |
| `no_tests`, `malformed_tests` | unscored | the row's tests can't be run; `code_reward_problem` in the rollouts says why |
| `unknown_language`, `unsupported_language` | unscored | the row's language can't be run |
| `checker_error` | unscored | the problem's checker failed, not the program |
| `rate_limited`, `sandbox_failed`, … | unscored | the provider failed, not the program |

The rollouts have each test's result and milliseconds in `code_reward_tests`:
`[{"result":"passed","ms":12},{"result":"wrong_answer","ms":9,"detail":"token 1: expected '7', got '3'"}]`.
"""

COMBINATION = """## Weights and schedules

A weight is a number or a schedule over training progress, 0 at the start and 1 at the end:

```yaml
reward_weights:
  accuracy: 1.0
  format: {schedule: linear, from: 0.4, to: 0.0, end: 0.5}
  tag_count: {schedule: cosine, from: 0.4, to: 0.0}
  length: {schedule: step, values: [0.0, 0.1, 0.3], at: [0.3, 0.7]}
```

![weights over training](rewards/schedules.svg)

A sample that a weighted reward failed on is unscored as a whole, since a sum without it would be another quantity. A
reward that has nothing to say about a sample is left out of its sum.

## What is logged

In `metrics.jsonl`, at each logged step, and drawn on the report page:

| key | what it is |
|---|---|
| `rewards/NAME/mean`, `rewards/NAME/std` | over the scored samples |
| `rewards/NAME/zero_variance` | share of the groups in which this reward gave every scored sample the same |
| `rewards/NAME/unscored` | share of the samples that the reward failed on |
| `rewards/NAME/reason/REASON` | share of the samples with that reason, scored or not; one that did not occur has no entry |
| `rewards/NAME/weight` | its weight at that moment, where a weight follows a schedule |
| `frac_reward_zero_std` | share of the groups in which no reward tells the samples apart |

`NAME` is what the reward is called in metrics, `accuracy_reward` and so on. Before the first step the
[pre-flight check](../guides/before-training.md) shows the same for a few completions.

## A reward of your own

A file `my_rewards.py` in the folder from which training is started, or an installed module, and in the recipe
`reward_funcs: [accuracy, "my_rewards:shorter"]`:

```python
def shorter(completions, **columns):
    return [-len(completion[0]["content"]) / 1000 for completion in completions]


shorter.needs_columns = ()  # columns the data must have; checked before anything is loaded
```

It may be a function, a coroutine function, or a class that is called without arguments to make one. `None` in the list
it returns says that the reward has nothing to say about that sample, as TRL has it; a NaN or an infinity is a failure. It
may return an `Outcome` too, with a reason (`Outcome(None, "no_server")` is a failure), and with details that the rollouts
keep. All rewards of a step run at the same time, each in a thread of its own, where signals and alarms don't work. A
reward that ships is one file in `src/open_r1/rewards/functions/` ending in a `REWARD = RewardSpec(...)`.
"""


def render_page() -> str:
    parts = [
        INTRODUCTION,
        render_table(),
        *map(render_reward, reward_specs().values()),
        ANSWER_LAYER,
        PROGRAMS,
        COMBINATION,
    ]
    return "\n".join(part.replace("\\\\", "\\") for part in parts)


def render_table() -> str:
    rows = [
        f"| [`{spec.name}`](#{spec.name}) | {escape(spec.summary)} | {names(spec.needs_columns)} |" for spec in specs()
    ]
    return "\n".join(["## Overview\n", "| reward | value | needs columns |", "|---|---|---|", *rows, ""])


def render_reward(spec: RewardSpec) -> str:
    lines = [
        f"## {spec.name}",
        "",
        f"{escape(spec.summary[0].upper() + spec.summary[1:])}.",
        "",
        f"    {spec.formula}",
        "",
    ]
    lines += [f"- Source: {spec.source}", f"- Called `{spec.function_name}` in metrics"]
    lines += [f"- Needs columns: {names(spec.needs_columns)}", f"- Settings: {names(spec.options)}", ""]
    if spec.name in DRAWINGS:
        lines += [f"![{spec.name}](rewards/{spec.name}.svg)", ""]
    return "\n".join(lines)


def specs() -> list[RewardSpec]:
    return list(reward_specs().values())


def names(values: Sequence[str]) -> str:
    return ", ".join(f"`{value}`" for value in values) or "none"


def escape(text: str) -> str:
    """`text` with its tags kept from being taken for HTML."""
    return text.replace("<", "&lt;").replace(">", "&gt;")


def draw_examples(axes: Axes, reward: RewardFunction, texts: dict[str, str], **columns: list[str]) -> None:
    """A bar for each example, labelled with it."""
    values = [value or 0.0 for value in reward(list(texts.values()), **columns)]
    axes.barh(range(len(values)), values, color="#4477aa")
    axes.set_yticks(range(len(values)), [label.replace("$", r"\$") for label in texts])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.05)
    axes.set_xlabel("reward")


def draw_accuracy(axes: Axes) -> None:
    texts = {answer: f"So it is {answer}." for answer in ANSWERS}
    draw_examples(axes, accuracy_reward, texts, solution=[r"\frac12"] * len(texts))
    axes.set_title(r"gold: \frac12", fontsize=9)


def draw_cosine(axes: Axes) -> None:
    lengths = range(10, 1400, 5)
    for answer, label in ((5, "correct"), (6, "wrong")):
        texts = [f"\\boxed{{{answer}}}".ljust(length) for length in lengths]
        axes.plot(lengths, get_cosine_scaled_reward()(texts, ["5"] * len(texts)), label=label)
    axes.set_xlabel("length in characters (max_len 1000)")


def draw_length(axes: Axes) -> None:
    lengths = range(100, 1001, 10)
    for answer, label in ((5, "correct"), (6, "wrong")):
        texts = [f"\\boxed{{{answer}}}".ljust(length) for length in lengths]
        axes.plot(lengths, len_reward(texts, ["5"] * len(texts)), label=label)
    axes.set_xlabel("length in characters (shortest of the group 100, longest 1000)")


def draw_repetition(axes: Axes) -> None:
    shares = [repeats / 60 for repeats in range(61)]
    texts = [" ".join(["again"] * repeats + [f"w{n}" for n in range(60 - repeats)]) for repeats in range(61)]
    for size in (1, 2, 3):
        axes.plot(shares, get_repetition_penalty_reward(size, -1.0)(texts), label=f"n-grams of {size}")
    axes.set_xlabel("share of the words that are one word, repeated")


def draw_overlong(axes: Axes) -> None:
    lengths = list(range(0, 20000, 50))
    axes.plot(lengths, get_soft_overlong_punishment(16384, 4096)([range(length) for length in lengths]))
    axes.set_xlabel("length in tokens (max_completion_len 16384, soft_punish_cache 4096)")


def draw_steps(axes: Axes) -> None:
    counts = range(7)
    texts = ["\n".join(f"Step {n + 1}: …" for n in range(count)) for count in counts]
    axes.step(counts, reasoning_steps_reward(texts), where="post", marker="o")
    axes.set_xlabel("steps that can be seen")


def draw_code_format(axes: Axes) -> None:
    blocks = ("```python\nx\n```", "```py\nx\n```", "```cpp\nx\n```", "```python\nx", "x")
    texts = {block.replace("\n", "⏎"): WELL_FORMED.replace("6", block) for block in blocks}
    draw_examples(axes, get_code_format_reward("python"), texts)


def draw_schedules(axes: Axes) -> None:
    schedules = {
        "constant": 1.0,
        "linear": {"schedule": "linear", "from": 0.4, "to": 0.0, "end": 0.5},
        "cosine": {"schedule": "cosine", "from": 0.4, "to": 0.0},
        "step": {"schedule": "step", "values": [0.0, 0.1, 0.3], "at": [0.3, 0.7]},
    }
    weights = RewardWeights.read(schedules, list(schedules))
    moments = [moment / 200 for moment in range(201)]
    values = [weights.at(moment) for moment in moments]
    for place, name in enumerate(schedules):
        axes.plot(moments, [value[place] for value in values], label=name)
    axes.set_xlabel("training progress")


DRAWINGS: dict[str, Callable[[Axes], None]] = {
    "accuracy": draw_accuracy,
    "code_format": draw_code_format,
    "cosine": draw_cosine,
    "format": lambda axes: draw_examples(axes, format_reward, STAGES),
    "format_graded": lambda axes: draw_examples(axes, graded_format_reward, STAGES),
    "format_think": lambda axes: draw_examples(axes, think_format_reward, STAGES),
    "length": draw_length,
    "reasoning_steps": draw_steps,
    "repetition_penalty": draw_repetition,
    "schedules": draw_schedules,
    "soft_overlong_punishment": draw_overlong,
    "tag_count": lambda axes: draw_examples(axes, tag_count_reward, STAGES),
}


def draw(name: str) -> None:
    """One plot as SVG, the same bytes each time."""
    mpl.rcParams.update({"svg.hashsalt": name, "svg.fonttype": "none", "font.size": 9})
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    axes = figure.subplots()
    DRAWINGS[name](axes)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PLOTS / f"{name}.svg", metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    if parser.parse_args().check:
        is_current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == render_page()
        missing = [name for name in DRAWINGS if not (PLOTS / f"{name}.svg").exists()]
        if not is_current or missing:
            sys.stderr.write("docs/reference/rewards.md is out of date; run: python scripts/make_rewards_page.py\n")
        return 0 if is_current and not missing else 1
    PLOTS.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render_page(), encoding="utf-8")
    for name in DRAWINGS:
        draw(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())

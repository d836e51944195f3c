r"""format and its two sisters: whether a completion keeps to R1's tags.

    format        exactly `<think>\n...\n</think>\n<answer>\n...\n</answer>`, neither of them blank, 1 or 0
    format_graded the share of the format's conditions that are met
    format_think  `<think>...</think>` and then a solution, no answer tags asked for

Each outcome's reason names the first condition that fails, so that a reward stuck at 0 says why. White space around the
whole and CRLF line ends are not faults of format.
"""

from __future__ import annotations

from collections.abc import Callable

from open_r1.records import Outcome
from open_r1.rewards.base import text_reward
from open_r1.rewards.spec import WELL_FORMED, Example, RewardSpec
from open_r1.text.tags import ANSWER_CLOSE, ANSWER_OPEN, TAGS, THINK_CLOSE, THINK_OPEN, render_completion

__all__ = ["format_reward", "graded_format_reward", "think_format_reward"]

Condition = tuple[str, Callable[[str], bool]]


def _once(tag: str) -> Condition:
    name = tag.strip("<>").replace("/", "close_")
    return f"not_one_{name}_tag", lambda text: text.count(tag) == 1


CONDITIONS: tuple[Condition, ...] = (
    ("does_not_start_with_think", lambda text: text.startswith(f"{THINK_OPEN}\n")),
    *(_once(tag) for tag in TAGS),
    ("no_answer_right_after_thinking", lambda text: f"\n{THINK_CLOSE}\n{ANSWER_OPEN}\n" in text),
    ("does_not_end_with_answer", lambda text: text.endswith(f"\n{ANSWER_CLOSE}")),
    ("tags_out_of_order", lambda text: _is_ordered(text)),
    ("no_thinking", lambda text: _has_content(text, THINK_OPEN, THINK_CLOSE)),
    ("no_answer", lambda text: _has_content(text, ANSWER_OPEN, ANSWER_CLOSE)),
)
"""What the format asks for, each with the reason given where it is not met; the format is kept iff all are met."""


def check_format(text: str) -> str:
    """The first condition of R1's format that `text` fails, or "well_formed"."""
    text = normalise_ends(text)
    return next((reason for reason, is_met in CONDITIONS if not is_met(text)), WELL_FORMED)


def check_think_format(text: str) -> str:
    """As `check_format`, for `<think>...</think> solution`."""
    text = normalise_ends(text)
    if not text.startswith(THINK_OPEN):
        return "does_not_start_with_think"
    if text.count(THINK_OPEN) != 1 or text.count(THINK_CLOSE) != 1:
        return "not_one_pair_of_think_tags"
    thinking, _, solution = text.removeprefix(THINK_OPEN).partition(THINK_CLOSE)
    if not thinking.strip():
        return "no_thinking"
    return WELL_FORMED if solution.strip() else "no_solution"


def normalise_ends(text: str) -> str:
    """`text` without white space around it and with LF line ends."""
    return text.replace("\r\n", "\n").strip()


def _is_ordered(text: str) -> bool:
    positions = [text.find(tag) for tag in TAGS]
    return positions == sorted(positions) and positions[0] >= 0


def _has_content(text: str, opening: str, closing: str) -> bool:
    content, closed, _ = text.partition(opening)[2].partition(closing)
    return bool(closed and content.strip())


def all_or_nothing(reason: str) -> Outcome:
    """1 for a format that is kept, else 0."""
    return Outcome(1.0 if reason == WELL_FORMED else 0.0, reason)


def _grade(text: str) -> Outcome:
    """The share of the conditions of R1's format that are met."""
    share = sum(is_met(normalise_ends(text)) for _, is_met in CONDITIONS) / len(CONDITIONS)
    return Outcome(share, check_format(text))


format_reward = text_reward("format_reward", lambda text: all_or_nothing(check_format(text)))
graded_format_reward = text_reward("graded_format_reward", _grade)
think_format_reward = text_reward("think_format_reward", lambda text: all_or_nothing(check_think_format(text)))

_KEPT = render_completion("…", "6")
KEPT = Example(_KEPT)
CASES = {
    "6": Example("6"),
    "<think>…": Example(_KEPT.partition(f"\n{THINK_CLOSE}")[0]),
    "<think>…</think>": Example(_KEPT.partition(ANSWER_OPEN)[0]),
    "<think>…</think> 6": Example(_KEPT.partition(ANSWER_OPEN)[0] + "6"),
    "<think>…</think><answer>6": Example(_KEPT.partition(f"\n{ANSWER_CLOSE}")[0]),
    "<think>…</think><answer>6</answer>": KEPT,
    "… and text after it": Example(f"{_KEPT}\nand more"),
}
"""Ever more of the format."""

REWARDS = (
    RewardSpec(
        name="format",
        build=lambda settings: format_reward,
        kind="format",
        summary="1 if the completion is exactly <think>…</think><answer>…</answer>, each on lines of its own",
        formula="r = 1 if the format is kept, else 0",
        source="DeepSeek-R1 (arXiv:2501.12948), section 2.2.2",
        example=KEPT,
        cases=CASES,
        is_default=True,
    ),
    RewardSpec(
        name="format_graded",
        function_name="graded_format_reward",
        build=lambda settings: graded_format_reward,
        kind="format",
        summary="the share of the format's conditions that are met: a slope for models that start from nothing",
        formula=f"r = conditions that are met / {len(CONDITIONS)}",
        source="Open R1",
        example=KEPT,
        cases=CASES,
    ),
    RewardSpec(
        name="format_think",
        function_name="think_format_reward",
        build=lambda settings: think_format_reward,
        kind="format",
        summary="1 if the completion is <think>…</think> and then a solution, without answer tags",
        formula="r = 1 if the format is kept, else 0",
        source="TRL think_format_reward; DeepSeek-R1's published chat format",
        example=CASES["<think>…</think> 6"],
        cases=CASES,
    ),
)

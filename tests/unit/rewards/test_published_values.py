"""The values that Open-R1's own tests expect of its rewards, as a table: what a user's call gives there, it gives here.

What *differences* explains (golds of plain text such as `unparseable_latex`, groups of `length`) is tested elsewhere.
"""

from __future__ import annotations

from typing import Any

import pytest

from open_r1.configs import GRPOScriptArguments
from open_r1.rewards import (
    accuracy_reward,
    format_reward,
    get_code_format_reward,
    get_cosine_scaled_reward,
    get_repetition_penalty_reward,
    get_reward_funcs,
    get_soft_overlong_punishment,
    len_reward,
    reasoning_steps_reward,
    tag_count_reward,
)

RIGHT, WRONG, GOLD = r"\boxed{\frac{63}{400}}", r"\boxed{\frac{64}{400}}", r"\frac{63}{400}"
LONG = "  " + "x" * 10
R1 = "<think>\n{}\n</think>\n<answer>\n{}\n</answer>"
BLOCK = "```{}\nx = 1\n```"


def chats(*texts: str) -> list[Any]:
    """Completions as Open-R1's tests have them: a message without a role."""
    return [[{"content": text}] for text in texts]


def value(reward: Any, text: str, *columns: Any) -> float:
    (only,) = reward(chats(text), *columns)
    return only


def test_the_registry_has_the_published_names_in_the_order_asked_for() -> None:
    names = {
        "accuracy": "accuracy_reward",
        "format": "format_reward",
        "reasoning_steps": "reasoning_steps_reward",
        "cosine": "cosine_scaled_reward",
        "repetition_penalty": "repetition_penalty_reward",
        "length": "len_reward",
        "tag_count": "tag_count_reward",
        "code_format": "code_format_reward",
        "soft_overlong_punishment": "soft_overlong_punishment_reward",
    }
    made = get_reward_funcs(GRPOScriptArguments(dataset_name="dummy", reward_funcs=list(names)))
    assert [reward.__name__ for reward in made] == list(names.values())


def test_accuracy() -> None:
    assert accuracy_reward(chats(RIGHT, WRONG), [GOLD, GOLD]) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (R1.format("Some reasoning", "The answer"), 1.0),
        (R1.format("I count:\n1. Purple scooter\n2. Red bicycle\n\nThere are 2.", "2"), 1.0),
        ("<think>Only thinking</think>", 0.0),
        ("<answer>Only answer</answer>", 0.0),
        ("No tags at all", 0.0),
        ("<think>Missing closing</think><answer>Missing closing", 0.0),
        ("<think>Wrong order</answer><answer>Wrong order</think>", 0.0),
    ],
)
def test_format(text: str, expected: float) -> None:
    assert value(format_reward, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (R1.format("Some reasoning", "The answer"), 1.0),
        ("Some reasoning\n</think>\n<answer>\nThe answer\n</answer>", 0.75),
        ("<think>\nSome reasoning\n<answer>\nThe answer\n</answer>", 0.75),
        ("<think>\nSome reasoning\n</think>\nThe answer\n</answer>", 0.75),
        ("<think>\nSome reasoning\n</think>\n<answer>\nThe answer", 0.75),
        ("Some reasoning\nThe answer", 0.0),
    ],
)
def test_tag_count(text: str, expected: float) -> None:
    assert value(tag_count_reward, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Step 1: First step\nStep 2: Second step\nStep 3: Third step", 1.0),
        ("First, we do this.\nSecond, we do that.\nFinally, we conclude.", 1.0),
        ("Step 1: Only step", 1 / 3),
        ("First, we do this.\nFinally, we conclude.", 2 / 3),
        ("Just plain text without any clear steps", 0.0),
    ],
)
def test_reasoning_steps(text: str, expected: float) -> None:
    assert value(reasoning_steps_reward, text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [(RIGHT, 22, 0.942628), (RIGHT, 80, 0.547746), (WRONG, 22, -0.942628), (WRONG, 80, -0.547746)],
)
def test_cosine(text: str, length: int, expected: float) -> None:
    reward = get_cosine_scaled_reward(
        min_value_wrong=-1.0, max_value_wrong=-0.5, min_value_correct=0.5, max_value_correct=1.0, max_len=100
    )
    assert value(reward, text.ljust(length), [GOLD]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((RIGHT, WRONG), [0.0, 0.0]),
        ((RIGHT, RIGHT + LONG), [0.5, -0.5]),
        ((WRONG, WRONG + LONG), [0.0, -0.5]),
        ((RIGHT, RIGHT + LONG, WRONG, WRONG + LONG), [0.5, -0.5, 0.0, -0.5]),
    ],
)
def test_length(texts: tuple[str, ...], expected: list[float]) -> None:
    assert len_reward(chats(*texts), [GOLD] * len(texts)) == expected


def test_length_of_a_gold_that_cannot_be_read_goes_by_length_alone() -> None:
    texts = chats(r"\boxed{answer}", r"\boxed{answer} " + "x" * 10)
    assert len_reward(texts, ["\\frac{"] * 2) == [0.5, -0.5]


@pytest.mark.parametrize(
    ("size", "penalty", "text", "expected"),
    [
        (2, -1.0, "this is a test sentence", 0.0),
        (2, -1.0, "this this this this this", -0.75),
        (2, -1.0, "this is a this is a test", -1 / 3),
        (3, -0.5, "this is a test", 0.0),
        (3, -0.5, "test test test test", -0.25),
        (2, -1.0, "", 0.0),
        (3, -2.0, "this is a this is a test", -0.4),
        (2, -1.0, "This is A Test", 0.0),
        (3, -1.0, "word", 0.0),
        (3, -1.0, "two words", 0.0),
        (3, -1.0, "three different words", 0.0),
        (3, -1.0, "word word word word", -0.5),
        (3, -1.0, "one two one two", 0.0),
        (3, -0.5, "A B C A B", 0.0),
        (3, -1.0, "A B C A B C", -0.25),
        (3, -1.0, "A B C A B C E F G A B C A B C", -5 / 13),
        (3, -1.0, "A B C D E F G H I J K L", 0.0),
    ],
)
def test_repetition_penalty(size: int, penalty: float, text: str, expected: float) -> None:
    assert value(get_repetition_penalty_reward(ngram_size=size, max_penalty=penalty), text) == pytest.approx(expected)


def test_a_positive_penalty_is_a_value_error_with_the_published_words() -> None:
    with pytest.raises(ValueError, match=r"max_penalty 1.5 should not be positive"):
        get_repetition_penalty_reward(ngram_size=2, max_penalty=1.5)


@pytest.mark.parametrize(("length", "expected"), [(50, 0.0), (110, -1.0), (90, -0.5)])
def test_soft_overlong_punishment(length: int, expected: float) -> None:
    reward = get_soft_overlong_punishment(max_completion_len=100, soft_punish_cache=20)
    assert reward(completion_ids=[[1] * length]) == [expected]
    assert reward([[1] * length]) == [expected]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("python", R1.format("Step 1: First step", BLOCK.format("python")), 1.0),
        ("python", R1.format(BLOCK.format("python") + "\nNow the solution:", BLOCK.format("python")), 1.0),
        ("javascript", R1.format("Analysis", BLOCK.format("javascript")), 1.0),
        ("python", R1.format("Analysis", BLOCK.format("javascript")), 0.0),
        ("python", BLOCK.format("python"), 0.0),
        ("python", R1.format("Some thinking", "Just plain text"), 0.0),
        ("python", R1.format("Analysis", BLOCK.format("")), 0.0),
        ("python", "<answer>" + BLOCK.format("python") + "</answer><think>Analysis</think>", 0.0),
    ],
)
def test_code_format(language: str, text: str, expected: float) -> None:
    assert value(get_code_format_reward(language=language), text) == expected

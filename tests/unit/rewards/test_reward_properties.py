"""What holds for every text: no exception, no dependence on order or company, one value wherever it is computed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_r1.answers.latex import MAX_CHARS, canonical
from open_r1.answers.types.number import read_measure
from open_r1.rewards import (
    accuracy_reward,
    check_answers,
    extract_answer,
    extract_gold,
    format_reward,
    get_accuracy_reward,
    get_code_format_reward,
    get_cosine_scaled_reward,
    get_repetition_penalty_reward,
    graded_format_reward,
    len_reward,
    reasoning_steps_reward,
    tag_count_reward,
    think_format_reward,
)
from open_r1.text.fences import extract_code

FRAGMENTS = st.sampled_from(
    [
        *("<think>", "</think>", "<answer>", "</answer>", "\n", " ", "\r\n", "```python\n", "```"),
        *(r"\boxed{", r"\boxed", "{", "}", "(", ")", "[", "]", r"\{", r"\}", "$", "$$", r"\(", r"\)", r"\[", r"\]"),
        *(r"\frac", r"\sqrt", "^", "_", r"\pm", r"\cup", r"\infty", r"\text{", r"\left(", r"\right)", "&", r"\\"),
        *("0", "1", "12", "-", "+", "=", "/", ".", ",", ";", ":", "%", "x", "y", "and", "or", "The answer is", "####"),
        *("é", "π", "½", "²", "\u202e", "\x00", "\ud800", "𝟙", "的", "Step 1:", "First,"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(FRAGMENTS, max_size=25).map("".join))
PLAIN_REWARDS = (
    format_reward,
    graded_format_reward,
    think_format_reward,
    tag_count_reward,
    reasoning_steps_reward,
    get_code_format_reward(),
    get_repetition_penalty_reward(2, -1.0),
)
ANSWERS = [
    "1/2",
    "0.5",
    r"\frac{1}{2}",
    "x+1",
    "1+x",
    r"\sqrt{8}",
    r"2\sqrt{2}",
    "(1,2)",
    "Thu",
    "5",
    "7+",
    "",
    "3,1",
    "1,3",
]


@given(TEXTS)
def test_any_text_can_be_read(text):
    found = extract_answer(text)
    assert found is None or found.source in ("boxed", "answer_block", "anchored", "bare")
    assert extract_gold(text) is None or isinstance(extract_gold(text), str)
    assert extract_code(text) in text.replace("\r\n", "\n")
    read_measure(canonical(text[:MAX_CHARS]))


@given(TEXTS)
def test_canonical_text_stays_in_proportion(text):
    """By the longest that Unicode makes of one character, 18."""
    assert len(canonical(text[:MAX_CHARS])) <= 18 * len(text)


@given(st.lists(TEXTS, max_size=5))
def test_plain_rewards_stay_in_their_range_and_judge_each_text_alone(texts):
    for reward in PLAIN_REWARDS:
        values = reward(texts)
        assert values == [reward([text])[0] for text in texts]
        assert all(value is not None and -1.0 <= value <= 1.0 for value in values)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_accuracy_scores_any_text_without_an_exception(verifier, pairs):
    verdicts = check_answers([gold for gold, _ in pairs], [text for _, text in pairs], verifier)
    assert all(verdict.outcome.value in {0.0, 1.0, None} for verdict in verdicts)
    assert "error" not in {verdict.reason for verdict in verdicts}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_rewards_on_top_of_accuracy_score_any_text_in_their_range(pairs):
    golds, texts = [gold for gold, _ in pairs], [text for _, text in pairs]
    for reward in (get_cosine_scaled_reward(max_len=20), len_reward):
        assert all(value is None or -1.0 <= value <= 1.0 for value in reward(texts, golds))


@given(st.integers(-(10**12), 10**12))
def test_an_integer_equals_itself_in_every_dress(number):
    dresses = (
        f"{number}",
        f"{number:,}",
        f"${number}$",
        f"{number}.0",
        rf"\frac{{{number * 3}}}{{3}}",
        f"{number} cm",
    )
    completions = [rf"\boxed{{{dress}}}" for dress in dresses]
    assert accuracy_reward(completions, [str(number)] * len(dresses)) == [1.0] * len(dresses)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_different_integers_are_never_equal(first, second):
    assert accuracy_reward([rf"\boxed{{{first}}}"], [str(second)]) == [float(first == second)]


@given(st.fractions(max_denominator=1000), st.fractions(max_denominator=1000))
def test_fractions_are_equal_only_to_their_own_value(first, second):
    answer = rf"\boxed{{\frac{{{first.numerator}}}{{{first.denominator}}}}}"
    assert accuracy_reward([answer], [str(second)]) == [float(first == second)]


def test_order_and_company_change_no_value(verifier):
    pairs = [(gold, answer) for gold in ANSWERS for answer in ANSWERS]
    reward = get_accuracy_reward(verifier)
    completions = {pair: rf"\boxed{{{pair[1]}}}" for pair in pairs}
    alone = {pair: reward([completions[pair]], [pair[0]])[0] for pair in random.Random(0).sample(pairs, 40)}
    for seed in range(2):
        shuffled = random.Random(seed).sample(pairs, len(pairs))
        values = dict(zip(shuffled, reward([completions[p] for p in shuffled], [p[0] for p in shuffled]), strict=True))
        assert {pair: values[pair] for pair in alone} == alone


@pytest.mark.parametrize("reward", [len_reward, get_cosine_scaled_reward()], ids=["length", "cosine"])
def test_a_group_s_values_don_t_depend_on_other_groups(reward):
    texts = [r"\boxed{5}" + "x" * n for n in (1, 20, 300)] + [r"\boxed{6}" + "x" * n for n in (7, 2000)]
    alone = reward(texts, ["5"] * 5, prompts=["p"] * 5)
    beside = reward(texts + ["y" * 9999] * 3, ["5"] * 8, prompts=["p"] * 5 + ["q"] * 3)
    assert beside[:5] == alone

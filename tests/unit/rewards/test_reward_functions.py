"""Every reward's value on the contract's own cases and around them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from open_r1.errors import ConfigError, DataError
from open_r1.rewards import (
    accuracy_reward,
    format_reward,
    get_code_format_reward,
    get_cosine_scaled_reward,
    get_repetition_penalty_reward,
    get_soft_overlong_punishment,
    graded_format_reward,
    len_reward,
    reasoning_steps_reward,
    tag_count_reward,
    think_format_reward,
)

WELL_FORMED = "<think>\nreasons\n</think>\n<answer>\n6\n</answer>"


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def padded(answer: str, length: int) -> list[dict[str, str]]:
    text = rf"\boxed{{{answer}}}"
    return chat(text + " " * (length - len(text)))


# accuracy


def test_accuracy_gives_one_zero_and_none():
    completions = [chat(r"\boxed{\frac{63}{400}}"), chat(r"\boxed{\frac{64}{400}}"), chat(r"\boxed{1}")]
    assert accuracy_reward(completions, [r"\frac{63}{400}"] * 2 + [""]) == [1.0, 0.0, None]


def test_accuracy_takes_solution_by_keyword_beside_what_trainers_add():
    values = accuracy_reward(
        completions=[chat("<answer>6</answer>")],
        solution=["6"],
        prompts=["p"],
        completion_ids=[[1]],
        trainer_state=object(),
        log_extra=print,
        log_metric=print,
    )
    assert values == [1.0]


def test_accuracy_score_gives_the_reasons():
    outcomes = accuracy_reward.score(["6", "7", "", "6"], ["6", "6", "6", None])
    assert [outcome.reason for outcome in outcomes] == ["correct", "wrong", "no_answer", "unparsable_gold"]


def test_a_missing_column_is_an_error_that_names_what_was_found():
    with pytest.raises(DataError, match="needs the column solution, but the data have answer, completions"):
        accuracy_reward(["6"], answer=["6"])


def test_columns_of_different_lengths_are_an_error():
    with pytest.raises(DataError, match="different lengths"):
        accuracy_reward(["6", "7"], ["6"])


# format

MALFORMED = [
    ("", "does_not_start_with_think"),
    ("6", "does_not_start_with_think"),
    ("x" + WELL_FORMED, "does_not_start_with_think"),
    ("<think>reasons</think><answer>6</answer>", "does_not_start_with_think"),
    (WELL_FORMED + "\nand more", "does_not_end_with_answer"),
    (WELL_FORMED + WELL_FORMED, "not_one_think_tag"),
    (WELL_FORMED + "\n<answer>\n7\n</answer>", "not_one_answer_tag"),
    (WELL_FORMED.replace("reasons", "a</think>b"), "not_one_close_think_tag"),
    ("<think>\nreasons\n</think>\n<answer>\n6", "not_one_close_answer_tag"),
    ("<think>\nreasons\n</think>\nso\n<answer>\n6\n</answer>", "no_answer_right_after_thinking"),
    ("<think>\nreasons\n</think><answer>\n6\n</answer>", "no_answer_right_after_thinking"),
    ("<think>\nreasons</think>\n<answer>\n6\n</answer>", "no_answer_right_after_thinking"),
    ("<think>\nreasons\n</think>\n<answer>\n6</answer>", "does_not_end_with_answer"),
    ("<think>\n</think>\n<answer>\n6\n</answer>", "no_thinking"),
    ("<think>\n\n</think>\n<answer>\n6\n</answer>", "no_thinking"),
    ("<think>\n \t\n</think>\n<answer>\n6\n</answer>", "no_thinking"),
    ("<think>\n</think>\n<answer>\n</answer>", "no_thinking"),
    ("<think>\nreasons\n</think>\n<answer>\n</answer>", "no_answer"),
    ("<think>\nreasons\n</think>\n<answer>\n\n \n</answer>", "no_answer"),
]


@pytest.mark.parametrize("ends", [("", ""), ("\n", ""), ("", "\n\n"), (" \n", " ")])
def test_format_holds_whatever_white_space_stands_around(ends):
    assert format_reward([chat(ends[0] + WELL_FORMED + ends[1])]) == [1.0]


def test_format_reads_crlf_and_blank_lines():
    assert format_reward([chat(WELL_FORMED.replace("\n", "\r\n"))]) == [1.0]
    assert format_reward([chat("<think>\n\na\n\nb\n\n</think>\n<answer>\n\n6\n\n</answer>")]) == [1.0]


@pytest.mark.parametrize(("text", "reason"), MALFORMED)
def test_format_names_the_first_condition_that_fails(text, reason):
    (outcome,) = format_reward.score([chat(text)])
    assert (outcome.value, outcome.reason) == (0.0, reason)


def test_graded_format_rises_with_each_condition():
    texts = ["", "<think>\na", "<think>\na\n</think>\n", "<think>\na\n</think>\n<answer>\n6", WELL_FORMED]
    values = graded_format_reward(texts)
    assert values == sorted(values)
    assert len(set(values)) == len(values)
    assert values[-1] == 1.0
    assert all(value < 1.0 for value in graded_format_reward([text for text, _ in MALFORMED]))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<think>a</think>b", 1.0),
        ("\n<think>\r\na\r\n</think>\r\n\r\nb", 1.0),
        ("<think>a</think>", 0.0),
        ("<think></think>b", 0.0),
        ("<think>a</think>b</think>", 0.0),
        ("b<think>a</think>b", 0.0),
        ("<think>a", 0.0),
        ("", 0.0),
    ],
)
def test_think_format(text, value):
    assert think_format_reward([text]) == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (WELL_FORMED, 1.0),
        (WELL_FORMED.replace("\n", "\r\n"), 1.0),
        ("", 0.0),
        ("<think>\na", 0.25),
        ("<think>\na\n</think>\n", 0.5),
        ("<think>\na\n</think>\n<answer>\n6", 0.75),
        (WELL_FORMED * 2, 0.0),
        (WELL_FORMED + "<think>\n", 0.75),
        ("<think>\n" * 2, 0.0),
    ],
)
def test_tag_count_counts_marks_that_stand_once(text, value):
    assert tag_count_reward([text]) == [value]


# reasoning steps


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("Step 1: a\nStep 2: b\nStep 3: c", 3),
        ("1. a\n2. b\n3. c", 3),
        ("1. a\n2. b", 2),
        ("3.14 is pi", 0),
        ("so:\n- a\n- b", 2),
        ("so:\n* a\n* b", 2),
        ("First, a. Second, b. Next, c. Finally, d.", 4),
        ("第一步 算\n第二步 减\n第三步 得", 3),
        ("首先，算。然后，减。最后，得。", 3),
        ("步骤1：算\n步骤 2: 减", 2),
        ("一、算\n二、减\n3、得", 3),
    ],
)
def test_reasoning_steps_counts_every_step(text, count):
    assert reasoning_steps_reward([chat(text)]) == [pytest.approx(min(1.0, count / 3))]


# cosine


def test_cosine_gives_the_contract_s_values():
    reward = get_cosine_scaled_reward(-1.0, -0.5, 0.5, 1.0, 100)
    completions = [padded("5", 22), padded("5", 80), padded("6", 22), padded("6", 80)]
    values = reward(completions, ["5"] * 4)
    assert values == pytest.approx([0.942628, 0.547746, -0.942628, -0.547746], abs=1e-6)


def test_cosine_is_flat_beyond_its_length_and_defaults_favour_short_and_right():
    reward = get_cosine_scaled_reward(max_len=100)
    assert reward([padded("5", 100), padded("5", 1000)], ["5"] * 2) == [0.5, 0.5]
    assert reward([padded("6", 100), padded("6", 1000)], ["5"] * 2) == [-0.5, -0.5]
    short_right, short_wrong = get_cosine_scaled_reward()([padded("5", 10), padded("6", 10)], ["5"] * 2)
    assert short_right > 0.99
    assert short_wrong < -0.99


def test_cosine_leaves_an_unreadable_gold_unscored():
    assert get_cosine_scaled_reward()([padded("5", 22)], [""]) == [None]


# length


def test_length_gives_the_contract_s_values():
    right, wrong = r"\boxed{\frac{63}{400}} ", r"\boxed{\frac{64}{400}} "
    completions = [chat(text + "x" * n) for text in (right, wrong) for n in (10, 20)]
    assert len_reward(completions, [r"\frac{63}{400}"] * 4) == [0.5, -0.5, 0.0, -0.5]


def test_length_is_zero_for_equal_lengths_and_shaped_by_length_alone_without_a_gold():
    assert len_reward([padded("5", 20), padded("5", 20)], ["5", "5"]) == [0.0, 0.0]
    assert len_reward([padded("5", 20), padded("5", 40)], ["", ""]) == [0.5, -0.5]


def test_length_compares_only_within_a_prompt():
    together = len_reward([padded("5", 20), padded("5", 40)], ["5", "5"], prompts=["p", "p"])
    beside = [padded("5", 20), padded("5", 40), padded("5", 1000), padded("5", 3000)]
    assert len_reward(beside, ["5"] * 4, prompts=["p", "p", "q", "q"])[:2] == together


def test_length_reads_prompts_from_an_array():
    texts = [padded("5", length) for length in (20, 40, 20, 60)]
    prompts = ["p", "p", "q", "q"]
    listed = len_reward(texts, ["5"] * 4, prompts=prompts)
    assert listed == [0.5, -0.5, 0.5, -0.5]
    assert len_reward(texts, ["5"] * 4, prompts=np.array(prompts)) == listed
    assert len_reward(texts, ["5"] * 4, prompt=np.array(prompts)) == listed
    assert len_reward(texts, np.array(["5"] * 4), prompts=np.array([])) == len_reward(texts, ["5"] * 4)


# repetition


def test_repetition_gives_the_contract_s_values():
    reward = get_repetition_penalty_reward(2, -1.0)
    assert reward([chat("this this This THIS this"), chat(""), chat("one"), chat("all words differ here")]) == [
        -0.75,
        0.0,
        0.0,
        0.0,
    ]


def test_repetition_segments_chinese():
    pytest.importorskip("jieba")
    reward = get_repetition_penalty_reward(2, -1.0, language="zh")
    assert reward([chat("我们我们我们我们我们"), chat("今天天气很好")]) == [-0.75, 0.0]


def test_repetition_refuses_what_makes_no_sense():
    with pytest.raises(ConfigError, match=r"max_penalty 1.5 should not be positive"):
        get_repetition_penalty_reward(2, 1.5)
    with pytest.raises(ConfigError, match="ngram_size must be 1 or more"):
        get_repetition_penalty_reward(0, -1.0)
    with pytest.raises(ConfigError, match=r"language 'zhh' .* did you mean 'zh'"):
        get_repetition_penalty_reward(2, -1.0, language="zhh")


# overlong


def test_overlong_gives_the_contract_s_values():
    reward = get_soft_overlong_punishment(max_completion_len=100, soft_punish_cache=20)
    lengths = (0, 50, 80, 90, 100, 101, 110)
    assert reward(completion_ids=[[1] * n for n in lengths]) == [0.0, 0.0, 0.0, -0.5, -1.0, -1.0, -1.0]
    assert reward([[1] * 90]) == [-0.5]


def test_overlong_refuses_a_cache_longer_than_the_limit():
    with pytest.raises(ConfigError, match="between 1 and max_completion_len"):
        get_soft_overlong_punishment(100, 200)


# code format


@pytest.mark.parametrize(
    ("fence", "language", "value"),
    [
        ("```python\nx\n```", "python", 1.0),
        ("```py\nx\n```", "python", 1.0),
        ("```cpp\nx\n```", "c++", 1.0),
        ("```c++\nx\n```", "cpp", 1.0),
        ("```python\nx\n```", "c++", 0.0),
        ("```python\nx", "python", 0.0),
        ("x", "python", 0.0),
        ("```ccc\nx\n```", "c++", 0.0),
    ],
)
def test_code_format_wants_a_block_of_the_language_in_the_answer(fence, language, value):
    text = f"<think>\nreasons\n</think>\n<answer>\n{fence}\n</answer>"
    assert get_code_format_reward(language)([chat(text)]) == [value]
    assert get_code_format_reward("java")([chat(text)], language=[language]) == [value]


def test_code_format_does_not_count_a_block_in_the_thinking():
    text = "<think>\n```python\nx\n```\n</think>\n<answer>\nx\n</answer>"
    assert get_code_format_reward()([chat(text)]) == [0.0]


# shapes of completions


@pytest.mark.parametrize(
    "completion",
    [
        WELL_FORMED,
        [{"role": "assistant", "content": WELL_FORMED}],
        [{"content": WELL_FORMED}],
        [{"role": "assistant", "content": [{"type": "text", "text": WELL_FORMED}]}],
        [{"role": "user", "content": "?"}, {"role": "assistant", "content": WELL_FORMED}],
    ],
)
def test_a_completion_may_be_text_or_a_chat(completion):
    assert format_reward([completion]) == [1.0]


def test_no_completions_give_no_rewards():
    assert format_reward([]) == accuracy_reward([], []) == len_reward([], []) == []


def test_content_of_none_is_an_empty_completion():
    assert tag_count_reward([[{"role": "assistant", "content": None}], []]) == [0.0, 0.0]
    assert not math.isnan(graded_format_reward([[]])[0])


@pytest.mark.parametrize("completion", [3, None, b"text", [3], [{"role": "assistant", "content": 3}]])
def test_a_completion_that_is_neither_text_nor_chat_is_refused_by_name(completion):
    with pytest.raises(DataError, match=r"a completion is .*give a string, or a chat"):
        format_reward(completions=["fine", completion])


SUM = "Compute 7 + 5."
COPIES = [r"\boxed{7+5}", r"\boxed{12}"]


def asked(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in turns]


@pytest.mark.parametrize(
    "columns",
    [
        {"prompts": [SUM] * 2},
        {"prompts": [asked(("system", "Be brief."), ("user", SUM))] * 2},
        {"prompts": [asked(("user", "1 + 1?"), ("assistant", "2"), ("user", SUM))] * 2, "problem": ["x"] * 2},
        {"prompts": [[{"role": "user", "content": [{"type": "text", "text": SUM}]}]] * 2},
        {"problem": [SUM] * 2, "prompt": ["x"] * 2},
        {"prompts": [], "prompt": [SUM] * 2},
    ],
)
def test_the_problem_copied_into_the_box_is_not_an_answer(columns: dict[str, list]) -> None:
    outcomes = accuracy_reward.score(COPIES, [r"2\cdot 6"] * 2, **columns)
    assert [(outcome.value, outcome.reason) for outcome in outcomes] == [(0.0, "copied"), (1.0, "correct")]
    assert len_reward.score(COPIES, [r"2\cdot 6"] * 2, **columns)[0].reason == "copied"
    cosine = get_cosine_scaled_reward(-1, -1, 1, 1).score(COPIES, [r"2\cdot 6"] * 2, **columns)
    assert [outcome.value for outcome in cosine] == [-1, 1]


@pytest.mark.parametrize(
    "columns", [{}, {"prompts": [None, asked(("system", SUM))]}, {"problem": ["", "What is 12?"]}]
)
def test_without_the_problem_its_formula_is_an_answer_like_another(columns: dict[str, list]) -> None:
    outcomes = accuracy_reward.score([r"\boxed{7+5}"] * 2, [r"2\cdot 6"] * 2, **columns)
    assert [outcome.reason for outcome in outcomes] == ["correct"] * 2

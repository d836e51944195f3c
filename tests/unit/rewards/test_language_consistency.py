"""language_consistency: the share of the thinking in the problem's language, and what can't buy it."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from open_r1.errors import ConfigError, DataError
from open_r1.rewards import build_reward, get_language_consistency_reward, language_consistency_reward
from open_r1.text.natural import count_scripts, count_words, find_language, language_share, read_language

ENGLISH, CHINESE = "Find the sum of the first ten odd numbers.", "求前十个奇数的和，并写出过程。"


def score(problem: str, thinking: str, **columns: object):
    prompt = [{"role": "system", "content": "You think before you answer."}, {"role": "user", "content": problem}]
    completion = [{"role": "assistant", "content": f"<think>\n{thinking}\n</think>\nThe answer is 100."}]
    (outcome,) = language_consistency_reward.score([completion], prompts=[prompt], **columns)
    return outcome


@pytest.mark.parametrize(
    ("problem", "thinking", "value"),
    [
        (ENGLISH, "First we add the odd numbers, then we check the sum.", 1.0),
        (ENGLISH, "首先把所有的奇数加起来，然后检查结果是否正确。", 0.0),
        (ENGLISH, "First we add the odd numbers. 然后检查结果是否正确。", 0.5),
        (CHINESE, "首先把所有的奇数加起来，然后检查结果是否正确。", 1.0),
        (CHINESE, "First we add the odd numbers, then we check the sum.", 0.0),
        (CHINESE, "まず奇数をすべて足して、それから結果を確かめます。", 0.0),
        ("奇数をすべて足して、その和を求めよ。", "まず奇数を足します。次に結果を確かめます。", 1.0),
        ("奇数をすべて足して、その和を求めよ。", "首先把所有的奇数加起来，然后检查结果是否正确。", 0.0),
        ("Найдите сумму первых десяти нечётных чисел.", "Сначала сложим все числа, затем проверим сумму.", 1.0),
        ("Найдите сумму первых десяти нечётных чисел.", "First we add all of the numbers.", 0.0),
        ("처음 열 개 홀수의 합을 구하시오.", "먼저 모든 홀수를 더하고 결과를 확인한다.", 1.0),
        ("أوجد مجموع الأعداد الفردية العشرة الأولى", "نجمع الأعداد ثم نتحقق من النتيجة", 1.0),
        ("पहली दस विषम संख्याओं का योग ज्ञात कीजिए।", "पहले हम सभी संख्याओं को जोड़ते हैं।", 1.0),
        (
            "Bestimme die Summe der ersten zehn ungeraden Zahlen.",
            "Wir addieren die Zahlen und prüfen das Ergebnis.",
            1.0,
        ),
        ("Bestimme die Summe der ersten zehn ungeraden Zahlen.", "First we add the numbers and check the sum.", 0.0),
        (ENGLISH, "Wir addieren die Zahlen und prüfen das Ergebnis.", 0.0),
        (
            "Trouvez la somme des dix premiers nombres.",
            "Nous ajoutons les nombres, puis nous vérifions la somme.",
            1.0,
        ),
    ],
)
def test_the_share_of_words_in_the_problem_s_language(problem: str, thinking: str, value: float) -> None:
    outcome = score(problem, thinking)
    assert outcome.value == pytest.approx(value, abs=0.1)
    assert outcome.reason == "counted"


@pytest.mark.parametrize(
    "thinking",
    [
        r"设 $x_1 + x_2 = 5$，则由韦达定理 \frac{b}{a} 得到 \(\sin x = \cos y\)，因此答案是五。",
        "用代码检查：`total = sum(range(10))`，结果正确。\n```python\nfor n in range(9):\n    print(n)\n```\n得到答案。",
        "在三角形ABC中，AB=3，所以面积是六，即 S = 6 cm。",
        "令 gcd(a, b) = 1，则 a mod b 等于一，见 https://example.org/proof 中的证明。",
        "变量 n_max 和 sum_of_odd 都等于一百。",
    ],
)
def test_formulas_code_and_names_are_not_foreign_words(thinking: str) -> None:
    assert score(CHINESE, thinking).value == 1.0


@pytest.mark.parametrize(
    ("problem", "thinking", "most"),
    [
        (ENGLISH, "We add. ```\n首先把所有的奇数加起来，然后检查结果是否正确。\n```", 0.3),
        (ENGLISH, r"We add. $\text{首先把所有的奇数加起来，然后检查结果是否正确}$", 0.3),
        (ENGLISH, "We add. `首先把所有的奇数加起来，然后检查结果是否正确`", 0.3),
        (CHINESE, "WE ADD ALL OF THE ODD NUMBERS AND THEN CHECK", 0.0),
        (CHINESE, "We一add二all三of四the五odd六numbers", 0.5),
        (ENGLISH, "Здесь мы складываем все числа", 0.0),
        (ENGLISH, "1 2 3 首先把所有的奇数加起来 4 5 6", 0.0),
    ],
)
def test_foreign_words_can_t_be_hidden(problem: str, thinking: str, most: float) -> None:
    value = score(problem, thinking).value
    assert value is not None
    assert value <= most


def test_only_the_thinking_counts() -> None:
    completions = [f"We add the numbers.</think>{CHINESE}", f"<think>{CHINESE}</think>We add the numbers."]
    assert language_consistency_reward(completions, prompts=[ENGLISH] * 2) == [1.0, 0.0]
    assert language_consistency_reward(["<think>We add the num"], problem=[ENGLISH]) == [1.0]


@pytest.mark.parametrize(
    "completion", ["", "We add.", "<think>\n\n</think>100", "<think>$1+3=4$ 5, 6</think>", "<think>"]
)
def test_without_thinking_or_words_there_is_no_value_and_no_failure(completion: str) -> None:
    (outcome,) = language_consistency_reward.score([completion], prompts=[ENGLISH])
    assert (outcome.value, outcome.reason) == (None, "not_applicable")


def test_a_problem_without_words_says_nothing_unless_a_column_or_the_setting_does() -> None:
    assert score("7+5=?", "We add the two.").value is None
    assert score("7+5=?", "We add the two.", language=["English"]).value == 1.0
    assert score("7+5=?", "我们把它们加起来。", language=["zh-CN"]).value == 1.0
    set_for_all = build_reward("language_consistency", SimpleNamespace(consistency_language="zh"))
    assert set_for_all(["<think>We add the two.</think>", "<think>我们把它们加起来。</think>"]) == [0.0, 1.0]


def test_a_column_overrides_and_one_of_programming_languages_does_not() -> None:
    assert score(ENGLISH, "我们把它们加起来。", language=["zh"]).value == 1.0
    assert score(ENGLISH, "We add the two.", language=["python"]).value == 1.0
    assert score(ENGLISH, "We add the two.", language=[None]).value == 1.0


def test_a_problem_in_latin_script_of_an_unknown_language_accepts_any_that_may_be_it() -> None:
    assert find_language("Tìm tổng của hai số") == "latin"
    assert score("Compute 7+5-3", "We add the two.").value == 1.0
    assert score("Compute 7+5-3", "我们把它们加起来。").value == 0.0


def test_what_can_t_be_used_is_refused() -> None:
    with pytest.raises(ConfigError, match="consistency_language 'klingon' is not known"):
        get_language_consistency_reward("klingon")
    with pytest.raises(DataError, match="needs the problems, to know their languages, but the data have completions"):
        language_consistency_reward(["<think>a</think>"])


def test_languages_by_code_and_name() -> None:
    assert [read_language(name) for name in ("zh-CN", "en_US", " Chinese", "python", "")] == [
        "zh",
        "en",
        "zh",
        None,
        None,
    ]
    assert language_share("First we add them. 然后我们将其相加。", "en") == 0.5


@pytest.mark.parametrize("piece", ["\\(", "\\[", "a", "a.", "$$a", "<a", "_a"])
def test_a_text_that_repeats_itself_is_read_in_linear_time(piece: str) -> None:
    started = time.perf_counter()
    for read in (count_words, count_scripts):
        read(piece * 20_000)
    assert time.perf_counter() - started < 5

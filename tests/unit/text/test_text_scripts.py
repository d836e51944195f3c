from __future__ import annotations

import pytest

from open_r1.text.natural import foreign_share, main_script

ENGLISH = "We add both sides and divide by three, which gives the value that was asked for in the problem. " * 3
CHINESE = "我们把两边相加，然后除以三，这样就得到了题目所要求的答案。" * 3


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("What is the sum?", "latin"),
        ("求所有满足条件的整数 x 的和", "cjk"),
        ("Найдите сумму всех корней", "cyrillic"),
        ("ما هو مجموع الجذور", "arabic"),
        ("2 + 2 = ?", None),
        ("", None),
        ("$\\alpha + \\beta$", None),
    ],
)
def test_the_script_of_a_problem(text: str, script: str | None) -> None:
    assert main_script(text) == script


def test_a_text_in_the_problems_script_has_no_foreign_share() -> None:
    assert foreign_share(ENGLISH, "latin") == 0
    assert foreign_share(CHINESE, "cjk") == 0


def test_mixtures_are_measured_in_words() -> None:
    assert foreign_share(ENGLISH, "cjk") == 1
    assert 0.3 < foreign_share(ENGLISH + CHINESE, "latin") < 0.7


@pytest.mark.parametrize(
    "aside",
    [
        "```python\n# " + ENGLISH + "\n```",
        "```python\n" + ENGLISH,  # cut off in the code
        "$\\text{where the area of the triangle is}\\ a$",
        "\\[ \\frac{area}{base height} \\]",
        "`print(the_answer_of_the_problem)`",
        "<think> </think> <answer>",
        "https://example.org/some/long/path",
        "x y z a b c n k",
    ],
)
def test_code_formulas_and_variables_are_no_prose(aside: str) -> None:
    assert foreign_share(CHINESE + aside, "cjk") == 0


def test_a_short_text_says_nothing() -> None:
    assert foreign_share("答案是四", "latin") == 0

"""Which letter an answer to a multiple-choice question names, and that several letters are none."""

import pytest

from open_r1.answers.choices import find_choice, read_choice
from open_r1.evaluation.scoring import choose

ONE_LETTER = {
    "B": "B",
    "b": "B",
    "(B)": "B",
    "B.": "B",
    "B. 5": "B",
    "B) 5": "B",
    "b) 5": "B",
    "(B) Paris": "B",
    "(b) because": "B",
    "(B) 5 A": "B",
    "C. vitamin C.": "C",
    "Option B": "B",
    "Answer: C": "C",
    r"\textbf{(B)}\ 5": "B",
    r"\boxed{\textit{B}}": "B",
    r"\left(B\right)": "B",
    "**B**": "B",
    "选B": "B",
    "故选B。": "B",
    "答案是(B)": "B",
    "The answer is B because it is": "B",
    "The correct option is B.": "B",
    "The correct choice is (B).": "B",
}

NO_LETTER = [
    *(
        "",
        "A, B",
        "a, b",
        "A: no, B",
        "A and B",
        "(A) and (B)",
        "A/B",
        "AB",
        "A. B",
        "A) no, B) yes",
        "选A和B",
        "(A, B)",
    ),
    *(
        "A car",
        "a car",
        "b because",
        "B because",
        "The answer is a because",
        "The answer is A car",
        "not B",
        "I, Robot",
    ),
    *("K", "Beth", "x" * 5000),
]


@pytest.mark.parametrize(("text", "letter"), ONE_LETTER.items())
def test_one_letter_is_read(text: str, letter: str) -> None:
    assert read_choice(text) == letter


@pytest.mark.parametrize("text", NO_LETTER)
def test_several_letters_and_plain_texts_are_no_choice(text: str) -> None:
    assert read_choice(text) is None


def test_the_last_sentence_that_names_a_letter_counts() -> None:
    assert find_choice("The correct option is A.\nNo: the best choice is (C), since it fits.") == "C"
    assert find_choice("A is wrong.") is None


OPTIONS = ("10 m", "20 m", "20 km", "both A and C")


@pytest.mark.parametrize(
    ("completion", "letter"),
    [
        (r"\boxed{B}", "B"),
        (r"\boxed{A, B}", None),
        (r"\boxed{A: no, B}", None),
        (r"\boxed{\textit{B}}", "B"),
        (r"\boxed{20\text{ m}}", "B"),
        (r"\boxed{20\,\mathrm{km}}", "C"),
        (r"\boxed{B. 20 m}", "B"),
        (r"\boxed{D) both A and C}", "D"),
        (r"\boxed{20}", None),
        (r"\boxed{E}", None),
        ("The correct option is B.", "B"),
        ("So it is clear, the correct choice is (B).", "B"),
        ("The correct answer is B because the others are too long by far for that.", "B"),
        ("<think>The correct option is A.</think>\nThe correct option is B.", "B"),
        (r"The correct option is B. \boxed{A, B}", None),
    ],
)
def test_gpqa_reads_the_option_that_is_named(completion: str, letter: str | None) -> None:
    assert choose(completion, OPTIONS) == letter

"""Which letter an answer to a multiple-choice question names, and that several letters are none."""

import pytest

from open_r1.answers.check import check_answer
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


SENTENCES = {
    "The value is \\boxed{42}. Answer: D": "D",
    "\\boxed{x^2+1}\n\nAnswer: D": "D",
    "We get \\boxed{12}. The answer is B": "B",
    "\\boxed{B, London}": "B",
    "\\boxed{B: London}": "B",
    "\\boxed{\\text{B, London}}": "B",
    "\\boxed{B - London}": "B",
    "\\boxed{B London}": "B",
    "B is the correct answer": "B",
    "B is correct.": "B",
    "**B** is the right answer.": "B",
    "Option B is correct": "B",
    "I think B is the correct answer because it is the capital.": "B",
    "I choose B": "B",
    "I choose (B).": "B",
    "I would choose option B.": "B",
    "I'll go with B.": "B",
    "I pick B": "B",
    "My choice is B": "B",
    "So I choose **C**.": "C",
    "### Answer\nB": "B",
    "### Answer\n\n**B**": "B",
    "## Final Answer\nB": "B",
    "### Answer\nB. London": "B",
    "**Answer**\nB": "B",
    "### Answer: B": "B",
    "The answer is `B`": "B",
    "`B`": "B",
    "Answer: `B`": "B",
    "Answer: **B**": "B",
    "Answer: $B$": "B",
    "Answer: \\(B\\)": "B",
    "**Answer: B**": "B",
    "**Final Answer:** B": "B",
    "The correct answer is: (B) London": "B",
    "Therefore, the answer is B) London.": "B",
    "the answer would be B": "B",
    "The best answer is B.": "B",
    "A and B are wrong. The answer is C.": "C",
    "Answer: A or B": None,
    "A is wrong. B is wrong.": None,
    "A is not the correct answer": None,
    "Neither A nor B is the correct answer": None,
    "\\boxed{A, B}": None,
    "\\boxed{A, Rome}": None,
    "I choose neither A nor B": None,
    "I choose not to answer": None,
    "I choose a car": None,
    "B or C is the correct answer": None,
    "\\boxed{A} Answer: D": "A",
    "\\boxed{C}. Wait, Answer: D": "C",
    "<think>\nAnswer: A\n</think>\nB is the correct answer": "B",
    "答案：B": "B",
    "正确答案是 B。": "B",
    "我选择B": "B",
    "选 C": "C",
    "The correct answer is London.": "B",
    "\\boxed{London}": "B",
    "Answer: London": "B",
    "\\boxed{\\text{(B) London}}": "B",
    "\\boxed{\\mathbf{B}}": "B",
    "Answer: B (London)": "B",
    "Answer is B": "B",
    "ANSWER: B": "B",
    "Answer - B": "B",
    "The answer is option B.": "B",
    "Thus, option (C) is the answer.": "C",
    "Hence (C) is correct.": "C",
    "the correct option is (d)": "D",
    "The correct answer is B, because London is large.": "B",
    "So B is right!": "B",
    "Only B is correct.": "B",
    "Statement A is correct, but B is the best answer.": "B",
    "I'd pick B.": "B",
    "I select option (B)": "B",
    "My pick is B.": "B",
    "Final answer: B": "B",
    "FINAL ANSWER: **(B)**": "B",
    "Answer:\n\nB": "B",
    "**Answer:**\n\n**B. London**": "B",
    "The answer: B": "B",
    "Therefore the answer is: $\\boxed{B}$": "B",
    "$\\text{B}$": "B",
    "B": "B",
    "b)": "B",
    "(b)": "B",
    "B.": "B",
    "Choice B": "B",
    "Correct answer: B": "B",
    "The correct choice is option B, London.": "B",
    "A is tempting, but the answer is B.": "B",
    "I choose B over A.": None,
    "I choose B, not A.": None,
    "If A is correct, then so is B.": None,
    "Is A correct? B is correct.": "B",
    "We know A is false and B is true.": None,
    "Both A and B is the answer": None,
    "Answer: A\nAnswer: B": "B",
    "Answer: B.\n\nExplanation: A is wrong because ...": "B",
    "### Answer: **B**\n\nSome more prose about A.": "B",
    "\\boxed{B} is the answer": "B",
    "\\[\\boxed{\\text{B) London}}\\]": "B",
    "\\boxed{\\text{Answer: B}}": "B",
    "\\boxed{3} so option B": None,
    "The value is \\boxed{7}, so B is the correct answer.": "B",
    "\\boxed{x=7}. I choose B.": "B",
    "$\\boxed{\\frac12}$ **Answer: (B)**": "B",
    "<think>I choose A</think> The answer is B.": "B",
    "<answer>B</answer>": "B",
    "<answer>\nB. London\n</answer>": "B",
    "<answer>The answer is B</answer>": "B",
    "The answer isn't A.": None,
    "The answer is not A but B": None,
    "The answer is either A or B": None,
    "There is no correct answer": None,
    "I am not sure": None,
    "A dog is an animal.": None,
    "I think I will be fine": None,
    "故答案为：B": "B",
    "因此，选B。": "B",
    "答案：(B) 伦敦": "B",
    "应选 B": "B",
    "正确选项是B": "B",
    "Answer B": "B",
    "So: B": None,
    "It's B.": None,
    "B it is.": None,
}
"""Completions to a question with the options Paris, London, Rome and Berlin."""


@pytest.mark.parametrize(("completion", "letter"), SENTENCES.items())
def test_a_completion_chooses_the_letter_that_its_last_sentence_names(completion: str, letter: str | None) -> None:
    assert choose(completion, ("Paris", "London", "Rome", "Berlin")) == letter


@pytest.mark.parametrize(("completion", "letter"), [(t, x) for t, x in SENTENCES.items() if x and f"{x}" in t])
def test_the_answer_layer_finds_the_same_letter(completion: str, letter: str) -> None:
    if completion not in (r"\boxed{B London}",):  # only the options tell it from `A car`
        assert check_answer(letter, completion).is_correct

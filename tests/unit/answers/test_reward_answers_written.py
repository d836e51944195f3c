"""Answers as models write them: units, names, choices, lists of guesses, sums left undone, and texts made to stall."""

from __future__ import annotations

import time

import pytest

from open_r1.rewards import check_answer

EQUAL = {
    # units and scales
    "18": [
        "18 eggs",
        "18 red apples",
        "$18",
        "$18 per hour",
        "18 dollars",
        r"18\text{ cm}^2",
        r"\$18",
        r"18\,\mathrm{cm}",
    ],
    "5": ["5厘米", "5元", "5个", "5 cm", "5cm", "5 m^2", r"5\text{ m}^2", "5 inches", "5 square feet", "5=x", "x=5"],
    "9.8": ["9.8 m/s^2"],
    "180": ["180 km/h"],
    "20": ["20°C", "20 ℃", "20°", r"20^\circ", r"20^{\circ}"],
    "10000000": [r"10\text{ million}", "10 million", "10,000,000"],
    "1500000000": ["1.5 billion"],
    "144": ["12 dozen", r"12\text{ dozen}"],
    "50000": ["5万"],
    "6xy": ["6 xy"],
    "6ab": [r"6\,ab"],
    # roots and repeating decimals
    r"2\sqrt3": ["√12", "√(12)", r"\sqrt12"],
    r"\sqrt{10}": ["√10", r"\sqrt 10", r"\sqrt10"],
    "4": ["√16"],
    "1/3": [r"0.\overline{3}", r"0.\bar3", r"0.\dot{3}"],
    r"0.\overline{3}": [r"\frac13"],
    "1/6": [r"0.1\overline{6}"],
    # names
    "(2,3)": ["(x,y)=(2,3)", "(x, y) = (2, 3)", "(2;3)", "x=2,y=3", "y=3, x=2"],
    "(x,y,z)=(1,2,3)": ["(1,2,3)"],
    "x=2,y=3": ["2,3", "(2,3)", "y=3,x=2"],
    "2,3": ["3,2", r"x=2 \text{ or } x=3"],
    "100, 200, 300": ["100,200,300", "300, 100, 200"],
    # unions of intervals
    r"(-\infty,-1)\cup(1,\infty)": [r"x<-1 \text{ or } x>1", "x > 1 or x < -1", r"x<-1, x>1"],
    r"x \le 3 \text{ or } x \ge 5": [r"(-\infty,3]\cup[5,\infty)", r"[5,\infty) \cup (-\infty,3]"],
    r"(-2,0]\cup(1,\infty)": [r"-2 < x \le 0 \text{ or } x > 1"],
    # times of day
    "3:45 PM": ["3:45 p.m.", "3:45pm", r"3:45\text{ PM}"],
    # choices
    "B": ["(B)", "B.", "B. 5", "B) 5", r"\textbf{(B)}\ 5", r"\text{(B) } 12", "Option B", "b", "选B", r"\text{B}"],
    "(a)": ["a", "(a)", "A"],
    "(x)": ["x"],
    "ABD": ["A, B, D", "D, B and A"],
    # forms of a number
    "1024": ["2^{10}", "2^10"],
    "120": ["5!", r"\binom{10}{3}"],
    "30000": [r"3\times10^4"],
    "3": [r"\sqrt{9}", r"\frac{6}{2}", "7-4=3"],
}

DIFFERENT = {
    "10": [r"10\text{ million}", "10 million"],
    "1.5": ["1.5 billion"],
    "12": ["12 dozen", r"7+5\cdot1", r"\frac{7+5}{1}", "|7+5|", "(7+5)^1", "2^3+4", r"7+5+0\pi", "7+5"],
    "5": ["5 squared", "5 factorial"],
    "6": ["6 xy"],
    "5m^2": ["5m^3"],
    "3": ["3m^2"],
    "2": ["2 theta", "√12", "2x"],
    "0": ["√10"],
    "9901": ["99^2+99+1"],
    "26000": ["513^2 - 487^2"],
    "25": [r"\lceil{\sqrt{20}}\rceil^2"],
    "35": [r"7\cdot5", r"7\times5", "7*5"],
    "1/3": [r"0.\overline{4}"],
    "(2,3)": ["(3,2)", "x=3,y=2"],
    "x=2,y=3": ["3,2", "(3,2)", "x=3,y=2"],
    "3:45 PM": ["3:45 am"],
    r"(-\infty,-1)\cup(1,\infty)": [r"x\le-1 \text{ or } x>1", "x<-1", "-1<x<1"],
    "B": ["C", "A. B", "c", "Option C", "A, B"],
    "ABD": ["A, B"],
    "100, 200, 300": ["100,200,400"],
}

SAID = [
    ("2", "The answer is $2$ or $3$ or $5$.", False),
    ("2", "Final answer: $2$ or $5$", False),
    ("2", "The answer is $2$ or 5", False),
    ("2", "<answer>The answer is $2$ or $3$</answer>", False),
    ("2, 3", "The answers are $x=2$ and $x=3$.", True),
    ("5", "The answer is $5$ and $x$ is large", True),
    ("5", "The answer is 5.\n\n#### Verification\nWe put it in.", True),
    ("5", "**Answer:** 5\n\n#### Check\n5 = 5", True),
    ("5", "The answer is 5. This answer is correct.", True),
    ("72", "48 + 24 = 72\n#### 72", True),
    ("18", "The answer is $18 per day.", True),
    ("B", "<answer>B. Paris</answer>", True),
    ("B", "<answer>(B) Paris</answer>", True),
    ("B", "The answer is (B) because it is so.", True),
    ("B", "The correct option is B.", True),
]

STALLING = {
    "white space": "x" + "\n" * 2000 + "y",
    "spaces of LaTeX": r"\ " * 1500 + "and",
    "digits and spaces": "1" * 1000 + " " * 1000 + "x",
    "full stops": "5 ab" + "." * 1000 + "1!",
    "digits": "1" * 1500 + r"\text{a}" * 100 + "x",
    "texts": r"\text{}" * 500 + "q",
    "open texts": "1" + r"\text{" * 500,
    "roots": "√" * 3000,
    "millions": "5 million " * 300,
    "degrees": r"^\circ " * 500,
    "angles": "30°" * 1200,
    "factorials": "5!!!!!!!!",
    "factorial": "99999999!",
    "power": "9^{99999999}",
    "binomial power": "(x+1)^{10000}",
    "tower": "10^{10^{10^{10}}}",
    "hyphens": "1-" * 1900 + "1",
    "colons": "1:" * 1900 + "1",
    "brackets": "(" * 3900,
    "unions": r"[1,2]\cup" * 390 + "[3,4]",
}


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(gold, answer) for gold, answers in table.items() for answer in answers]


@pytest.mark.parametrize(("gold", "answer"), cases(EQUAL))
def test_these_are_the_same_answer(gold: str, answer: str) -> None:
    assert check_answer(gold, rf"\boxed{{{answer}}}").reason == "correct"


@pytest.mark.parametrize(("gold", "answer"), cases(DIFFERENT))
def test_these_are_not(gold: str, answer: str) -> None:
    assert check_answer(gold, rf"\boxed{{{answer}}}").outcome.value != 1.0


@pytest.mark.parametrize(("gold", "completion", "is_right"), SAID)
def test_an_answer_in_a_sentence(gold: str, completion: str, is_right: bool) -> None:
    assert check_answer(gold, completion).is_correct is is_right


@pytest.mark.parametrize("text", list(STALLING.values()), ids=list(STALLING))
def test_a_box_of_200_kilobytes_takes_no_time(text: str) -> None:
    started = time.process_time()
    assert check_answer("5", rf"\boxed{{{text * (200_000 // len(text) + 1)}}}").outcome.value == 0.0
    assert time.process_time() - started < 1


@pytest.mark.parametrize("text", list(STALLING.values()), ids=list(STALLING))
def test_reading_an_answer_takes_no_time_whatever_it_is(text: str) -> None:
    check_answer("5", r"\boxed{2x+x}")  # so that the verifier is there
    started = time.process_time()
    check_answer("5", rf"\boxed{{{text}}}")
    check_answer(text, r"\boxed{5}")
    assert time.process_time() - started < 3  # of this process: the verifier has its own limit


@pytest.mark.parametrize("gap", [None, float("nan"), "nan", "NaN", " "])
def test_a_gap_in_a_table_is_no_gold(gap: object) -> None:
    assert check_answer(gap, r"\boxed{5}").reason == "unparsable_gold"  # type: ignore[arg-type]

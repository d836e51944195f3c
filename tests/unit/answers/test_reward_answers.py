"""The answer layer against texts that are odd, broken or made to cheat. Each case states the right verdict."""

from __future__ import annotations

import time

import pytest

from open_r1.rewards import Verifier, check_answer, check_answers, extract_answer, extract_gold

R1 = "<think>\n{thinking}\n</think>\n<answer>\n{answer}\n</answer>"

WHERE_THE_ANSWER_STANDS = [
    # gold, completion, reason
    ("6", R1.format(thinking="so", answer=r"\boxed{6}"), "correct"),
    ("6", R1.format(thinking="so", answer="6"), "correct"),
    ("6", R1.format(thinking="so", answer="$6$"), "correct"),
    ("6", R1.format(thinking="so", answer="The answer is $6$."), "correct"),
    ("6", R1.format(thinking="so", answer="The train takes $6$ hours to arrive there."), "correct"),
    ("6", "<answer>6</answer>", "correct"),
    ("6", r"\boxed{6}", "correct"),
    ("6", r"We get $\fbox{6}$.", "correct"),
    ("6", r"\boxed 6", "correct"),
    ("6", "The final answer is: 6.", "correct"),
    ("6", "**Answer:** 6", "correct"),
    ("6", "**Final Answer**\n\n$6$", "correct"),
    ("6", "6", "correct"),
    ("72", "48 + 24 = 72\n#### 72", "correct"),
    ("6", "答案是 6。", "correct"),
    ("6", r"答案：\boxed{6}", "correct"),
    ("6", "I like the number six, and so we have 6 of them.", "no_answer"),
    ("6", "", "no_answer"),
    ("6", "   \n\t ", "no_answer"),
    # hidden in the thinking
    ("6", R1.format(thinking=r"\boxed{6}", answer=r"\boxed{7}"), "wrong"),
    ("6", r"<think>It must be \boxed{6}</think>", "no_answer"),
    ("6", r"<think>It must be \boxed{6}. But wait", "no_answer"),
    ("6", r"<think>a</think><answer>\boxed{6}</answer><think>\boxed{7}", "no_answer"),
    # many boxes
    ("6", r"first \boxed{5}, then \boxed{6}", "correct"),
    ("6", r"first \boxed{6}, then \boxed{5}", "wrong"),
    ("6", r"\boxed{6} \boxed{7} \boxed{8} \boxed{9}", "wrong"),
    ("6", r"\boxed{6 \text{ or } 7 \text{ or } 8}", "wrong"),
    ("6", r"\boxed{6} and also \boxed{}", "correct"),
    # empty, nested, broken
    ("6", r"\boxed{}", "no_answer"),
    ("6", r"\boxed{ }", "no_answer"),
    ("6", r"\boxed{\boxed{6}}", "correct"),
    ("6", r"\boxed{\text{\boxed{6}}}", "correct"),
    ("6", r"\boxed{6", "no_answer"),
    ("6", r"\boxed{6 \boxed{6}", "correct"),
    ("6", r"}}}\boxed{6}}}}", "correct"),
    # a box in a quotation of the problem; the gold echoed from the prompt
    ("6", R1.format(thinking=r"They say: answer in \boxed{6}", answer="7"), "wrong"),
    ("6", "You ask me to write \\boxed{6}.\n<answer>\\boxed{7}</answer>", "wrong"),
    ("12", R1.format(thinking="I copy", answer=r"\boxed{7+5}"), "wrong"),
    ("12", R1.format(thinking="I copy", answer=r"\boxed{(7)+(5)}"), "wrong"),
    ("12", R1.format(thinking="I copy", answer="Compute 7+5"), "wrong"),
    ("12", R1.format(thinking="right", answer=r"\boxed{7+5=12}"), "correct"),
    ("4", R1.format(thinking="I copy", answer=r"\boxed{2x + 3 = 11}"), "wrong"),
    # tags injected
    ("6", "<answer>6</answer><answer>7</answer>", "wrong"),
    ("6", "<answer>7</answer><answer>6</answer>", "correct"),
    ("6", "<answer><answer>6</answer></answer>", "correct"),
    ("6", "</think></think><answer>6", "correct"),
    ("6", "<answer></answer>", "no_answer"),
    ("6", "<ANSWER>6</ANSWER>", "no_answer"),
    # cut off
    ("123", R1.format(thinking="x", answer=r"\boxed{12")[: -len("\n</answer>")], "wrong"),
    ("6", "<think>\nlong", "no_answer"),
]

WHAT_THE_ANSWER_MEANS = [
    # gold, answer, reason
    ("5", "2 or 3 or 5", "wrong"),
    ("5", "2, 3, 5", "wrong"),
    ("5", "5, 5", "wrong"),
    ("5", "5?", "wrong"),
    ("5", "not 5", "wrong"),
    ("5", r"\{2, 3, 5\}", "wrong"),
    # numbers
    ("5", "5.0", "correct"),
    ("5", "5.", "correct"),
    ("5", "+5", "correct"),
    ("5", "05", "correct"),
    ("5", "-5", "wrong"),
    ("0", "-0", "correct"),
    ("0", "-0.0", "correct"),
    ("0.5", r"\frac12", "correct"),
    (r"\frac12", ".5", "correct"),
    (r"\frac43", r"\dfrac{4}{3}", "correct"),
    (r"\frac 59", "5/9", "correct"),
    (r"-\frac{1}{2}", r"\frac{-1}{2}", "correct"),
    (r"\frac{1}{2}", r"\frac{2}{4}", "correct"),
    (r"\frac13", "0.333333", "correct"),
    (r"\frac13", "0.33", "wrong"),
    (r"\frac13", "0.333334", "wrong"),
    ("0.1", "0.1000001", "wrong"),
    ("1000", "1,000", "correct"),
    ("1,000,000", r"1{,}000{,}000", "correct"),
    (r"10,\!000", "10 000", "correct"),
    ("1234", "1, 234", "wrong"),
    ("1.234", "1,234", "wrong"),
    ("1500", r"1.5\times 10^3", "correct"),
    ("0.0015", "1.5e-3", "correct"),
    ("1500", "1.5 * 10^{3}", "correct"),
    (r"10^{-20}", r"2 \cdot 10^{-20}", "wrong"),
    (r"\frac{1}{2^{98}}", r"\frac{1}{2^{99}}", "wrong"),
    ("2^{10}", "1024", "correct"),
    ("2^{10}", "2", "wrong"),
    (r"\frac{37}{6}", r"6\frac{1}{6}", "correct"),
    ("1.5", "1 1/2", "correct"),
    ("1.5", "1½", "correct"),
    ("11/2", "1 1/2", "wrong"),
    ("3712", "3 7 12", "wrong"),
    ("12", "(12)", "correct"),
    ("29", r"\frac{3(29)}{3}", "correct"),
    ("32", "3(29)", "wrong"),
    ("12", "2(3)(2)", "wrong"),
    ("1/2", "1/2x", "wrong"),
    (r"\sqrt{2}+\sqrt{3}", r"\sqrt{5+2\sqrt{6}}", "correct"),
    ("0", r"\sqrt{2}-\sqrt{2}", "wrong"),
    ("x", "|x|", "wrong"),
    ("x", r"\sqrt{x^2}", "wrong"),
    ("9" * 9999, "9" * 9999, "unparsable_gold"),
    ("7", "9" * 3999, "wrong"),
    ("7", "9" * 10000, "unparsable_answer"),
    # percent and units
    (r"50\%", "50", "correct"),
    (r"50\%", "0.5", "correct"),
    (r"50\%", r"\frac12", "correct"),
    ("50", r"50\%", "correct"),
    ("50 percent", r"50 \%", "correct"),
    (r"50\%", "5", "wrong"),
    ("5", r"5 \text{ cm}^2", "correct"),
    ("5", "5 apples", "correct"),
    (r"12\sqrt{13}\text{ feet}", r"12\sqrt{13}", "correct"),
    (r"72^\circ", "72 degrees", "correct"),
    (r"\$18.90", "18.9", "correct"),
    ("5", "5 apples and 6 pears", "wrong"),
    ("5", "5x", "wrong"),
    # unicode
    ("-5", "−5", "correct"),
    ("85", "８５", "correct"),
    ("85", "٨٥", "correct"),
    ("12", "\u202e12\u202c", "correct"),
    ("12", "1\u200b2", "correct"),
    ("12", "1\x002", "correct"),
    (r"2\pi", "2π", "correct"),
    (r"\sqrt{2}", "√2", "correct"),
    (r"\infty", "∞", "correct"),
    ("x^2", "x²", "correct"),
    ("A", "А", "wrong"),  # a Cyrillic letter that looks alike
    ("1", "l", "wrong"),
    ("0", "O", "wrong"),
    # words and choices
    ("Thu", "thu", "correct"),
    ("Thu", "Fri", "wrong"),
    ("Thu", "Thu Fri", "wrong"),
    (r"\text{Evelyn}", "Evelyn", "correct"),
    (r"\text{(A)}", "A", "correct"),
    ("A", "(A)", "correct"),
    ("A", "A.", "correct"),
    ("A", "B", "wrong"),
    ("A", "A, B", "wrong"),
    (r"\text{A, B}", "B,A", "correct"),
    (r"\mbox{four}", "4", "correct"),
    ("4:30 p.m.", r"4:30\text{ p.m.}", "correct"),
    ("4:30 p.m.", "4:30 a.m.", "wrong"),
    # lists, sets, tuples, intervals
    ("3, 7, 12", "3,7,12", "correct"),
    ("1, -2", "-2, 1", "correct"),
    ("1, -2", r"\{-2, 1\}", "correct"),
    ("1, -2", r"x = 1 \text{ or } x = -2", "correct"),
    ("1, 1, 2", "1, 2", "wrong"),
    ("1, 2", "1, 2, 3", "wrong"),
    (r"1\pm\sqrt5", r"1+\sqrt{5}, 1-\sqrt{5}", "correct"),
    ("(1, 2)", "(2, 1)", "wrong"),
    ("(1, 2)", "1, 2", "correct"),
    ("(1, 2)", r"\left( \frac{2}{2}, 2.0 \right)", "correct"),
    ("(1, 2]", "(1, 2)", "wrong"),
    ("[1, 2]", "1, 2", "wrong"),
    (r"(2, \infty)", "x > 2", "correct"),
    (r"(-\infty,2)\cup(2,4)", r"(2,4) \cup (-\infty,2)", "correct"),
    (r"(-\infty,2)\cup(2,4)", r"(-\infty,4)", "wrong"),
    (r"\{5\}", "5", "correct"),
    # expressions
    ("x+1", "1+x", "correct"),
    ("x+1", "x-1", "wrong"),
    (r"\sqrt{12}", r"2\sqrt3", "correct"),
    (r"11\sqrt2", r"11\sqrt{2}", "correct"),
    ("(x+1)(x-1)", "x^2-1", "correct"),
    ("y = 2x + 1", "2x+1", "correct"),
    ("x = 4", "4", "correct"),
    ("4", "x = 4", "correct"),
    ("x = 4", "y = 4", "wrong"),
    (r"\pi(R^2-r^2)", "0", "wrong"),
    (r"\begin{pmatrix} 1/2 \\ 0 \end{pmatrix}", r"\begin{bmatrix} 0.5 \\ 0 \end{bmatrix}", "correct"),
    ("1011_2", "1011", "correct"),
    ("1011", "1011_2", "wrong"),
    ("1011_2", "1011_3", "wrong"),
    ("i", "-i", "wrong"),
    ("5", r"\frac{5}", "unparsable_answer"),
    ("5", r"\frac{10}{0}", "unparsable_answer"),
    ("5", r"9^{9^{9^9}}", "unparsable_answer"),
    (r"\frac{5", "5", "unparsable_gold"),
    ("", "5", "unparsable_gold"),
    (None, "5", "unparsable_gold"),
]

GOLDS = [
    ("Thus we have \\boxed{\\frac{3}{4}} of it.", r"\frac{3}{4}"),
    ("48/2 = <<48/2=24>>24 clips.\n#### 72", "72"),
    ("$x+1$", "$x+1$"),
    ("The answer is $12$.", "12"),
    ("It goes from here to there and back, so the distance covered is $12$ miles.", "12"),
    ("It goes from here to there and back in two ways, $12$ and $13$ miles, of course.", None),
    ("The answer is forty three.", None),
    ("\\text{two lines}", "\\text{two lines}"),
]


@pytest.mark.parametrize(("gold", "completion", "reason"), WHERE_THE_ANSWER_STANDS)
def test_answer_is_taken_from_its_place(verifier, gold, completion, reason):
    assert check_answer(gold, completion, verifier).reason == reason


@pytest.mark.parametrize(("gold", "answer", "reason"), WHAT_THE_ANSWER_MEANS)
def test_answer_is_compared_by_meaning(verifier, gold, answer, reason):
    assert check_answer(gold, rf"So it is \boxed{{{answer}}}.", verifier).reason == reason


@pytest.mark.parametrize(("gold", "expected"), GOLDS)
def test_gold_is_found_in_its_text(gold, expected):
    assert extract_gold(gold) == expected


@pytest.mark.parametrize(("gold", "answer"), [(0, "0"), (72, "72"), (-1.5, r"-\frac{3}{2}")])
def test_gold_may_be_a_number_of_its_own(gold, answer):
    assert check_answer(gold, rf"\boxed{{{answer}}}").is_correct


def test_order_of_a_bare_list_counts_where_the_data_say_so(verifier):
    assert check_answer("3, 7, 12", r"\boxed{12, 3, 7}", verifier).is_correct
    assert not check_answer("3, 7, 12", r"\boxed{12, 3, 7}", verifier, ordered=True).is_correct
    assert check_answer("3, 7, 12", r"\boxed{3, 7, 12}", verifier, ordered=True).is_correct


@pytest.mark.parametrize(
    "text",
    [
        "a" * 5_000_000 + r"\boxed{7}",
        r"\boxed{7}" + "}" * 1_000_000,
        "{" * 1_000_000 + r"\boxed{7}",
        r"\boxed{" * 500_000 + r"\boxed{7}",
        r"\boxed{" * 500_000 + "}" * 500_000 + r"\boxed{7}",
        r"\boxed{}" * 500_000 + r"\boxed{7}" + r"\boxed{}" * 500_000,
        "the answer is " * 100_000 + r"\boxed{7}",
        "<answer>" * 500_000 + "7</answer>",
        "$" * 1_000_000 + r"\boxed{7}",
    ],
    ids=["prose", "closing", "opening", "unclosed boxes", "nested boxes", "empty boxes", "anchors", "tags", "dollars"],
)
@pytest.mark.timeout(30)
def test_megabytes_are_read_in_linear_time(text):
    extraction = extract_answer(text)
    assert extraction is not None
    assert extraction.text == "7"


@pytest.mark.parametrize("text", ["answer " * 800_000, "\\boxed{" * 700_000, "$a" * 2_000_000, "\\(" * 2_000_000])
@pytest.mark.timeout(30)
def test_megabytes_without_an_answer_end_too(text):
    assert extract_answer(text) is None


PATHOLOGICAL = [
    r"9^{9^{9^9}}",
    "9" * 10_000,
    r"\frac{1}{1+" * 300 + "1" + "}" * 300,
    "+".join(rf"\sqrt{{{n}}}" for n in range(2, 200)),
    r"\begin{pmatrix}"
    + r"\\".join("&".join(f"x_{{{r}}}^{{{c}}}" for c in range(9)) for r in range(9))
    + r"\end{pmatrix}",
    "{" * 500_000 + "}" * 500_000,
    r"(10^{8})!",
    r"99999999^{9999999}",
]


def test_pathological_answers_cost_their_limit_and_change_no_other_value():
    limit_s = 2.0
    verifier = Verifier(workers=2, limit_s=limit_s)
    others = [("x+1", "1+x"), ("x+1", "x-1"), ("5", "5"), (r"\sqrt{12}", r"2\sqrt{3}"), (r"\sin x", r"\cos x")] * 20
    golds = [gold for gold, _ in others] + ["x+1"] * len(PATHOLOGICAL)
    completions = [rf"\boxed{{{answer}}}" for answer in (*(answer for _, answer in others), *PATHOLOGICAL)]
    alone = check_answers(golds[: len(others)], completions[: len(others)], verifier)
    started = time.monotonic()
    together = check_answers(golds, completions, verifier)
    assert time.monotonic() - started < 2 * len(PATHOLOGICAL) * limit_s
    assert together[: len(others)] == alone
    assert not any(verdict.is_correct for verdict in together[len(others) :])
    verifier.close()


@pytest.mark.parametrize("gold", ["5 km", "x^2", "(1,2)", "y=x", "[0,1]"])
@pytest.mark.parametrize("piece", ["x ", "(", "1/", "-", "f(", "2^", "|", "\\sqrt{"])
def test_an_answer_nested_without_end_is_wrong_and_fills_no_log(verifier, caplog, gold, piece):
    verdict = check_answer(gold, rf"\boxed{{{piece * 500}}}", verifier)
    assert verdict.outcome.value == 0.0
    assert not caplog.records

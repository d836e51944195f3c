"""Procedural problems: right answers, right arithmetic in every trace, splits that can't overlap."""

from __future__ import annotations

import itertools
import random
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_r1.errors import ConfigError
from open_r1.records import Problem
from open_r1.tasks import STYLES, draw_problems, families, get_family, split_of, write_trace
from open_r1.tasks.weekdays import DAYS

FAMILIES = sorted(families())
EQUALITY = re.compile(r"(-?\d+) ?([-+*/]) ?(\d+) ?= ?(-?\d+)")
DAY_STEP = re.compile(r"(\w{3})([+-])(\d)=(\w{3})")


def careful_lines(problem: Problem, style: str) -> list[str]:
    return write_trace(problem, style).thinking.splitlines()


def test_there_are_four_families_of_different_character() -> None:
    assert {"sums", "linear_equations", "weekdays", "sorting"} <= set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_same_seed_draws_the_same_problems_and_another_seed_does_not(name: str) -> None:
    family = get_family(name)
    assert draw_problems(family, 30, "train", 1) == draw_problems(family, 30, "train", 1)
    assert draw_problems(family, 30, "train", 1) != draw_problems(family, 30, "train", 2)


@pytest.mark.parametrize("name", FAMILIES)
def test_train_and_held_out_are_disjoint_for_every_pair_of_seeds(name: str) -> None:
    family = get_family(name)
    train = {problem.prompt for seed in range(5) for problem in draw_problems(family, 200, "train", seed)}
    held_out = {problem.prompt for seed in range(5) for problem in draw_problems(family, 20, "held_out", seed)}
    assert train
    assert held_out
    assert not train & held_out


@given(st.text())
def test_split_depends_on_the_prompt_alone(prompt: str) -> None:
    first = Problem(prompt, "1", "sums", 1.0)
    second = Problem(prompt, "2", "other", 9.0, {"seed": 3})
    assert split_of(first) == split_of(second)


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_worked_answer_is_the_gold(name: str, data: st.DataObject) -> None:
    family = get_family(name)
    difficulty = data.draw(st.integers(*family.difficulties))
    problem = family.sample(random.Random(data.draw(st.integers(0, 10**6))), difficulty)
    assert family.work(problem).answer == problem.gold
    assert problem.difficulty == difficulty


def evaluate_left_to_right(expression: str) -> int:
    first, *rest = re.findall(r"[+-]?\d+", expression)
    return int(first) + sum(int(term) for term in rest)


def test_sums_gold_agrees_with_an_independent_evaluation() -> None:
    for problem in draw_problems(get_family("sums"), 300, "train", 3):
        assert 0 <= int(problem.gold) <= 20
        assert evaluate_left_to_right(problem.prompt.split()[-1]) == int(problem.gold)


def test_equation_gold_satisfies_the_equation() -> None:
    for problem in draw_problems(get_family("linear_equations"), 300, "train", 3):
        left, right = problem.prompt.removeprefix("Solve: ").split(" = ")
        solved = [eval(re.sub(r"(\d)x", rf"\1*({problem.gold})", side)) for side in (left, right)]  # our own text
        assert solved[0] == solved[1], problem.prompt


def test_equations_have_the_guides_own_form() -> None:
    problems = draw_problems(get_family("linear_equations"), 50, "train", 0, (1, 1))
    assert all(re.fullmatch(r"Solve: \dx [+-] \d = -?\d+", problem.prompt) for problem in problems)


def test_sorting_gold_is_sorted() -> None:
    for problem in draw_problems(get_family("sorting"), 100, "train", 3):
        assert [int(n) for n in problem.gold.split(", ")] == sorted(int(n) for n in problem.prompt.split()[1:])


def holds(line: str) -> bool:
    """Whether every equality and every step through the week in a line is true."""
    import operator

    operations = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
    sums = all(operations[sign](int(a), int(b)) == int(c) for a, sign, b, c in EQUALITY.findall(line))
    days = all(
        DAYS[(DAYS.index(start) + int(sign + count)) % 7] == end for start, sign, count, end in DAY_STEP.findall(line)
    )
    return sums and days


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("style", ["terse", "format", "structured", "deep"])
def test_every_step_of_a_careful_trace_is_true(name: str, style: str) -> None:
    for problem in draw_problems(get_family(name), 60, "train", 5):
        for line in careful_lines(problem, style):
            assert holds(line), (problem.prompt, line)


def test_every_step_of_a_sorting_trace_takes_the_smallest_number_and_keeps_the_rest_in_order() -> None:
    for problem in draw_problems(get_family("sorting"), 60, "train", 5):
        left = [int(word) for word in problem.prompt.split()[1:]]
        worked = get_family("sorting").work(problem)
        assert len(worked.steps) == len(left) - 1
        assert worked.analysis == f"There are {len(left)} numbers."
        ordered = " < ".join(map(str, sorted(left)))
        assert worked.check == f"{ordered} and all {len(left)} are there"
        for step in worked.steps:
            taken, _, rest = step.line.partition(" then ")
            assert int(taken) == min(left)
            assert step.detail == (f"Of {' '.join(map(str, left))} the smallest is {taken}.",)
            assert int(step.slip.split()[0]) == max(left)
            left.remove(int(taken))
            assert rest.split() == list(map(str, left)) == step.slip.partition(" then ")[2].split()


@pytest.mark.parametrize("name", ["linear_equations", "sums", "weekdays"])
def test_slips_are_wrong_and_checks_are_true(name: str) -> None:
    for problem in draw_problems(get_family(name), 100, "train", 5):
        worked = get_family(name).work(problem)
        for equality in worked.check.split(" and ") if name == "linear_equations" else []:
            left, right = equality.split(" = ")
            assert eval(left) == int(right), equality  # our own text
        for step in worked.steps:
            assert holds(" ".join(step.detail)), step.detail
            assert step.slip != step.line
            assert name == "linear_equations" or not holds(step.slip), step.slip


@pytest.mark.parametrize("name", ["sums", "weekdays"])
def test_verified_traces_show_a_slip_and_its_correction(name: str) -> None:
    problems = draw_problems(get_family(name), 100, "train", 5)
    corrected = 0
    for problem in problems:
        lines = careful_lines(problem, "verified")
        assert lines[-1].startswith("Check: ")
        assert lines[-1].endswith("Correct.")
        for before, after in itertools.pairwise(lines):
            if after.startswith("Wait, that is wrong: "):
                corrected += 1
                assert not holds(before), before
                assert holds(after), after
    assert 20 < corrected < 80


@pytest.mark.parametrize("name", FAMILIES)
def test_lazy_traces_show_no_work(name: str) -> None:
    for problem in draw_problems(get_family(name), 20, "train", 5):
        lazy = write_trace(problem, "lazy").thinking
        assert len(lazy.splitlines()) == 1
        assert problem.gold in lazy
        assert len(lazy) <= len(write_trace(problem, "structured").thinking)


@pytest.mark.parametrize("style", sorted(STYLES))
def test_traces_are_deterministic(style: str) -> None:
    problem = draw_problems(get_family("sums"), 1, "train", 0, (6, 6))[0]
    assert write_trace(problem, style, 3) == write_trace(problem, style, 3)


def test_levels_of_the_guide_grow_in_depth() -> None:
    problem = draw_problems(get_family("sums"), 1, "train", 0, (6, 6))[0]
    lengths = [
        len(write_trace(problem, style).thinking) for style in ("lazy", "terse", "format", "structured", "deep")
    ]
    assert lengths == sorted(lengths)


def test_asking_for_more_problems_than_there_are_is_refused_with_the_number() -> None:
    with pytest.raises(ConfigError, match=r"has only about \d+ distinct held_out problems at difficulty \[1, 1\]"):
        draw_problems(get_family("weekdays"), 500, "held_out", 0, (1, 1))


def test_unknown_family_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sums'"):
        get_family("sum")


def test_difficulty_outside_the_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"outside its range \[1, 4\]"):
        draw_problems(get_family("linear_equations"), 1, "train", 0, (1, 9))


NEW_FAMILY = """
from open_r1.records import Problem
from open_r1.tasks.base import Family, Step, Worked

def sample(rng, difficulty):
    number = rng.randrange(10**difficulty)
    return Problem(f"Double {number}", str(2 * number), "doubles", difficulty)

def work(problem):
    answer = problem.gold
    step = Step(f"the double is {answer}", ("Counting twice.",), f"the double is {answer}0")
    return Worked("One number.", "Double it.", (step,), f"half of {answer} is it again", f"It is {answer}", answer)

FAMILY = Family("doubles", (2, 4), sample, work)
"""


def test_a_new_family_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_r1.tasks

    (tmp_path / "doubles.py").write_text(NEW_FAMILY)
    monkeypatch.setattr(open_r1.tasks, "__path__", [*open_r1.tasks.__path__, str(tmp_path)])
    families.cache_clear()
    try:
        assert {*FAMILIES, "doubles"} == set(families())
        problems = draw_problems(get_family("doubles"), 12, "held_out", 0)
        assert len({problem.prompt for problem in problems}) == 12
        for problem, style in itertools.product(problems, STYLES):
            assert write_trace(problem, style).answer == problem.gold
    finally:
        monkeypatch.undo()
        families.cache_clear()
        sys.modules.pop("open_r1.tasks.doubles", None)

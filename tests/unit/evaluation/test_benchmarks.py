"""Benchmarks read the published columns, refuse what is none, and score what they should."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_r1.errors import ConfigError, DataError
from open_r1.evaluation.benchmarks import benchmarks, get_benchmark, split_names
from open_r1.evaluation.benchmarks.lcb import unpack_tests
from open_r1.evaluation.scoring import choose

NAMES = """aime24 aime25 amc23 codeforces gpqa gsm8k humaneval ioi lcb lcb_v4 math_500 minerva olympiadbench""".split()


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def pack(cases: list[dict[str, str]]) -> str:
    """As LiveCodeBench publishes its private tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


GPQA_ROW = {
    "Record ID": "rec1",
    "Question": "Which particle carries the strong force?",
    "Correct Answer": "gluon\n",
    "Incorrect Answer 1": "photon",
    "Incorrect Answer 2": "W boson",
    "Incorrect Answer 3": "graviton",
    "Subdomain": "Quantum Mechanics",
    "High-level domain": "Physics",
}

LCB_STDIN = {
    "question_title": "Sum",
    "question_content": "Print the sum of two numbers.",
    "platform": "atcoder",
    "question_id": "abc001_a",
    "contest_date": "2024-10-01T00:00:00",
    "difficulty": "easy",
    "starter_code": "",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": pack([{"input": "10 20\n", "output": "30\n", "testtype": "stdin"}]),
    "metadata": "{}",
}
LCB_FUNCTION = {
    "question_title": "Two Sum",
    "question_content": "Find the two places whose numbers add up to target.",
    "platform": "leetcode",
    "question_id": "1",
    "difficulty": "medium",
    "starter_code": "class Solution:\n    def twoSum(self, nums: List[int], target: int) -> List[int]:\n        ",
    "public_test_cases": json.dumps([{"input": "[2, 7]\n9", "output": "[0, 1]", "testtype": "functional"}]),
    "private_test_cases": json.dumps([{"input": "[5, 3, 3]\n6", "output": "[1, 2]", "testtype": "functional"}]),
    "metadata": json.dumps({"func_name": "twoSum"}),
}

ROWS: dict[str, dict[str, Any]] = {
    "aime24": {"id": 60, "problem": "1+1?", "solution": "…", "answer": "2", "url": "…", "year": "2024"},
    "aime25": {"problem": "1+1?", "answer": "2"},
    "amc23": {"id": 0, "question": "1+1?", "answer": 2.0, "url": "…"},
    "codeforces": {
        "id": "1/A", "prompt": "Add.", "language": "python", "rating": 800, "time_limit": 1.0, "memory_limit": 256.0,
        "official_tests": [{"input": "1 2", "output": "3"}],
    },
    "gpqa": GPQA_ROW,
    "gsm8k": {"question": "1+1?", "answer": "one and one\n#### 2"},
    "humaneval": {
        "task_id": "HumanEval/0", "prompt": 'def one():\n    """One."""\n', "entry_point": "one",
        "canonical_solution": "    return 1\n", "test": "def check(candidate):\n    assert candidate() == 1\n",
    },
    "ioi": {
        "year": 2024, "id": "nile", "problem": "Cross the Nile.", "subtask": "01-equal", "test_names": ["a"],
        "time_limit": 1.0, "memory_limit": 1 << 28, "grader_files": [], "starting_code": "#include <vector>",
    },
    "lcb": LCB_STDIN,
    "lcb_v4": LCB_FUNCTION,
    "math_500": {
        "problem": "1+1?", "solution": "\\boxed{2}", "answer": "2", "subject": "Algebra", "level": 1, "unique_id": "t/1",
    },
    "minerva": {"question": "1+1?", "answer": "2"},
    "olympiadbench": {
        "id": 7, "question": "Roots of x^2=1?", "context": None, "final_answer": ["1", "-1"], "subfield": "Algebra",
    },
}  # fmt: skip


def test_the_benchmarks_of_the_folder() -> None:
    assert sorted(benchmarks()) == sorted(NAMES) == sorted(ROWS)


def test_samples_a_problem_as_published() -> None:
    assert {name: benchmarks()[name].num_samples for name in ("aime24", "math_500", "gpqa", "lcb")} == {
        "aime24": 64,
        "math_500": 4,
        "gpqa": 8,
        "lcb": 16,
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_reads_its_published_columns_from_a_local_file(name: str, tmp_path: Path) -> None:
    benchmark = get_benchmark(name)
    first, again = (benchmark.load(write(tmp_path / f"{number}.jsonl", ROWS[name])) for number in range(2))
    assert len(first) == 1 and first[0].id and first[0].prompt
    assert (first[0].id, first[0].prompt, first[0].gold) == (again[0].id, again[0].prompt, again[0].gold)
    assert benchmark.find_trouble(first[0]) is None
    assert (benchmark.temperature, benchmark.top_p, benchmark.max_new_tokens) == (0.6, 0.95, 32768)


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_names_the_column_that_is_missing(name: str, tmp_path: Path) -> None:
    benchmark = get_benchmark(name)
    missing = benchmark.columns[-1]
    row = {column: value for column, value in ROWS[name].items() if column != missing}
    with pytest.raises(DataError, match=missing):
        benchmark.load(write(tmp_path / "rows.jsonl", row))


@pytest.mark.parametrize("name", NAMES)
def test_repeated_rows_stay_apart(name: str, tmp_path: Path) -> None:
    questions = get_benchmark(name).load(write(tmp_path / "rows.jsonl", ROWS[name], ROWS[name]))
    assert len({question.id for question in questions}) == 2


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown benchmark 'math500'; did you mean 'math_500'"):
        get_benchmark("math500")


def test_names_are_parted_at_commas_outside_brackets() -> None:
    words = ["aime24,math_500", "reasoning_gym:x?terms=[1,2],gpqa"]
    assert split_names(words) == ["aime24", "math_500", "reasoning_gym:x?terms=[1,2]", "gpqa"]


def test_the_names_of_open_r1s_benchmarks_are_understood() -> None:
    assert split_names(["all", "gsm8k"]) == ["aime24", "aime25", "math_500", "gpqa", "lcb", "lcb_v4", "gsm8k"]
    assert split_names(["gpqa:diamond,lcb:codegeneration,lcb:codegeneration_v4"]) == ["gpqa", "lcb", "lcb_v4"]
    assert all(name in benchmarks() for name in split_names(["all"]))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("aime42", "unknown benchmark 'aime42'; did you mean 'aime"),
        ("aime24=no.jsonl", "file 'no.jsonl' does not exist"),
    ],
)
def test_a_training_recipes_unknown_benchmark_is_found_before_training(word: str, message: str) -> None:
    from open_r1.pipeline.training import find_benchmarks

    with pytest.raises(ConfigError, match=message):
        find_benchmarks(["all", word])


# --- GPQA -----------------------------------------------------------------------------------------------------------


def test_options_are_shuffled_by_the_seed_alone(tmp_path: Path) -> None:
    rows = [{**GPQA_ROW, "Record ID": f"rec{number}"} for number in range(40)]
    path = write(tmp_path / "gpqa.jsonl", *rows)
    first, again, other = (get_benchmark("gpqa").load(path, seed=seed) for seed in (0, 0, 1))
    assert [question.gold for question in first] == [question.gold for question in again]
    assert [question.gold for question in first] != [question.gold for question in other]
    assert {question.gold for question in first} == set("ABCD")
    assert [question.id for question in first] == [question.id for question in other]
    for question in first:
        assert question.metadata["options"]["ABCD".index(question.gold)] == "gluon"
        assert f"{question.gold}) gluon" in question.prompt


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("\\boxed{B}", "B"),
        ("<think>\nA? \\boxed{A}\n</think>\n\\boxed{b}", "B"),
        ("\\boxed{\\text{(C)}}", "C"),
        ("\\boxed{D) graviton}", "D"),
        ("The answer is A.", "A"),
        ("**Answer: B**", "B"),
        ("<answer>\nC\n</answer>", "C"),
        ("\\boxed{gluon}", "A"),
        ("\\boxed{E}", None),
        ("\\boxed{A and B}", None),
        ("\\boxed{Because}", None),
        ("<think>\nit is \\boxed{A}", None),
        ("", None),
        ("I can't say which of them it is, since all of them could be right here.", None),
    ],
)
def test_choices_are_read(answer: str, letter: str | None) -> None:
    assert choose(answer, ["gluon", "photon", "W boson", "graviton"]) == letter


def test_gpqa_scores_the_letter(tmp_path: Path) -> None:
    benchmark = get_benchmark("gpqa")
    (question,) = benchmark.load(write(tmp_path / "gpqa.jsonl", GPQA_ROW))
    texts = [f"\\boxed{{{letter}}}" for letter in "ABCD"] + ["no idea at all about any of these four options here"]
    outcomes = benchmark.score(texts, [question] * 5)
    assert [outcome.value for outcome in outcomes] == [float(letter == question.gold) for letter in "ABCD"] + [0.0]
    assert outcomes[4].reason == "no_answer" and outcomes[4].details["answer"] is None


# --- LiveCodeBench --------------------------------------------------------------------------------------------------

RIGHT = {
    "abc001_a": "a, b = map(int, input().split())\nprint(a + b)",
    "1": "class Solution:\n    def twoSum(self, nums: List[int], target: int) -> List[int]:\n"
    "        for i in range(len(nums)):\n            for j in range(i):\n"
    "                if nums[i] + nums[j] == target:\n                    return [j, i]\n",
}
PUBLIC_ALONE = {
    "abc001_a": "print(3)",
    "1": "class Solution:\n    def twoSum(self, nums, target):\n        return [0, 1]\n",
}
"""Right on the public tests, wrong on the private ones."""


def test_livecodebench_scores_programs_by_public_and_private_tests(
    tmp_path: Path, need_sandbox: Callable[[], None]
) -> None:
    need_sandbox()
    benchmark = get_benchmark("lcb")
    questions = benchmark.load(write(tmp_path / "lcb.jsonl", LCB_STDIN, LCB_FUNCTION))
    assert "standard input" in questions[0].prompt and "def twoSum" in questions[1].prompt
    assert questions[1].groups == {"subject": "leetcode", "level": "medium"}
    cases = [(question, codes) for question in questions for codes in (RIGHT, PUBLIC_ALONE)]
    texts = [f"<think>\nhm\n</think>\n```python\n{codes[question.id]}\n```" for question, codes in cases]
    outcomes = benchmark.score([*texts, "no program"], [*(question for question, _ in cases), questions[0]])
    assert [outcome.value for outcome in outcomes] == [1.0, 0.0, 1.0, 0.0, 0.0]
    assert [outcome.reason for outcome in outcomes] == [
        "correct",
        "wrong_answer",
        "correct",
        "wrong_answer",
        "no_answer",
    ]
    assert outcomes[0].details["answer"].strip() == RIGHT["abc001_a"]


def test_the_tests_of_livecodebench_stay_in_their_file(tmp_path: Path) -> None:
    (question,) = get_benchmark("lcb").load(write(tmp_path / "lcb.jsonl", LCB_STDIN))
    assert "private_test_cases" not in question.metadata


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("exit 3",)


@pytest.mark.parametrize(
    "packed",
    [
        base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode(),
        base64.b64encode(zlib.compress(pickle.dumps([1]))).decode(),
        base64.b64encode(b"not zlib").decode(),
        "not base64!",
        '[{"input": "1"',
        "[1, 2]",
    ],
)
def test_packed_tests_that_are_none_are_refused_and_call_nothing(packed: str) -> None:
    with pytest.raises(DataError, match="tests"):
        unpack_tests(packed)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lcb.jsonl"
    path.write_text(json.dumps(LCB_STDIN) + "\n{broken\n")
    with pytest.raises(DataError, match=r"lcb.jsonl:2 is not JSON"):
        get_benchmark("lcb").load(str(path))


# --- other sources --------------------------------------------------------------------------------------------------


def test_a_file_with_a_column_map(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", {"q": "2+2?", "final": "4", "n": "p1", "topic": "sums", "grade": 2})
    benchmark = get_benchmark(f"{path}?prompt=q&answer=final&id=n&subject=topic&level=grade&num_samples=8&name=mine")
    (question,) = benchmark.load()
    assert (question.id, question.prompt, question.gold) == ("p1", "2+2?", "4")
    assert question.groups == {"subject": "sums", "level": "2"}
    assert (benchmark.name, benchmark.num_samples) == ("mine", 8)
    assert [outcome.value for outcome in benchmark.score(["\\boxed{4}", "5"], [question] * 2)] == [1.0, 0.0]


def test_columns_known_by_their_names_need_no_map(tmp_path: Path) -> None:
    (question,) = get_benchmark(write(tmp_path / "mine.jsonl", {"problem": "2+2?", "answer": 4})).load()
    assert (question.prompt, question.gold) == ("2+2?", "4")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("promt=q", "unknown option 'promt'; did you mean 'prompt'"),
        ("num_samples=0", "num_samples=0, which is not a whole number of at least 1"),
        ("prompt", "not of the form"),
    ],
)
def test_a_column_map_that_cannot_be_read_is_refused(query: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", {"q": "2+2?", "final": "4"})
    with pytest.raises(ConfigError, match=message):
        get_benchmark(f"{path}?{query}")


def test_a_file_without_known_columns_says_how_to_name_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"name it with FILE\?prompt=COLUMN"):
        get_benchmark(write(tmp_path / "mine.jsonl", {"q": "2+2?", "final": "4"})).load()


def test_procedural_tasks_are_a_benchmark() -> None:
    benchmark = get_benchmark("tasks:linear_equation?level=2&n=5")
    questions = benchmark.load()
    assert len(questions) == 5 and questions[0].groups == {"subject": "linear_equations", "level": "2"}
    assert benchmark.score([f"\\boxed{{{questions[0].gold}}}"], questions[:1])[0].value == 1.0


# --- contests -------------------------------------------------------------------------------------------------------


def test_codeforces_scores_programs_in_their_language(tmp_path: Path, need_sandbox: Callable[[], None]) -> None:
    need_sandbox()
    benchmark = get_benchmark("codeforces")
    (question,) = benchmark.load(write(tmp_path / "cf.jsonl", ROWS["codeforces"]))
    right = "```python\na, b = map(int, input().split())\nprint(a + b)\n```"
    outcomes = benchmark.score([right, "```python\nprint(4)\n```", "no program"], [question] * 3)
    assert [outcome.value for outcome in outcomes] == [1.0, 0.0, 0.0]
    assert [outcome.details["answer"] is None for outcome in outcomes] == [False, False, True]


def test_ioi_without_a_program_is_nothing(tmp_path: Path, need_sandbox: Callable[[], None]) -> None:
    need_sandbox()
    row = {**ROWS["ioi"], "test_cases": [{"test_name": "a", "test_input": "1", "test_output": "1"}]}
    benchmark = get_benchmark("ioi")
    (question,) = benchmark.load(write(tmp_path / "ioi.jsonl", row))
    assert "vector" in question.prompt and question.id == "2024-nile-01-equal"
    (outcome,) = benchmark.score(["I can't."], [question])
    assert outcome.details["answer"] is None and outcome.value in (0.0, None)


def test_reasoning_gym_is_scored_by_its_own_scorers() -> None:
    pytest.importorskip("reasoning_gym")
    benchmark = get_benchmark("reasoning_gym:chain_sum?size=3")
    try:
        benchmark.check()
    except ConfigError as error:
        pytest.skip(f"NO SANDBOX HERE: {error}")
    questions = benchmark.load()
    texts = [f"<answer>\n{question.gold}\n</answer>" for question in questions]
    outcomes = benchmark.score([*texts, "<answer>\n-7\n</answer>"], [*questions, questions[0]])
    assert [outcome.value for outcome in outcomes[:3]] == [1.0] * 3
    assert outcomes[3].value != 1.0 and outcomes[3].details["answer"] == "-7"

"""ioi_code and cf_code: columns in, values and reasons out."""

from __future__ import annotations

from types import SimpleNamespace

import contest_tasks as tasks
import pytest

from open_r1.errors import ConfigError, DataError
from open_r1.execution.contests.rows import ProblemError
from open_r1.execution.programs import Execution
from open_r1.execution.providers.scripted import ScriptedProvider, Trouble
from open_r1.records import Outcome
from open_r1.rewards.functions.cf_code import get_cf_code_reward
from open_r1.rewards.functions.ioi_code import get_ioi_code_reward
from open_r1.rewards.program_reward import ProgramScorer, groups_of, warn_once
from open_r1.rewards.registry import build_reward, get_spec, required_columns


def columns_of(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


def chat(text):
    return [{"role": "assistant", "content": text}]


def test_ioi_code_is_the_subtask_s_score(sandbox, ioi_tests):
    reward = get_ioi_code_reward(sandbox, tests=ioi_tests)
    rows = [tasks.ioi_row()] * 5 + [tasks.halves_row()] * 2 + [tasks.ioi_row(task_type="Communication")]
    texts = [
        tasks.fenced(tasks.TOTAL_RIGHT, "cpp"),
        tasks.fenced(tasks.TOTAL_OVERFLOWS, "c++"),
        tasks.fenced(tasks.TOTAL_BROKEN, "cpp"),
        "no program at all",
        f"<think>\n{tasks.fenced(tasks.TOTAL_RIGHT, 'cpp')}\n</think>\nI gave up.",
        tasks.fenced(tasks.HALVES_PARTIAL, "cpp"),
        tasks.fenced(tasks.HALVES_RIGHT, "cpp"),
        tasks.fenced(tasks.TOTAL_RIGHT, "cpp"),
    ]
    outcomes = reward.score([chat(text) for text in texts], **columns_of(rows), trainer_state=None)
    assert [(outcome.value, outcome.reason) for outcome in outcomes] == [
        (1.0, "passed"),
        (0.0, "wrong_answer"),
        (0.0, "compile_error"),
        (0.0, "no_code"),
        (0.0, "no_code"),
        (0.5, "partial"),
        (1.0, "passed"),
        (None, "unsupported"),
    ]
    listed = outcomes[5].details["tests"]
    assert [(test["test"], test["result"]) for test in listed] == [("1", "PA"), ("2", "PA"), ("3", "AC")]
    assert listed[0]["points"] == 0.5
    assert "Communication" in outcomes[7].details["problem"]


def test_cf_code_is_what_the_mode_says(sandbox, generated):
    rows = [
        *[tasks.cf_row(generated_tests=3, language="python")] * 5,
        tasks.cf_row(language="cpp"),
        tasks.pair_row(language="python"),
        tasks.double_row(language="python"),
        tasks.cf_row(official_tests=[], language="python"),
        tasks.cf_row(interaction_format="Ask.", language="python"),
    ]
    texts = [
        tasks.fenced(tasks.SUM_RIGHT),
        tasks.fenced(tasks.SUM_PARTIAL),
        tasks.fenced(tasks.SUM_BROKEN),
        "```python\nprint(1)",
        tasks.fenced(tasks.SUM_RIGHT_CPP, "cpp"),  # not in the language that was asked for
        tasks.fenced(tasks.SUM_RIGHT_CPP, "cpp"),
        tasks.fenced(tasks.PAIR_RIGHT),
        tasks.fenced(tasks.DOUBLE_RIGHT),
        tasks.fenced(tasks.SUM_RIGHT),
        tasks.fenced(tasks.SUM_RIGHT),
    ]
    partial = 6 / 7
    expected = {
        "weighted_sum": [1.1, 0.1 * partial, -0.1, -1.0, -1.0, 1.1, 1.1, 1.1, None, None],
        "pass_fail": [1.0, 0.0, -0.1, -1.0, -1.0, 1.0, 1.0, 1.0, None, None],
        "partial": [1.0, partial, -0.1, -1.0, -1.0, 1.0, 1.0, 1.0, None, None],
    }
    for mode, values in expected.items():
        reward = get_cf_code_reward(sandbox, scoring_mode=mode, tests=generated, test_batch_size=2)
        assert reward(texts, **columns_of(rows)) == [
            None if value is None else pytest.approx(value) for value in values
        ]
    reasons = [outcome.reason for outcome in reward.score(texts, **columns_of(rows))]
    assert reasons[:5] == ["passed", "wrong_answer", "compile_error", "no_code", "no_code"]
    assert reasons[8:] == ["no_tests", "unsupported"]


def test_without_a_language_column_the_setting_counts():
    reward = get_cf_code_reward(ScriptedProvider(lambda program: b"4\n"), language="c++")
    row = tasks.cf_row(official_tests=[{"input": "2 2", "output": "4"}])
    texts = [tasks.fenced(tasks.SUM_RIGHT_CPP, "cpp"), tasks.fenced(tasks.SUM_RIGHT)]
    assert reward(texts, **columns_of([row, row])) == [1.1, -1.0]


def test_trouble_touches_no_other_sample():
    def script(program):
        return Trouble.RUBBISH if "unlucky" in program.source else b"4\n"

    row = tasks.cf_row(official_tests=[{"input": "2 2", "output": "4"}])
    texts = [tasks.fenced(code) for code in ("fine", "unlucky", "fine too")]
    outcomes = get_cf_code_reward(ScriptedProvider(script)).score(texts, **columns_of([row] * 3))
    assert [(outcome.value, outcome.reason) for outcome in outcomes] == [
        (1.1, "passed"),
        (None, "garbled_reply"),
        (1.1, "passed"),
    ]


def test_a_provider_that_is_down_scores_nothing_zero(ioi_tests):
    provider = ScriptedProvider(lambda program: Execution.unavailable("connection_failed"))
    text = tasks.fenced(tasks.TOTAL_RIGHT, "cpp")
    ioi = get_ioi_code_reward(provider, tests=ioi_tests, test_batch_size=-1)
    assert ioi([text], **columns_of([tasks.ioi_row()])) == [None]
    cf = get_cf_code_reward(provider, language="cpp", test_batch_size=-1)
    assert cf([text] * 2, **columns_of([tasks.cf_row(), tasks.double_row()])) == [None, None]


def test_another_kind_of_problem_in_the_mixture_is_left_alone():
    maths = dict.fromkeys(tasks.cf_row())
    reward = get_cf_code_reward(ScriptedProvider(lambda program: b"4\n"))
    row = tasks.cf_row(official_tests=[{"input": "2 2", "output": "4"}])
    outcomes = reward.score([tasks.fenced("code"), "42"], **columns_of([row, maths]))
    assert [(outcome.value, outcome.reason) for outcome in outcomes] == [(1.1, "passed"), (None, "not_applicable")]


def test_a_missing_column_is_named_with_what_was_found():
    row = tasks.cf_row()
    row["offical_tests"] = row.pop("official_tests")
    with pytest.raises(
        DataError, match="cf_code_reward needs the column official_tests, but the data have .*offical_tests"
    ):
        get_cf_code_reward(ScriptedProvider())(["text"], **columns_of([row]))


def test_needs_are_known_before_anything_runs():
    assert required_columns(["ioi_code", "cf_code"]) == {
        "ioi_code": ("id", "subtask", "test_names", "time_limit", "memory_limit", "grader_files"),
        "cf_code": ("official_tests", "time_limit", "memory_limit"),
    }


def test_settings_reach_the_rewards(monkeypatch, tmp_path):
    settings = SimpleNamespace(
        ioi_provider="scripted",
        code_provider="scripted",
        scripted_executions=lambda program: b"4\n",
        code_eval_test_batch_size=3,
        code_eval_scoring_mode="partial",
        code_language="cpp",
    )
    reward = build_reward("cf_code", settings)
    assert reward([tasks.fenced("code", "cpp")], **columns_of([tasks.cf_row()])) == [0.25]
    assert build_reward("ioi_code", settings).__name__ == "ioi_code_reward"
    with pytest.raises(ConfigError, match="code_eval_scoring_mode = 'all' is unknown"):
        build_reward("cf_code", SimpleNamespace(code_provider="scripted", code_eval_scoring_mode="all"))
    monkeypatch.setenv("CF_TESTS_FOLDER", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="CF_TESTS_FOLDER"):
        build_reward("cf_code", settings)
    with pytest.raises(ConfigError, match="unknown execution provider 'pistn'; did you mean 'piston'"):
        build_reward("ioi_code", SimpleNamespace(ioi_provider="pistn"))
    assert get_spec("ioi_code").options[0] == "ioi_provider"


def test_problems_are_read_once_a_group_and_judged_together_up_to_a_size():
    reads, judged = [], []

    class Scorer(ProgramScorer):
        needs = ("id",)

        def read(self, row):
            reads.append(row["id"])
            if row["id"] == "bad":
                raise ProblemError("bad_row", "no good")
            return SimpleNamespace(size=120 << 20), "python"

        def score(self, judge, samples):
            judged.append([sample.code for sample in samples])
            return [Outcome(1.0, "passed")] * len(samples)

    score = Scorer(ScriptedProvider())
    names = ["a", "a", "b", "bad", "c", "c", "d", None]
    outcomes = score([tasks.fenced(str(place), "python") for place in range(8)], {"id": names})
    assert reads == ["a", "b", "bad", "c", "d"]
    assert [list(map(int, codes)) for codes in judged] == [[0, 1, 2], [4, 5, 6]]
    reasons = [outcome.reason for outcome in outcomes]
    assert reasons == ["passed"] * 3 + ["bad_row"] + ["passed"] * 3 + ["not_applicable"]
    assert score([], {"id": []}) == []


def test_equal_neighbours_are_a_group_whatever_the_columns_hold():
    rows = [{"t": [{"input": "1"}]}, {"t": [{"input": "1"}]}, {"t": None}, {"t": [{"input": "1"}]}]
    assert [places for _, places in groups_of(rows)] == [[0, 1], [2], [3]]


def test_what_is_wrong_with_a_problem_is_said_once(caplog):
    warn_once.cache_clear()
    reward = get_cf_code_reward(ScriptedProvider())
    reward(["text"] * 3, **columns_of([tasks.cf_row(id="5/Q", time_limit=0.0)] * 3))
    reward(["text"], **columns_of([tasks.cf_row(id="5/Q", time_limit=0.0)]))
    assert [record.message for record in caplog.records if "5/Q" in record.message] == [
        "unscored (bad_limit): problem '5/Q' has time_limit = 0.0; it must be a number above 0."
    ]


def test_a_direct_call_of_cf_code_chooses_the_scoring_mode(sandbox, generated):
    reward = get_cf_code_reward(sandbox, tests=generated)
    rows = columns_of([tasks.cf_row(generated_tests=3, language="python")])
    texts = [tasks.fenced(tasks.SUM_PARTIAL)]
    assert reward(texts, **rows, scoring_mode="partial") == [pytest.approx(6 / 7)]
    assert reward(texts, **rows, scoring_mode="pass_fail", test_batch_size=-1) == [0.0]
    assert reward(texts, **rows) == [pytest.approx(0.6 / 7)]
    with pytest.raises(ConfigError, match="scoring_mode"):
        reward(texts, **rows, scoring_mode="partia")


OLD_PYTHON = """from fractions import gcd
from collections import Mapping
a, b = map(int, input().split())
print(a + b + gcd(2, 3) - 1)
"""


@pytest.mark.parametrize(
    ("code", "language"),
    [(OLD_PYTHON, "python"), ("int main() { int a, b; cin >> a >> b; cout << a + b; }", "cpp")],
)
def test_patch_code_adds_what_submissions_leave_out(sandbox, code, language):
    row = tasks.cf_row(official_tests=[{"input": "2 2", "output": "4"}], language=language)
    reward = get_cf_code_reward(sandbox)
    assert reward([tasks.fenced(code, language)], **columns_of([row])) != [pytest.approx(1.1)]
    assert reward([tasks.fenced(code, language)], **columns_of([row]), patch_code=True) == [pytest.approx(1.1)]


def test_open_r1s_scoring_functions_score_rows_as_its_users_call_them(sandbox):
    import asyncio

    from open_r1.utils.competitive_programming import add_includes, score_submission, score_subtask

    case = {"test_name": "01", "input": "1 2", "output": "3"}
    row = {
        "id": "sum",
        "subtask": "01",
        "test_names": ["01"],
        "time_limit": 2.0,
        "memory_limit": 256,
        "grader_files": [],
    }
    code = "int main() { int a, b; cin >> a >> b; cout << a + b; }"
    result = asyncio.run(score_subtask(sandbox, row | {"test_cases": [case]}, code, test_batch_size=-1))
    assert (result.score, result.status) == (1.0, "AC")
    row = tasks.cf_row(official_tests=[{"input": "2 2", "output": "4"}])
    assert asyncio.run(score_submission(sandbox, row, tasks.SUM_RIGHT, submission_language="python")) == 1.1
    assert asyncio.run(score_submission(sandbox, row, "")) == -1.0
    assert '#include "aliens.h"' in add_includes("int f();", "aliens")
    assert add_includes("", "aliens") == ""

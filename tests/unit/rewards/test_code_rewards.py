"""code and binary_code on a provider that follows a script."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from open_r1.errors import ConfigError, DataError
from open_r1.execution.programs import Execution, Program, Status
from open_r1.execution.providers.scripted import ScriptedProvider, Trouble
from open_r1.rewards import (
    binary_code_reward,
    code_reward,
    get_binary_code_reward,
    get_code_reward,
    program_reward,
    required_columns,
)
from open_r1.rewards.functions.code import allowed_failures
from open_r1.rewards.program_reward import MAX_LISTED_TESTS


def run(program: Program) -> Execution | bytes | Trouble:
    """A machine on which a program's source says what it does."""
    words = program.source.split()
    if "die" in words:
        return Execution(Status.FINISHED, stdout=program.stdin, stderr=b"died", exit_code=1)
    if "vanish" in words:
        return Trouble.FAIL
    if f"fails{program.stdin.decode()}" in words:
        return b"wrong"
    return program.stdin


def block(code: str, language: str = "python") -> str:
    return f"<think>\nhm\n</think>\n```{language}\n{code}\n```"


def info(*inputs: object, language: str = "python") -> dict[str, Any]:
    cases = [{"input": str(given), "output": str(given), "type": "stdin_stdout"} for given in inputs]
    return {"language": language, "test_cases": cases}


def score(make: Any, texts: list[str], infos: list[Any], **options: Any) -> tuple[list[Any], list[Program]]:
    with ScriptedProvider(run) as provider:
        return make(provider, **options).score(texts, verification_info=infos), provider.asked


def both(texts: list[str], infos: list[Any]) -> tuple[list[float | None], list[float | None]]:
    code, _ = score(get_code_reward, texts, infos)
    binary, _ = score(get_binary_code_reward, texts, infos)
    return [outcome.value for outcome in code], [outcome.value for outcome in binary]


def test_code_is_the_share_of_tests_and_binary_code_all_of_them() -> None:
    texts = [block("good"), block("fails2"), block("fails1 fails2 fails3 fails4"), block("die")]
    assert both(texts, [info(1, 2, 3, 4)] * 4) == ([1.0, 0.75, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])


def test_binary_code_is_more_than_0_99_of_the_tests() -> None:
    texts = [block("fails5"), block("fails5 fails6"), block("fails5")]
    infos = [info(*range(150)), info(*range(150)), info(*range(100))]
    code, binary = both(texts, infos)
    assert code == [149 / 150, 148 / 150, 0.99]
    assert binary == [1.0, 0.0, 0.0]
    for count in (1, 99, 100, 101, 200, 201, 1000):
        most = allowed_failures(count)
        assert (count - most) / count > 0.99 >= (count - most - 1) / count


def test_binary_code_runs_no_more_tests_than_it_needs() -> None:
    def asked(**options: int) -> list[int]:
        _, programs = score(get_binary_code_reward, [block("fails1")], [info(*range(10))], **options)
        return sorted(int(program.stdin) for program in programs)

    assert asked() == [0, 1]
    assert asked(test_batch_size=4) == [0, 1, 2, 3]
    assert asked(test_batch_size=0) == asked(test_batch_size=-1) == list(range(10))


def test_code_is_the_last_block_of_the_language_after_the_thinking() -> None:
    texts = [
        block("fails1") + "\n" + block("good"),
        block("good") + "\n" + block("fails1"),
        f"<think>\n```python\ngood\n```\n</think>\n{block('fails1')}",
        block("good", "py"),
        block("good", "cpp"),
        "<think>\n```python\ngood\n```",
        "<think>\n```python\ngood\n```\n</think>\nI give up.",
        "good",
        "",
        block(" \n "),
        [{"role": "assistant", "content": block("good")}],
    ]
    outcomes, _ = score(get_code_reward, texts, [info(1)] * len(texts))  # type: ignore[arg-type]
    assert [outcome.value for outcome in outcomes] == [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    assert [outcome.reason for outcome in outcomes][4:10] == ["no_code"] * 6


def test_the_language_is_the_problems() -> None:
    texts = [block("good", "cpp"), block("good", "c++"), block("good", "python"), block("good", "js")]
    outcomes, asked = score(
        get_code_reward, texts, [info(1, language=name) for name in ("cpp", "C++", "cpp", "javascript")]
    )
    assert [outcome.value for outcome in outcomes] == [1, 1, 0, 1]
    assert {program.language for program in asked} == {"cpp", "javascript"}


BAD = {
    "no_tests": info(),
    "malformed_tests": {"test_cases": [{"input": "1"}]},
    "unknown_language": info(1, language="klingon"),
    "unsupported_language": {"language": "go", "test_cases": [{"fn_name": "f", "input": [1], "output": 1}]},
    "not_applicable": None,
}


@pytest.mark.parametrize("reason", BAD)
def test_a_row_whose_tests_cannot_be_run_is_unscored_and_touches_no_other(reason: str) -> None:
    texts, infos = [block("good"), block("good"), block("fails1")], [info(1), BAD[reason], info(1)]
    for make in (get_code_reward, get_binary_code_reward):
        outcomes, _ = score(make, texts, infos)
        assert [outcome.value for outcome in outcomes] == [1.0, None, 0.0]
        assert outcomes[1].reason == reason
        assert ("problem" in outcomes[1].details) == (reason != "not_applicable")


def test_verification_info_may_be_json_text() -> None:
    assert both([block("good")], [json.dumps(info(1))]) == ([1.0], [1.0])


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="different lengths"):
        score(get_code_reward, [block("good")], [info(1)] * 2)
    with pytest.raises(DataError, match="needs the column verification_info"), ScriptedProvider(run) as provider:
        get_code_reward(provider)([block("good")])
    assert required_columns(["code", "binary_code"]) == dict.fromkeys(["code", "binary_code"], ("verification_info",))


def test_a_provider_that_fails_leaves_exactly_its_samples_unscored() -> None:
    texts = [block("good"), block("vanish"), block("fails1"), block("die")]
    code, _ = score(get_code_reward, texts, [info(1, 2)] * 4)
    assert [outcome.value for outcome in code] == [1.0, None, 0.5, 0.0]
    assert [outcome.reason for outcome in code] == ["passed", "provider_error", "wrong_answer", "runtime_error"]


def test_binary_code_is_0_when_a_test_has_failed_whatever_the_others_are() -> None:
    def flaky(program: Program) -> bytes | Trouble:
        return Trouble.FAIL if program.stdin == b"1" else b"wrong" if "bad" in program.source else program.stdin

    with ScriptedProvider(flaky) as provider:
        outcomes = get_binary_code_reward(provider).score(
            [block("bad"), block("good")], verification_info=[info(1, 2)] * 2
        )
    assert [(outcome.value, outcome.reason) for outcome in outcomes] == [
        (0.0, "wrong_answer"),
        (None, "provider_error"),
    ]


def test_a_program_of_ten_megabytes_fails_and_touches_no_other() -> None:
    texts = [block("x" * (10 << 20)), block("good")]
    outcomes, asked = score(get_code_reward, texts, [info(1)] * 2)
    assert [(outcome.value, outcome.reason) for outcome in outcomes] == [(0.0, "program_too_large"), (1.0, "passed")]
    assert len(asked) == 1


def test_large_tests_are_judged_a_few_problems_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_r1.rewards.program_reward.BATCH_BYTES", 100)
    infos = [info("a" * 30), info("a" * 30), info("b" * 300), info("c"), info("d" * 49)]
    texts = [block("good"), block("good") + "\n", block("good"), block("die"), block("good")]
    outcomes, _ = score(get_code_reward, texts, infos)
    assert [outcome.value for outcome in outcomes] == [1.0, 1.0, 1.0, 0.0, 1.0]


def test_each_test_s_result_is_in_the_details() -> None:
    outcomes, _ = score(get_code_reward, [block("fails2 fails3"), "no code"], [info(1, 2, 3)] * 2)
    assert outcomes[0].details == {
        "tests": [
            {"result": "passed"},
            {"result": "wrong_answer", "detail": "token 1: expected '2', got 'wrong'"},
            {"result": "wrong_answer"},
        ]
    }
    assert outcomes[1].details == {}
    many, _ = score(get_code_reward, [block("good")], [info(*range(2 * MAX_LISTED_TESTS))])
    assert len(many[0].details["tests"]) == MAX_LISTED_TESTS
    json.dumps([outcome.details for outcome in outcomes + many])


def test_both_rewards_share_what_has_been_run_also_when_they_run_at_once() -> None:
    with ScriptedProvider(run) as provider:
        rewards = [get_code_reward(provider), get_binary_code_reward(provider, test_batch_size=0)]
        columns = {"completions": [block("good")] * 4, "verification_info": [info(1, 2, 3)] * 4}
        threads = [threading.Thread(target=reward, kwargs=columns) for reward in rewards * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(program.stdin for program in provider.asked) == [b"1", b"2", b"3"]


def test_infos_that_cannot_be_compared_are_no_fault() -> None:
    import numpy

    odd = [{"test_cases": numpy.array([1, 2])} for _ in range(2)]
    outcomes, _ = score(get_code_reward, [block("good")] * 3, [*odd, info(1)])
    assert [(outcome.value, outcome.reason) for outcome in outcomes[1:]] == [
        (None, "malformed_tests"),
        (1.0, "passed"),
    ]


def test_an_empty_batch_and_a_batch_without_programs_run_nothing() -> None:
    assert score(get_code_reward, [], [])[0] == []
    assert score(get_code_reward, ["x", "y"], [info(1), None])[1] == []


def test_a_direct_call_chooses_the_provider_by_open_r1s_keywords(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Any]] = []
    with ScriptedProvider(run) as provider:

        def choose(name: str, settings: Any) -> ScriptedProvider:
            asked.append((name, vars(settings)))
            return provider

        monkeypatch.setattr(program_reward, "checked_provider", choose)
        for reward in (code_reward, binary_code_reward):
            values = reward(
                [block("good"), block("fails1")],
                verification_info=[info(1)] * 2,
                provider_type="e2b",
                num_parallel=4,
                e2b_router_url="localhost:8000",
            )
            assert values == [1.0, 0.0]
    assert asked == [("e2b", {"parallel_code_exec_per_proc": 4, "e2b_router_url": "localhost:8000"})] * 2


def test_an_unknown_provider_of_a_direct_call_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown execution provider 'e2bb'; did you mean 'e2b'"):
        code_reward([block("good")], verification_info=[info(1)], provider_type="e2bb")


def test_a_direct_call_may_ask_for_one_language() -> None:
    with ScriptedProvider(run) as provider:
        infos, texts = [info(1), info(1, language="c++")], [block("good"), block("good", "cpp")]
        reward = get_code_reward(provider)
        assert reward(texts, verification_info=infos) == [1.0, 1.0]
        with pytest.raises(DataError, match="verification_info of this batch has cpp, python"):
            reward(texts, verification_info=infos, enforce_same_language=True)


def test_a_direct_call_may_say_how_many_tests_run_together() -> None:
    columns = {"verification_info": [info(*range(10))]}
    for options, count in (({}, 2), ({"test_batch_size": 10}, 10)):
        with ScriptedProvider(run) as provider:
            assert get_binary_code_reward(provider)([block("fails1")], **columns, **options) == [0.0]
            assert len(provider.asked) == count


def test_a_column_named_like_a_keyword_is_a_column() -> None:
    with ScriptedProvider(run) as provider:
        columns = {"verification_info": [info(1)], "provider_type": ["e2b"], "num_parallel": [3]}
        assert get_code_reward(provider)([block("good")], **columns) == [1.0]

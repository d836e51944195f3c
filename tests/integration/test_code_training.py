"""GRPO with a reward that runs programs: refused before anything is loaded, or scored beside training and recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from open_r1.errors import ConfigError
from open_r1.execution.sandbox import tiers
from open_r1.execution.sandbox.tiers import Isolation
from open_r1.rundir import read_jsonl

REWARDS = '''
import threading

from open_r1.records import Outcome
from open_r1.rewards import get_code_reward

RIGHT = "print(sum(map(int, input().split())))"
HALF = "a, b = map(int, input().split())\\nprint(a + b if a < 5 else a)"


def graded(completions, verification_info, **columns):
    """As if the model had written programs; a random model writes none."""
    programs = [RIGHT if number % 2 else HALF for number in range(len(completions))]
    texts = [f"```python\\n{program}\\n```" for program in programs]
    return get_code_reward().score(texts, verification_info=verification_info)


graded.needs_columns = ("verification_info",)

meeting = threading.Barrier(2, timeout=60)


def one(completions, **columns):
    meeting.wait()
    return [1.0] * len(completions)


def other(completions, **columns):
    meeting.wait()
    return [len(columns["prompts"][0][0]["content"])] * len(completions)
'''


@pytest.fixture
def data(tmp_path: Path) -> Path:
    def row(a: int) -> dict[str, Any]:
        cases = [{"input": f"{n} 1\n", "output": f"{n + 1}\n", "type": "stdin_stdout"} for n in (a, 9)]
        return {"prompt": f"Add 1 to {a}.", "verification_info": {"language": "python", "test_cases": cases}}

    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(row(a)) + "\n" for a in range(4)))
    return path


def words(model: object, data: Path, out: Path, *more: object) -> list[object]:
    return [
        "grpo", "--model_name_or_path", model, "--dataset_name", data, "--output_dir", out, "--max_steps", 2,
        "--per_device_train_batch_size", 4, "--gradient_checkpointing", "false", "--report_to", "none", "--logging_steps", 1,
        "--num_generations", 2, "--max_completion_length", 8, "--preflight_prompts", 0, *more,
    ]  # fmt: skip


def test_each_test_s_result_is_in_the_rollouts(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not tiers.detect().tier:
        pytest.skip("NO SANDBOX HERE")
    (tmp_path / "graded_rewards.py").write_text(REWARDS)
    monkeypatch.chdir(tmp_path)
    rewards = ["--reward_funcs", "code", "graded_rewards:graded", "tag_count"]
    ran = open_r1(*words(tiny_model, data, tmp_path / "out", *rewards))
    assert ran.status == 0, ran.err
    rows = [
        row
        for step in (1, 2)
        for row in pyarrow.parquet.read_table(tmp_path / "out" / "rollouts" / f"step-{step:06}.parquet").to_pylist()
    ]
    assert [row["code_reward_reason"] for row in rows] == ["no_code"] * 8
    assert "code_reward_tests" not in rows[0], "no outcome had details"
    assert sorted(row["graded"] for row in rows) == [0.5] * 4 + [1.0] * 4
    for row in rows:
        results = [test["result"] for test in json.loads(row["graded_tests"])]
        assert results == (["passed", "passed"] if row["graded"] == 1.0 else ["passed", "wrong_answer"])
    for line in read_jsonl(tmp_path / "out" / "metrics.jsonl"):
        if "rewards/graded/mean" in line:
            assert line["rewards/graded/mean"] == 0.75
            assert line["rewards/graded/unscored"] == line["rewards/code_reward/unscored"] == 0


def test_two_rewards_of_a_step_run_at_the_same_time(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the other to have begun: one after another they would wait in vain."""
    (tmp_path / "meeting_rewards.py").write_text(REWARDS)
    monkeypatch.chdir(tmp_path)
    rewards = ["--reward_funcs", "meeting_rewards:one", "tag_count", "meeting_rewards:other"]
    ran = open_r1(*words(tiny_model, data, tmp_path / "out", *rewards))
    assert ran.status == 0, ran.err
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "rollouts" / "step-000002.parquet").to_pylist()
    assert [(row["one"], row["other"]) for row in rows] == [(1.0, float(len("Add 1 to 0.")))] * 4


def test_a_machine_without_isolation_refuses_before_the_model_is_looked_for(
    open_r1: Callable[..., Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "detect", lambda: Isolation("", {"A": "no user namespaces"}))
    for reward in ("code", "binary_code"):
        ran = open_r1(*words("/no/such/model", data, tmp_path / "out", "--reward_funcs", reward))
        assert ran.status == 2
        assert "this machine can't isolate programs, so none is run (tier A: no user namespaces)" in ran.err
        assert "code_provider" in ran.err
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="can't isolate"):
        tiers.detect().require()


def test_a_provider_without_its_key_refuses_before_the_model_is_looked_for(
    open_r1: Callable[..., Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("E2B_API_KEY", raising=False)
    ran = open_r1(*words("/no/such/model", data, tmp_path / "out", "--reward_funcs", "code", "--code_provider", "e2b"))
    assert ran.status == 2
    assert "E2B_API_KEY is not set" in ran.err


def test_data_without_tests_are_refused_before_the_model_is_loaded(
    open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    if not tiers.detect().tier:
        pytest.skip("NO SANDBOX HERE")
    data = tmp_path / "plain.jsonl"
    data.write_text('{"prompt": "q", "solution": "1"}\n')
    ran = open_r1(*words(tiny_model, data, tmp_path / "out", "--reward_funcs", "code"))
    assert ran.status == 2
    assert "reward 'code' needs the column 'verification_info'" in ran.err

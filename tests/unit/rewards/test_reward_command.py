"""`open-r1 rewards`: list, describe, score."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from open_r1.cli.main import build_parser
from open_r1.errors import ConfigError, DataError
from open_r1.rewards.registry import reward_specs
from open_r1.rewards.settings import read_reward_settings, settings_class


def run(*words: str) -> int:
    parser = build_parser("rewards")
    arguments = parser.parse_args(["rewards", *words])
    return arguments.run(arguments)


@pytest.fixture
def completions(tmp_path: Path) -> Path:
    path = tmp_path / "completions.jsonl"
    rows = [
        {"prompt": "p", "completion": "<think>\na\n</think>\n<answer>\n6\n</answer>", "answer": "6"},
        {"prompt": "p", "completion": [{"role": "assistant", "content": "7"}], "answer": "6"},
        {"prompt": "p", "completion": "6", "answer": None},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    return path


def test_list_names_every_reward(capsys):
    assert run("list") == 0
    assert "soft_overlong_punishment" in capsys.readouterr().out
    run("list", "--json")
    assert {"accuracy", "code"} <= {record["name"] for record in json.loads(capsys.readouterr().out)}


def test_describe_shows_formula_source_columns_and_settings(capsys):
    run("describe", "cosine")
    shown = capsys.readouterr().out
    for part in ("cos(π", "arXiv:2502.03373", "solution", "cosine_max_len"):
        assert part in shown


def test_describe_of_an_unknown_reward_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'cosine'"):
        run("describe", "cosin")


def test_score_shows_mean_reasons_and_a_histogram(capsys, completions):
    assert run("score", str(completions), "--rewards", "accuracy", "format") == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split() == [
        "accuracy",
        "0.500",
        "0.500",
        "0.0%",
        "33.3%",
        "0",
        "×",
        "1,",
        "1",
        "×",
        "1",
    ]
    assert "accuracy: 2 scored, 1 unscored" in shown
    assert "unparsable_gold" in shown
    assert "█" in shown


def test_score_as_json_and_every_line_to_a_file(capsys, completions, tmp_path):
    output = tmp_path / "scores.jsonl"
    run("score", str(completions), "--rewards", "accuracy", "tag_count", "--json", "--output", str(output))
    summary = json.loads(capsys.readouterr().out)
    assert summary["accuracy"]["reasons"] == {"correct": 1, "wrong": 1, "unparsable_gold": 1}
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [line["accuracy"]["value"] for line in lines] == [1.0, 0.0, None]
    assert lines[0]["tag_count"] == {"value": 1.0, "reason": "counted"}


def test_score_takes_settings(capsys, completions):
    settings = ("--set", "cosine_min_value_correct=2.0", "--set", "cosine_max_value_correct=2.0")
    run("score", str(completions), "--rewards", "cosine", *settings, "--json")
    assert json.loads(capsys.readouterr().out)["cosine"]["mean"] == pytest.approx((2.0 - 1.0) / 2, abs=0.01)


def test_an_option_that_is_repeated_adds_to_what_it_had(capsys, completions):
    settings = ("--set", "cosine_min_value_correct=2.0", "--set", "cosine_max_value_correct=2.0")
    run("score", str(completions), "--rewards", "format", "--rewards", "cosine", *settings, "--json")
    summary = json.loads(capsys.readouterr().out)
    assert list(summary) == ["format", "cosine"]
    assert summary["cosine"]["mean"] == pytest.approx((2.0 - 1.0) / 2, abs=0.01)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "contains no rows"),
        ("{", ":1 is not JSON"),
        ("[1]", ":1 is a list, not an object"),
        ('{"question": "x"}', "no column of completions; found question"),
    ],
)
def test_a_file_that_can_t_be_scored_is_an_error_that_says_where(tmp_path, content, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        run("score", str(path), "--rewards", "format")


def test_a_file_that_isn_t_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="does not exist; check the path"):
        run("score", str(tmp_path / "none.jsonl"), "--rewards", "format")


def test_score_compares_the_lines_of_one_prompt(capsys, tmp_path):
    path = tmp_path / "c.jsonl"
    prompts = {"a": ("6", "7", "6"), "b": ("6", "6"), "c": ("6",)}
    rows = [{"prompt": p, "completion": c, "answer": "6"} for p, texts in prompts.items() for c in texts]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    run("score", str(path), "--rewards", "accuracy", "--json")
    assert json.loads(capsys.readouterr().out)["accuracy"]["zero_variance_share"] == 0.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"completion": 5}\n', "neither text nor a chat: 5"),
        (b'{"completion": "x"}\n\n{"solution": "1"}\n', "sample 2 has no completion"),
        (b'{"completion": "\xff"}\n', "is not UTF-8 text"),
        (b"[" * 100_000 + b"\n", ":1 is not JSON"),
    ],
)
def test_a_file_that_cannot_be_scored_names_the_line(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "c.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        run("score", str(path), "--rewards", "format")


def test_a_setting_that_no_reward_reads_names_the_nearest(completions: Path):
    with pytest.raises(ConfigError, match="did you mean 'cosine_max_len'"):
        run("score", str(completions), "--rewards", "cosine", "--set", "cosine_max_length=5")


@pytest.mark.parametrize(
    ("reward", "word", "message"),
    [
        ("cosine", "cosine_max_len=abc", "cosine_max_len must be a whole number"),
        ("cosine", "cosine_max_len=1.5", "cosine_max_len must be a whole number"),
        ("cosine", "cosine_max_len", "cosine_max_len must be a whole number"),
        ("cosine", "cosine_max_len=0", "cosine_max_len must be at least 1"),
        ("cosine", "cosine_min_value_wrong=a", "cosine_min_value_wrong must be a number"),
        ("cosine", "cosine_min_value_wrong=1e999", "must be a finite number"),
        ("repetition_penalty", "repetition_language=fr", "repetition_language must be en or zh"),
        ("code", "code_provider=nonsense", "code_provider must be local or e2b"),
        ("code", "code_packages={}", r"sandbox package '\{\}' isn't installed"),
    ],
)
def test_a_setting_of_another_type_says_what_it_must_be(completions: Path, reward: str, word: str, message: str):
    with pytest.raises(ConfigError, match=message):
        run("score", str(completions), "--rewards", reward, "--set", word)


def test_settings_have_the_types_that_recipes_have():
    words = ["code_packages=numpy, json", "e2b_router_url=1234", "cosine_max_len=7", "cosine_max_value_wrong=0"]
    assert read_reward_settings(words, ["cosine", "code"]) == {
        "code_packages": ["numpy", "json"],
        "e2b_router_url": "1234",
        "cosine_max_len": 7,
        "cosine_max_value_wrong": 0,
    }
    assert read_reward_settings(['code_packages=["numpy"]'], ["code"]) == {"code_packages": ["numpy"]}


def test_every_reward_s_settings_are_declared():
    declared = {field.name for field in dataclasses.fields(settings_class())}
    assert declared == {"reward_funcs"} | {option for spec in reward_specs().values() for option in spec.options}


def test_what_could_not_be_scored_says_why_in_the_file(tmp_path: Path, capsys):
    path, output = tmp_path / "c.jsonl", tmp_path / "scores.jsonl"
    info = {"language": "cobol", "test_cases": [{"input": "1", "output": "1", "type": "stdin_stdout"}]}
    path.write_text(json.dumps({"completion": "x", "verification_info": info}), encoding="utf-8")
    run("score", str(path), "--rewards", "code", "--output", str(output))
    found = json.loads(output.read_text(encoding="utf-8"))["code"]
    assert (found["value"], found["reason"]) == (None, "unknown_language")
    assert found["details"] == {"problem": "no language is called 'cobol'"}

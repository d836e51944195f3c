"""Rewards of the user's own: the classic slips are one sentence with file and line, and an edited reward is another run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from open_r1.errors import ConfigError, OpenR1Error
from open_r1.rewards import build_reward, required_columns

CHATS = [[{"role": "assistant", "content": "4"}]]
SLIPS = """
def strips(completions, **columns):
    return [float(c.strip() == "4") for c in completions]

def matches(completions, **columns):
    import re
    return [float(bool(re.match("4", c))) for c in completions]

def misses(completions, **columns):
    return [float(gold == "4") for gold in columns["answr"]]

def alone(completions):
    return [1.0 for _ in completions]

def lacks(completions, answer, **columns):
    return [1.0 for _ in completions]

def single(completions, **columns):
    return 1.0

def generated(completions, **columns):
    return (1.0 for _ in completions)

def nested(completions, **columns):
    return [[1.0] for _ in completions]

def mapped(completions, **columns):
    return {"reward": 1.0}

def silent(completions, **columns):
    [1.0 for _ in completions]

def worded(completions, **columns):
    return ["good" for _ in completions]
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own.py"
    path.write_text(SLIPS, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("strips", r"fails at own\.py:3 with AttributeError.*is a chat.*\[-1\]\['content'\]"),
        ("matches", r"fails at own\.py:7 with TypeError.*is a chat"),
        (
            "misses",
            r"fails at own\.py:10 with KeyError: 'answr'; the data have no column 'answr', did you mean 'answer'",
        ),
        ("single", r"own\.py:18\) returned a float; return a list"),
        ("generated", r"own\.py:21\) returned a generator; return a list"),
        ("nested", r"own\.py:24\) returned \[1\.0\] for a completion; return one number or None"),
        ("mapped", r"own\.py:27\) returned a dict; return a list"),
        ("silent", r"own\.py:30\) returned None"),
        ("worded", r"own\.py:33\) returned 'good' for a completion"),
    ],
)
def test_a_slip_is_one_sentence_with_file_and_line(own, name, message):
    reward = build_reward(f"own.py:{name}")
    with pytest.raises(OpenR1Error, match=message):
        reward.score(completions=CHATS, answer=["4"])


def test_a_reward_that_takes_no_columns_is_refused_before_anything_is_loaded(own):
    with pytest.raises(ConfigError, match=r"own\.py:12\) takes no \*\*columns"):
        build_reward("own.py:alone")


def test_the_columns_that_a_reward_names_are_those_that_it_needs(own):
    assert required_columns(["own.py:lacks"]) == {"own.py:lacks": ("answer",)}
    with pytest.raises(OpenR1Error, match="needs the column answer"):
        build_reward("own.py:lacks").score(completions=CHATS)


def test_an_import_that_fails_inside_names_its_file_and_line(own):
    own.write_text("\nimport no_such_package_at_all\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"own\.py:2 imports 'no_such_package_at_all', which is not installed"):
        build_reward("own.py:f")
    own.write_text("x = 1\n\ny = x / 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"fails at .*own\.py:3 with ZeroDivisionError"):
        build_reward("own.py:f")


def test_an_edited_reward_is_another_run(own):
    from open_r1.training.stage import run_identity

    script = SimpleNamespace(mixture=None, dataset_name="", reward_funcs=["accuracy", "own.py:single"])
    arguments = SimpleNamespace(values=dict, kind="grpo", script=script, model=SimpleNamespace(model_name_or_path=""))
    before = run_identity(arguments)
    assert run_identity(arguments) == before
    own.write_text(SLIPS.replace("return 1.0", "return 2.0"), encoding="utf-8")
    changed = {key for key, value in run_identity(arguments).items() if before.get(key) != value}
    assert changed == {"contents of own.py:single"}

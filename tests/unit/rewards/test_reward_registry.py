"""Rewards by name: the contract's names, a recipe's settings, a user's own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import open_r1.rewards
from open_r1.errors import ConfigError
from open_r1.execution.programs import Execution, Program, Provider
from open_r1.rewards import build_reward, check_recipe, get_reward_funcs, required_columns, reward_specs

CONTRACT_NAMES = {
    "accuracy": "accuracy_reward",
    "format": "format_reward",
    "tag_count": "tag_count_reward",
    "reasoning_steps": "reasoning_steps_reward",
    "cosine": "cosine_scaled_reward",
    "repetition_penalty": "repetition_penalty_reward",
    "length": "len_reward",
    "code": "code_reward",
    "binary_code": "binary_code_reward",
    "ioi_code": "ioi_code_reward",
    "cf_code": "cf_code_reward",
    "code_format": "code_format_reward",
    "soft_overlong_punishment": "soft_overlong_punishment_reward",
}
NEED_EXECUTION = {"code", "binary_code", "ioi_code", "cf_code"}


@pytest.fixture
def user_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)


def test_every_name_of_the_contract_is_known_with_its_function_name():
    assert {name: reward_specs()[name].function_name for name in CONTRACT_NAMES} == CONTRACT_NAMES


class NoMachine(Provider):
    """A provider that can't be used."""

    name = "none"

    def execute(self, program: Program) -> Execution:
        raise AssertionError("a provider that can't be used was used")

    def check(self) -> None:
        raise ConfigError("this machine can't isolate programs; use code_provider piston.")


class AnyMachine(NoMachine):
    """A provider that passes its check, so that rewards can be built where there is no sandbox."""

    def check(self) -> None:
        pass


@pytest.mark.parametrize("name", sorted(CONTRACT_NAMES))
def test_a_reward_is_built_from_settings_alone_with_its_name_and_needs(name):
    machine = f"{__name__}:AnyMachine"
    reward = build_reward(name, SimpleNamespace(code_provider=machine, ioi_provider=machine))
    assert reward.__name__ == CONTRACT_NAMES[name]
    assert reward.needs_columns == reward_specs()[name].needs_columns


@pytest.mark.parametrize("name", sorted(NEED_EXECUTION))
def test_rewards_that_run_programs_refuse_to_be_built_where_none_can_be_run(name):
    machine = f"{__name__}:NoMachine"
    with pytest.raises(ConfigError, match=r"can't isolate programs; use code_provider piston"):
        build_reward(name, SimpleNamespace(code_provider=machine, ioi_provider=machine))


def test_get_reward_funcs_keeps_the_order_and_has_the_contract_s_default():
    names = [reward.__name__ for reward in get_reward_funcs(SimpleNamespace(reward_funcs=["format", "accuracy"]))]
    assert names == ["format_reward", "accuracy_reward"]
    assert [reward.__name__ for reward in get_reward_funcs(SimpleNamespace())] == [
        "accuracy_reward",
        "format_reward",
        "tag_count_reward",
    ]


def test_a_list_of_no_rewards_is_refused_and_one_that_is_not_set_is_the_default():
    with pytest.raises(ConfigError, match="reward_funcs is empty; name at least one reward, or leave it out for acc"):
        get_reward_funcs(SimpleNamespace(reward_funcs=[]))
    with pytest.raises(ConfigError, match="reward_funcs is empty"):
        check_recipe(SimpleNamespace(reward_funcs=[]), None)
    check_recipe(SimpleNamespace(reward_funcs=None), [1.0, 0.5, 0.5])


def test_settings_reach_the_rewards():
    settings = SimpleNamespace(
        reward_funcs=["cosine", "repetition_penalty", "soft_overlong_punishment", "code_format"],
        cosine_max_value_correct=2.0,
        cosine_min_value_correct=2.0,
        repetition_n_grams=1,
        repetition_max_penalty=-4.0,
        max_completion_len=10,
        soft_punish_cache=10,
        code_language="c++",
    )
    cosine, repetition, overlong, code_format = get_reward_funcs(settings)
    assert cosine([r"\boxed{5}"], ["5"]) == [2.0]
    assert repetition(["a a a a"]) == [-3.0]
    assert overlong([[1] * 5]) == [-0.5]
    assert code_format(["<think>\n…\n</think>\n<answer>\n```cpp\nx\n```\n</answer>"]) == [1.0]


def test_an_unknown_name_is_an_error_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"unknown reward 'acuracy'; did you mean 'accuracy'\? Known rewards: accuracy"
    ):
        get_reward_funcs(SimpleNamespace(reward_funcs=["acuracy"]))


def test_required_columns_are_known_before_anything_is_built():
    assert required_columns(["accuracy", "format", "code", "soft_overlong_punishment"]) == {
        "accuracy": ("solution",),
        "format": (),
        "code": ("verification_info",),
        "soft_overlong_punishment": (),  # its token ids come from the trainer
    }


def test_a_user_s_function_class_or_coroutine_is_a_reward(user_module):
    assert build_reward("user_rewards:plain")(["ab", "c"]) == [2.0, 1.0]
    assert build_reward("user_rewards:slow")(["ab", "c"]) == [1.0, 1.0]
    counting = build_reward("user_rewards:Counting")
    assert (counting.__name__, counting.needs_columns) == ("Counting", ("bonus",))
    assert counting(["a", "b"], bonus=[1, None]) == [2.0, None]
    assert required_columns(["user_rewards:Counting"]) == {"user_rewards:Counting": ("bonus",)}
    assert build_reward("user_rewards:explained").__name__ == "explained"


def test_a_user_s_coroutine_runs_inside_an_event_loop_too(user_module):
    async def score() -> list[float | None]:
        return build_reward("user_rewards:slow")(["a"])

    assert asyncio.run(score()) == [1.0]


def test_a_user_s_none_is_unscored(user_module):
    assert [outcome.reason for outcome in build_reward("user_rewards:unscored").score(["a"])] == ["not_applicable"]


def test_a_user_s_value_that_is_no_number_is_unscored(user_module):
    outcomes = build_reward("user_rewards:diverging").score(["a", "b", "c", "d"])
    assert [(outcome.value, outcome.reason) for outcome in outcomes] == [
        (None, "not_finite"),
        (None, "not_finite"),
        (None, "not_finite"),
        (1.0, "scored"),
    ]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("user_rewards:plian", "did you mean 'plain'"),
        ("no_such_module:f", "no module named 'no_such_module'"),
        ("user_rewards:", "not of the form module:name"),
        ("user_rewards:not_a_reward", "is a int, not a function"),
    ],
)
def test_a_user_s_reward_that_can_t_be_had_is_an_error_that_says_why(user_module, reference, message):
    with pytest.raises(ConfigError, match=message):
        build_reward(reference)


@pytest.fixture
def own_rewards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "def lone(completions, solution, **columns): return [float(len(gold)) for gold in solution]",
        "lone.needs_columns = 'solution'",
        "def numbered(completions, **columns): return [0.0 for _ in completions]",
        "numbered.needs_columns = 3",
        "class Judging:",
        "    def __init__(self, judge, scale, strict=False, *others, **settings): pass",
        "    def __call__(self, completions, **columns): return [0.0 for _ in completions]",
    ]
    (tmp_path / "own_rewards.py").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_column_that_a_user_s_reward_names_alone_is_one_column(own_rewards):
    reward = build_reward("own_rewards:lone")
    assert reward.needs_columns == ("solution",)
    assert reward(["a"], ["12"]) == [2.0]
    assert required_columns(["own_rewards:lone"]) == {"own_rewards:lone": ("solution",)}


def test_columns_that_are_no_names_are_refused(own_rewards):
    with pytest.raises(ConfigError, match="has needs_columns = 3; make it a tuple of column names"):
        build_reward("own_rewards:numbered")


def test_a_user_s_class_that_needs_arguments_is_refused_with_what_it_needs(own_rewards):
    with pytest.raises(ConfigError, match="but Judging needs judge, scale; give them defaults"):
        build_reward("own_rewards:Judging")


def test_a_user_s_reward_of_the_wrong_length_is_an_error(user_module):
    with pytest.raises(ConfigError, match="returned 0 values for 1 completions"):
        build_reward("user_rewards:too_few")(["a"])


def test_the_page_about_rewards_is_what_the_code_says():
    script = Path(__file__).resolve().parents[3] / "scripts" / "make_rewards_page.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_exported_name_can_be_imported():
    for name in open_r1.rewards.__all__:
        assert getattr(open_r1.rewards, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = open_r1.rewards.nothing


def test_two_rewards_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "namesakes.py").write_text("from open_r1.rewards import accuracy_reward\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    recipe = SimpleNamespace(reward_funcs=["accuracy", "namesakes:accuracy_reward"])
    with pytest.raises(ConfigError, match="two of reward_funcs are functions called 'accuracy_reward'"):
        check_recipe(recipe, None)
    check_recipe(SimpleNamespace(reward_funcs=["format", "namesakes:accuracy_reward"]), None)

"""What rewards declare, and that everything else reads it: a new reward is one file."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import open_r1.rewards.functions
from open_r1.configs.fields import limits_of
from open_r1.configs.ranges import COUNT
from open_r1.data.trace_rewards import names_for
from open_r1.errors import ConfigError
from open_r1.execution.sandbox import tiers
from open_r1.records import Outcome
from open_r1.rewards import Example, RewardSetting, RewardSpec, get_spec, reward_specs
from open_r1.rewards.registry import default_rewards, reward_modules
from open_r1.rewards.settings import readers_of, settings_class
from open_r1.training.parse import parse_stage
from open_r1.training.preflight import find_idle_rewards, score_examples

SOURCE = Path(open_r1.rewards.functions.__file__).parents[2]
REPOSITORY = SOURCE.parents[1]
BEST = {"cf_code": 1.1, "length": 0.0, "repetition_penalty": 0.0, "soft_overlong_punishment": 0.0}
NEED_SANDBOX = {"code", "binary_code", "cf_code", "ioi_code", "reasoning_gym"}

ONE_FILE = '''
"""shouting: less for capital letters."""

from open_r1.configs.ranges import COUNT
from open_r1.records import Outcome
from open_r1.rewards.base import RewardFunction
from open_r1.rewards.spec import Example, RewardSetting, RewardSpec

__all__ = ["shouting_reward"]


def get_shouting_reward(scale):
    def score(texts, columns):
        return [Outcome(-sum(map(str.isupper, text)) / scale, "counted", {"capitals": 1}) for text in texts]

    return RewardFunction("shouting_reward", score, needs_columns=("volume",))


shouting_reward = get_shouting_reward(10)

REWARD = RewardSpec(
    name="shouting",
    function_name="shouting_reward",
    build=lambda settings: get_shouting_reward(settings.shouting_scale),
    kind="shape",
    summary="less for capital letters",
    formula="r = -capitals / scale",
    source="this test",
    needs_columns=("volume",),
    settings=(RewardSetting("shouting_scale", 10, "capital letters that cost 1", COUNT),),
    example=Example("quiet", {"volume": 1}),
    find_idle=lambda setup: "nobody shouts" if setup.num_generations > 4 else None,
    verifies=("volume",),
)
'''


def forget_rewards() -> None:
    for cached in (reward_modules, reward_specs):
        cached.cache_clear()


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file in a folder that belongs to the package of rewards."""
    (tmp_path / "shouting.py").write_text(ONE_FILE, encoding="utf-8")
    package = open_r1.rewards.functions
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    forget_rewards()
    yield
    forget_rewards()
    sys.modules.pop(f"{package.__name__}.shouting", None)


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The same file as a user's own."""
    (tmp_path / "mine.py").write_text(ONE_FILE, encoding="utf-8")
    return f"{tmp_path / 'mine.py'}:shouting_reward"


def page_script() -> ModuleType:
    path = REPOSITORY / "scripts" / "make_rewards_page.py"
    found = importlib.util.spec_from_file_location("make_rewards_page", path)
    assert found is not None and found.loader is not None
    script = importlib.util.module_from_spec(found)
    found.loader.exec_module(script)
    return script


def test_one_file_among_those_that_ship_is_a_reward_everywhere(shipped: None, capsys: pytest.CaptureFixture) -> None:
    from open_r1.cli.main import main

    assert get_spec("shouting").function_name == "shouting_reward"
    assert open_r1.rewards.shouting_reward(["AB"], [1]) == [-0.2]
    found = {field.name: field for field in fields(settings_class())}["shouting_scale"]
    assert limits_of(settings_class())["shouting_scale"] == COUNT
    assert (found.type, found.default) == (int, 10)
    assert found.metadata == {"help": "shouting: capital letters that cost 1."}
    assert main(["rewards", "list"]) == 0
    assert re.search(r"^shouting +less for capital letters$", capsys.readouterr().out, re.MULTILINE)
    assert names_for(["volume"], None, "rows") == ["shouting"]
    page = page_script().render_page()
    assert "[`shouting`](#shouting) | less for capital letters | `volume` |" in page
    assert "| `shouting_scale` | `10` | capital letters that cost 1, at least 1 |" in page


def test_a_file_of_the_user_s_own_is_one_too(own: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from open_r1.cli.main import main

    assert main(["rewards", "list", own]) == 0
    assert capsys.readouterr().out == f"{own}  less for capital letters\n"
    assert main(["rewards", "describe", own]) == 0
    assert "shouting_scale = 10" in capsys.readouterr().out
    words = ["--model_name_or_path", "m", "--dataset_name", "d", "--output_dir", str(tmp_path / "out")]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f'reward_funcs: [format, "{own}"]\nshouting_scale: 5\n', encoding="utf-8")
    script = parse_stage("grpo", [*words, "--config", str(recipe)]).script
    assert (script.shouting_scale, script.cosine_max_len) == (5, 1000)
    assert get_spec(own).make(script)(["AB"], [1]) == [-0.4]
    on_command_line = ["--reward_funcs", own, "--shouting_scale", "0"]
    with pytest.raises(ConfigError, match="command line: shouting_scale must be at least 1, but is 0"):
        parse_stage("grpo", [*words, *on_command_line])
    with pytest.raises(ConfigError, match="unknown setting --shouting_scale"):
        parse_stage("grpo", [*words, "--shouting_scale", "5"])


def test_the_pre_flight_check_reads_its_example_and_what_makes_it_idle(own: str) -> None:
    spec = get_spec(own)
    fake = SimpleNamespace(
        processing_class=SimpleNamespace(apply_chat_template=lambda *_, **__: "q"),
        chat_template=None,
        chat_template_kwargs={},
        args=SimpleNamespace(max_completion_length=9, per_device_train_batch_size=8, steps_per_generation=1),
        arguments=SimpleNamespace(script=None),
        num_generations=8,
    )
    best, decoded = score_examples(fake, [spec.make()], {"shouting_reward": spec}, [])
    assert best == {"shouting_reward": Outcome(0.0, "counted", {"capitals": 1})}
    assert decoded == {}
    assert [found.text for found in find_idle_rewards(fake, [spec])] == ["nobody shouts"]


@pytest.mark.parametrize("name", sorted(reward_specs()))
def test_a_reward_s_example_satisfies_it(name: str) -> None:
    spec = get_spec(name)
    if name in NEED_SANDBOX and tiers.detect().tier != "A":
        pytest.skip("the sandbox isn't available")
    if name == "reasoning_gym" and importlib.util.find_spec("reasoning_gym") is None:
        pytest.skip("reasoning-gym isn't installed")
    assert spec.example is not None
    assert set(spec.needs_columns) <= {*spec.example.columns, "completions"}
    reward = spec.make()
    outcome = spec.example.score(reward)
    assert outcome.value == pytest.approx(BEST.get(name, 1.0), abs=1e-3)
    assert reward.__name__ == spec.function_name
    assert reward.needs_columns == spec.needs_columns
    assert not spec.is_judge or name == "length" or spec.is_right(outcome)


def test_the_default_rewards_declare_that_they_are() -> None:
    assert default_rewards() == ("accuracy", "format", "tag_count")
    assert settings_class()().reward_funcs == ["accuracy", "format", "tag_count"]


def test_traces_are_verified_by_programs_before_tasks_before_answers() -> None:
    columns = ["answer", "solution", "reasoning_gym", "verification_info"]
    assert names_for(columns, None, "rows") == ["code", "reasoning_gym", "accuracy"]
    assert names_for(["gold"], "gold", "rows") == ["accuracy"]


@pytest.mark.parametrize(
    ("kind", "outcome", "is_right"),
    [
        ("answer", Outcome(-0.5, "correct"), True),
        ("answer", Outcome(0.5, "wrong"), False),
        ("answer", Outcome(0.5, "scored"), True),
        ("program", Outcome(0.1, "wrong_answer"), True),
        ("contest", Outcome(0.0, "passed"), False),
        ("task", Outcome(None, "scorer_failed"), False),
    ],
)
def test_a_judge_says_what_is_right(kind: str, outcome: Outcome, is_right: bool) -> None:
    spec = RewardSpec("x", lambda settings: None, kind)  # type: ignore[arg-type, return-value]
    assert spec.is_judge
    assert spec.is_right(outcome) == is_right


def test_a_setting_that_two_rewards_declare_differently_is_refused() -> None:
    one = get_spec("repetition_penalty")
    other = replace(one, name="other", settings=(RewardSetting("repetition_n_grams", 4, "words"),))
    with pytest.raises(
        ConfigError, match="'repetition_penalty' and 'other' declare the setting 'repetition_n_grams' diff"
    ):
        readers_of([one, other])
    assert [spec.name for spec in readers_of([one, replace(one, name="same")])["repetition_n_grams"][1]] == [
        "repetition_penalty",
        "same",
    ]


def test_settings_that_are_not_given_have_the_declared_default() -> None:
    declared = [RewardSetting(key, default, "") for key, default in {"given": 2, "missing": 3, "empty": 4}.items()]
    spec = RewardSpec("one", lambda settings: settings, "shape", settings=tuple(declared))  # type: ignore[arg-type]
    assert vars(spec.make(SimpleNamespace(given=1, empty=None, other=5))) == {
        "given": 1,
        "missing": 3,
        "empty": None,
        "other": 5,
    }
    assert vars(spec.make()) == {"given": 2, "missing": 3, "empty": 4}


ATTRIBUTES = '''
from open_r1.rewards import Example, RewardSetting


class Shorter:
    """Less for every character."""

    kind = "shape"
    settings = (RewardSetting("shorter_scale", 10, "characters that cost 1"),)
    example = Example("")

    def __init__(self, shorter_scale):
        self.scale = shorter_scale

    def __call__(self, completions, **columns):
        return [-len(completion) / self.scale for completion in completions]


def scaled(completions, shorter_scale, **columns):
    return [shorter_scale for _ in completions]


scaled.settings = Shorter.settings


def odd(completions, **columns):
    return [0.0 for _ in completions]


odd.kind = "shap"
'''


def test_a_function_or_class_declares_by_attributes(tmp_path: Path) -> None:
    path = tmp_path / "shorter.py"
    path.write_text(ATTRIBUTES, encoding="utf-8")
    spec = get_spec(f"{path}:Shorter")
    assert get_spec(f"{path}:Shorter") is not spec
    assert (spec.kind, spec.summary, spec.example) == ("shape", "Less for every character.", Example(""))
    assert spec.make()(["abcde"]) == [-0.5]
    assert spec.make(SimpleNamespace(shorter_scale=5))(["abcde"]) == [-1.0]
    assert get_spec(f"{path}:scaled").make(SimpleNamespace(shorter_scale=7))(["a"]) == [7.0]
    with pytest.raises(ConfigError, match=r"has kind = 'shap'; did you mean 'shape'\? Kinds: program, contest"):
        get_spec(f"{path}:odd")
    with pytest.raises(ConfigError, match="there is no file"):
        get_spec(f"{tmp_path / 'none.py'}:f")


def code_of(path: Path) -> Iterator[str]:
    """Identifiers, imported names and texts of a file, without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
        elif isinstance(node, ast.Name | ast.Attribute | ast.alias | ast.ImportFrom):
            yield str(
                getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None) or node.module  # type: ignore[union-attr]
            )


OTHER_MEANINGS = {
    "accuracy",
    "code",
    "cosine",
    "format",
    "length",
    "reasoning_gym",
    "reasoning_steps",
    "repetition_penalty",
}
"""Names that are words of other things too: an estimate, a column, a schedule, a finish reason, a source, a sampling key."""


def test_no_other_file_has_a_list_of_rewards() -> None:
    """Evaluation may call a reward's function, as users do; nothing names one as data."""
    specs = reward_specs().values()
    functions = re.compile(r"\b(?:" + "|".join(spec.function_name for spec in specs) + r")\b")
    names = {spec.name for spec in specs} - OTHER_MEANINGS
    strays = []
    for path in [*SOURCE.rglob("*.py"), *(REPOSITORY / "scripts").rglob("*.py")]:
        if Path(open_r1.rewards.functions.__file__).parent in path.parents:
            continue
        is_evaluation = "evaluation" in path.parts
        for word in code_of(path):
            if word in names or (functions.search(word) and not is_evaluation):
                strays.append(f"{path.name}: {word[:80]}")
    assert not strays

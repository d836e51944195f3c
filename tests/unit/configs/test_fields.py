"""A setting states its default, range and help once."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from open_r1.configs.fields import check_limits, limits_of, setting
from open_r1.configs.ranges import COUNT, SHARE, Range, check_ranges
from open_r1.errors import ConfigError


@dataclass
class Settings:
    count: int | None = setting(3, "How many.", COUNT)
    share: float = setting(0.5, "What part.", SHARE, flag="part")
    names: list[str] = setting(["a"], "Which.")
    options: dict[str, int] = setting({"a": 1}, "With what.")
    plain: int = 0


def test_defaults_are_each_objects_own() -> None:
    first = Settings()
    first.names.append("b")
    first.options["b"] = 2
    assert (Settings().names, Settings().options) == (["a"], {"a": 1})


def test_help_and_range_stand_beside_the_field() -> None:
    assert [one.metadata.get("help") for one in fields(Settings)] == [
        "How many.",
        "What part.",
        "Which.",
        "With what.",
        None,
    ]
    assert limits_of(Settings) == {"count": COUNT, "share": SHARE}


def test_a_number_outside_its_range_is_refused_by_the_name_of_its_flag() -> None:
    check_limits(Settings(count=None, share=1.0))
    with pytest.raises(ConfigError, match=r"^count must be at least 1, but is 0\.$"):
        check_limits(Settings(count=0))
    with pytest.raises(ConfigError, match=r"^part must be at least 0 and at most 1, but is 1.5\.$"):
        check_limits(Settings(share=1.5))


@pytest.mark.parametrize(
    ("limits", "inside", "outside", "words"),
    [
        (Range(0), [0, 2**31 - 1], [-1, 2**31], "at least 0"),
        (Range(0, 1), [0, 1], [-0.1, 1.1], "at least 0 and at most 1"),
        (Range(0, 1, open_low=True), [0.1, 1], [0], "above 0 and at most 1"),
        (Range(0, 1, open_high=True), [0, 0.9], [1], "at least 0 and below 1"),
        (Range(0, 2**32 - 1), [2**32 - 1], [2**32], "at least 0 and at most 4294967295"),
        (Range(0, float("inf"), open_low=True), [1e300], [0], "above 0"),
    ],
)
def test_a_range_has_its_ends_or_leaves_them_out(limits: Range, inside: list, outside: list, words: str) -> None:
    assert all(value in limits for value in inside)
    assert not any(value in limits for value in outside)
    assert limits.in_words() == words


def test_a_value_above_the_largest_whole_number_is_refused_with_it() -> None:
    assert Range(1).in_words(0) == "at least 1"
    assert Range(1).in_words(2**31) == "at least 1 and at most 2147483647"
    with pytest.raises(ConfigError, match="max_steps_x must be at least 1 and at most 2147483647, but is 2147483648"):
        check_ranges({"max_steps_x": 2**31}, {"max_steps_x": "recipe.yaml:1"}, {"max_steps_x": Range(1)})


def test_the_libraries_own_parsers_read_our_dataclasses() -> None:
    from transformers import HfArgumentParser
    from trl import TrlParser

    from open_r1.configs import GRPOConfig, GRPOScriptArguments, ModelConfig, ScriptArguments, SFTConfig

    words = ["--dataset_name", "d", "--output_dir", "o", "--max_samples", "5", "--use_cpu"]
    for parser in (TrlParser, HfArgumentParser):
        script, *_ = parser((GRPOScriptArguments, GRPOConfig, ModelConfig)).parse_args_into_dataclasses(words)
        assert script.max_samples == 5
        assert parser((ScriptArguments, SFTConfig, ModelConfig)).parse_args_into_dataclasses(words)

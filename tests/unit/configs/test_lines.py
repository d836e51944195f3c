"""Recipes by YAML 1.2: what a word stands for, where each value stands, and records of typed fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from open_r1.configs import DatasetMixtureConfig
from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT
from open_r1.configs.reader import Setting, changed, read_changes, read_recipe
from open_r1.configs.types import read_record
from open_r1.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def read(tmp_path: Path, text: str) -> dict[str, Setting]:
    return {setting.key: setting for setting in read_recipe(write(tmp_path, text))}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("no", "no"), ("on", "on"), ("Yes", "Yes"), ("y", "y"), ("2020-01-01", "2020-01-01"), ("12:30:45", "12:30:45"),
        ("1_000", "1_000"), ("true", True), ("FALSE", False), ("tRue", "tRue"), ("null", None), ("~", None), ("", None),
        ("nul", "nul"), ("0123", 123), ("0o17", 15), ("0x1F", 31), ("-7", -7), ("+7", 7), ("0b1", "0b1"), ("1e-4", 1e-4),
        ("1.", 1.0), (".5", 0.5), ("-1.5E+3", -1500.0), (".inf", float("inf")), ("-.INF", -float("inf")), ("1e", "1e"),
        ("'1'", "1"), ('"true"', "true"), ("!!str 5", "5"), ("=", "="), ("a", "a"),
    ],
)  # fmt: skip
def test_a_word_is_what_yaml_1_2_says(tmp_path: Path, word: str, value: object) -> None:
    found = read(tmp_path, f"a: {word}\nb: {{c: [{word}]}}\n")
    assert (found["a"].value, type(found["a"].value)) == (value, type(value))
    if word:
        assert found["b"].value == {"c": [value]}


def test_every_value_knows_its_line_at_any_depth(tmp_path: Path) -> None:
    text = "stages:\n  sft:\n    overrides:\n      lr: 1e-4\n    kinds:\n    - a\n    - {b: 1}\n"
    stages = read(tmp_path, text)["stages"]
    (sft,) = stages.parts
    overrides, kinds = sft.parts
    path = tmp_path / "recipe.yaml"
    assert [s.origin for s in (stages, sft, overrides, *overrides.parts)] == [f"{path}:{n}" for n in (1, 2, 3, 4)]
    assert [(item.key, item.origin) for item in kinds.parts] == [("kinds[0]", f"{path}:6"), ("kinds[1]", f"{path}:7")]
    assert stages.value == {"sft": {"overrides": {"lr": 1e-4}, "kinds": ["a", {"b": 1}]}}


def test_what_several_places_refer_to_is_read_once_and_named_by_each(tmp_path: Path) -> None:
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 12))
    found = read(tmp_path, f"l0: &l0 [1]\n{levels}")  # 9 to the 11th numbers, were they written out
    assert [part.key for part in found["l1"].parts] == [f"l1[{i}]" for i in range(9)]
    assert [part.key for part in read(tmp_path, "a: &x {k: 1}\nb: *x\n")["b"].parts] == ["k"]


def test_numbers_are_keys_and_every_other_key_is_text(tmp_path: Path) -> None:
    assert read(tmp_path, "a: {1: x, 0.5: y, true: z, null: w, no: v}\n")["a"].value == {
        1: "x", 0.5: "y", "true": "z", "null": "w", "no": "v",
    }  # fmt: skip


def test_a_change_is_read_as_a_recipe_would_be() -> None:
    changes = read_changes(["a.b=1e-4", "c=[1, no]", "d=", "e=x=y", "f={g: 0123}"])
    assert [(change.key, change.value) for change in changes] == [
        ("a.b", 1e-4), ("c", [1, "no"]), ("d", None), ("e", "x=y"), ("f", {"g": 123}),
    ]  # fmt: skip
    assert {part.origin for part in changes[4].parts} == {"--set f={g: 0123}"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("a", "--set a can't be read; write --set STAGE.KEY=VALUE"),
        ("=1", "--set =1 can't be read"),
        ("a=[1", r"--set a=\[1: '\[1' is not YAML; write it as in a recipe"),
    ],
)
def test_a_change_of_another_form_is_refused(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_changes([word], "STAGE.KEY=VALUE")


def test_a_change_replaces_one_value_and_leaves_the_others(tmp_path: Path) -> None:
    settings = read_recipe(write(tmp_path, "a: {b: {c: 1, 2: d}, e: 3}\nf:\n"))
    (change,) = read_changes(["x=9"])
    first, other = changed(settings, ["a", "b", "c"], change)
    assert (first.value, other.value) == ({"b": {"c": 9, 2: "d"}, "e": 3}, None)
    assert [part.origin for part in first.parts[0].parts] == ["--set x=9", f"{tmp_path}/recipe.yaml:1"]
    assert changed(settings, ["f", "g", "h"], change)[1].value == {"g": {"h": 9}}
    assert changed(settings, ["new"], change)[2] == Setting("new", 9, "--set x=9")
    with pytest.raises(
        ConfigError, match=r"--set x=9: a\.e is 3, which has no settings of its own; write --set a\.e="
    ):
        changed(settings, ["a", "e", "deep"], change)


@dataclass(frozen=True)
class Example:
    name: str
    config: str | None = None
    columns: list[str] | None = None
    shares: dict[float, float] | None = None
    texts: dict[str, str] | None = None
    count: int | None = setting(None, "How many.", COUNT)


def example(tmp_path: Path, text: str) -> Example:
    return read_record(Example, read_recipe(write(tmp_path, text)), "example", "here", name="n")


def test_a_field_of_text_takes_words_as_they_are_written(tmp_path: Path) -> None:
    found = example(tmp_path, "config: 0123\ncolumns: [no, 0123, 1e-4, true, a]\ntexts: {a: 007}\n")
    assert (found.config, found.columns, found.texts) == ("0123", ["no", "0123", "1e-4", "true", "a"], {"a": "007"})
    assert example(tmp_path, "shares: {1: 1, 0.5: 1e-1}\n").shares == {1: 1, 0.5: 0.1}
    assert example(tmp_path, "config: null\ncolumns:\n") == Example("n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count: 1.5", r"^.*recipe.yaml:1: example: count must be a whole number or null, but is 1.5; correct it\.$"),
        ("a: 1", r"recipe.yaml:1: example: unknown setting 'a'\. Known: config, columns, shares, texts, count\.$"),
        ("config: x\ncoun: 1", r"recipe.yaml:2: example: unknown setting 'coun'; did you mean 'count'\?"),
        ("count: 0", r"recipe.yaml:1: example: count must be at least 1, but is 0"),
        ("columns: [{a: 1}]", r"columns must be a list of texts or null"),
        ("columns: a", r"columns must be a list of texts or null"),
        ("name: x", "unknown setting 'name'"),
    ],
)
def test_what_is_no_record_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        example(tmp_path, text)


def test_a_required_field_that_is_missing_names_the_place() -> None:
    with pytest.raises(ConfigError, match=r"^here: example: 'name' is missing; give it\.$"):
        read_record(Example, [], "example", "here")


def test_an_entry_of_a_mixture_names_its_own_line(tmp_path: Path) -> None:
    text = "dataset_mixture:\n  datasets:\n  - id: a\n    config: no\n  - id: b\n    weight: 2\n"
    with pytest.raises(ConfigError, match=r"recipe.yaml:6: dataset_mixture.datasets\[1\]: weight must be above 0"):
        DatasetMixtureConfig.read(read_recipe(write(tmp_path, text))[0])
    mixture = DatasetMixtureConfig.read(read_recipe(write(tmp_path, text.replace("weight: 2", "columns: [0123]")))[0])
    assert (mixture.datasets[0].config, mixture.datasets[1].columns) == ("no", ["0123"])

"""Recipes and flags: read, translated, refused with file, line and nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from open_r1.configs import DatasetMixtureConfig
from open_r1.configs.reader import Setting, read_flags, read_recipe
from open_r1.configs.renames import translate
from open_r1.errors import ConfigError

KNOWN = [
    "max_length",
    "dtype",
    "learning_rate",
    "bf16",
    "train_sampling_strategy",
    "output_dir",
    "gradient_checkpointing",
]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_each_setting_knows_its_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, "# a comment\nlearning_rate: 1.0e-6\n\nmax_length: 5\n")
    assert read_recipe(path) == [
        Setting("learning_rate", 1e-6, f"{path}:2"),
        Setting("max_length", 5, f"{path}:4"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\nb: 3\n", r"recipe.yaml:2' is not YAML"),
        ("- a\n- b\n", "contains a list; it must be a YAML mapping"),
        ("", "is empty; it must be a YAML mapping"),
        ("just words\n", "contains a single value"),
        ("seed: 1\nseed: 2\n", r"recipe.yaml:2 sets 'seed' a second time \(first in line 1\)"),
        ("a: \x00\n", "is not YAML"),
        ("a: &x [*x]\n", r"recipe.yaml:1: a value contains itself"),
        ("? [a]\n: 1\n", r"recipe.yaml:1: a key must be a single word"),
        ("a: !!python/name:os.system\n", r"recipe.yaml:1' is not YAML: could not determine a constructor"),
        ("[" * 2000, "is not YAML"),
        ("a:\n  b: 1\n  b: 2\n", r"recipe.yaml:3 sets 'b' a second time \(first in line 2\)"),
        ("a:\n- b: 1\n  b: 2\n", r"recipe.yaml:3 sets 'b' a second time"),
    ],
)
def test_a_recipe_that_is_no_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(write(tmp_path, text))


def test_merge_keys_and_keys_that_yaml_takes_for_values_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "<<: {seed: 3, bf16: true}\nseed: 4\nyes: 1\nnull: 2\n")
    assert {setting.key: setting.value for setting in read_recipe(path)} == {
        "seed": 4, "bf16": True, "yes": 1, "null": 2,
    }  # fmt: skip


def test_a_missing_and_a_binary_recipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_recipe(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="can't be read"):
        read_recipe(tmp_path / "binary.yaml")
    with pytest.raises(ConfigError, match="can't be read"):
        read_recipe(tmp_path)


def test_flags_are_read_in_every_form_of_the_guide() -> None:
    flags = read_flags(["--bf16", "--max-length", "5", "--dtype=float32", "--reward_funcs", "a", "b", "--x", "-1"])
    assert [(flag.key, flag.value) for flag in flags] == [
        ("bf16", []),
        ("max_length", ["5"]),
        ("dtype", ["float32"]),
        ("reward_funcs", ["a", "b"]),
        ("x", ["-1"]),
    ]


def test_a_stray_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="'stray' is before any flag"):
        read_flags(["stray", "--bf16"])


@pytest.mark.parametrize(
    ("old", "new"),
    [("max_seq_length", "max_length"), ("torch_dtype", "dtype"), ("group_by_length", "train_sampling_strategy")],
)
def test_old_names_are_translated_with_one_notice(old: str, new: str) -> None:
    settings, notices = translate([Setting(old, True, "r.yaml:3")], KNOWN)
    assert [setting.key for setting in settings] == [new]
    assert notices == [f"r.yaml:3: '{old}' is now '{new}'."]


@pytest.mark.parametrize("dropped", ["vllm_device", "vllm_device_map", "save_safetensors"])
def test_dropped_names_are_noticed_and_left_out(dropped: str) -> None:
    settings, notices = translate([Setting(dropped, "auto", "r.yaml:3")], KNOWN)
    assert not settings
    assert len(notices) == 1
    assert "not used any more" in notices[0]


def test_unknown_key_names_file_line_and_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"^r.yaml:7: unknown setting 'learning_rat'; did you mean 'learning_rate'\?"
    ):
        translate([Setting("learning_rat", 1, "r.yaml:7")], KNOWN)
    with pytest.raises(ConfigError, match=r"^command line: unknown setting --zzz"):
        translate([Setting("zzz", [], "command line")], KNOWN)


def test_no_prefix_is_known_for_switches() -> None:
    settings, _ = translate([Setting("no_gradient_checkpointing", [], "command line")], KNOWN)
    assert settings == [Setting("gradient_checkpointing", False, "command line")]


GUIDE_MIXTURE = {
    "datasets": [
        {"id": "a", "config": "math", "split": "train", "columns": ["problem", "solution"], "weight": 0.4},
        {"id": "b", "columns": ["problem", "solution"], "weight": 0.3},
    ],
    "seed": 42,
    "test_split_size": 0.1,
}


def test_the_guides_mixture_is_understood() -> None:
    mixture = DatasetMixtureConfig.from_mapping(GUIDE_MIXTURE)
    assert mixture.seed == 42
    assert mixture.test_split_size == 0.1
    assert [(entry.id, entry.config, entry.split, entry.weight) for entry in mixture.datasets] == [
        ("a", "math", "train", 0.4),
        ("b", None, "train", 0.3),
    ]


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ([], "must be a mapping"),
        ({}, "at least one data set"),
        ({"datasets": []}, "at least one data set"),
        ({"datasets": ["x"]}, r"datasets\[0\] must be a mapping"),
        ({"datasets": [{"weight": 0.5}]}, r"datasets\[0\] has no 'id'"),
        ({"datasets": [{"id": "a", "weight": 0}]}, "weight must be above 0 and at most 1"),
        ({"datasets": [{"id": "a", "weight": 1.5}]}, "weight must be above 0 and at most 1"),
        ({"datasets": [{"id": "a", "wieght": 1}]}, "unknown setting 'wieght'; did you mean 'weight'"),
        (
            {"datasets": [{"id": "a", "columns": "prompt"}]},
            r"columns must be a list of texts or null, but is 'prompt'",
        ),
        ({"datasets": [{"id": "a", "weight": "half"}]}, "weight must be a number or null"),
        ({"datasets": [{"id": "a", "weight": True}]}, "weight must be a number or null"),
        ({"datasets": [{"id": 3}]}, "id must be text"),
        ({"datasets": [{"id": "a"}], "test_split_size": 5.5}, "test_split_size must be a share .* but is 5.5"),
        ({"datasets": [{"id": "a"}], "test_split_size": 0}, "test_split_size must be a share"),
        ({"datasets": [{"id": "a"}], "test_split_size": -0.1}, "test_split_size must be a share"),
        ({"datasets": [{"id": "a"}], "test_split_size": "0.1"}, "test_split_size must be a number or null"),
        ({"datasets": [{"id": "a"}], "seed": -1}, "seed must be at least 0, but is -1"),
        ({"datasets": [{"id": "a"}], "seed": 1.5}, "seed must be a whole number, but is 1.5"),
        ({"datasets": [{"id": "a"}], "seed": None}, "seed must be a whole number, but is None"),
        ({"datasets": [{"id": "a"}], "sed": 1}, "unknown setting 'sed'; did you mean 'seed'"),
        (
            {"datasets": [{"id": "a", "columns": ["x"]}, {"id": "b", "columns": ["y"]}]},
            "Column names must be consistent",
        ),
    ],
)
def test_a_mixture_that_cannot_work_is_refused(mixture: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DatasetMixtureConfig.from_mapping(mixture)

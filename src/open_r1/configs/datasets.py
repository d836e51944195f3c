"""What to train on: one data set, or a mixture as the guide's YAML writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from open_r1.configs.types import fits, in_words
from open_r1.errors import ConfigError, nearest


@dataclass(frozen=True)
class DatasetConfig:
    """One entry of a mixture.

    Args:
        id: A path, a pattern, a Hub id, or a generator such as `tasks:sums?n=100`.
        columns: The columns kept, by their names after `column_map`; None for all.
        weight: The share of its rows taken, 0 < weight <= 1, or None for all; with a budget of tokens, its share of that.
        revision: The Hub's branch, tag or commit.
        column_map: Columns to be renamed, found name to wanted name.
    """

    id: str
    config: str | None = None
    split: str = "train"
    columns: list[str] | None = None
    weight: float | None = None
    revision: str | None = None
    column_map: dict[str, str] | None = None


@dataclass(frozen=True)
class DatasetMixtureConfig:
    """A mixture: each entry's share after a seeded shuffle, concatenated, shuffled with the seed.

    Args:
        test_split_size: Rows, or their share, held back as the split `test`.
        tokens: A budget of tokens; then each entry has a weight, which is its share of the budget.
        tokenizer: What counts them: a folder with tokenizer.json, or a Hub id.
    """

    datasets: list[DatasetConfig] = field(default_factory=list)
    seed: int = 0
    test_split_size: float | None = None
    tokens: int | None = None
    tokenizer: str | None = None

    @classmethod
    def from_mapping(cls, mapping: Any) -> DatasetMixtureConfig:
        """The mixture written as `dataset_mixture:` in a recipe, checked; ConfigError names the entry at fault."""
        if not isinstance(mapping, Mapping):
            raise ConfigError(f"dataset_mixture must be a mapping with a list 'datasets', but is {mapping!r}.")
        check_keys(mapping, cls, "dataset_mixture")
        entries = mapping.get("datasets")
        if not isinstance(entries, list) or not entries:
            raise ConfigError(f"dataset_mixture.datasets must be a list of at least one data set, but is {entries!r}.")
        mixture = cls(
            datasets=[parse_entry(entry, f"dataset_mixture.datasets[{index}]") for index, entry in enumerate(entries)],
            seed=mapping.get("seed", 0),
            test_split_size=mapping.get("test_split_size"),
            tokens=mapping.get("tokens"),
            tokenizer=mapping.get("tokenizer"),
        )
        check_seed(mixture.seed)
        check_budget(mixture)
        check_test_split_size(mixture.test_split_size)
        check_columns(mixture.datasets)
        return mixture


def check_seed(seed: Any) -> None:
    if not fits(seed, int) or seed < 0:
        raise ConfigError(f"dataset_mixture.seed must be a whole number of at least 0, but is {seed!r}; give one.")


def check_budget(mixture: DatasetMixtureConfig) -> None:
    if mixture.tokens is None:
        return
    if not fits(mixture.tokens, int) or mixture.tokens < 1:
        raise ConfigError(f"dataset_mixture.tokens must be a whole number of at least 1, but is {mixture.tokens!r}.")
    if not mixture.tokenizer or not fits(mixture.tokenizer, str):
        raise ConfigError(
            "dataset_mixture.tokens needs a dataset_mixture.tokenizer to count them: a folder or a Hub id."
        )
    unweighted = [entry.id for entry in mixture.datasets if entry.weight is None]
    if unweighted:
        raise ConfigError(f"with dataset_mixture.tokens each data set needs a weight; '{unweighted[0]}' has none.")


def check_test_split_size(size: Any) -> None:
    is_share = isinstance(size, float) and 0 < size < 1
    is_count = fits(size, int) and size >= 1
    if size is not None and not is_share and not is_count:
        raise ConfigError(
            "dataset_mixture.test_split_size must be a share above 0 and below 1 or a whole number of rows, "
            f"but is {size!r}; for example 0.1, or leave it out."
        )


def parse_entry(entry: Any, where: str) -> DatasetConfig:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where} must be a mapping with an 'id', but is {entry!r}.")
    check_keys(entry, DatasetConfig, where)
    if not entry.get("id"):
        raise ConfigError(f"{where} has no 'id'; give the data set's Hub id or path.")
    hints = get_type_hints(DatasetConfig)
    for key, value in entry.items():
        if not fits(value, hints[key]):
            raise ConfigError(f"{where}.{key} must be {in_words(hints[key])}, but is {value!r}; mend that entry.")
    weight = entry.get("weight")
    if weight is not None and not 0 < weight <= 1:
        raise ConfigError(f"{where}.weight must be above 0 and at most 1, or null for all rows, but is {weight!r}.")
    return DatasetConfig(**entry)


def check_keys(mapping: Mapping[str, Any], schema: type, where: str) -> None:
    known = [field.name for field in fields(schema)]
    for key in mapping:
        if key not in known:
            raise ConfigError(
                f"{where} has an unknown key '{key}'{nearest(key, known)} Known keys: {', '.join(known)}."
            )


def check_columns(entries: list[DatasetConfig]) -> None:
    named = {tuple(entry.columns) for entry in entries if entry.columns is not None}
    if len({frozenset(columns) for columns in named}) > 1:
        raise ConfigError(
            "Column names must be consistent across all dataset configurations in a mixture. Found: "
            + "; ".join(f"{entry.id}: {entry.columns}" for entry in entries)
        )

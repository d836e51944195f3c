"""What to train on: one data set, or a mixture as the guide's YAML writes it."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass
from typing import Any

from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT, Range
from open_r1.configs.reader import Setting, as_setting
from open_r1.configs.types import place_of, read_record
from open_r1.errors import ConfigError


@dataclass(frozen=True)
class DatasetConfig:
    """One entry of a mixture."""

    id: str = setting(MISSING, "A Hub id, a file or a folder.")
    config: str | None = setting(None, "Configuration of a Hub data set.")
    split: str = setting("train", "Split, or a part or sum of splits: train[:1000], train[10%:], train+test.")
    columns: list[str] | None = setting(None, "Columns to keep, by their names after column_map; null for all.")
    weight: float | None = setting(
        None,
        "Share of its rows to take, null for all; with a budget of tokens, its share of the budget.",
        Range(0, 1, open_low=True),
    )
    revision: str | None = setting(None, "The Hub's branch, tag or commit.")
    column_map: dict[str, str] | None = setting(None, "Columns to rename, as {found name: wanted name}.")


@dataclass(frozen=True)
class DatasetMixtureConfig:
    """A mixture: each entry's share after a seeded shuffle, concatenated, shuffled with the seed."""

    datasets: list[DatasetConfig] = setting([], "The entries.")
    seed: int = setting(0, "Seed of the shuffles.", Range(0))
    test_split_size: float | None = setting(None, "Rows, or their share, that become the split `test`.")
    tokens: int | None = setting(None, "Budget of tokens; each entry then needs a weight.", COUNT)
    tokenizer: str | None = setting(None, "What counts the tokens: a folder with tokenizer.json, or a Hub id.")

    @classmethod
    def from_mapping(cls, mapping: Any) -> DatasetMixtureConfig:
        """The mixture written as `dataset_mixture:` in a recipe, checked; ConfigError names the entry at fault."""
        return cls.read(as_setting("dataset_mixture", asdict(mapping) if isinstance(mapping, cls) else mapping, ""))

    @classmethod
    def read(cls, mixture: Setting) -> DatasetMixtureConfig:
        """The mixture of a recipe's `dataset_mixture`; ConfigError has the line of the entry at fault."""
        where = place_of(mixture.origin, "")
        if not isinstance(mixture.value, dict):
            raise ConfigError(
                f"{where}dataset_mixture must be a mapping with a list 'datasets', but is {mixture.value!r}."
            )
        written = next((part for part in mixture.parts if part.key == "datasets"), None)
        if written is None or not isinstance(written.value, list) or not written.value:
            raise ConfigError(
                f"{where}dataset_mixture.datasets must be a list of at least one data set, but is "
                f"{written and written.value!r}."
            )
        entries = [read_entry(part, f"dataset_mixture.{part.key}") for part in written.parts]
        others = [part for part in mixture.parts if part.key != "datasets"]
        read = read_record(cls, others, "dataset_mixture", mixture.origin, datasets=entries)
        read.check(where)
        return read

    def check(self, where: str) -> None:
        """ConfigError for a budget, a test split or columns that can't be used; `where` begins the message."""
        size = self.test_split_size
        if size is not None and not (0 < size < 1 or (size >= 1 and isinstance(size, int))):
            raise ConfigError(
                f"{where}dataset_mixture.test_split_size must be a share above 0 and below 1 or a whole number of rows, "
                f"but is {size!r}; for example 0.1, or leave it out."
            )
        if self.tokens is not None and not self.tokenizer:
            raise ConfigError(
                f"{where}dataset_mixture.tokens needs a dataset_mixture.tokenizer to count them: a folder or a Hub id."
            )
        unweighted = [entry.id for entry in self.datasets if entry.weight is None]
        if self.tokens is not None and unweighted:
            raise ConfigError(
                f"{where}with dataset_mixture.tokens each data set needs a weight; '{unweighted[0]}' has none."
            )
        if len({frozenset(entry.columns) for entry in self.datasets if entry.columns is not None}) > 1:
            raise ConfigError(
                f"{where}Column names must be consistent across all dataset configurations in a mixture. Found: "
                + "; ".join(f"{entry.id}: {entry.columns}" for entry in self.datasets)
            )


def read_entry(entry: Setting, where: str) -> DatasetConfig:
    """One entry of a mixture. ConfigError, with its line, for what it lacks."""
    place = place_of(entry.origin, "")
    if not isinstance(entry.value, dict):
        raise ConfigError(f"{place}{where} must be a mapping with an 'id', but is {entry.value!r}.")
    if not entry.value.get("id"):
        raise ConfigError(f"{place}{where} has no 'id'; give the data set's Hub id or path.")
    return read_record(DatasetConfig, entry.parts, where, entry.origin)

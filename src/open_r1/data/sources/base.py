"""What a source of rows that has a prefix of its own is made of: `prefix:what?key=value&key=value`.

A source is one module of `open_r1.data.sources` that defines

    PREFIX = "shop"
    def load(spec: SourceSpec) -> list[dict[str, Any]] | Dataset | DatasetDict | IterableDataset: ...

and is found by that alone. It raises DataError or ConfigError for what it can't give.
"""

from __future__ import annotations

from dataclasses import dataclass

from open_r1.configs.references import SourceReference, read_source


@dataclass(frozen=True)
class SourceSpec:
    """The name of a source, in parts."""

    name: str
    what: str
    reference: SourceReference
    streaming: bool = False

    @property
    def options(self) -> dict[str, str]:
        """The options, each as text."""
        return self.reference.options

    @classmethod
    def parse(cls, name: str, streaming: bool = False) -> SourceSpec:
        """The parts of `prefix:what?key=value`. ConfigError for options of another form."""
        reference = read_source(name)
        return cls(name, reference.name.partition(":")[2], reference, streaming)

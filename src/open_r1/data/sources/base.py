"""What a source of rows that has a prefix of its own is made of: `prefix:what?key=value&key=value`.

A source is one module of `open_r1.data.sources` that defines

    PREFIX = "shop"
    def load(spec: SourceSpec) -> list[dict[str, Any]] | Dataset | DatasetDict | IterableDataset: ...

and is found by that alone. It raises DataError for what it can't give.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from open_r1.errors import DataError, nearest


@dataclass(frozen=True)
class SourceSpec:
    """The name of a source, in parts."""

    name: str
    what: str
    options: dict[str, str]
    streaming: bool = False

    @classmethod
    def parse(cls, name: str, streaming: bool = False) -> SourceSpec:
        prefix, _, rest = name.partition(":")
        what, _, query = rest.partition("?")
        try:
            options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        except ValueError:
            raise DataError(
                f"'{name}' is not of the form {prefix}:NAME?key=value&key=value; write it that way."
            ) from None
        return cls(name, what, options, streaming)

    def require_known(self, known: tuple[str, ...]) -> None:
        """DataError for an option that is not one of `known`."""
        for key in self.options:
            if key not in known:
                raise DataError(
                    f"'{self.name}' has an unknown option '{key}'{nearest(key, known)} Known: {', '.join(known)}."
                )

    def integer(self, key: str, default: int, most: int) -> int:
        """An option as a whole number from 0 to `most`."""
        text = self.options.get(key, str(default))
        if not text.isdecimal() or int(text) > most:
            raise DataError(
                f"'{self.name}' has {key}={text}, which is not a whole number from 0 to {most:,}; change it."
            )
        return int(text)

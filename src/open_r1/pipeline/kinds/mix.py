"""The stage `mix`: conversations of several stages, to train on together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from open_r1.configs.datasets import DatasetMixtureConfig
from open_r1.configs.fields import setting
from open_r1.configs.references import read_source
from open_r1.data.provenance import Step, record_step
from open_r1.errors import ConfigError, DataError
from open_r1.pipeline.kinds.verify import TRACES
from open_r1.pipeline.stage import STAGE_NAME, Context, Stage, require_messages
from open_r1.rundir import iter_rows, write_jsonl


@dataclass(frozen=True)
class MixStage(Stage):
    """Puts the conversations of several stages together, shuffled with the pipeline's seed."""

    kind: ClassVar[str] = "mix"
    makes: ClassVar[tuple[str, ...]] = (TRACES,)

    traces: dict[str, float] = setting(
        {},
        "Stages, files or Hub data sets, each with the share of its rows up to 1, or with their number, as {cold: 1, "
        "selected: 300}; a Hub data set as 'id?config=NAME&split=train[:1000]', with a share.",
    )

    def given(self) -> list[str]:
        """The stages and files that are mixed."""
        return list(self.traces)

    def check(self) -> None:
        """ConfigError for no traces, or a share or number that takes none."""
        if not self.traces:
            raise ConfigError(f"stage '{self.name}': traces is empty; name at least one stage, as {{selected: 1}}.")
        for name, part in self.traces.items():
            if not 0 < part < math.inf or (part > 1 and part != int(part)):
                raise ConfigError(
                    f"stage '{self.name}': traces.{name} must be a share above 0 and up to 1, or a whole number of rows, "
                    f"but is {part:g}."
                )
            if self._on_hub(name) and part > 1:
                raise ConfigError(
                    f"stage '{self.name}': traces.{name} asks for {part:g} rows of a Hub data set; write "
                    f"'{name.partition('?')[0]}?split=train[:{part:g}]' with the share 1."
                )

    def check_needs(self, before: Mapping[str, Stage]) -> None:
        """ConfigError for a stage that makes no traces."""
        for name in self.needs():
            if TRACES not in before[name].makes:
                raise ConfigError(f"stage '{self.name}': traces names '{name}', which does not make {TRACES}.")

    def check_inputs(self, before: Mapping[str, Stage]) -> None:
        """DataError for rows without conversations, as far as they can be seen before it runs."""
        for name in self.traces:
            if columns := self.columns_of(name, before):
                require_messages(columns, name)

    def columns_made(self, before: Mapping[str, Stage]) -> tuple[str, ...]:
        """Conversations alone."""
        return ("messages",)

    def run(self, context: Context) -> dict[str, Any]:
        """Write the mixture; returns how many rows of each source it has."""
        from open_r1.data.mixtures import mix_shares

        entries = [self._entry(name, context.root) for name in self.traces]
        splits, shares = mix_shares(DatasetMixtureConfig.from_mapping({"datasets": entries, "seed": context.seed}))
        output = context.run.path / TRACES
        write_jsonl(output, splits["train"])
        counts = {name: share.rows for name, share in zip(self.traces, shares, strict=True)}
        record_step(output, Step("mix", entries[0]["id"], {"traces": self.traces}, counts))
        context.report(", ".join(f"{count:,} of {name}" for name, count in counts.items()))
        return {"rows": counts}

    def _on_hub(self, name: str) -> bool:
        """Whether a name is a Hub data set's; ConfigError for an option that none has."""
        is_local = STAGE_NAME.fullmatch(name) or Path(self.place(name, Path())).exists()
        return not is_local and bool(read_source(name, "data set", ("config", "split", "revision")))

    def _entry(self, name: str, root: Path) -> dict[str, Any]:
        """The source as an entry of a mixture, its number of rows as a weight. DataError where it has fewer."""
        part, source = self.traces[name], self.place(name, root, TRACES)
        if self._on_hub(name):
            reference = read_source(name, "data set")
            return {"id": reference.name, **reference.options, "weight": float(part), "columns": ["messages"]}
        if part > 1:
            rows = sum(1 for _ in iter_rows(Path(source)))
            if part > rows:
                raise DataError(
                    f"stage '{self.name}': traces.{name} asks for {part:g} rows, but '{source}' has {rows}."
                )
            part = min(1.0, (part + 0.5) / rows)  # the mixture rounds down
        return {"id": source, "weight": float(part), "columns": ["messages"]}

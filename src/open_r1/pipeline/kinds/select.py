"""The stage `select`: the right traces, the best of each problem; with `generate` and `verify`, rejection sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT
from open_r1.data.rows import Rows
from open_r1.data.selection import By, Keep, SelectSettings, find_columns, select
from open_r1.errors import DataError
from open_r1.pipeline.kinds.verify import TRACES, CurationStage, trace_column
from open_r1.pipeline.stage import Context, Stage, StageName, naming_stage


@dataclass(frozen=True)
class SelectStage(CurationStage):
    """Keeps the traces that are worth training on, the best of each problem, as conversations."""

    kind: ClassVar[str] = "select"

    traces: StageName = setting(StageName("verify"), "The stage with the verified traces, or a file.")
    keep: Keep = setting("verified", "verified: right by rules or judge; rules: by rules alone; all")
    per_problem: int | None = setting(None, "Most traces a problem (default: all).", COUNT)
    by: By = setting("shortest", "Which traces of a problem are better.")
    min_tokens: int | None = setting(None, "Shorter traces are left out.", COUNT)
    max_tokens: int | None = setting(None, "Longer traces are left out.", COUNT)
    thinking_optional: bool = setting(False, "Keep traces without any thinking, too.")
    without: list[str] = setting([], "Filters to leave out, by name.")

    def check(self) -> None:
        """ConfigError for settings that no selection has."""
        with naming_stage(self.name):
            self._settings("completion", 0)

    def check_columns(self, columns: tuple[str, ...], where: str) -> None:
        """DataError where traces have no problem, or no verdict that `keep` asks for."""
        find_columns(Rows(where, columns, lambda needed: iter(())), self._settings(trace_column(columns), 0))

    def columns_made(self, before: Mapping[str, Stage]) -> tuple[str, ...] | None:
        """Those of its traces, as conversations."""
        columns = self.columns_of(self.traces, before)
        return columns and ("messages", *(name for name in columns if name not in ("messages", "completion")))

    def _settings(self, column: str, seed: int) -> SelectSettings:
        names = ("keep", "per_problem", "by", "min_tokens", "max_tokens", "thinking_optional")
        form = "rows" if column == "messages" else "messages"
        return SelectSettings(
            **{name: getattr(self, name) for name in names},
            without=tuple(self.without), seed=seed, form=form, completion_column=column,
        )  # fmt: skip

    def run(self, context: Context) -> dict[str, Any]:
        """Write the traces that are kept; returns their number and those of each reason against the others."""
        source, column = self.source(context)
        counts = select(source, context.run.path / TRACES, self._settings(column, context.seed))
        if not counts["kept"]:
            reasons = ", ".join(f"{name} {count:,}" for name, count in counts["left_out"].items())
            raise DataError(f"stage '{self.name}' keeps none of {counts['traces']:,} traces ({reasons}); keep more.")
        context.report(
            f"{counts['kept']:,} of {counts['traces']:,} traces of {counts['problems_kept']:,} problems are kept"
        )
        return counts

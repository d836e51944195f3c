"""The stage `verify`: a verdict, with its reason, on every trace of an earlier stage."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from open_r1.configs.fields import setting
from open_r1.data.sources import open_rows
from open_r1.data.verification import OWN_COLUMNS, VerifySettings, verify
from open_r1.errors import ConfigError, nearest
from open_r1.pipeline.stage import Context, Stage, StageName, naming_stage
from open_r1.rewards.registry import get_spec, reward_specs

TRACES = "traces.jsonl"


@dataclass(frozen=True)
class CurationStage(Stage):
    """What `verify` and `select` share: traces in, traces out."""

    makes: ClassVar[tuple[str, ...]] = (TRACES,)
    inputs: ClassVar[tuple[str, ...]] = ("traces",)
    reads: ClassVar[Mapping[str, str]] = {"traces": TRACES}

    traces: StageName = setting(StageName("generate"), "The stage with the traces, or a file.")

    def source(self, context: Context) -> tuple[str, str]:
        """Where the traces are, and their column."""
        source = self.place(self.traces, context.root, TRACES)
        return source, trace_column(open_rows(source).columns)

    def check_inputs(self, before: Mapping[str, Stage]) -> None:
        """DataError for traces without rows or, where their columns are known, without one that it needs."""
        if columns := self.columns_of(self.traces, before):
            self.check_columns(columns, f"{'stage ' if self.needs() else ''}{self.traces}")

    @abstractmethod
    def check_columns(self, columns: tuple[str, ...], where: str) -> None:
        """DataError for columns that it can't work on."""


def trace_column(columns: Sequence[str]) -> str:
    """The column with the traces: conversations where there are any, else completions."""
    return "messages" if "messages" in columns else "completion"


@dataclass(frozen=True)
class VerifyStage(CurationStage):
    """Judges every trace by rewards: its rows again, with `verified` and why; a killed stage goes on after its last line."""

    kind: ClassVar[str] = "verify"
    resumes: ClassVar[bool] = True

    rewards: list[str] | None = setting(None, "Rewards to judge by (default: those that the columns allow).")
    reward_settings: dict[str, Any] = setting({}, "Settings of the rewards by name.")
    threshold: float = setting(1.0, "Score from which on a trace is right.")

    def prepare(self, root: Path, seed: int) -> None:
        """ConfigError for an unknown reward, a setting that none of them has, or a threshold that is not finite."""
        with naming_stage(self.name):
            VerifySettings(threshold=self.threshold)
            specs = [get_spec(name) for name in self.rewards] if self.rewards else list(reward_specs().values())
            known = sorted({key for spec in specs for key in spec.options})
            for key in self.reward_settings:
                if key not in known:
                    raise ConfigError(
                        f"reward_settings: none of the rewards has a setting '{key}'{nearest(key, known)} "
                        f"They have: {', '.join(known) or 'none'}."
                    )

    def check_columns(self, columns: tuple[str, ...], where: str) -> None:
        """DataError where nothing says what is right, or a reward lacks a column."""
        settings = self._settings(trace_column(columns))
        settings.build(settings.names(columns, where), columns, where)

    def columns_made(self, before: Mapping[str, Stage]) -> tuple[str, ...] | None:
        """Those of its traces, and the verdict's."""
        columns = self.columns_of(self.traces, before)
        return columns and (*columns, *OWN_COLUMNS)

    def _settings(self, column: str) -> VerifySettings:
        rewards = tuple(self.rewards) if self.rewards else None
        return VerifySettings(
            rewards=rewards, reward_settings=self.reward_settings, completion_column=column, threshold=self.threshold
        )

    def run(self, context: Context) -> dict[str, Any]:
        """Judge the traces that have no verdict yet; returns the counts of right, wrong and undecided ones."""
        source, column = self.source(context)
        record = verify(source, context.run.path / TRACES, self._settings(column))
        facts = {name: record[name] for name in ("traces", "verified", "refuted", "undecided")}
        context.report(", ".join(f"{count:,} {name}" for name, count in facts.items()))
        return facts

"""The stage `traces`: a worked solution of every problem, for supervised fine-tuning."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from open_r1.configs.fields import setting
from open_r1.errors import ConfigError, nearest
from open_r1.pipeline.kinds.problems import read_problems
from open_r1.pipeline.stage import Context, Stage, StageName
from open_r1.rundir import write_jsonl
from open_r1.tasks import STYLES, write_trace
from open_r1.text.tags import render_completion

COLUMNS = ("messages", "style", "family", "difficulty", "problem_id", "solution")


@dataclass(frozen=True)
class TracesStage(Stage):
    """Writes a worked trace for every SFT problem, as a teacher would who is careful with some and lazy with others."""

    kind: ClassVar[str] = "traces"
    makes: ClassVar[tuple[str, ...]] = ("traces.jsonl",)
    inputs: ClassVar[tuple[str, ...]] = ("problems",)
    reads: ClassVar[Mapping[str, str]] = {"problems": "sft.jsonl"}

    problems: StageName = setting(StageName("problems"), "The stage with the problems.")
    style: str = setting("terse", f"How careful traces are written: {', '.join(STYLES)}.")
    lazy_share: dict[float, float] = setting(
        {}, "Difficulty -> share of traces that skip the work, interpolated in between."
    )

    def check(self) -> None:
        """ConfigError for an unknown style, or a share outside 0 to 1."""
        if self.style not in STYLES:
            raise ConfigError(
                f"stage '{self.name}': unknown style '{self.style}'{nearest(self.style, STYLES)} "
                f"Styles: {', '.join(STYLES)}."
            )
        for difficulty, share in self.lazy_share.items():
            if not 0 <= share <= 1:
                raise ConfigError(f"stage '{self.name}': lazy_share[{difficulty}] must be 0 to 1, but is {share}.")

    def check_needs(self, before: Mapping[str, Stage]) -> None:
        """ConfigError, too, for problems of the user's own, whose solutions only the user knows."""
        super().check_needs(before)
        own = getattr(before.get(self.problems), "sft", None)
        if isinstance(own, str):
            raise ConfigError(
                f"stage '{self.name}': traces are written for problems of task families, but stage '{self.problems}' takes "
                f"sft from '{own}'; give the stage sft your own traces as `traces: FILE`, and leave this stage out."
            )

    def columns_made(self, before: Mapping[str, Stage]) -> tuple[str, ...]:
        """Those that `run` writes."""
        return COLUMNS

    def run(self, context: Context) -> dict[str, Any]:
        """Write a trace for each SFT problem, of which `lazy_share` skip the steps; returns both counts."""
        rng = random.Random(f"traces/{context.seed}")
        rows = []
        for problem in read_problems(context.folder(self.problems) / "sft.jsonl"):
            is_lazy = rng.random() < _interpolate(self.lazy_share, problem.difficulty)
            style = "lazy" if is_lazy else self.style
            trace = write_trace(problem, style, context.seed)
            messages = [
                {"role": "user", "content": problem.prompt},
                {"role": "assistant", "content": render_completion(trace.thinking, trace.answer)},
            ]
            values = (messages, style, problem.family, problem.difficulty, problem.id, problem.gold)
            rows.append(dict(zip(COLUMNS, values, strict=True)))
        write_jsonl(context.run.path / "traces.jsonl", rows)
        lazy = sum(row["style"] == "lazy" for row in rows)
        context.report(f"{len(rows)} traces, {lazy} of them lazy")
        return {"traces": len(rows), "lazy": lazy}


def _interpolate(points: Mapping[float, float], position: float) -> float:
    known = sorted(points.items())
    return float(np.interp(position, [at for at, _ in known], [share for _, share in known])) if known else 0.0

"""The stage `report`: the run as one page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from open_r1.pipeline.stage import Context, Stage


@dataclass(frozen=True)
class ReportStage(Stage):
    """Writes report.html beside the stages, from their records."""

    kind: ClassVar[str] = "report"
    always: ClassVar[bool] = True
    reads_all: ClassVar[bool] = True

    def run(self, context: Context) -> dict[str, Any]:
        """Write the report of the whole pipeline; returns the name of its file."""
        from open_r1.evaluation.table import compare_folders
        from open_r1.report import build_report

        path = build_report(context.root, compare_folders)
        context.report(f"open {path}")
        return {"report": path.name}

"""The data engine: read, generate, verify, select, rate, clean, mix and publish rows. Knows `datasets`, never torch.

Each function here is a verb of `open-r1 data`, with its settings as a frozen dataclass. What is exported is loaded when it
is used, so that a process that needs one module starts without the others.
"""

# ruff: noqa: F401 - what is exported is imported for type checkers only

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from open_r1.data.conversations import to_conversations, to_prompts
    from open_r1.data.decontamination import decontaminate
    from open_r1.data.deduplication import DedupSettings, deduplicate
    from open_r1.data.evaluation_index import Rule
    from open_r1.data.generation import TraceSettings, generate_traces
    from open_r1.data.judge_model import JudgeSettings, open_judge
    from open_r1.data.mixtures import get_dataset, mix
    from open_r1.data.pass_rate import PassRateSettings, measure_pass_rate
    from open_r1.data.problems import ProblemSource
    from open_r1.data.row_file import Destination
    from open_r1.data.selection import SelectSettings, select
    from open_r1.data.shards import publish
    from open_r1.data.sources import open_rows
    from open_r1.data.teacher import TeacherSettings, open_teacher
    from open_r1.data.verification import VerifySettings, verify

_EXPORTS = {
    "conversations": ("to_conversations", "to_prompts"),
    "decontamination": ("decontaminate",),
    "deduplication": ("DedupSettings", "deduplicate"),
    "evaluation_index": ("Rule",),
    "generation": ("TraceSettings", "generate_traces"),
    "judge_model": ("JudgeSettings", "open_judge"),
    "mixtures": ("get_dataset", "mix"),
    "pass_rate": ("PassRateSettings", "measure_pass_rate"),
    "problems": ("ProblemSource",),
    "row_file": ("Destination",),
    "selection": ("SelectSettings", "select"),
    "shards": ("publish",),
    "sources": ("open_rows",),
    "teacher": ("TeacherSettings", "open_teacher"),
    "verification": ("VerifySettings", "verify"),
}
"""Module -> what is exported from it."""

_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'open_r1.data' has no attribute '{name}'")
    return getattr(importlib.import_module(f"open_r1.data.{_MODULE_OF[name]}"), name)

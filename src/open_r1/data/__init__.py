"""The data engine: read, generate, verify, select, rate, clean, mix and publish rows. Knows `datasets`, never torch.

Each function here is a verb of `open-r1 data`, with its settings as a frozen dataclass; each is loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import Any

_EXPORTS = {
    "conversations": ("to_conversations", "to_prompts"),
    "decontamination": ("decontaminate",),
    "deduplication": ("DedupSettings", "deduplicate"),
    "evaluation_index": ("Rule",),
    "generation": ("TraceSettings", "generate_traces"),
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

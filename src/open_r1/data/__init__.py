"""The data engine: read, generate, verify, select, rate, clean, mix and publish rows. Knows `datasets`, never torch.

Each function here is a verb of `open-r1 data`, with its settings as a frozen dataclass. What is exported is loaded when it
is used, so that a process that needs one module starts without the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from open_r1.data.conversations import to_conversations, to_prompts
    from open_r1.data.mixtures import get_dataset

__all__ = ["get_dataset", "to_conversations", "to_prompts"]

_MODULES = {"get_dataset": "mixtures", "to_conversations": "conversations", "to_prompts": "conversations"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'open_r1.data' has no attribute '{name}'")
    return getattr(importlib.import_module(f"open_r1.data.{_MODULES[name]}"), name)

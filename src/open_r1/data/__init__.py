"""Data: sources, mixtures, conversations, cleaning. Knows `datasets`, never torch.

What it exports is loaded when it is used: processes that need one module of it start without the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from open_r1.data.conversations import to_conversations, to_prompts
    from open_r1.data.sources import get_dataset

__all__ = ["get_dataset", "to_conversations", "to_prompts"]

_MODULES = {"get_dataset": "sources", "to_conversations": "conversations", "to_prompts": "conversations"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'open_r1.data' has no attribute '{name}'")
    return getattr(importlib.import_module(f"open_r1.data.{_MODULES[name]}"), name)

"""Saves and unwraps models without DeepSpeed, where no run has loaded it.

accelerate imports DeepSpeed, if it is installed, whenever a model is saved or unwrapped, to see whether the model is its
engine: 3 s, and on a CPU a warning on stdout, where results go. A model can be that engine only where DeepSpeed is loaded.
"""

from __future__ import annotations

import sys
from typing import Any


def unwrap_without_deepspeed() -> None:
    """From here on accelerate looks for DeepSpeed's engine only if DeepSpeed is loaded. Leans on accelerate 1.15."""
    from accelerate.utils import other

    accelerate: Any = other
    accelerate.is_deepspeed_available = lambda: "deepspeed" in sys.modules

"""What a processor computes with: bfloat16 where it has the arithmetic, float32 otherwise.

On a processor without AVX-512 or AMX, PyTorch multiplies bfloat16 matrices eight times slower than float32 ones (18 and 154
billion operations a second on two AVX2 cores).
"""

from __future__ import annotations

from typing import Any

import torch


def computes_bfloat16() -> bool:
    """Whether this machine's processor has fast arithmetic of bfloat16."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a build of PyTorch without oneDNN
        return False


def loading_dtype(on_cpu: bool, asked: str | None = None) -> Any:
    """The dtype to load a model in, as transformers takes it: what is asked for, else the saved one if it is fast here."""
    if asked not in (None, "auto"):
        return asked
    return torch.float32 if on_cpu and not computes_bfloat16() else "auto"

"""Whether a model's weights are whole and contain numbers: read from the files themselves, without torch.

Values of 16, 32 and 64 bits are looked at; 8-bit and 4-bit formats are not. Memory stays bounded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_r1.errors import ModelError

VALUES_AT_ONCE = 16 << 20

EXPONENTS: Mapping[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FF0000000000000),
    "F32": ("<u4", 0x7F800000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
}
"""Type -> its words, and the exponent's bits: all of them set means infinity or NaN."""


def check_weights(folder: Path) -> int:
    """The number of parameters. ModelError for a file that is cut, a shard that is missing, a value that is not a number."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(
            f"'{folder}' has no *.safetensors; save the model with save_pretrained, since other formats can run code."
        )
    headers = {path: read_header(path) for path in files}
    for index in sorted(folder.glob("*.safetensors.index.json")):
        check_index(index, {(name, path.name) for path, header in headers.items() for name in header})
    for path, header in headers.items():
        check_numbers(path, header)
    return sum(math.prod(tensor["shape"]) for header in headers.values() for tensor in header.values())


def read_header(path: Path) -> dict[str, Any]:
    """Tensor -> its type, shape and place in the file; safetensors checks that the file is whole."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"), path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(path, str(error)) from None
    header.pop("__metadata__", None)
    return {
        name: tensor | {"place": [8 + length + at for at in tensor["data_offsets"]]} for name, tensor in header.items()
    }


def check_index(index: Path, present: set[tuple[str, str]]) -> None:
    """ModelError unless every tensor of an index is in the shard that it names."""
    try:
        missing = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()) - present)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise damaged(index, "it is not an index") from None
    for name, shard in missing:
        raise damaged(index, f"it puts {name} into {shard}, which is not there or does not contain it")


def check_numbers(path: Path, header: Mapping[str, Any]) -> None:
    """ModelError for a value that is NaN or infinite."""
    import numpy as np

    for name, tensor in header.items():
        if tensor["dtype"] not in EXPONENTS or not math.prod(tensor["shape"]):
            continue
        words, exponent = EXPONENTS[tensor["dtype"]]
        bits = np.memmap(path, words, "r", tensor["place"][0], (math.prod(tensor["shape"]),))
        for start in range(0, len(bits), VALUES_AT_ONCE):
            if ((bits[start : start + VALUES_AT_ONCE] & exponent) == exponent).any():
                raise ModelError(
                    f"the weights in '{path}' contain values that are not numbers (NaN or infinity, in {name}): the "
                    "training went wrong; publish an earlier checkpoint."
                )


def damaged(path: Path, what: str) -> ModelError:
    """The error for a weight file that is damaged; `what` says in which way."""
    return ModelError(f"'{path}' is damaged: {what}; copy or save the model again.")

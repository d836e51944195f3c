"""Whether a model's weights are whole and contain numbers: read from the files themselves, without torch.

Does: compare a safetensors file's header with its size, the index with its shards, and look for NaN and infinity in every
floating-point value of 16, 32 and 64 bits. Memory stays bounded.
Does not: look into 8-bit and 4-bit formats, or tell good weights from bad ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_r1.errors import ModelError

BYTES_AT_ONCE = 64 << 20
LONGEST_HEADER = 100 << 20

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
    headers = {path.name: read_header(path) for path in files}
    for index in sorted(folder.glob("*.safetensors.index.json")):
        check_index(index, headers)
    for path in files:
        check_numbers(path, headers[path.name])
    return sum(math.prod(tensor["shape"]) for header in headers.values() for tensor in header.values())


def read_header(path: Path) -> dict[str, Any]:
    """Tensor -> its type, shape and place, the place counted from the file's beginning."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, LONGEST_HEADER):
            raise damaged(path, "it is cut off within its header")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            places = {name: [8 + length + at for at in tensor["data_offsets"]] for name, tensor in header.items()}
            end = max((place[1] for place in places.values()), default=8 + length)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise damaged(path, "its header can't be read") from None
    if end != size:
        raise damaged(path, f"it has {size:,} bytes but its tensors end at {end:,}")
    return {name: tensor | {"place": places[name]} for name, tensor in header.items()}


def check_index(index: Path, headers: Mapping[str, Any]) -> None:
    """ModelError unless every tensor of an index is in the shard that it names."""
    try:
        shard_of = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        pairs = list(shard_of.items())
    except (ValueError, LookupError, TypeError, AttributeError):
        raise damaged(index, "it is not an index") from None
    missing = sorted({str(shard) for _, shard in pairs if shard not in headers})
    if missing:
        raise damaged(
            index, f"it names {', '.join(missing[:3])}, which {'is' if len(missing) == 1 else 'are'} not there"
        )
    for name, shard in pairs:
        if name not in headers[shard]:
            raise damaged(index, f"it puts {name} into {shard}, which does not contain it")


def check_numbers(path: Path, header: Mapping[str, Any]) -> None:
    """ModelError for a value that is NaN or infinite."""
    import numpy as np

    with path.open("rb") as file:
        for name, tensor in header.items():
            if tensor["dtype"] not in EXPONENTS:
                continue
            words, exponent = EXPONENTS[tensor["dtype"]]
            start, end = tensor["place"]
            file.seek(start)
            while start < end:
                data = file.read(min(BYTES_AT_ONCE, end - start))
                bits = np.frombuffer(data, words)
                if ((bits & exponent) == exponent).any():
                    raise ModelError(
                        f"the weights in '{path}' contain values that are not numbers (NaN or infinity, in {name}): the "
                        "training went wrong; publish an earlier checkpoint."
                    )
                start += len(data)


def damaged(path: Path, what: str) -> ModelError:
    """The error for a damaged file."""
    return ModelError(f"'{path}' is damaged: {what}; copy or save the model again.")

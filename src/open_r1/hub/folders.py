"""What a model folder is, a check made before a library is loaded; and whether its weights are whole and contain numbers.

Weights are read from the files themselves, without torch, in bounded memory: values of 16, 32 and 64 bits are looked at,
8-bit and 4-bit formats are not.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import getproxies

from open_r1.errors import ConfigError, ModelError
from open_r1.net.addresses import without_secrets

TOKENIZER_FILES = ("tokenizer*", "*.model", "vocab*", "*.tiktoken", "tekken.json")
MODEL_FILES = (
    *("*.safetensors", "pytorch_model*.bin", "*.index.json", "config.json", "generation_config.json"),
    *("adapter_config.json", "chat_template*", "special_tokens_map.json", "added_tokens.json", "merges.txt"),
    *TOKENIZER_FILES,
)
"""What decides a model's completions, by pattern."""


def looks_local(name: str) -> bool:
    """Whether a name is meant as a path: it is written as one, exists, or seems to misname a folder beside it.

    `open-r1/MODEL` is a Hub id beside a folder `open-r1`, unless that folder has runs, or a folder with nearly this name.
    """
    path = Path(name).expanduser()
    if name.startswith((".", "/", "~")) or path.exists() or name.count("/") > 1:
        return True
    if path.parent == Path() or not path.parent.is_dir():
        return False
    beside = [folder.name for folder in path.parent.iterdir() if folder.is_dir()]
    has_runs = any(next(path.parent.glob(f"{below}/resolved.yaml"), None) for below in ("*", "*/*"))
    return has_runs or bool(get_close_matches(path.name, beside, 1, cutoff=0.8))


def check_hub_proxy() -> None:
    """ConfigError for a SOCKS proxy in the environment that downloads from the Hub can't use."""
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all") or ""
    if proxy.startswith("socks") and not find_spec("socksio") and not os.environ.get("HF_HUB_OFFLINE"):
        raise ConfigError(
            f"the environment's proxy {without_secrets(proxy)} is a SOCKS proxy, and downloads from the Hub need the "
            "package socksio for it; run pip install socksio, or unset all_proxy and https_proxy."
        )


def check_model_path(name: str) -> None:
    """ModelError when `name` is meant as a local folder but lacks config, weights or tokenizer.

    ConfigError for an environment's proxy by which no other name can be loaded.
    """
    path = Path(name).expanduser()
    if not looks_local(name):
        check_hub_proxy()
        return
    if not path.is_dir():
        raise ModelError(
            f"model folder '{name}' does not exist; check the path (relative paths start at {Path.cwd()}), "
            "or give a Hub id."
        )
    config = path / "config.json"
    if not config.exists() and (path / "adapter_config.json").exists():
        return
    if not config.exists():
        found = ", ".join(sorted(item.name for item in path.iterdir())[:5]) or "nothing"
        raise ModelError(f"'{name}' is not a model folder: it has no config.json (found {found}).")
    try:
        json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"'{config}' is not JSON: {error}; the model folder is damaged.") from None
    if not any(path.glob("*.safetensors")) and not any(path.glob("pytorch_model*.bin")):
        raise ModelError(f"model folder '{name}' has a config.json but no weights (*.safetensors); copy them there.")
    if not any(find_files(path, TOKENIZER_FILES)):
        raise ModelError(
            f"model folder '{name}' has no tokenizer (tokenizer.json, tokenizer_config.json, tokenizer.model or vocab.*); "
            "copy those of the model it comes from there."
        )


def is_adapter(name: str) -> bool:
    """Whether a folder contains a LoRA adapter, not a whole model."""
    folder = Path(name).expanduser()
    return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()


def base_of_adapter(folder: Path) -> str:
    """The model that a LoRA adapter was trained on: a Hub id, or a folder, found from wherever the command runs.

    ModelError, which names the base, where it is a folder that is not there.
    """
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    named = config.get("base_model_name_or_path") or ""
    places = [Path(named).expanduser(), *(parent / named for parent in (folder.resolve(), *folder.resolve().parents))]
    found = next((place for place in places if place.is_dir()), None) if named else None
    if found is None and (not named or looks_local(named)):
        raise ModelError(
            f"the base model '{named}' of the adapter in '{folder}' does not exist; put it there, or write its path as "
            "base_model_name_or_path into adapter_config.json."
        )
    return str(found or named)


def model_files(name: str) -> list[Path]:
    """The files that make a local folder the model it is; none for a Hub id or a server's name."""
    path = Path(name).expanduser()
    return find_files(path, MODEL_FILES) if looks_local(name) and path.is_dir() else []


def find_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """The files directly in a folder that match one of the patterns, sorted."""
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def without_template(model: str) -> ModelError:
    """What to say of a model that can't be asked."""
    return ModelError(
        f"the tokenizer of '{model}' has no chat template, so that nothing can be asked; give the tokenizer a "
        "chat_template (chat_template.jinja in its folder), or use a chat model."
    )


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

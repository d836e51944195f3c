"""What a model folder is: a check that needs no library, made before one is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
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

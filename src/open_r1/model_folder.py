"""What a model folder is: a check that needs no library, made before one is loaded."""

from __future__ import annotations

import json
from pathlib import Path

from open_r1.errors import ModelError


def check_model_path(name: str) -> None:
    """ModelError when `name` is meant as a local folder but holds no model."""
    path = Path(name).expanduser()
    looks_local = name.startswith((".", "/", "~")) or path.exists() or name.count("/") > 1
    if not looks_local:
        return
    if not path.is_dir():
        raise ModelError(f"model folder '{name}' does not exist; give a folder with config.json or a Hub id.")
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

"""What a model folder is: a check that needs no library, made before one is loaded."""

from __future__ import annotations

import json
from pathlib import Path

from open_r1.errors import ModelError


def looks_local(name: str) -> bool:
    """Whether a name is meant as a path: it is written as one, exists, or lies in a folder that does."""
    path = Path(name).expanduser()
    in_a_folder_here = path.parent != Path() and path.parent.is_dir()
    return name.startswith((".", "/", "~")) or path.exists() or name.count("/") > 1 or in_a_folder_here


def check_model_path(name: str) -> None:
    """ModelError when `name` is meant as a local folder but holds no model."""
    path = Path(name).expanduser()
    if not looks_local(name):
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

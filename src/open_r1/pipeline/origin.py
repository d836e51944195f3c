"""What a finished stage was made from, kept in its folder: inputs and outputs with hashes and rows, settings, the command.

`hub.origins` follows these records from a model back to its data.
"""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from open_r1 import __version__
from open_r1.hub.folders import model_files
from open_r1.hub.origins import ORIGIN, read_origin
from open_r1.pipeline.stage import STAGE_NAME, Context, Stage
from open_r1.rundir import write_json
from open_r1.text.secrets import hide_secrets

CHUNK = 1 << 20


def record_origin(
    stage: Stage, context: Context, inputs: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], seconds: float
) -> None:
    """Write `origin.json` of a stage that has just finished; `inputs` as they were when it began."""
    folder = context.run.path
    record = {
        "stage": stage.name,
        "kind": stage.kind,
        "inputs": list(inputs),
        "made": {path.name: describe_file(path) for path in stage.made_files(folder)},
        "settings": stage.settings(),
        "facts": dict(facts),
        "seed": context.seed,
        "seconds": round(seconds, 1),
        "command": hide_secrets(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        "version": __version__,
    }
    write_json(folder / ORIGIN, record)


def describe_inputs(stage: Stage, root: Path) -> list[dict[str, Any]]:
    """What a stage reads, with hashes. RunFolderError where the record of a stage that it reads is damaged."""
    return [_describe_input(stage, value, root) for value in stage.given()]


def _describe_input(stage: Stage, value: str, root: Path) -> dict[str, Any]:
    """An input: a stage with the files of it that are read, or the user's own with their hashes, or a Hub id."""
    if STAGE_NAME.fullmatch(value):
        made = read_origin(root / value).get("made", {})
        wanted = {file for key, file in stage.reads.items() if value in _values(getattr(stage, key, None))}
        read = {name: made[name] for name in made if not wanted or name in wanted}
        return {"stage": value, "files": read or made}
    path = Path(stage.place(value, root))
    files = [path] if path.is_file() else model_files(str(path)) if path.is_dir() else []
    return {"name": value} | ({"files": {one.name: describe_file(one) for one in files}} if files else {})


def _values(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value or ())


def describe_file(path: Path) -> dict[str, Any]:
    """A file's SHA-256, as sha256sum gives it, and its number of rows where it is JSONL."""
    digest, lines = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            lines += chunk.count(b"\n")
    return {"sha256": digest.hexdigest()} | ({"rows": lines} if path.suffix == ".jsonl" else {})

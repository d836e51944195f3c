"""Publishing a model: its weights checked, its card written from the files of its runs, its folder pushed to the Hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.configs.reader import read_values
from open_r1.errors import ConfigError, ModelError, RunFolderError
from open_r1.hub.card import CARD, is_foreign, model_card
from open_r1.hub.folders import base_of_adapter, check_model_path, check_weights, is_adapter
from open_r1.hub.origins import find_evaluations, read_lineage, read_measured, read_origins
from open_r1.hub.push import MODEL_LEFT_OUT, check_repo_id, push_folder
from open_r1.rundir import RunDir, hash_files, read_json, write_text

LEFT_OUT = (*MODEL_LEFT_OUT, ".*", "*.partial", "*.log", "eval/*/samples.jsonl", "eval/*/completions/*")
"""What stays here: what is not part of a model, and what a reader of the model does not need."""


@dataclass(frozen=True)
class Publication:
    """What is published: the card's text, the names of the files, their size in bytes, the model's parameters."""

    card: str
    files: tuple[str, ...]
    size: int
    parameters: int


def publish(
    folder: Path,
    repo_id: str,
    *,
    tags: Sequence[str] = (),
    description: str = "",
    evaluations: Sequence[Path] = (),
    card: Path | None = None,
    overwrite_card: bool = False,
    revision: str = "main",
    private: bool = False,
    dry_run: bool = False,
    api: Any = None,
    report: Callable[[str], None] = lambda line: None,
) -> Publication:
    """Check a model, write its card, and push it to the Hub.

    Args:
        folder: A model folder; lineage and results are read from it and from the runs that it started from.
        tags: Tags beside open-r1, reasoning and the methods.
        description: What the model is, in a sentence of the card.
        evaluations: Further folders that `open-r1 eval` wrote for this model.
        card: A card to use in place of the one that is made.
        overwrite_card: Replace a card that neither a training nor `publish` wrote.
        private: Make the repository private when it is new.
        dry_run: Check and say what would be pushed; write and push nothing.
        api: The Hub's client; by default one with the user's token.
        report: Gets notices in a line each.

    Raises:
        UsageError: The name, an evaluation, the card, the folder, its weights or its run can't be used.
        RunError: The Hub refuses or can't be reached; everything stays where it is.
    """
    folder = folder.expanduser()
    check_repo_id(repo_id)
    parameters = check_folder(folder)
    base = check_base(folder)
    if base:
        report(f"a LoRA adapter of {base}; `open-r1 merge` would make a whole model of it")
    text = (
        make_card(folder, repo_id, tags, evaluations, report, base, description) if card is None else read_card(card)
    )
    path, left_out = folder / CARD, files_left_out(folder)
    if not overwrite_card:
        check_card(path, text)
    files = files_to_push(folder, left_out)
    size = sum((folder / name).stat().st_size for name in files if (folder / name).is_file())
    report(f"{parameters:,} parameters, all of them finite; {len(files)} files, {size / 1e6:,.1f} MB")
    if not dry_run:
        write_text(path, text)
        message, options = "Model and card by open-r1 publish", {"revision": revision, "private": private or None}
        push_folder(folder, repo_id, message, left_out=left_out, api=api, **options)
    return Publication(text, tuple(files), size, parameters)


def check_card(path: Path, text: str) -> None:
    """ConfigError where `text` would replace another card that open-r1 did not write."""
    if is_foreign(path) and path.read_text(encoding="utf-8", errors="replace") != text:
        raise ConfigError(
            f"'{path}' was not written by open-r1, and the new card would replace it; publish it as it is with "
            f"--card '{path}', move it away, or replace it with --overwrite_card."
        )


def files_to_push(folder: Path, left_out: Sequence[str]) -> list[str]:
    """Names of the card and of the folder's files that no pattern leaves out, sorted."""
    from huggingface_hub.utils import filter_repo_objects

    names = {CARD, *(str(found.relative_to(folder)) for found in folder.rglob("*") if found.is_file())}
    return sorted(filter_repo_objects(names, ignore_patterns=list(left_out)))


def check_base(folder: Path) -> str:
    """The Hub id of an adapter's base, empty for a whole model. ModelError for a base that nobody else has."""
    if not is_adapter(str(folder)):
        return ""
    base = base_of_adapter(folder)
    if Path(base).is_dir():
        raise ModelError(
            f"'{folder}' contains a LoRA adapter of '{base}', a folder of this machine, so nobody else could load it; run "
            f"`open-r1 merge {folder} OUT` and publish OUT, or write the base's Hub id into adapter_config.json."
        )
    return base


def make_card(
    folder: Path,
    repo_id: str,
    tags: Sequence[str],
    evaluations: Sequence[Path],
    report: Callable[[str], None],
    base: str,
    description: str = "",
) -> str:
    """The card by the model's lineage and results; `report` gets a notice when there is no evaluation."""
    measured = read_measured(find_evaluations(folder, evaluations))
    if not measured:
        report("no evaluation of this model was found; name its folder with --evaluations")
    steps, origins = read_lineage(folder), read_origins(folder)
    return model_card(repo_id.partition("/")[2], repo_id, steps, measured, tags, base, description, origins)


def check_folder(folder: Path) -> int:
    """The number of parameters. ModelError or RunFolderError for what no one should be given."""
    if not folder.is_dir():
        raise ModelError(f"model folder '{folder}' does not exist; publish takes a folder on this machine.")
    check_model_path(str(folder.resolve()))
    run = RunDir(folder)
    if run.resolved.is_file() and not run.is_done():
        raise RunFolderError(
            f"the run in '{folder}' is not finished (no done.json); run its command again, or publish a "
            "checkpoint of it."
        )
    parameters = check_weights(folder)
    recorded = read_json(run.done).get("weights") if run.is_done() else None
    if recorded and hash_files(folder.glob("*.safetensors")) != recorded:
        raise ModelError(
            f"the weights in '{folder}' are not those that its training left (done.json has their SHA-256); restore them, "
            "or publish a copy of the folder without done.json and resolved.yaml."
        )
    return parameters


def read_card(path: Path) -> str:
    """A card of the user's own. ConfigError when it can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--card {path} can't be read: {error}.") from None


def files_left_out(folder: Path) -> list[str]:
    """Patterns of what stays here; the settings too where they contain a token."""
    resolved = RunDir(folder).resolved
    has_token = resolved.is_file() and bool(read_values(resolved).get("hub_token"))
    return [*LEFT_OUT, *([resolved.name] if has_token else [])]

"""Holding a run folder: for one process at a time, for one run only, and not before its checks have passed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.configs.stage_arguments import StageArguments, plain
from open_r1.errors import ConfigError, OpenR1Error, RunError
from open_r1.processes.ranks import is_main_process, world_size
from open_r1.rundir import RunDir, hash_files, read_json, write_json, write_text
from open_r1.text.secrets import hide_secrets
from open_r1.training.environment import describe_environment

MAY_CHANGE = frozenset(
    """overwrite_output_dir output_dir resume_from_checkpoint logging_steps logging_strategy logging_first_step
    report_to run_name project log_level log_level_replica disable_tqdm save_total_limit
    push_to_hub push_to_hub_revision hub_token hub_model_id hub_strategy hub_private_repo hub_model_revision
    hub_revision hub_always_push overwrite_hub_revision wandb_entity wandb_project wandb_run_group
    preflight_prompts wandb_log_unique_prompts log_completions num_completions_to_print trackio_space_id trackio_bucket_id
    trackio_static_space_id benchmarks local_rank dataset_num_proc""".split()
)
"""Settings that a resumed run may change, because they don't change the weights it ends with."""

INPUT_SUFFIXES = frozenset(".safetensors .bin .json .jinja .model .txt .jsonl .parquet .csv .arrow .py".split())
"""Files of a model or data folder whose contents count."""


@dataclass(frozen=True)
class OpenRun:
    """A run folder held by this process, and what it is held for."""

    folder: RunDir
    arguments: StageArguments
    identity: dict[str, Any]

    def starts_over(self) -> bool:
        """Whether `overwrite_output_dir` applies: to a finished or different run, never to this one left unfinished."""
        if not self.arguments.training.overwrite_output_dir or not self.folder.identity.exists():
            return False
        return self.folder.is_done() or read_json(self.folder.identity) != plain(self.identity)

    def is_done(self) -> bool:
        """Whether the run is finished and is not to start over."""
        return self.folder.is_done() and not self.arguments.training.overwrite_output_dir

    def begin(self) -> None:
        """Claim the folder for this run and write down its settings and environment."""
        if self.starts_over():
            self.folder.clear()
        self.folder.claim(self.identity)
        write_text(self.folder.resolved, hide_secrets(self.arguments.as_yaml()))
        write_json(self.folder.environment, describe_environment(self.arguments.training.seed))


@contextmanager
def open_run(arguments: StageArguments, identity: dict[str, Any] | None = None) -> Iterator[OpenRun]:
    """The stage's folder, locked, and free for this run or already its own.

    Nothing is written into it before the stage's checks have passed and `OpenRun.begin` is called.
    """
    folder = RunDir(Path(arguments.training.output_dir))
    folder.refuse_foreign()
    held = folder.locked() if is_main_process() else nullcontext()
    with held, naming_full_disks(folder.path):
        run = OpenRun(folder, arguments, identity or run_identity(arguments))
        if is_main_process() and not run.starts_over():
            folder.check_identity(plain(run.identity))
        refuse_inputs_inside(folder.path, arguments)
        yield run


def refuse_inputs_inside(folder: Path, arguments: StageArguments) -> None:
    """ConfigError when the run would write into, or over, the model or data it starts from."""
    for name in local_inputs(arguments):
        if Path(name).resolve() == folder.resolve() or folder.resolve() in Path(name).resolve().parents:
            raise ConfigError(f"'{name}' lies inside output_dir '{folder}'; choose an output_dir of its own.")


def local_inputs(arguments: StageArguments) -> list[str]:
    """The files and folders of this machine that a stage starts from."""
    script = arguments.script
    data = [entry.id for entry in script.mixture.datasets] if script.mixture else [script.dataset_name]
    return [str(name) for name in [arguments.model.model_name_or_path, *data] if name and Path(str(name)).exists()]


@contextmanager
def naming_full_disks(folder: Path) -> Iterator[None]:
    """Turns what torch, safetensors and the system say of a full disk into one sentence with the remedy."""
    try:
        yield
    except OpenR1Error:
        raise
    except Exception as error:  # every library has its own error for it; all others go through untouched
        if not is_disk_full(folder, error):
            raise
        raise RunError(
            f"the disk of '{folder}' is full and a file could not be written; free some space and "
            "run the same command again: it goes on from the last whole checkpoint."
        ) from error


def is_disk_full(folder: Path, error: BaseException) -> bool:
    """Whether a failed write met a full disk; torch's own writer names no cause, so the disk is asked."""
    text = str(error).lower()
    is_torch_writer = "pytorchstreamwriter" in text or "inline_container" in text
    return "no space left" in text or (is_torch_writer and shutil.disk_usage(folder).free < 1 << 20)


def run_identity(arguments: StageArguments) -> dict[str, Any]:
    """The settings and local inputs that decide what a run ends with."""
    identity = {key: value for key, value in arguments.values().items() if key not in MAY_CHANGE}
    inputs = {f"contents of {name}": fingerprint_input(Path(name)) for name in local_inputs(arguments)}
    return {"stage": arguments.kind, "processes": str(world_size()), **identity, **inputs}


def fingerprint_input(path: Path) -> str:
    """A hash of a file, or of the files directly inside a folder that make it a model or a data set."""
    if path.is_file():
        return hash_files([path])
    passing = {"done.json", "environment.json", "identity.json", "training_args.bin"}
    kept = [
        item
        for item in path.iterdir()
        if item.is_file() and item.suffix in INPUT_SUFFIXES and item.name not in passing
    ]
    return hash_files(kept)

"""What SFT and GRPO share: claiming the run folder, resuming from the last whole checkpoint, saving the result.

A stage is run by the same few steps: `open_run` → data, tokenizer, model → trainer → `train_and_save`.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import transformers

from open_r1 import __version__
from open_r1.configs.parse import StageArguments, plain
from open_r1.errors import ConfigError, OpenR1Error, RunError, RunFolderError
from open_r1.rundir import RunDir, hash_files, read_json, write_json, write_text
from open_r1.training.callbacks import (
    MetricsCallback,
    ProgressCallback,
    Report,
    load_callbacks,
)
from open_r1.training.hub import check_hub, export_tracker_settings, push_revision

logger = logging.getLogger(__name__)

MAY_CHANGE = frozenset(
    """overwrite_output_dir output_dir resume_from_checkpoint logging_steps logging_strategy logging_first_step
    report_to run_name project log_level log_level_replica disable_tqdm save_total_limit
    push_to_hub push_to_hub_revision hub_token hub_model_id hub_strategy hub_private_repo hub_model_revision
    hub_revision hub_always_push overwrite_hub_revision wandb_entity wandb_project wandb_run_group
    wandb_log_unique_prompts log_completions num_completions_to_print trackio_space_id trackio_bucket_id
    trackio_static_space_id benchmarks local_rank dataset_num_proc""".split()
)
"""Settings that a resumed run may change, because they don't change the weights it ends with."""

INPUT_SUFFIXES = frozenset(".safetensors .bin .json .jinja .model .txt .jsonl .parquet .csv .arrow .py".split())
"""Files of a model or data folder whose contents count."""

VERSIONED = ("torch", "transformers", "trl", "accelerate", "datasets", "peft", "tokenizers", "math-verify", "vllm")


@dataclass(frozen=True)
class FinishedStage:
    """What a training stage leaves: its folder, the steps it took, the hash of its weights."""

    folder: Path
    steps: int
    weights: str


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
        return self.folder.is_done() and not self.arguments.training.overwrite_output_dir

    def begin(self) -> None:
        """Claim the folder for this run and write down its settings and environment."""
        if self.starts_over():
            self.folder.clear()
        self.folder.claim(self.identity)
        write_text(self.folder.resolved, self.arguments.as_yaml())
        write_json(self.folder.environment, describe_environment(self.arguments.training.seed))


@contextmanager
def open_run(arguments: StageArguments, identity: dict[str, Any] | None = None) -> Iterator[OpenRun]:
    """The stage's folder, locked, and free for this run or already its own.

    Nothing is written into it before the stage's checks have passed and `OpenRun.begin` is called.
    """
    folder = RunDir(Path(arguments.training.output_dir))
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
            f"the disk that holds '{folder}' is full and a file could not be written; free some space and "
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
    return {"stage": arguments.kind, "processes": os.environ.get("WORLD_SIZE", "1"), **identity, **inputs}


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


def describe_environment(seed: int) -> dict[str, Any]:
    """Versions, seed, hardware and commit: what a reader needs to judge or repeat a run."""
    import torch

    versions = {"open-r1": __version__, "python": platform.python_version()}
    for name in VERSIONED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "seed": seed,
        "threads": torch.get_num_threads(),
        "cpu_cores": os.cpu_count(),
        "machine": platform.machine(),
        "accelerators": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "commit": git_commit(),
    }


def git_commit() -> str | None:
    """The commit of the checkout that Open R1 runs from, if it is one."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def find_resume_point(run: RunDir, training_args: Any) -> Path | None:
    """The checkpoint to go on from: the one named by the settings, else the last whole one.

    Half-written checkpoints are removed, and the records of steps after the resume point are dropped, because the
    resumed run writes them again. `resume_from_checkpoint false` starts from the beginning.
    """
    for broken in run.drop_broken_checkpoints() if is_main_process() else []:
        logger.warning("removed the half-written %s", broken.name)
    wanted = str(training_args.resume_from_checkpoint or "")
    whole = run.checkpoints()
    if wanted.lower() in ("", "true"):
        point = whole[-1] if whole else None
    else:
        point = None if wanted.lower() == "false" else named_checkpoint(Path(wanted), whole, run)
    if is_main_process():
        run.forget_after(read_json(point / "trainer_state.json")["global_step"] if point else 0)
    return point


def named_checkpoint(path: Path, whole: list[Path], run: RunDir) -> Path:
    """The checkpoint that a setting names; RunFolderError when it can't be resumed from."""
    if not (path / "trainer_state.json").exists():
        names = ", ".join(checkpoint.name for checkpoint in whole) or "none"
        raise RunFolderError(f"'{path}' is not a whole checkpoint; whole ones in '{run.path}': {names}.")
    return path


def prepare_trainer(trainer: Any, run: RunDir, report: Report) -> None:
    """Give a trainer its run folder and our callbacks, the user's among them, and take its own printing off."""
    trainer.run = run
    for callback_class in (transformers.PrinterCallback, transformers.ProgressCallback):
        trainer.remove_callback(callback_class)
    callbacks = [MetricsCallback(run), ProgressCallback(report)]
    for callback in [*callbacks, *load_callbacks(trainer.args.callbacks)]:
        trainer.add_callback(callback)


def run_stage(
    arguments: StageArguments,
    build_trainer: Callable[[StageArguments, RunDir, Report], tuple[Any, Any]],
    report: Report,
    identity: dict[str, Any] | None = None,
) -> FinishedStage:
    """Carry out a training stage: hold its folder, build its trainer, train, save, push; a finished one is left alone."""
    training = arguments.training
    export_tracker_settings(training)
    with open_run(arguments, identity) as run:
        if run.is_done():
            report(f"already done in {run.folder.path}")
            stage = finished(run)
        else:
            check_saving(training)
            check_hub(training)
            transformers.set_seed(training.seed)
            trainer, tokenizer = build_trainer(arguments, run.folder, report)
            stage = train_and_save(trainer, tokenizer, run, report)
        if is_main_process():
            push_revision(run.folder.path, training)
    return stage


def check_saving(training_args: Any) -> None:
    """ConfigError for checkpoints that could not be resumed from."""
    if training_args.save_only_model and training_args.save_strategy != "no":
        raise ConfigError(
            "save_only_model leaves the optimizer out of checkpoints, so a run could not go on from one; "
            "set save_only_model false, or save_strategy no."
        )


def is_main_process() -> bool:
    """Whether this is the process of a distributed launch that writes; true where there is only one."""
    return os.environ.get("RANK", "0") == "0"


def train_and_save(trainer: Any, tokenizer: Any, opened: OpenRun, report: Report) -> FinishedStage:
    """Train from the resume point to the end; save model, tokenizer and generation config; write the marker last."""
    run = opened.folder
    with trainer.args.main_process_first(local=False):
        if is_main_process():
            opened.begin()
        point = find_resume_point(run, trainer.args)
    if point is not None:
        report(f"going on from {point.name}")
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(point) if point else None)
    model = trainer.accelerator.unwrap_model(trainer.model)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.config.use_cache = True
    trainer.save_model(str(run.path))
    steps, weights = trainer.state.global_step, ""
    if is_main_process():
        model.generation_config.save_pretrained(run.path)
        weights = hash_files(run.path.glob("*.safetensors"))
        seconds = round(time.monotonic() - started, 1)
        write_json(run.done, {"steps": steps, "weights": weights, "seconds": seconds, "resumed": point is not None})
    return FinishedStage(run.path, steps, weights)


def finished(run: OpenRun) -> FinishedStage:
    """What a stage that is already done left behind."""
    record = read_json(run.folder.done)
    return FinishedStage(run.folder.path, record["steps"], record["weights"])

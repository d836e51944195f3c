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
from open_r1.configs.parse import StageArguments
from open_r1.errors import OpenR1Error, RunError, RunFolderError
from open_r1.rundir import RunDir, hash_files, read_json, write_json, write_text
from open_r1.training.callbacks import (
    CheckpointCallback,
    MetricsCallback,
    ProgressCallback,
    Report,
    load_callbacks,
)
from open_r1.training.hub import check_revision, export_tracker_settings, push_revision

logger = logging.getLogger(__name__)

MAY_CHANGE = frozenset(
    """overwrite_output_dir output_dir resume_from_checkpoint logging_steps logging_strategy logging_first_step
    report_to run_name project log_level log_level_replica disable_tqdm save_total_limit save_only_model
    push_to_hub push_to_hub_revision hub_token hub_model_id hub_strategy hub_private_repo hub_model_revision
    hub_revision hub_always_push overwrite_hub_revision wandb_entity wandb_project wandb_run_group
    wandb_log_unique_prompts log_completions num_completions_to_print trackio_space_id trackio_bucket_id
    trackio_static_space_id benchmarks local_rank eval_strategy dataset_num_proc""".split()
)
"""Settings that a resumed run may change, because they don't change the weights it ends with."""

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

    def is_done(self) -> bool:
        return self.folder.is_done() and not self.arguments.training.overwrite_output_dir

    def begin(self) -> None:
        """Claim the folder for this run and write down its settings and environment."""
        if self.arguments.training.overwrite_output_dir:
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
        if is_main_process() and not arguments.training.overwrite_output_dir:
            folder.check_identity(run.identity)
        yield run


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
    model, data = Path(arguments.model.model_name_or_path), Path(str(arguments.script.dataset_name or ""))
    if (model / "config.json").exists():
        identity["model_files"] = hash_files(model.glob("*.safetensors"))
    if data.is_file():
        identity["dataset_file"] = hash_files([data])
    return {"stage": arguments.kind, **identity}


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
    resumed run writes them again.
    """
    for broken in run.drop_broken_checkpoints() if is_main_process() else []:
        logger.warning("removed the half-written %s", broken.name)
    wanted = training_args.resume_from_checkpoint
    whole = run.checkpoints()
    if isinstance(wanted, str) and wanted.lower() not in ("true", "false"):
        if Path(wanted) not in whole and not (Path(wanted) / "trainer_state.json").exists():
            names = ", ".join(path.name for path in whole) or "none"
            raise RunFolderError(f"'{wanted}' is not a whole checkpoint; whole ones in '{run.path}': {names}.")
        point = Path(wanted)
    else:
        point = whole[-1] if whole else None
    if is_main_process():
        run.forget_after(int(point.name.rpartition("-")[2]) if point else 0)
    return point


def prepare_trainer(trainer: Any, run: RunDir, report: Report) -> None:
    """Hang our callbacks on a trainer, the user's among them, and take its own printing off."""
    for callback_class in (transformers.PrinterCallback, transformers.ProgressCallback):
        trainer.remove_callback(callback_class)
    callbacks = [MetricsCallback(run), CheckpointCallback(run), ProgressCallback(report)]
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
            check_revision(training)
            transformers.set_seed(training.seed)
            trainer, tokenizer = build_trainer(arguments, run.folder, report)
            stage = train_and_save(trainer, tokenizer, run, report)
        if is_main_process():
            push_revision(run.folder.path, training)
    return stage


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

"""What SFT and GRPO share: the story of a stage, its folder, resuming from the last whole checkpoint, saving the result."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import transformers

from open_r1 import __version__
from open_r1.configs.checks import MAY_CHANGE, steps_of_generation
from open_r1.errors import ConfigError, OpenR1Error, RunError, RunFolderError, Terminated
from open_r1.hub.push import check_hub, export_tracker_settings, push_revision
from open_r1.processes.ranks import is_main_process, world_size
from open_r1.rewards.registry import source_of
from open_r1.rundir import RunDir, hash_files, read_json, write_json, write_text
from open_r1.text.secrets import hide_secrets
from open_r1.training.callbacks import EarlyStopCallback, MetricsCallback, ProgressCallback, Report, StopCallback
from open_r1.training.guards import GuardCallback
from open_r1.training.named_callbacks import make_callbacks
from open_r1.training.parse import StageArguments, plain

logger = logging.getLogger(__name__)

INPUT_SUFFIXES = frozenset(".safetensors .bin .json .jinja .model .txt .jsonl .parquet .csv .arrow .py".split())
"""Files of a model or data folder whose contents count, but for the records of the run that made it."""
OWN_RECORDS = frozenset({"done.json", "environment.json", "identity.json", "training_args.bin"})


STOPPING = (signal.SIGINT, signal.SIGTERM)
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

    def begin(self) -> None:
        """Claim the folder for this run and write down its settings and environment."""
        if self.starts_over():
            self.folder.clear()
        self.folder.claim(self.identity)
        write_text(self.folder.resolved, hide_secrets(self.arguments.as_yaml()))
        write_json(self.folder.environment, describe_environment(self.arguments.training.seed))


def run_stage(
    arguments: StageArguments,
    build_trainer: Callable[[StageArguments, RunDir, Report], tuple[Any, Any]],
    report: Report,
    identity: dict[str, Any] | None = None,
) -> FinishedStage:
    """Run a training stage: claim its folder, build its trainer, train, save, push; a finished stage stays as it is."""
    training = arguments.training
    transformers.utils.logging.disable_progress_bar()
    export_tracker_settings(training)
    with open_run(arguments, identity) as run:
        if run.folder.is_done() and not training.overwrite_output_dir:
            report(f"already done in {run.folder.path}")
            stage = finished(run.folder)
        else:
            check_hub(training)
            transformers.set_seed(training.seed)
            trainer, tokenizer = build_trainer(arguments, run.folder, report)
            stage = train_and_save(trainer, tokenizer, run, report)
        if is_main_process():
            push_revision(run.folder.path, training)
    return stage


@contextmanager
def open_run(arguments: StageArguments, identity: dict[str, Any] | None = None) -> Iterator[OpenRun]:
    """The stage's folder, locked, and free for this run or already its own.

    Nothing is written into it before the stage's checks have passed and `OpenRun.begin` is called.
    """
    folder = RunDir(Path(arguments.training.output_dir))
    folder.refuse_foreign()
    with folder.locked() if is_main_process() else nullcontext(), naming_full_disks(folder.path):
        run = OpenRun(folder, arguments, identity or run_identity(arguments))
        if is_main_process() and not run.starts_over():
            folder.check_identity(plain(run.identity))
        for path in map(Path, local_inputs(arguments)):
            if folder.path.resolve() in (path.resolve(), *path.resolve().parents):
                raise ConfigError(f"'{path}' lies inside output_dir '{folder.path}'; choose an output_dir of its own.")
        yield run


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
        text = str(error).lower()
        is_torch_writer = "pytorchstreamwriter" in text or "inline_container" in text  # names no cause
        if not ("no space left" in text or (is_torch_writer and shutil.disk_usage(folder).free < 1 << 20)):
            raise
        raise RunError(
            f"the disk of '{folder}' is full and a file could not be written; free some space and "
            "run the same command again: it goes on from the last whole checkpoint."
        ) from error


def run_identity(arguments: StageArguments) -> dict[str, Any]:
    """The settings and local inputs that decide what a run ends with."""
    identity = {key: value for key, value in arguments.values().items() if key not in MAY_CHANGE}
    inputs = {f"contents of {name}": fingerprint_input(Path(name)) for name in local_inputs(arguments)}
    sources = {name: source_of(name) for name in getattr(arguments.script, "reward_funcs", ())}
    inputs |= {f"contents of {name}": fingerprint_input(file) for name, file in sources.items() if file}
    return {"stage": arguments.kind, "processes": str(world_size()), **identity, **inputs}


def fingerprint_input(path: Path) -> str:
    """A hash of a file, or of the files directly inside a folder that make it a model or a data set."""
    found = [path] if path.is_file() else [
        item for item in path.iterdir()
        if item.is_file() and item.suffix in INPUT_SUFFIXES and item.name not in OWN_RECORDS
    ]  # fmt: skip
    return hash_files(found)


def find_resume_point(run: RunDir, training_args: Any, starts_over: bool = False) -> Path | None:
    """The checkpoint to go on from: the one named by the settings, else the last whole one.

    Half-written checkpoints are removed, and the records of steps after the resume point are dropped, because the
    resumed run writes them again. `resume_from_checkpoint false` starts from the beginning. A run that starts over has
    no checkpoints of its own, and leaves those of the run before until training begins.
    """
    wanted = str(training_args.resume_from_checkpoint or "")
    if not starts_over:
        for broken in run.drop_broken_checkpoints() if is_main_process() else []:
            logger.warning("removed the half-written %s", broken.name)
    whole = [] if starts_over else run.checkpoints()
    if wanted.lower() in ("", "true"):
        point = whole[-1] if whole else None
    elif wanted.lower() == "false":
        point = None
    else:
        point = Path(wanted)
        is_to_be_removed = starts_over and run.path.resolve() in point.resolve().parents
        if is_to_be_removed or not (point / "trainer_state.json").exists():
            names = ", ".join(checkpoint.name for checkpoint in whole) or "none"
            raise RunFolderError(f"'{point}' is not a whole checkpoint; whole ones in '{run.path}': {names}.")
    if is_main_process() and not starts_over:
        run.forget_after(read_json(point / "trainer_state.json")["global_step"] if point else 0)
    return point


def prepare_trainer(trainer: Any, arguments: StageArguments, run: RunDir, report: Report) -> None:
    """Give a trainer its run folder, our callbacks and the user's, and remove its own printing."""
    trainer.run, trainer.arguments, trainer.report = run, arguments, report
    for callback_class in (transformers.PrinterCallback, transformers.ProgressCallback):
        trainer.remove_callback(callback_class)
    judges = [spec.function_name for spec in getattr(trainer, "specs", ()) if spec.is_judge]
    own = make_callbacks(trainer.args.callbacks, report)
    settings = arguments.training
    watch = [] if settings.guards == "off" else [GuardCallback(trainer, run, settings.guards == "stop", report)]
    patience = settings.early_stopping_patience
    stop = [EarlyStopCallback(patience, report)] if patience else []
    for callback in (MetricsCallback(run), ProgressCallback(report, judges), *watch, *stop, *own):
        trainer.add_callback(callback)


def refuse_model_only(checkpoint: Path) -> None:
    """RunFolderError for a checkpoint of `save_only_model`, from which no run can go on."""
    if not any(checkpoint.glob("rng_state*.pth")):
        raise RunFolderError(
            f"'{checkpoint}' contains the model only (save_only_model), and a run can't go on without the optimizer's "
            "states; start over with --resume_from_checkpoint false, or begin a new run from it: another output_dir with "
            f"--model_name_or_path {checkpoint}."
        )


def train_and_save(trainer: Any, tokenizer: Any, opened: OpenRun, report: Report) -> FinishedStage:
    """Train from the resume point to the end; save model, tokenizer and generation config; write the marker last."""
    run = opened.folder
    with trainer.args.main_process_first(local=False):
        point = find_resume_point(run, trainer.args, opened.starts_over())
    if point is not None:
        refuse_model_only(point)
        report(f"going on from {point.name}")
    started = time.monotonic()
    trainer.opened = opened
    with stopping_with_checkpoint(trainer, run, report), trackers_on_stderr(trainer.args):
        trainer.train(resume_from_checkpoint=str(point) if point else None)
    if trainer.state.global_step < 1:
        raise RunError("training ended without a step, so there is no model; give more data, or a smaller batch.")
    model = trainer.accelerator.unwrap_model(trainer.model)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.config.use_cache = True
    refuse_nan(model)
    trainer.save_model(str(run.path), _internal_call=True)  # which pushes nothing
    trainer.create_model_card()
    steps, weights = trainer.state.global_step, ""
    if is_main_process():
        model.generation_config.save_pretrained(run.path)
        weights = hash_files(run.path.glob("*.safetensors"))
        seconds = round(time.monotonic() - started, 1)
        write_json(run.done, {"steps": steps, "weights": weights, "seconds": seconds, "resumed": point is not None})
    trainer.push_finished()
    return FinishedStage(run.path, steps, weights)


@contextmanager
def trackers_on_stderr(training: Any) -> Iterator[None]:
    """trackio says on stdout, which is for data, where its dashboard is."""
    with redirect_stdout(sys.stderr) if "trackio" in (getattr(training, "report_to", None) or ()) else nullcontext():
        yield


@contextmanager
def stopping_with_checkpoint(trainer: Any, run: RunDir, report: Report) -> Iterator[None]:
    """SIGINT and SIGTERM end training with a checkpoint; KeyboardInterrupt says what is kept, and what is lost.

    It is Terminated after SIGTERM, whose exit status a scheduler can requeue on.
    """
    stop = StopCallback(trainer.accelerator, steps_of_generation(trainer.args), report)
    trainer.add_callback(stop)
    is_main_thread = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, stop.ask) for number in STOPPING} if is_main_thread else {}
    try:
        yield
    except KeyboardInterrupt:
        stop.has_stopped = True
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.has_stopped:
        kept, step = run.checkpoints(), trainer.state.global_step
        kind = Terminated if stop.is_terminated else KeyboardInterrupt
        if not kept:
            raise kind(f"stopped before the first checkpoint: {step} steps are lost; run the command again.")
        if trainer.args.save_only_model:
            raise kind(
                f"stopped at step {step}; {kept[-1].name} contains the model only: the run can't go on from it."
            )
        raise kind(f"stopped at step {step}; the same command goes on from {kept[-1].name}.")


def refuse_nan(model: Any) -> None:
    """RunError when training ended in weights that are not finite numbers, which no one can use."""
    if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
        raise RunError(
            "training diverged: the model has weights that are not finite numbers; lower learning_rate, set "
            "max_grad_norm, and start over with --overwrite_output_dir true."
        )


def finished(run: RunDir) -> FinishedStage:
    """What a stage that is already done left behind."""
    record = read_json(run.done)
    if hash_files(run.path.glob("*.safetensors")) != record.get("weights"):
        raise RunFolderError(
            f"the weights in '{run.path}' are not those that the finished run wrote; restore them, or start over "
            "with --overwrite_output_dir true."
        )
    return FinishedStage(run.path, record["steps"], record["weights"])


def describe_environment(seed: int) -> dict[str, Any]:
    """Versions, seed, hardware and the commit of the checkout that Open R1 runs from, if it is one."""
    versions = {"open-r1": __version__, "python": platform.python_version()}
    for name in VERSIONED:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    words, commit = ["git", "rev-parse", "HEAD"], None
    with suppress(OSError, subprocess.SubprocessError):
        commit = subprocess.check_output(
            words, cwd=Path(__file__).parent, text=True, timeout=5, stderr=subprocess.DEVNULL
        ).strip()
    return {
        "versions": versions,
        "seed": seed,
        "threads": torch.get_num_threads(),
        "cpu_cores": os.cpu_count(),
        "machine": platform.machine(),
        "accelerators": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "commit": commit,
    }

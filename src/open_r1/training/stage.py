"""What SFT and GRPO share: the story of a stage, resuming from the last whole checkpoint, saving the result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from open_r1.configs.stage_arguments import StageArguments
from open_r1.errors import ConfigError, RunError, RunFolderError
from open_r1.processes.ranks import is_main_process
from open_r1.rundir import RunDir, hash_files, read_json, write_json
from open_r1.training.callbacks import MetricsCallback, ProgressCallback, Report, load_callbacks
from open_r1.training.holding import OpenRun, open_run
from open_r1.training.hub import check_hub, export_tracker_settings, push_revision

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishedStage:
    """What a training stage leaves: its folder, the steps it took, the hash of its weights."""

    folder: Path
    steps: int
    weights: str


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
    else:
        point = None if wanted.lower() == "false" else named_checkpoint(Path(wanted), whole, run, starts_over)
    if is_main_process() and not starts_over:
        run.forget_after(read_json(point / "trainer_state.json")["global_step"] if point else 0)
    return point


def named_checkpoint(path: Path, whole: list[Path], run: RunDir, starts_over: bool) -> Path:
    """The checkpoint that a setting names; RunFolderError when it can't be resumed from."""
    is_to_be_removed = starts_over and run.path.resolve() in path.resolve().parents
    if is_to_be_removed or not (path / "trainer_state.json").exists():
        names = ", ".join(checkpoint.name for checkpoint in whole) or "none"
        raise RunFolderError(f"'{path}' is not a whole checkpoint; whole ones in '{run.path}': {names}.")
    return path


def prepare_trainer(trainer: Any, arguments: StageArguments, run: RunDir, report: Report) -> None:
    """Give a trainer its run folder, our callbacks and the user's, and remove its own printing."""
    trainer.run, trainer.arguments, trainer.report = run, arguments, report
    for callback_class in (transformers.PrinterCallback, transformers.ProgressCallback):
        trainer.remove_callback(callback_class)
    judges = [spec.function_name for spec in getattr(trainer, "specs", ()) if spec.is_judge]
    callbacks = [MetricsCallback(run), ProgressCallback(report, judges)]
    for callback in [*callbacks, *load_callbacks(trainer.args.callbacks)]:
        trainer.add_callback(callback)


def check_saving(training_args: Any) -> None:
    """ConfigError for checkpoints that could not be resumed from."""
    if training_args.save_only_model and training_args.save_strategy != "no":
        raise ConfigError(
            "save_only_model leaves the optimizer out of checkpoints, so a run could not go on from one; "
            "set save_only_model false, or save_strategy no."
        )


def train_and_save(trainer: Any, tokenizer: Any, opened: OpenRun, report: Report) -> FinishedStage:
    """Train from the resume point to the end; save model, tokenizer and generation config; write the marker last."""
    run = opened.folder
    with trainer.args.main_process_first(local=False):
        point = find_resume_point(run, trainer.args, opened.starts_over())
    if point is not None:
        report(f"going on from {point.name}")
    started = time.monotonic()
    trainer.opened = opened
    trainer.train(resume_from_checkpoint=str(point) if point else None)
    model = trainer.accelerator.unwrap_model(trainer.model)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.config.use_cache = True
    refuse_nan(model)
    trainer.save_model(str(run.path))
    trainer.create_model_card()
    steps, weights = trainer.state.global_step, ""
    if is_main_process():
        model.generation_config.save_pretrained(run.path)
        weights = hash_files(run.path.glob("*.safetensors"))
        seconds = round(time.monotonic() - started, 1)
        write_json(run.done, {"steps": steps, "weights": weights, "seconds": seconds, "resumed": point is not None})
    return FinishedStage(run.path, steps, weights)


def refuse_nan(model: Any) -> None:
    """RunError when training ended in weights that are not finite numbers, which no one can use."""
    if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
        raise RunError(
            "training diverged: the model has weights that are not finite numbers; lower learning_rate, set "
            "max_grad_norm, and start over with --overwrite_output_dir true."
        )


def finished(run: OpenRun) -> FinishedStage:
    """What a stage that is already done left behind."""
    record = read_json(run.folder.done)
    if hash_files(run.folder.path.glob("*.safetensors")) != record.get("weights"):
        raise RunFolderError(
            f"the weights in '{run.folder.path}' are not those that the finished run wrote; restore them, or start over "
            "with --overwrite_output_dir true."
        )
    return FinishedStage(run.folder.path, record["steps"], record["weights"])

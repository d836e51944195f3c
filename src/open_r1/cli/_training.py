"""What `open-r1 sft` and `open-r1 grpo` share: training, with the settings of TRL's dataclasses and ours."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, show_json, tell
from open_r1.cli.options import add

if TYPE_CHECKING:
    from open_r1.training.parse import StageArguments, StageKind


def add_options(parser: Any) -> None:
    """The options of either kind of training."""
    parser.set_defaults(takes_settings=True)
    add(parser, "config")
    add(parser, "dry-run", help="check the settings and the data, show what was set, run nothing")
    add(parser, "all", action="store_true", help="show the defaults too in a dry run")
    add(parser, "settings", action="store_true", help="list every setting with its default, run nothing")


def run(kind: StageKind, arguments: argparse.Namespace) -> int:
    """Parse, show the notices, and train."""
    if arguments.settings:
        return list_settings(kind)
    tell(f"{kind}: loading the libraries")
    from open_r1.pipeline.training import parse_training, run_training

    recipe = ["--config", str(arguments.config)] if arguments.config else []
    parsed = parse_training(kind, [*recipe, *arguments.extra])
    for notice in (*parsed.notices, *parsed.adaptations):
        tell(f"notice: {notice}")
    if arguments.dry_run:
        return dry_run(parsed, arguments.all)
    if kind == "grpo" and arguments.preflight:
        return run_preflight(parsed, arguments.json)
    stage = run_training(parsed, tell)
    tell(f"{stage.steps} steps, model in {stage.folder}")
    return 0


def train(kind: StageKind, script: Any, training: Any, model: Any) -> Any:
    """The `FinishedStage` of dataclasses that the caller made; errors are those of the command."""
    from open_r1.pipeline.training import check_arguments, run_training
    from open_r1.training.parse import StageArguments

    arguments = StageArguments.of_made(kind, script, training, model)
    check_arguments(arguments)
    return run_training(arguments, tell)


def dry_run(parsed: StageArguments, shows_all: bool) -> int:
    """Show the settings as resolved.yaml would have them, those that were set alone unless asked; open the data."""
    from open_r1.hub.folders import check_model_path
    from open_r1.text.secrets import hide_secrets
    from open_r1.training.library_checks import NO_VLLM, lacks_vllm

    check_model_path(parsed.model.model_name_or_path)
    show(hide_secrets(parsed.as_yaml(shows_all)).rstrip())
    if not shows_all:
        tell(f"{len(parsed.origins)} settings are known; those that are not shown have their defaults (--all)")
    if lacks_vllm(parsed.training):
        tell(f"notice: training would be refused on this machine: {NO_VLLM}")
    tell("opening the data")
    if parsed.kind == "sft":
        from open_r1.training.sft import dry_run_sft as check
    else:
        from open_r1.training.grpo import dry_run_grpo as check
    for split, rows in check(parsed, tell).items():
        show(f"# {split}: {len(rows):,} rows with {', '.join(rows.column_names)}")
    tell("the model was not loaded, and nothing was run")
    return 0


def run_preflight(parsed: StageArguments, as_json: bool) -> int:
    """The pre-flight check alone; what it shows goes to stderr as in training, the record to stdout if asked for."""
    from open_r1.pipeline.rollout_server import rollout_servers
    from open_r1.processes.ranks import is_main_process
    from open_r1.training.grpo import preflight_grpo

    with rollout_servers(tell) as open_server:
        checked = preflight_grpo(parsed, tell, open_server)
    if as_json and is_main_process():
        show_json(checked.record())
    checked.refuse_hopeless()
    tell("the pre-flight check found nothing that prevents learning; nothing was trained or written")
    return 0


def list_settings(kind: StageKind) -> int:
    """Every setting of a stage: name, default, help."""
    import dataclasses

    from open_r1.training.arguments import stage_classes

    for settings in stage_classes(kind):
        for field in sorted(dataclasses.fields(settings), key=lambda field: field.name):
            default = "" if field.default is dataclasses.MISSING else f" = {field.default}"
            show(f"--{field.name}{default}\n    {field.metadata.get('help', '')}")
    return 0

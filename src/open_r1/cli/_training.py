"""What the verbs `sft` and `grpo` share: settings are passed through to TRL's dataclasses and ours."""

from __future__ import annotations

import argparse
from typing import Any

from open_r1.cli.console import show, show_json, tell
from open_r1.cli.options import add, add_verb


def add_training_parser(subparsers: Any, kind: str, summary: str, example: str) -> None:
    description = f"{summary[0].upper()}{summary[1:]}. Any setting of the recipe can be given as --key value."
    parser = add_verb(subparsers, kind, summary, f"Example: {example}", description)
    add(parser, "config", type=str)
    add(parser, "dry-run", help="check and show the settings, run nothing")
    if kind == "grpo":
        add(parser, "preflight", action="store_true", help="sample and score a few completions, report what would "
            "prevent learning, train nothing")  # fmt: skip
        add(parser, "json", help="print the result of --preflight as JSON")
    add(parser, "settings", action="store_true", help="list every setting with its default, run nothing")
    parser.set_defaults(run=lambda arguments: run_training(kind, arguments), takes_settings=True)


def run_training(kind: Any, arguments: argparse.Namespace) -> int:
    """Parse, show the notices, and run the stage."""
    words = [*(["--config", arguments.config] if arguments.config else []), *arguments.extra]
    if arguments.settings:
        return list_settings(kind)
    from open_r1.configs.parse import parse_stage

    parsed = parse_stage(kind, words)
    if kind == "grpo":
        from open_r1.rewards import check_recipe

        check_recipe(parsed.script, parsed.training.reward_weights)
    for notice in (*parsed.notices, *parsed.adaptations):
        tell(f"notice: {notice}")
    if arguments.dry_run:
        from open_r1.model_folder import check_model_path

        check_model_path(parsed.model.model_name_or_path)
        show(parsed.as_yaml().rstrip())
        tell(f"these {len(parsed.origins)} settings can be used; data and model were not opened, and nothing was run")
        return 0
    if kind == "grpo" and arguments.preflight:
        return run_preflight(parsed, arguments.json)
    if kind == "sft":
        from open_r1.training.sft import run_sft as run_stage
    else:
        from open_r1.training.grpo import run_grpo as run_stage
    from open_r1.pipeline.benchmarks import evaluate_trained, plan_benchmarks

    plans = plan_benchmarks(parsed.training, tell)
    stage = run_stage(parsed, tell)
    tell(f"{stage.steps} steps, model in {stage.folder}")
    evaluate_trained(plans, stage.folder, parsed.training.per_device_eval_batch_size, tell)
    return 0


def run_preflight(parsed: Any, as_json: bool) -> int:
    """The pre-flight check alone; what it shows goes to stderr as in training, the record to stdout if asked for."""
    from open_r1.processes.ranks import is_main_process
    from open_r1.training.grpo import preflight_grpo

    checked = preflight_grpo(parsed, tell)
    if as_json and is_main_process():
        show_json(checked.record())
    checked.refuse_hopeless()
    tell("the pre-flight check found nothing that prevents learning; nothing was trained or written")
    return 0


def list_settings(kind: Any) -> int:
    """Every setting of a stage: name, default, help."""
    import dataclasses

    from open_r1.configs.parse import stage_classes

    for settings in stage_classes(kind):
        for field in sorted(dataclasses.fields(settings), key=lambda field: field.name):
            default = "" if field.default is dataclasses.MISSING else f" = {field.default}"
            show(f"--{field.name}{default}\n    {field.metadata.get('help', '')}")
    return 0

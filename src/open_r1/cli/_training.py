"""What the verbs `sft` and `grpo` share: settings are passed through to TRL's dataclasses and ours."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from open_r1.cli.run import tell


def add_training_parser(subparsers: Any, kind: str, summary: str, example: str) -> None:
    parser = subparsers.add_parser(
        kind,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}. Any setting of the recipe can be given as --key value.",
        epilog=f"Example: {example}",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="a recipe (YAML) with the settings")
    parser.add_argument("--dry-run", "--dry_run", action="store_true", help="check and show the settings, run nothing")
    if kind == "grpo":
        parser.add_argument(
            "--preflight", action="store_true", help="sample and score a few completions, say what stands in the way of "
            "learning, train nothing",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="the result of --preflight as JSON")
    parser.add_argument("--settings", action="store_true", help="list every setting with its default, run nothing")
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
        print(parsed.as_yaml(), end="")
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
        print(json.dumps(checked.record(), ensure_ascii=False, indent=2))
    checked.refuse_hopeless()
    tell("nothing speaks against training; nothing was trained, and nothing written")
    return 0


def list_settings(kind: Any) -> int:
    """Every setting of a stage: name, default, help."""
    import dataclasses

    from open_r1.configs.parse import stage_classes

    for settings in stage_classes(kind):
        for field in sorted(dataclasses.fields(settings), key=lambda field: field.name):
            default = "" if field.default is dataclasses.MISSING else f" = {field.default}"
            print(f"--{field.name}{default}\n    {field.metadata.get('help', '')}")
    sys.stdout.flush()
    return 0

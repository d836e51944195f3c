"""Where each name of Open-R1's `open_r1.utils` is found in this system."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

MODELS = {
    "get_model": "open_r1.training.models:get_model",
    "get_tokenizer": "open_r1.training.models:get_tokenizer",
}
INSTALLED = {name: f"open_r1.utils.adapters:{name}" for name in ("is_e2b_available", "is_morph_available")}
CONTESTS = {
    "SubtaskResult": "open_r1.execution.contests.ioi:SubtaskResult",
    "patch_code": "open_r1.execution.contests.codeforces:patch_code",
    **{
        name: f"open_r1.utils.adapters:{name}"
        for name in ("add_includes", "get_morph_client_from_env", "get_piston_client_from_env", "score_subtask")
    },
    "score_submission": "open_r1.utils.adapters:score_submission",
}

NAMES: dict[str, dict[str, str]] = {
    "": {"get_dataset": "open_r1.data:get_dataset", **MODELS, **INSTALLED},
    "data": {"get_dataset": "open_r1.data:get_dataset"},
    "model_utils": MODELS,
    "import_utils": INSTALLED,
    "callbacks": {
        "CALLBACKS": "open_r1.training.named_callbacks:CALLBACKS",
        "PushToHubRevisionCallback": "open_r1.utils.adapters:PushToHubRevisionCallback",
        "get_callbacks": "open_r1.utils.adapters:get_callbacks",
    },
    "wandb_logging": {"init_wandb_training": "open_r1.hub.push:export_tracker_settings"},
    "hub": {
        "check_hub_revision_exists": "open_r1.hub.push:check_hub",
        **{
            name: f"open_r1.utils.adapters:{name}"
            for name in ("get_gpu_count_for_vllm", "get_param_count_from_repo_id", "push_to_hub_revision")
        },
    },
    "evaluation": {
        "SUPPORTED_BENCHMARKS": "open_r1.evaluation.benchmarks:ALL",
        "run_benchmark_jobs": "open_r1.utils.adapters:run_benchmark_jobs",
    },
    "code_providers": {
        "CodeExecutionProvider": "open_r1.utils.adapters:ScriptProvider",
        "get_provider": "open_r1.utils.adapters:get_provider",
    },
    "competitive_programming": CONTESTS,
    "ioi": CONTESTS,
}
"""Module of `open_r1.utils` ("" is the package itself) -> name -> module:name here."""


def names_of(module: str) -> tuple[Callable[[str], Any], list[str]]:
    """`__getattr__` and `__all__` of a module of `open_r1.utils`."""
    homes = NAMES[module.partition("open_r1.utils")[2].lstrip(".")]

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{module}' has no attribute '{name}'; it has {', '.join(homes)}")
        home, _, attribute = homes[name].partition(":")
        return getattr(import_module(home), attribute)

    return find, sorted(homes)

"""What a recipe needs of the machine, by its settings, and the findings judged by that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from open_r1.configs.reader import read_values
from open_r1.launch.doctor.findings import Finding
from open_r1.rewards.registry import reward_specs

PROVIDERS = frozenset({"code_provider", "ioi_provider"})
"""Settings, by which a reward that reads one is known to run programs."""

WITHOUT_MODEL = frozenset({"problems", "traces", "verify", "select", "mix", "gate", "report"})
"""Stages of a pipeline that load no model; every other recipe does."""

Settings = Mapping[str, Any]

NEEDS: dict[str, Callable[[Settings], bool]] = {
    "torch": lambda given: given.get("kind") not in WITHOUT_MODEL,
    "bf16": lambda given: given.get("bf16") is True,
    "vLLM": lambda given: bool(given.get("use_vllm")) or given.get("backend") == "vllm",
    "Liger": lambda given: bool(given.get("use_liger_kernel") or given.get("use_liger")),
    "flash-attn": lambda given: str(given.get("attn_implementation")).startswith("flash_attention"),
    "bitsandbytes": lambda given: bool(
        given.get("load_in_4bit") or given.get("load_in_8bit") or "8bit" in str(given.get("optim"))
    ),
    "DeepSpeed": lambda given: bool(given.get("deepspeed")),
    "Weights & Biases": lambda given: "wandb" in as_list(given.get("report_to")),
    "Hugging Face": lambda given: bool(given.get("push_to_hub") or given.get("push_to_hub_revision")),
    "sandbox": lambda given: "local" in providers(given),
    "E2B": lambda given: "e2b" in providers(given) and not given.get("e2b_router_url"),
    "Morph": lambda given: "morph" in providers(given) and not given.get("morph_router_url"),
}
"""Subject of a finding -> whether these settings need it."""

ELSEWHERE = {"sandbox"}
"""What is a problem where no recipe is named, and none where the recipe does without."""


def needs_of(recipe: Path) -> set[str]:
    """The subjects that a recipe of a stage or of a pipeline needs; ConfigError as of `read_values`."""
    return {subject for given in settings_in(recipe) for subject, is_needed in NEEDS.items() if is_needed(given)}


def settings_in(recipe: Path) -> list[Settings]:
    """The recipe's own settings or, of a pipeline, each stage's: its recipe's, then its own, then its overrides."""
    values = read_values(recipe)
    stages = values.get("stages")
    if not isinstance(stages, dict):
        return [values]
    found: list[Settings] = []
    for stage in stages.values():
        given = stage if isinstance(stage, dict) else {}
        base = read_values(recipe.parent / str(given["recipe"])) if given.get("recipe") else {}
        overrides = given.get("overrides")
        found.append(base | given | (overrides if isinstance(overrides, dict) else {}))
    return [{str(key).replace("-", "_"): value for key, value in one.items()} for one in found]


def providers(given: Settings) -> set[str]:
    """Where the programs of these settings' rewards run."""
    specs = reward_specs()
    asked = [*as_list(given.get("reward_funcs")), *as_list(given.get("rewards"))]
    named = [specs[name] for name in asked if isinstance(name, str) and name in specs]
    names = PROVIDERS & {option for spec in named for option in spec.options}
    return {str(given.get(name) or "local") for name in names}


def as_list(value: Any) -> list[Any]:
    """A value that may be one or several."""
    return value if isinstance(value, list) else [value]


def judge_for(findings: list[Finding], needs: Collection[str]) -> list[Finding]:
    """The findings for a recipe: what it needs and the machine lacks is a problem, what it does without is not."""
    return [judged(finding, finding.subject in needs) for finding in findings]


def judged(finding: Finding, is_needed: bool) -> Finding:
    """One finding, by whether the recipe needs what it is about."""
    if is_needed and finding.level == "note":
        return replace(finding, level="problem", found=f"{finding.found}; the recipe needs it")
    if not is_needed and finding.level == "problem" and finding.subject in ELSEWHERE:
        return replace(finding, level="note")
    return finding

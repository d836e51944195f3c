"""Writes docs/reference/settings.md from the dataclasses; `--check` fails when the page is not what it would write."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import trl

from open_r1.configs.arguments import GRPOConfig, ScriptArguments, SFTConfig, StageSettings
from open_r1.configs.datasets import DatasetConfig, DatasetMixtureConfig
from open_r1.configs.renames import RENAMES
from open_r1.pipeline.recipe import PipelineSettings
from open_r1.pipeline.stage import KINDS, Resources, Stage
from open_r1.training.arguments import GRPOScriptArguments
from open_r1.training.tiny_models import ModelShape

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"

SECTIONS: list[tuple[str, type, type]] = [
    ("Data, of `sft` and `grpo`", ScriptArguments, trl.ScriptArguments),
    ("Rewards and data, of `grpo`", GRPOScriptArguments, ScriptArguments),
    ("Training, of `sft` and `grpo`", StageSettings, object),
    ("Training, of `sft`", SFTConfig, trl.SFTConfig),
    ("Training, of `grpo`", GRPOConfig, trl.GRPOConfig),
    ("A mixture, in `dataset_mixture`", DatasetMixtureConfig, object),
    ("A data set of a mixture", DatasetConfig, object),
]

INTRODUCTION = """# Settings

What Open R1 adds to the settings of TRL and transformers. Those keep their names, meanings and defaults:
`SFTConfig`, `GRPOConfig`, `ModelConfig` and `TrainingArguments` of the pinned versions. `open-r1 sft --settings` and
`open-r1 grpo --settings` list all of them.

A setting is a key in a recipe (`--config FILE`) or `--key value` on the command line, which wins.
"""


def default_of(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default}`"
    return f"`{field.default_factory()}`" if field.default_factory is not dataclasses.MISSING else ""


def section(title: str, ours: type, base: type, introduction: str = "") -> str:
    """The table of the fields that `ours` adds to `base` or describes anew."""
    inherited = {field.name: field for field in dataclasses.fields(base)} if dataclasses.is_dataclass(base) else {}
    if ours is not StageSettings and issubclass(ours, StageSettings):
        inherited |= {field.name: field for field in dataclasses.fields(StageSettings)}
    lines = [f"## {title}\n", *([f"{introduction}\n"] if introduction else [])]
    rows = [
        f"| `{field.name}` | {default_of(field)} | {field.metadata.get('help', '')} |"
        for field in dataclasses.fields(ours)
        if field.init
        and (ours is not Stage or "help" in field.metadata)
        and not is_known(field, inherited.get(field.name))
    ]
    return "\n".join([*lines, *(["| setting | default | what it does |", "|---|---|---|", *rows] if rows else [])])


def is_known(field: dataclasses.Field[Any], inherited: dataclasses.Field[Any] | None) -> bool:
    return inherited is not None and inherited.metadata.get("help") == field.metadata.get("help")


def stages() -> list[str]:
    """A section for each class of stages, under the names that a pipeline has for it."""
    sections = []
    for stage in dict.fromkeys(KINDS.values()):
        names = " and ".join(f"`{kind}`" for kind, found in KINDS.items() if found is stage)
        summary = " ".join((stage.__doc__ or "").split("\n\n")[0].split())
        makes = f" Makes {', '.join(f'`{name}`' for name in stage.makes)}." if stage.makes else ""
        sections.append(section(f"Stages: {names}", stage, Stage, f"{summary}{makes}"))
    return sections


def renames() -> str:
    lines = ["## Names of older recipes\n", "Understood, with one line of notice.\n", "| old | now |", "|---|---|"]
    for old, rename in sorted(RENAMES.items()):
        lines.append(f"| `{old}` | {f'`{rename.new}`' if rename.new else f'left out: {rename.why}'} |")
    return "\n".join(lines)


def page() -> str:
    pipeline = section(
        "A pipeline", PipelineSettings, object, "A pipeline's recipe: see the [guide](../guides/pipelines.md)."
    )
    shape = section("The shape of a `model`", ModelShape, object)
    common = section("Every stage", Stage, object)
    resources = section("The `resources` of a stage", Resources, object)
    parts = [*(section(*parts) for parts in SECTIONS), pipeline, common, *stages(), shape, resources, renames()]
    return "\n\n".join(part.strip() for part in [INTRODUCTION, *parts]) + "\n"


def main() -> int:
    if "--check" in sys.argv:
        is_current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
        return 0 if is_current else "docs/reference/settings.md is out of date: run scripts/make_settings_page.py"  # type: ignore[return-value]
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes docs/reference/settings.md from the dataclasses; `--check` fails when the page is not what it would write."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import trl

from open_r1.configs.arguments import GRPOConfig, ScriptArguments, SFTConfig, StageSettings
from open_r1.configs.renames import RENAMES
from open_r1.training.arguments import GRPOScriptArguments

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"

SECTIONS: list[tuple[str, type, type]] = [
    ("Data, of `sft` and `grpo`", ScriptArguments, trl.ScriptArguments),
    ("Rewards and data, of `grpo`", GRPOScriptArguments, ScriptArguments),
    ("Training, of `sft` and `grpo`", StageSettings, object),
    ("Training, of `sft`", SFTConfig, trl.SFTConfig),
    ("Training, of `grpo`", GRPOConfig, trl.GRPOConfig),
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


def section(title: str, ours: type, base: type) -> str:
    inherited = {field.name: field for field in dataclasses.fields(base)} if dataclasses.is_dataclass(base) else {}
    if ours is not StageSettings and issubclass(ours, StageSettings):
        inherited |= {field.name: field for field in dataclasses.fields(StageSettings)}
    lines = [f"## {title}\n", "| setting | default | what it does |", "|---|---|---|"]
    for field in dataclasses.fields(ours):
        known = inherited.get(field.name)
        if field.init and (known is None or known.metadata.get("help") != field.metadata.get("help")):
            lines.append(f"| `{field.name}` | {default_of(field)} | {field.metadata['help']} |")
    return "\n".join(lines)


def renames() -> str:
    lines = ["## Names of older recipes\n", "Understood, with one line of notice.\n", "| old | now |", "|---|---|"]
    for old, rename in sorted(RENAMES.items()):
        lines.append(f"| `{old}` | {f'`{rename.new}`' if rename.new else f'left out: {rename.why}'} |")
    return "\n".join(lines)


def page() -> str:
    return "\n\n".join([INTRODUCTION.strip(), *(section(*parts) for parts in SECTIONS), renames()]) + "\n"


def main() -> int:
    if "--check" in sys.argv:
        is_current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
        return 0 if is_current else "docs/reference/settings.md is out of date: run scripts/make_settings_page.py"  # type: ignore[return-value]
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write the tables of docs/guides/planning.md: what the guide says beside what `open-r1 plan` computes.

    python scripts/make_planning_page.py [--check]

The text between the two comments of the page is generated; `--check` only compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from open_r1.configs.reader import read_values
from open_r1.launch.plan import Plan, plan

REPO = Path(__file__).parents[1]
PAGE = REPO / "docs" / "guides" / "planning.md"
BEGIN, END = "<!-- tables: scripts/make_planning_page.py -->", "<!-- end of tables -->"
GIB = 1 << 30

BATCHES = {"1.5B": (8, 4), "7B": (2, 8), "32B": (1, 16)}
"""The guide's batch_size_strategy: samples of a micro-batch, micro-batches of a step."""
MODELS = {"1.5B": "Qwen/Qwen2.5-1.5B", "7B": "Qwen/Qwen2.5-7B", "32B": "Qwen/Qwen2.5-32B"}
RESOURCES = {
    "1.5B": ("1×RTX 4090, 24 GB", "4–8", (("1xRTX4090-24GB", None),)),
    "7B": ("8×H100 40GB, 320 GB", "12–24", (("8xA100-40GB", "zero3"), ("8xH100-80GB", "zero3"))),
    "32B": ("8×H100 80GB, 640 GB", "48–72", (("8xH100-80GB", "fsdp"), ("8xH100-80GB", "zero3"))),
}
"""The guide's table of resources (训练资源需求), and the GPUs and accelerate files that are planned for it."""
RECIPES = (
    ("SFT", "4e-5", "OpenR1-Distill-7B/sft/config_distill.yaml"),
    ("GRPO", "5e-7", "DeepSeek-R1-Distill-Qwen-1.5B/grpo/config_guide.yaml"),
    ("GRPO", "5e-7", "Qwen2.5-1.5B-Instruct/grpo/config_demo.yaml"),
)
"""The guide's learning_rate_schedule, and recipes of each kind."""
LENGTH = 16_384
"""Tokens of a sample at most, as in the guide's command for SFT."""


def sft(size: str, gpus: str, accelerator: str | None, *changes: str) -> Plan:
    """The guide's SFT of a model of that size: its batch, an epoch of Mixture-of-Thoughts, bf16, checkpointing, Liger."""
    batch, accumulation = BATCHES[size]
    settings = {
        "model_name_or_path": MODELS[size], "dataset_name": "open-r1/Mixture-of-Thoughts", "dataset_config": "all",
        "dtype": "bfloat16", "bf16": "true", "attn_implementation": "flash_attention_2", "use_liger_kernel": "true",
        "gradient_checkpointing": "true", "max_length": LENGTH, "num_train_epochs": 1,
        "per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation,
    }  # fmt: skip
    words = [*(f"{key}={value}" for key, value in settings.items()), *changes]
    return plan(changes=words, gpus=gpus, accelerator=accelerator, name=size)


def as_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)


def fits(found: Plan) -> str:
    """Whether it fits, and the nearest change where it does not."""
    return "yes" if found.fits else f"no; {'; '.join(found.change) or 'nothing known suffices'}"


def resources() -> str:
    """The table of resources."""
    rows = []
    for size, (gpus, hours, machines) in RESOURCES.items():
        for machine, accelerator in machines:
            found = sft(size, machine, accelerator)
            host = sum(found.memory.host.values()) * found.machine.per_node / GIB
            rows.append((size, gpus, hours, f"{machine}, {accelerator or 'one process'}",
                         f"{found.memory.total / GIB:.1f} of {found.limit / GIB:.1f}", f"{host:.0f}", fits(found),
                         f"{found.hours:.0f}"))  # fmt: skip
    headings = ("model", "guide: GPUs", "guide: hours", "planned for", "GiB a GPU", "GiB on the host", "fits",
                "hours of an epoch")  # fmt: skip
    return as_table(headings, rows)


def batches() -> str:
    """The table of batch and accumulation by size."""
    rows = []
    for size, (batch, accumulation) in BATCHES.items():
        found = sft(size, "8xH100-80GB", "zero3")
        activations, total = (part / GIB for part in (found.memory.parts["activations"], found.memory.total))
        rows.append((size, f"{batch} × {accumulation}", batch * accumulation * 8, f"{batch * LENGTH:,}",
                     f"{activations:.1f}", f"{total:.1f}", fits(found)))  # fmt: skip
    headings = ("model", "guide: batch × accumulation", "samples of a step on 8 GPUs", "tokens of a micro-batch",
                "GiB of activations", "GiB a GPU", "fits 8×H100 80GB by zero3")  # fmt: skip
    return as_table(headings, rows)


def learning_rates() -> str:
    """The table of learning rates: the guide's, and those of recipes, with what a step of each is."""
    rows = []
    for kind, rate, name in RECIPES:
        path = REPO / "recipes" / name
        values = read_values(path)
        found = plan(path, accelerator="zero3", rows=1)
        samples = values["per_device_train_batch_size"] * values["gradient_accumulation_steps"]
        rows.append((kind, rate, f"`{name}`", f"{values['learning_rate']:g}", samples * found.machine.processes,
                     f"{found.durations.step_seconds if found.durations else 0:.0f}"))  # fmt: skip
    headings = ("", "guide", "recipe", "learning rate", "samples of a step on 8 GPUs", "seconds of it on 8×H100")
    return as_table(headings, rows)


def phases() -> str:
    """The table of the guide's three phases."""
    aims = {"1.5B": "the process is right", "7B": "a base performance", "32B": "the best result"}
    rows = []
    first = 0.0
    for number, (size, aim) in enumerate(aims.items(), 1):
        found = sft(size, "8xH100-80GB", "zero3")
        assert found.durations is not None and found.durations.flops is not None
        flops = found.durations.flops
        first = first or flops
        rows.append((number, size, aim, f"{flops:.1e}", f"{flops / first:.0f} ×", f"{8 * (found.hours or 0):,.0f}"))
    return as_table(
        ("phase", "model", "guide: aim", "operations of an epoch", "of phase 1's", "GPU hours on H100"), rows
    )


def tables() -> str:
    """The generated part of the page."""
    parts = [
        "### Resources", resources(), "### Batch and accumulation by size", batches(), "### Learning rates",
        learning_rates(), "### Three phases", phases(),
    ]  # fmt: skip
    return "\n\n".join(parts)


def page() -> str:
    """The page with its tables as they are computed now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}"


def main() -> int:
    """Write or check the page."""
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page():
        return 0
    print("docs/guides/planning.md is out of date; run: python scripts/make_planning_page.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

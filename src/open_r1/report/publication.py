"""The card of a published model, from files alone: where it came from, what was measured, how it is used.

Lineage is read from `resolved.yaml` of the model's run and of the runs that it started from; results from `summary.json`
of evaluations, each with its interval. What no file tells is not said. A model of another maker gets what is known of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.configs.reader import read_values
from open_r1.errors import ConfigError
from open_r1.model_card import METHODS, facts_table, header, transformers_usage
from open_r1.records import Estimate
from open_r1.rundir import RunDir, read_json

LONGEST_LINEAGE = 20


@dataclass(frozen=True)
class Step:
    """One training run of a model's lineage."""

    name: str
    kind: str
    started_from: str
    data: tuple[str, ...]
    settings: dict[str, Any]
    environment: dict[str, Any]
    done: dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """One benchmark in one way of sampling."""

    benchmark: str
    mode: str
    estimate: Estimate
    num_samples: int
    temperature: float
    max_new_tokens: int
    truncated_share: float


def read_lineage(folder: Path) -> list[Step]:
    """The runs that led to the model, the first one first; empty for a folder that is no run of ours."""
    steps: list[Step] = []
    current = folder
    while (step := read_step(current)) is not None and len(steps) < LONGEST_LINEAGE:
        steps.insert(0, step)
        if not Path(step.started_from).is_dir() or Path(step.started_from).resolve() == current.resolve():
            break
        current = Path(step.started_from)
    return steps


def read_step(folder: Path) -> Step | None:
    run = RunDir(folder)
    if not run.resolved.is_file():
        return None
    try:
        settings = read_values(run.resolved)
    except ConfigError:
        return None
    if not settings.get("model_name_or_path"):
        return None
    mixture = settings.get("dataset_mixture")
    entries = mixture.get("datasets", []) if isinstance(mixture, dict) else [{"id": settings.get("dataset_name")}]
    return Step(
        folder.resolve().name,
        "grpo" if "reward_funcs" in settings else "sft",
        str(settings["model_name_or_path"]),
        tuple(str(entry["id"]) for entry in entries if isinstance(entry, dict) and entry.get("id")),
        settings,
        read_json(run.environment) if run.environment.is_file() else {},
        read_json(run.done) if run.done.is_file() else {},
    )


def find_evaluations(folder: Path, others: Sequence[Path]) -> list[Path]:
    """Folders with a summary of this model: named ones, `eval/` inside it, and the stages of the pipeline it is part of.

    ConfigError for a named folder that holds none, or another model's.
    """
    found = []
    for other in others:
        inside = [
            path.parent for path in (other / "summary.json", *sorted(other.glob("*/summary.json"))) if path.is_file()
        ]
        if not inside:
            raise ConfigError(f"'{other}' holds no evaluation (summary.json); give what open-r1 eval wrote.")
        strange = [path for path in inside if not is_of(path, folder)]
        if strange:
            whose = read_json(strange[0] / "summary.json").get("model")
            raise ConfigError(f"'{strange[0]}' is the evaluation of '{whose}', not of '{folder}'; leave it out.")
        found += inside
    found += [path.parent for path in sorted(folder.glob("eval/*/summary.json")) if is_of(path.parent, folder)]
    if (folder.parent / "pipeline.json").is_file():
        found += [path.parent for path in sorted(folder.parent.glob("*/summary.json")) if is_of(path.parent, folder)]
    return list(dict.fromkeys(path.resolve() for path in found))


def is_of(evaluation: Path, folder: Path) -> bool:
    """Whether an evaluation is of the model in a folder: named by its path, its end, or its stage."""
    model = str(read_json(evaluation / "summary.json").get("model", ""))
    named = Path(model).expanduser()
    return named.resolve() == folder.resolve() or (not named.is_dir() and named.name == folder.resolve().name)


def read_measured(evaluations: Sequence[Path]) -> list[Measured]:
    """Every mode of every summary; one without an estimate is passed over."""
    measured = []
    for path in evaluations:
        summary = read_json(path / "summary.json")
        for mode, result in (summary.get("modes") or {}).items():
            accuracy = result.get("accuracy") or {}
            if not isinstance(accuracy.get("value"), int | float):
                continue
            measured.append(
                Measured(
                    str(summary.get("title") or summary.get("name") or path.name),
                    mode,
                    Estimate(accuracy["value"], accuracy["low"], accuracy["high"], accuracy["n"]),
                    result.get("num_samples", 1),
                    result.get("temperature", 0.0),
                    result.get("max_new_tokens", 0),
                    result.get("truncated_share", 0.0),
                )
            )
    return measured


def publication_card(repo_id: str, tags: Sequence[str], steps: Sequence[Step], measured: Sequence[Measured]) -> str:
    """README.md of the model as it is published under that name."""
    base = steps[0].started_from if steps else None
    data = list(dict.fromkeys(source for step in steps for source in step.data))
    metadata = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": list(dict.fromkeys(["open-r1", "reasoning", *(step.kind for step in steps), *tags])),
        "datasets": [source for source in data if not Path(source).exists() and source.count("/") == 1],
        "base_model": base if base and not Path(base).exists() else None,
    }
    parts = [header(metadata), f"# {repo_id.partition('/')[2]}\n", "## How it was made\n"]
    parts += [describe_step(number, step) for number, step in enumerate(steps, start=1)] or ["Not recorded.\n"]
    parts += [
        "## Measured\n",
        describe_measured(measured),
        "## Use\n",
        transformers_usage(repo_id),
        SERVE.format(repo_id=repo_id),
    ]
    return "\n".join(parts)


def describe_step(number: int, step: Step) -> str:
    settings, done = step.settings, step.done
    versions = step.environment.get("versions") or {}
    rewards = settings.get("reward_funcs") or []
    facts = {
        "started from": step.started_from,
        "data": ", ".join(step.data),
        "rewards": ", ".join(map(str, rewards)) if isinstance(rewards, list) else rewards,
        "steps": done.get("steps"),
        "learning rate": settings.get("learning_rate"),
        "batch a device": settings.get("per_device_train_batch_size"),
        "samples a prompt": settings.get("num_generations"),
        "LoRA": "yes" if settings.get("use_peft") else "",
        "seed": settings.get("seed"),
        "hardware": ", ".join(step.environment.get("accelerators") or []) or step.environment.get("machine"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "commit of Open R1": step.environment.get("commit"),
        "SHA-256 of the weights": done.get("weights"),
    }
    return f"### {number}. {step.name}: {METHODS[step.kind]}\n\n{facts_table(facts)}\n"


def describe_measured(measured: Sequence[Measured]) -> str:
    if not measured:
        return "Nothing was measured yet.\n"
    rows = [
        f"| {one.benchmark} | {one.mode}, T {one.temperature:g} | {one.estimate.n:,} × {one.num_samples} | "
        f"{one.estimate.as_percent()} | {one.max_new_tokens:,} | {100 * one.truncated_share:.1f} |"
        for one in measured
    ]
    head = "| benchmark | sampling | problems × samples | pass@1, % [95 % interval] | token limit | cut off, % |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows, ""])


SERVE = """
As a server that tells thinking from answer, and from a terminal:

```bash
open-r1 serve {repo_id}
open-r1 chat {repo_id}
```
"""

"""Where a model came from and what was measured of it, from files alone.

Lineage is read from `resolved.yaml` of the model's run and of the runs that it started from; results from `summary.json`
of evaluations, each with its interval. What no file says is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.configs.reader import read_values
from open_r1.errors import ConfigError, RunFolderError
from open_r1.records import Estimate
from open_r1.rundir import RunDir, read_json

LONGEST_LINEAGE = 20


@dataclass(frozen=True)
class Step:
    """One training run of a model's lineage; `facts` is what a card says of it, empty where nothing is recorded."""

    name: str
    kind: str
    started_from: str
    data: tuple[str, ...]
    facts: dict[str, Any]


def read_lineage(folder: Path) -> list[Step]:
    """The runs that led to the model, the first one first; empty for a folder that is not a run of ours."""
    steps: list[Step] = []
    current = folder
    while (step := read_step(current)) is not None and len(steps) < LONGEST_LINEAGE:
        steps.insert(0, step)
        if not Path(step.started_from).is_dir() or Path(step.started_from).resolve() == current.resolve():
            break
        current = Path(step.started_from)
    return steps


def read_step(folder: Path) -> Step | None:
    """The run in a folder; None where there is none, or its records can't be read."""
    run = RunDir(folder)
    if not run.resolved.is_file():
        return None
    try:
        settings = read_values(run.resolved)
        environment, done = (read_json(path) if path.is_file() else {} for path in (run.environment, run.done))
    except (ConfigError, RunFolderError):
        return None
    base, mixture = settings.get("model_name_or_path"), settings.get("dataset_mixture")
    if not base:
        return None
    entries = mixture.get("datasets", []) if isinstance(mixture, dict) else [{"id": settings.get("dataset_name")}]
    data = tuple(str(entry["id"]) for entry in entries if isinstance(entry, dict) and entry.get("id"))
    rewards = settings.get("reward_funcs") or []
    facts = {
        "started from": base,
        "data": ", ".join(data),
        "rewards": ", ".join(map(str, rewards)) if isinstance(rewards, list) else rewards,
        "steps": done.get("steps"),
        "learning rate": settings.get("learning_rate"),
        "batch a device": settings.get("per_device_train_batch_size"),
        "samples a prompt": settings.get("num_generations"),
        "LoRA": "yes" if settings.get("use_peft") else "",
        "seed": settings.get("seed"),
        "hardware": ", ".join(environment.get("accelerators") or []) or environment.get("machine"),
        "versions": ", ".join(f"{name} {version}" for name, version in (environment.get("versions") or {}).items()),
        "commit of Open R1": environment.get("commit"),
        "SHA-256 of the weights": done.get("weights"),
    }
    return Step(folder.resolve().name, "grpo" if "reward_funcs" in settings else "sft", str(base), data, facts)


def find_evaluations(folder: Path, others: Sequence[Path] = ()) -> list[Path]:
    """Folders with a summary of this model: named ones, `eval/` inside it, and the stages of the pipeline it is part of.

    ConfigError for a named folder that contains none, or another model's.
    """
    found = []
    for other in others:
        inside = [path for path in (other / "summary.json", *sorted(other.glob("*/summary.json"))) if path.is_file()]
        if not inside:
            raise ConfigError(f"'{other}' contains no evaluation (summary.json); give what open-r1 eval wrote.")
        for path in inside:
            if not is_of(path, folder):
                whose = read_json(path).get("model")
                raise ConfigError(f"'{path.parent}' is the evaluation of '{whose}', not of '{folder}'; leave it out.")
        found += inside
    nearby = sorted(folder.glob("eval/*/summary.json"))
    if (folder.parent / "pipeline.json").is_file():
        nearby += sorted(folder.parent.glob("*/summary.json"))
    found += [path for path in nearby if is_of(path, folder)]
    return list(dict.fromkeys(path.parent.resolve() for path in found))


def is_of(summary: Path, folder: Path) -> bool:
    """Whether an evaluation is of the model in a folder: named by its path, its end, or its stage."""
    named = Path(str(read_json(summary).get("model", ""))).expanduser()
    return named.resolve() == folder.resolve() or (not named.is_dir() and named.name == folder.resolve().name)


def read_measured(evaluations: Sequence[Path]) -> list[list[str]]:
    """A row of a card's table for every mode of every summary: benchmark, sampling, sizes, pass@1, limit, cut off."""
    rows = []
    for path in evaluations:
        summary = read_json(path / "summary.json")
        for mode, result in (summary.get("modes") or {}).items():
            accuracy = result.get("accuracy") or {}
            if not isinstance(accuracy.get("value"), int | float):
                continue
            estimate = Estimate(accuracy["value"], accuracy["low"], accuracy["high"], accuracy["n"])
            rows.append([
                str(summary.get("title") or summary.get("name") or path.name),
                f"{mode}, T {result.get('temperature', 0.0):g}",
                f"{estimate.n:,} × {result.get('num_samples', 1)}",
                estimate.as_percent(),
                f"{result.get('max_new_tokens', 0):,}",
                f"{100 * result.get('truncated_share', 0.0):.1f}",
            ])  # fmt: skip
    return rows

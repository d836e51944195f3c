"""Where a model came from and what was measured of it, from files alone.

Lineage is read from `resolved.yaml` of the model's run and of the runs that it started from; results from `summary.json`
of evaluations, each with its interval. What no file says is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from open_r1.errors import ConfigError, RunFolderError
from open_r1.records import Estimate
from open_r1.rundir import RunDir, read_json

METHODS = {
    "sft": "supervised fine-tuning on reasoning traces",
    "grpo": "group relative policy optimisation (GRPO, arXiv 2402.03300) from verifiable rewards",
}
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

    def facts(self) -> dict[str, Any]:
        """What a card says of the run, by name; empty where it is not recorded."""
        settings, environment = self.settings, self.environment
        rewards = settings.get("reward_funcs") or []
        return {
            "started from": self.started_from,
            "data": ", ".join(self.data),
            "rewards": ", ".join(map(str, rewards)) if isinstance(rewards, list) else rewards,
            "steps": self.done.get("steps"),
            "learning rate": settings.get("learning_rate"),
            "batch a device": settings.get("per_device_train_batch_size"),
            "samples a prompt": settings.get("num_generations"),
            "LoRA": "yes" if settings.get("use_peft") else "",
            "seed": settings.get("seed"),
            "hardware": ", ".join(environment.get("accelerators") or []) or environment.get("machine"),
            "versions": ", ".join(
                f"{name} {version}" for name, version in (environment.get("versions") or {}).items()
            ),
            "commit of Open R1": environment.get("commit"),
            "SHA-256 of the weights": self.done.get("weights"),
        }


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

    def cells(self) -> list[str]:
        """Its row in a card's table."""
        return [
            self.benchmark,
            f"{self.mode}, T {self.temperature:g}",
            f"{self.estimate.n:,} × {self.num_samples}",
            self.estimate.as_percent(),
            f"{self.max_new_tokens:,}",
            f"{100 * self.truncated_share:.1f}",
        ]


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
        settings = yaml.safe_load(run.resolved.read_text(encoding="utf-8"))
        environment, done = (read_json(path) if path.is_file() else {} for path in (run.environment, run.done))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RunFolderError):
        return None
    if not isinstance(settings, dict) or not settings.get("model_name_or_path"):
        return None
    mixture = settings.get("dataset_mixture")
    entries = mixture.get("datasets", []) if isinstance(mixture, dict) else [{"id": settings.get("dataset_name")}]
    return Step(
        folder.resolve().name,
        "grpo" if "reward_funcs" in settings else "sft",
        str(settings["model_name_or_path"]),
        tuple(str(entry["id"]) for entry in entries if isinstance(entry, dict) and entry.get("id")),
        settings,
        environment,
        done,
    )


def find_evaluations(folder: Path, others: Sequence[Path] = ()) -> list[Path]:
    """Folders with a summary of this model: named ones, `eval/` inside it, and the stages of the pipeline it is part of.

    ConfigError for a named folder that contains none, or another model's.
    """
    found = []
    for other in others:
        inside = [
            path.parent for path in (other / "summary.json", *sorted(other.glob("*/summary.json"))) if path.is_file()
        ]
        if not inside:
            raise ConfigError(f"'{other}' contains no evaluation (summary.json); give what open-r1 eval wrote.")
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
    """Every mode of every summary; one without an estimate is left out."""
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

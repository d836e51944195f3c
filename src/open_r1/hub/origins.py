"""From a model back to its data: every stage, command and file behind it, from records alone.

Three kinds of records are followed: `origin.json` of a pipeline's stages, `resolved.yaml` of a training, and the steps that
`open-r1 data` keeps beside rows. What no record says is left out; a damaged record ends the way back, and says so. Beside
them: the trainings alone that led to a model, and what evaluations measured of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from open_r1.configs.reader import read_values
from open_r1.errors import ConfigError, RunFolderError
from open_r1.records import Estimate
from open_r1.rundir import RunDir, check_keys, read_json

ORIGIN = "origin.json"
STEPS, SUFFIX = "provenance.json", ".steps.json"
SHOWN_DIGITS = 12
REMEDY = "restore it, or remove it, and what is behind its stage is left out"


@dataclass(frozen=True)
class Origin:
    """One thing behind a model.

    Args:
        kind: A stage's or step's kind (`sft`, `verify`), or `source` for what no record goes behind.
        inputs: The names of those that it was made from.
        made: File -> {sha256, rows}, as far as they are known.
        facts: What came of it, such as counts.
        command: The command line that made it.
        path: Where it is; empty for a Hub id.
    """

    name: str
    kind: str
    inputs: tuple[str, ...] = ()
    made: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    command: str = ""
    path: str = ""

    def say_made(self) -> str:
        """`traces.jsonl: 1,920 rows, sha256 0123456789ab`, one file after the other."""
        files = []
        for name, record in self.made.items():
            rows, digest = record.get("rows"), str(record.get("sha256", ""))[:SHOWN_DIGITS]
            said = ([f"{rows:,} rows"] if isinstance(rows, int) else []) + ([f"sha256 {digest}"] if digest else [])
            files.append(f"{name}: {', '.join(said)}" if said else name)
        return "; ".join(files)


def read_origins(folder: Path) -> list[Origin]:
    """All that is behind a model or a file of rows, the oldest first and itself last; empty where nothing is recorded."""
    found: dict[str, Origin] = {}
    name = _follow(folder.resolve(), found)
    if found[name].kind == "source":
        return []
    short = _short_names(list(found), Path(name).parent)
    return [
        replace(one, name=short[one.name], path=one.name if Path(one.name).is_absolute() else "",
                inputs=tuple(short[name] for name in one.inputs))
        for one in found.values()
    ]  # fmt: skip


def _short_names(names: Sequence[str], root: Path) -> dict[str, str]:
    """Each path as it is in the run's folder, or by as much of its end as is its alone; Hub ids as they are."""
    short: dict[str, str] = {}
    for name in names:
        path = Path(name)
        if path.is_absolute() and path.is_relative_to(root):
            short[name] = str(path.relative_to(root))
        elif path.is_absolute():
            ends = ["/".join(path.parts[-count:]) for count in range(1, len(path.parts))]
            short[name] = next((end for end in ends if end not in short.values()), name)
        else:
            short[name] = name
    return short


def read_origin(folder: Path) -> dict[str, Any]:
    """The record of a stage's folder; {} where there is none. RunFolderError, with the key, for one that was damaged."""
    path = folder / ORIGIN
    record = read_json(path, REMEDY) if path.is_file() else {}
    check_keys(path, "the record", record, {"inputs?": list, "made?": dict, "settings?": dict, "facts?": dict}, REMEDY)
    for number, one in enumerate(record.get("inputs", ())):
        at = f"inputs[{number}]"
        is_stage = "stage" in check_keys(path, at, one, {"files?": dict}, REMEDY)
        check_keys(path, at, one, {"stage" if is_stage else "name": str}, REMEDY)
        check_files(path, f"files of {at}", one.get("files", {}))
    check_files(path, "made", record.get("made", {}))
    return record


def check_files(path: Path, at: str, files: Mapping[str, Any]) -> None:
    """RunFolderError where a file's hash and rows are not an object."""
    for name in files:
        check_keys(path, f"{name} of {at}", files[name], {}, REMEDY)


def _follow(path: Path, found: dict[str, Origin]) -> str:
    """Add what a folder or file was made from, then itself, under a name of its own; returns that name."""
    folder = path.parent if not path.is_dir() and (path.parent / ORIGIN).is_file() else path
    try:
        record = read_origin(folder)
    except RunFolderError as error:
        damaged = Origin(str(folder), "source", facts={"not followed": str(error)})
        return _add(found, folder, lambda: damaged)
    resolved = RunDir(folder).resolved
    if record:
        return _add(found, folder, lambda: _of_stage(folder, record, found))
    if folder.is_dir() and resolved.is_file():
        return _add(found, folder, lambda: _of_training(folder, resolved, found))
    if steps := next(filter(None, map(_read_steps, step_records(path))), None):
        return _add(found, path, lambda: _of_steps(path, steps, found))
    return _add(found, path, lambda: Origin(str(path), "source"))


def _add(found: dict[str, Origin], path: Path, make: Any) -> str:
    """The origin of a path, made once; a record that leads back to itself ends there."""
    name = str(path)
    if name not in found:
        found[name] = Origin(name, "source")
        origin = make()
        del found[name]
        found[name] = origin
    return name


def _of_stage(folder: Path, record: Mapping[str, Any], found: dict[str, Origin]) -> Origin:
    inputs = []
    for one in record.get("inputs", ()):
        if "stage" in one:
            inputs.append(_follow(folder.parent / one["stage"], found))
        else:
            inputs.append(_add_source(one["name"], one.get("files", {}), found))
    return Origin(
        str(folder), str(record.get("kind")), tuple(inputs), record.get("made", {}), record.get("settings", {}),
        record.get("facts", {}), str(record.get("command", "")),
    )  # fmt: skip


def _add_source(name: str, files: Mapping[str, Any], found: dict[str, Origin]) -> str:
    """What is the user's own: followed where it has records, else with the hashes of the time when it was used."""
    path = Path(name).expanduser()
    known = _follow(path.resolve(), found) if path.exists() else name
    if known not in found or found[known].kind == "source":
        found[known] = Origin(known, "source", made=files)
    return known


def _of_training(folder: Path, resolved: Path, found: dict[str, Origin]) -> Origin:
    """A training by `open-r1 sft` or `grpo`, by its settings."""
    run = RunDir(folder)
    try:
        settings = read_values(resolved)
    except (ConfigError, RunFolderError):
        return Origin(str(folder), "source")
    base, identity = settings.get("model_name_or_path"), _read(run.identity)
    inputs = []
    for name in [str(base), *_data_of(settings)] if base else _data_of(settings):
        digest = identity.get(f"contents of {name}")  # as it was then
        inputs.append(_add_source(name, {Path(name).name: {"contents": digest}} if digest else {}, found))
    made = {"weights": {"sha256": weights}} if (weights := _read(run.done).get("weights")) else {}
    return Origin(str(folder), _kind_of(settings), tuple(inputs), made, settings, _read(run.done))


def _data_of(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The data sets that a training names."""
    mixture = settings.get("dataset_mixture")
    entries = mixture.get("datasets", []) if isinstance(mixture, dict) else [{"id": settings.get("dataset_name")}]
    return tuple(str(entry["id"]) for entry in entries if isinstance(entry, dict) and entry.get("id"))


def _kind_of(settings: Mapping[str, Any]) -> str:
    return "grpo" if "reward_funcs" in settings else "sft"


def step_records(path: Path) -> list[Path]:
    """Where the steps behind rows may be kept: beside their file, under its name, or in a folder of theirs."""
    return [path.with_suffix(SUFFIX), *(folder / STEPS for folder in (path, path.parent, path.parent.parent))]


def _of_steps(path: Path, steps: list[Any], found: dict[str, Origin]) -> Origin:
    """The last step behind rows; those before it, and the models that they sampled, are added."""
    before: tuple[str, ...] = ()
    for number, step in enumerate(steps):
        settings, source = step.get("settings", {}), str(step.get("source"))
        inputs = before or (_add_source(source, {}, found),)
        model = settings.get("model")
        if isinstance(model, str) and Path(model).expanduser().is_dir():
            inputs += (_follow(Path(model).expanduser().resolve(), found),)
        name = str(path) if number == len(steps) - 1 else f"{step.get('action')} of {source}"
        origin = Origin(name, str(step.get("action")), inputs, {}, settings, step.get("counts", {}))
        if number == len(steps) - 1:
            return origin
        found[name], before = origin, (name,)
    raise AssertionError("a record of steps has at least one")


def _read_steps(path: Path) -> list[Any]:
    steps = _read(path).get("steps")
    return [one for one in steps if isinstance(one, dict)] if isinstance(steps, list) else []


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path) if path.is_file() else {}
    except RunFolderError:
        return {}


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
    if not (base := settings.get("model_name_or_path")):
        return None
    data, rewards = _data_of(settings), settings.get("reward_funcs") or []
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
    return Step(folder.resolve().name, _kind_of(settings), str(base), data, facts)


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

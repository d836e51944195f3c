"""From a model back to its data: every stage, command and file behind it, from records alone.

Three kinds of records are followed: `origin.json` of a pipeline's stages, `resolved.yaml` of a training, and the steps that
`open-r1 data` keeps beside rows. What no record says is left out; a damaged record ends the way back, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from open_r1.configs.reader import read_values
from open_r1.errors import ConfigError, RunFolderError
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
    if steps := next(filter(None, map(_read_steps, _step_records(path))), None):
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
    mixture = settings.get("dataset_mixture")
    entries = mixture.get("datasets", []) if isinstance(mixture, dict) else [{"id": settings.get("dataset_name")}]
    named = [settings.get("model_name_or_path"), *(entry.get("id") for entry in entries if isinstance(entry, dict))]
    identity = _read(run.identity)
    inputs = tuple(
        _add_source(str(one), _hash_at_the_time(identity, str(one)), found) for one in named if one is not None
    )
    made = {"weights": {"sha256": weights}} if (weights := _read(run.done).get("weights")) else {}
    kind = "grpo" if "reward_funcs" in settings else "sft"
    return Origin(str(folder), kind, inputs, made, settings, _read(run.done))


def _hash_at_the_time(identity: Mapping[str, Any], name: str) -> dict[str, Any]:
    digest = identity.get(f"contents of {name}")
    return {Path(name).name: {"contents": digest}} if digest else {}


def _step_records(path: Path) -> Iterator[Path]:
    """Where the steps behind rows are kept, as in `data.provenance`."""
    yield path.with_suffix(SUFFIX)
    for folder in (path, path.parent, path.parent.parent):
        yield folder / STEPS


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

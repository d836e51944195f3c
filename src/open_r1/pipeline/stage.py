"""What a stage is: settings, the stages it needs, a fingerprint, and a way to run.

A kind of stage is a frozen dataclass that extends `Stage`; its fields are its settings in the recipe. A field typed
`StageName` names an earlier stage whose folder it reads.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, NewType

from open_r1.configs.fields import setting
from open_r1.configs.ranges import Range
from open_r1.configs.reader import Setting, as_setting
from open_r1.configs.types import read_record
from open_r1.data.sources import open_rows
from open_r1.data.sources.local import is_local_name
from open_r1.errors import ConfigError, DataError, UsageError
from open_r1.hub.folders import check_model_path, find_files, looks_local, model_files
from open_r1.rundir import RunDir, hash_files

StageName = NewType("StageName", str)
"""A setting that names an earlier stage whose folder is read, or the user's own file, folder or Hub id."""

STAGE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
"""A stage's name is its folder's, and follows a flag of a job; what has a dot or a slash is the user's own."""

COMMON = ("written", "after", "resources")  # fields of every stage that have no part in what it makes

WEIGHTS = "model.safetensors"  # what every stage that makes a model makes
WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json")  # in one part or several, or as an adapter


@dataclass(frozen=True)
class Resources:
    """What the Slurm job of a stage asks for."""

    gpus_per_node: int | None = setting(
        None, "GPUs; by default the site's for a training, one for an evaluation, else none.", Range(0)
    )
    accelerator: str = setting(
        "ddp", "How a training uses several GPUs: ddp, fsdp, zero2, zero3, or a file of accelerate's."
    )
    time_limit: str = setting("", "As sbatch takes it, `2-00:00:00`; by default the partition's.")


RESOURCES = "What its Slurm job asks for; see the table of its keys."
AFTER = "Stages, such as gates, that must be done before this one, which reads nothing of them."

KINDS: dict[str, type[Stage]] = {}  # every kind of stage by its name in a recipe


@dataclass(frozen=True)
class Context:
    """What a stage gets to run with: the pipeline's folder and seed, its own folder, and what it prepared."""

    root: Path
    seed: int
    run: RunDir
    fingerprint: str
    report: Callable[[str], None]
    prepared: Any = None

    def folder(self, stage: str) -> Path:
        """The folder of a stage of this pipeline."""
        return self.root / stage


@dataclass(frozen=True)
class Stage(ABC):
    """Base of all kinds; `base` is the recipe's folder, `written` the settings with lines, other fields settings.

    `after` orders stages of which none reads the other; it and `resources` have no part in the fingerprint.
    """

    name: str
    base: Path
    written: tuple[Setting, ...] = field(default=(), kw_only=True, repr=False, compare=False)
    after: list[str] = field(default_factory=list, kw_only=True, metadata={"help": AFTER})
    resources: dict[str, Any] = field(default_factory=dict, kw_only=True, metadata={"help": RESOURCES})
    kind: ClassVar[str]
    makes: ClassVar[tuple[str, ...]] = ()
    inputs: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[Mapping[str, str]] = {}
    """Setting that names a stage -> the file that is read of its folder."""
    resumes: ClassVar[bool] = False
    always: ClassVar[bool] = False
    gpus: ClassVar[int | None] = 0  # that its job asks for; None for those of the site
    reads_all: ClassVar[bool] = False
    """Whether it reads the folders of all stages before it."""

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):  # a base that several kinds share has none of its own
            KINDS[cls.kind] = cls

    def given(self) -> list[str]:
        """What this stage reads: names of stages, and files, folders or Hub ids of the user's own."""
        named = [getattr(self, name) for name in self.inputs]
        return [one for value in named if value for one in ([value] if isinstance(value, str) else value)]

    def needs(self) -> list[str]:
        """Names of the stages whose output this one reads."""
        return [value for value in self.given() if STAGE_NAME.fullmatch(value)]

    def place(self, value: str, root: Path, file: str = "") -> str:
        """Where an input is: `file` of an earlier stage's folder, or what is the user's own, beside the recipe or not."""
        if STAGE_NAME.fullmatch(value):
            return str(root / value / file)
        beside = self.base / Path(value).expanduser()
        return str(beside) if beside.exists() else value

    def own_inputs(self) -> dict[str, str]:
        """The user's own inputs by the hash of their contents; a Hub id by its name. ConfigError for a missing one."""
        found = {}
        for value in (value for value in self.given() if not STAGE_NAME.fullmatch(value)):
            path = Path(self.place(value, Path()))
            files = [path] if path.is_file() else model_files(str(path)) if path.is_dir() else []
            if not path.exists() and (is_local_name(value) or looks_local(value)):
                raise ConfigError(
                    f"stage '{self.name}': '{value}' does not exist, neither beside the recipe nor from here; correct the "
                    "path, or name an earlier stage."
                )
            found[value] = hash_files(files) if files else value
        return found

    def made_files(self, folder: Path) -> list[Path]:
        """What it has made in its folder: its files, with every part of a model's weights."""
        named = [folder / name for name in self.makes if (folder / name).is_file()]
        return list(dict.fromkeys([*named, *(find_files(folder, WEIGHT_FILES) if WEIGHTS in self.makes else ())]))

    def setting(self, key: str) -> Setting | None:
        """A setting as the recipe has it; None where it is left out."""
        return next((one for one in self.written if one.key == key), None)

    def read_resources(self) -> Resources:
        """What the stage's job asks for. ConfigError, with the line, for what can't be asked for."""
        written = self.setting("resources") or as_setting("resources", self.resources, "")
        resources = read_record(Resources, written.parts, f"stage '{self.name}': resources", written.origin)
        if not re.fullmatch(r"[\w:-]*", resources.time_limit):
            raise ConfigError(
                f"{written.origin}: stage '{self.name}': resources: time_limit must be as sbatch takes it, as 2-00:00:00, "
                f"but is {resources.time_limit!r}."
            )
        return resources

    def settings(self) -> dict[str, Any]:
        """The settings that decide what the stage makes."""
        return {name: getattr(self, name) for name in ("name", *setting_names(type(self)))}

    def check(self) -> None:  # noqa: B027 - a kind without checks needs none
        """Cheap checks, made when the recipe is read; ConfigError for what can't work."""

    def check_needs(self, before: Mapping[str, Stage]) -> None:
        """ConfigError for an input that the stage it names does not make; `before` are the stages before this one."""
        needed = self.needs()
        for key, file in self.reads.items():
            name = getattr(self, key)
            if name in needed and file not in before[name].makes:
                fitting = [stage.name for stage in before.values() if file in stage.makes]
                raise ConfigError(
                    f"stage '{self.name}': {key} is stage '{name}', which does not make {file}; name one that does: "
                    f"{', '.join(fitting) or 'none of the stages before it'}."
                )

    def columns_made(self, before: Mapping[str, Stage]) -> tuple[str, ...] | None:
        """The columns of the rows that it makes, where they are known before it runs."""
        return None

    def columns_of(self, value: str, before: Mapping[str, Stage]) -> tuple[str, ...] | None:
        """The columns of an input of rows, None where they are not known. DataError for a file without rows."""
        if STAGE_NAME.fullmatch(value):
            return before[value].columns_made(before)
        path = Path(self.place(value, Path()))
        return open_rows(str(path)).columns if path.exists() else None

    def check_inputs(self, before: Mapping[str, Stage]) -> None:
        """UsageError for an own file without rows or an own folder without a model; kinds add columns they can't use."""
        for key, file in self.reads.items():
            value = getattr(self, key)
            if value and value in self.given() and value not in self.needs():
                self.check_own(value, file)

    def check_own(self, value: str, file: str) -> None:
        """UsageError for an input of the user's own that can't be used in place of the `file` of a stage."""
        if file == WEIGHTS:
            check_model_path(self.place(value, Path()))
        elif file.endswith(".jsonl"):
            self.columns_of(value, {})

    def reads_hub(self) -> bool:
        """Whether `prepare` reads a data set of the Hub, which a dry run does not."""
        return False

    def prepare(self, root: Path, seed: int) -> Any:  # noqa: B027 - as above
        """Checks that may import heavy libraries, made before the first stage runs; `run` gets what it returns."""

    @abstractmethod
    def run(self, context: Context) -> dict[str, Any]:
        """Do the work; returns facts for done.json."""

    def fingerprint(self, common: Mapping[str, Any], needed: Mapping[str, str]) -> str:
        """Hash of all that decides what the stage makes: its settings, what all stages share, its inputs' fingerprints."""
        content = {"kind": self.kind, "settings": self.settings(), "needs": dict(needed), **common}
        if own := self.own_inputs():
            content["own"] = own
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def setting_names(kind: type[Stage]) -> list[str]:
    """The settings that a stage of this kind takes in a recipe."""
    return [one.name for one in fields(kind) if one.name not in ("name", "base", *COMMON)]


def require_messages(columns: Sequence[str], source: str) -> None:
    """DataError for traces that are not conversations."""
    if "messages" not in columns:
        raise DataError(
            f"'{source}' has no column 'messages' with conversations (found: {', '.join(columns)}); name a stage of kind "
            "select, which makes them of traces, or another file."
        )


@contextmanager
def naming_stage(name: str) -> Iterator[None]:
    """Puts the stage's name before what a lower layer refuses."""
    try:
        yield
    except UsageError as error:
        is_named = f"stage '{name}'" in str(error)
        raise error if is_named else type(error)(f"stage '{name}': {error}") from None

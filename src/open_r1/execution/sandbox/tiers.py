"""What isolation this machine gives, and why not more.

A   namespaces, a root of its own, a filter of system calls: everything works
B   Landlock and the filter: Python, nothing written, no process started
-   neither: programs are not run here
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from open_r1.errors import ConfigError
from open_r1.execution.sandbox.toolchains import SHOWN_ALWAYS, shown_files
from open_r1.execution.sandbox.worker import Worker, WorkerConfig, WorkerLost

TIERS = ("A", "B")
MACHINES = ("x86_64", "aarch64")
REMEDY = (
    "Use a machine with Linux that allows user namespaces (or has Linux 6.12 with Landlock), or run programs elsewhere "
    "by code_provider: executor, piston, e2b, morph or sandbox_fusion."
)
SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
    *sorted(map(str, Path("/etc").glob("java*"))),
)
_SWITCHES = {
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    "/proc/sys/kernel/unprivileged_userns_clone": "0",
    "/proc/sys/user/max_user_namespaces": "0",
}
"""Settings of the system, and the value at which each forbids user namespaces."""


@dataclass(frozen=True)
class Isolation:
    """What was found: the best tier, or "" for none, and why each better one isn't available."""

    tier: str
    obstacles: dict[str, str]

    def require(self) -> str:
        """The tier; ConfigError that names the causes and the remedy when there is none."""
        if not self.tier:
            causes = "; ".join(f"tier {tier}: {cause}" for tier, cause in self.obstacles.items())
            raise ConfigError(f"this machine can't isolate programs, so none is run ({causes}). {REMEDY}")
        return self.tier


@cache
def detect() -> Isolation:
    """Try the tiers, best first. Starts a server or two, and takes a few tenths of a second the first time."""
    obstacles = {}
    for tier in TIERS:
        obstacle = why_not(tier)
        if not obstacle:
            return Isolation(tier, obstacles)
        obstacles[tier] = obstacle
    return Isolation("", obstacles)


def why_not(tier: str) -> str:
    """What keeps this machine from a tier; "" when nothing does."""
    if platform.system() != "Linux":
        return f"it needs Linux, and this is {platform.system()}"
    if platform.machine() not in MACHINES:
        return f"it needs one of {', '.join(MACHINES)}, and this is {platform.machine()}"
    worker = Worker(worker_config(tier))
    try:
        worker.start()
    except WorkerLost as error:
        return "; ".join([str(error), *(_switched_off() if tier == "A" else ())])
    finally:
        worker.close()
    return ""


def _switched_off() -> list[str]:
    found = []
    for path, value in _SWITCHES.items():
        with suppress(OSError, ValueError):
            if Path(path).read_text(encoding="ascii").strip() == value:
                found.append(f"{path} is {value}, which forbids user namespaces")
    return found


def worker_config(tier: str, packages: Sequence[str] = ()) -> WorkerConfig:
    """What a worker of this tier is started with: what jobs may read, and the packages they may import."""
    interpreter = os.path.realpath(sys.executable)
    library = Path(sys.base_prefix) / "lib"  # what else the prefix has may be someone's home
    libraries = [str(path) for pattern in ("python3*", "*.so*") for path in sorted(library.glob(pattern))]
    folders, entries = package_files(packages)
    readable = [*SHOWN_ALWAYS, *SYSTEM_FILES, interpreter, *libraries, *shown_files(), *entries]
    roots = [Path(sys.base_prefix), Path("/usr"), Path("/usr/local")]
    hidden = {str(path) for root in roots for path in root.glob("lib/python3*/*-packages") if path.is_dir()}
    preload = tuple(name for package in packages for name in import_names(package))
    return WorkerConfig(tier, interpreter, tuple(dict.fromkeys(readable)), tuple(sorted(hidden)), folders, preload)


def package_files(packages: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(folders to import from, paths to show) for packages of this environment and all that they require.

    ConfigError for one that isn't installed.
    """
    folders, paths = [], []
    for found in _with_requirements(packages):
        root = Path(str(found.locate_file("")))
        names = {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}
        folders.append(str(root))
        paths += sorted(str(root / name) for name in names)
    return tuple(dict.fromkeys(folders)), tuple(dict.fromkeys(paths))


def _with_requirements(packages: Sequence[str]) -> list[metadata.Distribution]:
    """Installed packages and, one after another, what they require in turn; optional requirements only where named."""
    found: dict[str, metadata.Distribution] = {}
    wanted = [(name, "") for name in packages]
    while wanted:
        name, needed_by = wanted.pop()
        key = canonicalize_name(name)
        if key in found:
            continue
        try:
            found[key] = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            if needed_by:  # of another system, or left out on purpose: its importer will say so
                continue
            raise ConfigError(f"sandbox package '{name}' isn't installed here; pip install it first.") from error
        requirements = map(Requirement, found[key].requires or [])
        wanted += [(it.name, name) for it in requirements if it.marker is None or it.marker.evaluate({"extra": ""})]
    return list(found.values())


def import_names(package: str) -> tuple[str, ...]:
    """What a package is imported as: `reasoning_gym` for reasoning-gym, `yaml` for PyYAML."""
    files = [file for file in metadata.files(package) or [] if file.suffix in (".py", ".so")]
    names = {file.parts[0].partition(".")[0] for file in files if not file.parts[0].endswith((".dist-info", ".libs"))}
    names -= {"..", "tests", "test"}
    own = {name for name in names if canonicalize_name(name) == canonicalize_name(package)}
    return tuple(sorted(own or names))

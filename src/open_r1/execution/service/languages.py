"""What languages are called by the protocols that the service speaks, and in which versions they are here."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass

from open_r1.execution.programs import Provider
from open_r1.text.languages import ALIASES, canonical_language

PISTON_NAMES = {"cpp": "c++"}
"""Our name -> Piston's, where they differ."""

ELSEWHERE = {"python": "3", "javascript": "0", "bash": "0"}
"""What a remote provider is taken to run: they don't tell."""

COMPILED = frozenset({"c", "cpp", "go", "java", "rust"})

WILDCARDS = frozenset({"*", "x", "X"})


@dataclass(frozen=True)
class Runtime:
    """A language that programs can be written in here.

    Args:
        language: Our name.
        version: As numbers and dots.
    """

    language: str
    version: str

    @property
    def piston_name(self) -> str:
        return PISTON_NAMES.get(self.language, self.language)

    @property
    def is_compiled(self) -> bool:
        return self.language in COMPILED

    @property
    def aliases(self) -> list[str]:
        names = ALIASES.get(self.language, frozenset()) | {self.language}
        return sorted(names - {self.piston_name})

    def matches(self, selector: str) -> bool:
        """Whether a version selector such as "*", "3", "3.11.x" or "3.11.7" means this version."""
        wanted = selector.strip().split(".")
        found = self.version.split(".")
        for place, part in enumerate(wanted):
            if part in WILDCARDS:
                return True
            if place >= len(found) or part != found[place]:
                return False
        return True


def find_runtime(languages: Mapping[str, str], name: str, selector: str) -> Runtime | None:
    """The runtime that a request means; None if there is none such.

    Args:
        languages: Our names of the languages that are here, with their versions.
    """
    language = canonical_language(name)
    version = languages.get(language)
    if version is None:
        return None
    runtime = Runtime(language, version)
    return runtime if runtime.matches(selector) else None


def languages_here(provider: Provider) -> dict[str, str]:
    """Our names of the languages that a provider runs, with their versions as numbers and dots."""
    from open_r1.execution.sandbox.local import LocalProvider
    from open_r1.execution.sandbox.toolchains import TOOLCHAINS, find_toolchain, version

    if not isinstance(provider, LocalProvider):
        return dict(ELSEWHERE)
    if provider.tier == "B":
        return {"python": platform.python_version()}
    found = {}
    for name in TOOLCHAINS:
        toolchain = find_toolchain(name)
        if toolchain is not None and not toolchain.missing():
            found[name] = platform.python_version() if name == "python" else version_number(version(toolchain))
    return found


def languages_missing() -> dict[str, str]:
    """Languages that the local sandbox could run if their tools were here, and what to do for that."""
    from open_r1.execution.sandbox.toolchains import TOOLCHAINS

    return {
        name: f"no {', '.join(tools)}; apt-get install {toolchain.package}"
        for name, toolchain in TOOLCHAINS.items()
        if (tools := toolchain.missing())
    }


def version_number(text: str) -> str:
    """The version in what a tool says of itself; "0" if there is none."""
    numbers = re.findall(r"(?<![\w.])v?(\d+(?:\.\d+)+)", re.sub(r"\([^()]*\)", "", text))
    return numbers[0] if numbers else "0"


def metric_label(language: str) -> str:
    """A language's name where the number of names must stay small."""
    name = canonical_language(language)
    return name if name in ALIASES else "other"

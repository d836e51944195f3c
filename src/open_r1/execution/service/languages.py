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


@dataclass(frozen=True)
class Runtime:
    """A language, by our name, that programs can be written in here; its version is numbers and dots."""

    language: str
    version: str

    @property
    def piston_name(self) -> str:
        """What Piston calls this language."""
        return PISTON_NAMES.get(self.language, self.language)

    @property
    def aliases(self) -> list[str]:
        """The language's other names, sorted."""
        names = ALIASES.get(self.language, frozenset()) | {self.language}
        return sorted(names - {self.piston_name})

    def matches(self, selector: str) -> bool:
        """Whether a version selector such as "*", "3", "3.11.x" or "3.11.7" means this version."""
        wanted = re.split(r"\.?[*xX]", selector.strip())[0]
        return not wanted or f"{self.version}.".startswith(f"{wanted}.")


def find_runtime(languages: Mapping[str, str], name: str, selector: str) -> Runtime | None:
    """The runtime that a request means, of the languages that are here with their versions; None if there is none."""
    language = canonical_language(name)
    runtime = Runtime(language, languages.get(language, ""))
    return runtime if runtime.version and runtime.matches(selector) else None


def languages_here(provider: Provider) -> dict[str, str]:
    """Our names of the languages that a provider runs, with their versions as numbers and dots."""
    from open_r1.execution.sandbox.local import LocalProvider
    from open_r1.execution.sandbox.toolchains import TOOLCHAINS, version

    if not isinstance(provider, LocalProvider):
        return dict(ELSEWHERE)
    found = {"python": platform.python_version()}
    if provider.tier != "B":
        others = {name: chain for name, chain in TOOLCHAINS.items() if name != "python" and not chain.missing()}
        found |= {name: version_number(version(toolchain)) for name, toolchain in others.items()}
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

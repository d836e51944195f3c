"""Names of programming languages as people write them, in fences, data sets and requests."""

from __future__ import annotations

import re

ALIASES: dict[str, frozenset[str]] = {
    "python": frozenset({"python", "python3", "py", "py3", "pypy", "pypy3"}),
    "cpp": frozenset({"cpp", "c++", "cc", "cxx", "g++"}),
    "c": frozenset({"c"}),
    "javascript": frozenset({"javascript", "js", "node", "nodejs"}),
    "typescript": frozenset({"typescript", "ts"}),
    "rust": frozenset({"rust", "rs"}),
    "go": frozenset({"go", "golang"}),
    "java": frozenset({"java"}),
    "bash": frozenset({"bash", "sh", "shell"}),
    "r": frozenset({"r"}),
}
"""Canonical language -> its usual names; names with a version (`python3.11`, `c++20`, `java17`) are understood too."""

CPP_STANDARDS = ("11", "14", "17", "20", "23")
DEFAULT_CPP_STANDARD = "17"

_DRAFTS = {"0x": "11", "1y": "14", "1z": "17", "2a": "20", "2b": "23"}
_VERSIONED = (
    (re.compile(r"(?:python|pypy|py)-?\d[\d.]*(?:-\d+)?"), "python"),
    (re.compile(r"(?:c\+\+|cpp|g\+\+|gnu\+\+)(?P<standard>\d[\da-z])"), "cpp"),
    (re.compile(r"(?:c|gnu)(?:89|90|99|11|17|18|23)"), "c"),
    (re.compile(r"java-?\d+"), "java"),
    (re.compile(r"node-?\d[\d.]*"), "javascript"),
)
_NAMES = {name: language for language, names in ALIASES.items() for name in names}


def canonical_language(name: str) -> str:
    """`py` -> `python`, `C++20` -> `cpp`; an unknown language keeps its name, in lower case."""
    lowered = name.strip().lower()
    if lowered in _NAMES:
        return _NAMES[lowered]
    return next((language for pattern, language in _VERSIONED if pattern.fullmatch(lowered)), lowered)


def cpp_standard(name: str) -> str:
    """The C++ standard that a name asks for, `c++20` -> "20"; "" for another language or a plain `cpp`."""
    match = _VERSIONED[1][0].fullmatch(name.strip().lower())
    return _DRAFTS.get(match["standard"], match["standard"]) if match else ""


def program_language(name: str) -> str:
    """The canonical language, with the C++ standard where the name asks for one that is not the default: `cpp20`."""
    standard = cpp_standard(name)
    return canonical_language(name) + (standard if standard != DEFAULT_CPP_STANDARD else "")

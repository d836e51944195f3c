"""Fenced code blocks in what a model wrote."""

from __future__ import annotations

import re

ALIASES: dict[str, frozenset[str]] = {
    "python": frozenset({"python", "python3", "py"}),
    "cpp": frozenset({"cpp", "c++", "cc", "cxx"}),
    "c": frozenset({"c"}),
    "javascript": frozenset({"javascript", "js", "node"}),
    "typescript": frozenset({"typescript", "ts"}),
    "rust": frozenset({"rust", "rs"}),
    "go": frozenset({"go", "golang"}),
    "java": frozenset({"java"}),
    "bash": frozenset({"bash", "sh", "shell"}),
    "r": frozenset({"r"}),
}
"""Canonical language -> what a fence may call it."""

_FENCE = re.compile(
    r"(?:^[ \t]*```(?P<info>[^\n`]*)|```(?P<late_info>[A-Za-z][\w+#.-]*)?[ \t]*)$",
    re.MULTILINE,
)
"""A fence stands at the start of its line; models also put one at the end of a line of text or code."""

_LANGUAGE = re.compile(r"[A-Za-z][\w+#.-]*$")


def canonical_language(name: str) -> str:
    """`py` -> `python`, `C++` -> `cpp`; a language that isn't known stays as it is, in lower case."""
    lowered = name.strip().lower()
    return next((language for language, names in ALIASES.items() if lowered in names), lowered)


def extract_code(completion: str, language: str = "python") -> str:
    """The last fenced block of `language` in `completion`, without its fences; "" if there is none.

    The language is compared as a name, never as a pattern. CRLF line ends are read as LF. A block that is never closed
    isn't one.
    """
    wanted = canonical_language(language)
    blocks = [code for fence_language, code in fenced_blocks(completion) if fence_language == wanted]
    return blocks[-1] if blocks else ""


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    """Every closed fenced block of `text` as (canonical language, code), in order; linear in its length."""
    text = text.replace("\r\n", "\n")
    blocks: list[tuple[str, str]] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None or _fence_language(fence):  # a fence with a language opens: the one before was not closed
            opened = fence
        else:
            blocks.append((_fence_language(opened), text[opened.end() + 1 : fence.start()]))
            opened = None
    return blocks


def _fence_language(fence: re.Match[str]) -> str:
    info = (fence["info"] or fence["late_info"] or "").strip()
    return canonical_language(info) if _LANGUAGE.match(info) else ""

r"""The outer structure of canonical text: brackets, the parts of a list, the separators between them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from open_r1.answers.latex import canonical

BRACKETS = {"(": ")", "[": "]", r"\{": r"\}", r"\langle": r"\rangle"}

MAX_BRACKETS = 8
"""So many brackets around one thing are taken off."""

_TOKEN = re.compile(
    r"\\[{}|]|\\langle(?![a-z])|\\rangle(?![a-z])|[()\[\]{},;:]|\\begin|\\end|\\cup(?![a-z])|\\pm(?![a-z])|\\cap(?![a-z])"
    r"|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|或者?|和|且|(?<!\\)=|\\lor(?![a-z])|\\land(?![a-z])|\\vee(?![a-z])|\\wedge(?![a-z])"
)
_DEPTH = {"(": 1, "[": 1, "{": 1, r"\{": 1, r"\langle": 1, r"\begin": 1}
_DEPTH |= {")": -1, "]": -1, "}": -1, r"\}": -1, r"\rangle": -1, r"\end": -1}
JOINTS = frozenset({",", "and", "or", "或", "或者", "和", "且", r"\lor", r"\land", r"\vee", r"\wedge"})


@dataclass(frozen=True)
class Group:
    """Parts between brackets; without brackets (`opening` "") a list as in `1, 2`."""

    opening: str
    parts: tuple[str, ...]
    closing: str

    @property
    def is_unordered(self) -> bool:
        """Whether it is a set or a list without brackets, whose parts may come in any order."""
        return self.opening in {"", r"\{"}


def split_top(text: str, *separators: str) -> list[str]:
    """`text` split at each of `separators` that is outside all brackets; the parts stripped."""
    return [part for part, _ in split_marked(text, frozenset(separators))]


def split_marked(text: str, separators: frozenset[str]) -> list[tuple[str, str]]:
    """The parts between separators, each with the separator before it."""
    parts, depth, start, before = [], 0, 0, ""
    for token in _TOKEN.finditer(text):
        mark = token.group()
        depth += _DEPTH.get(mark, 0)
        if depth == 0 and mark in separators:
            parts.append((text[start : token.start()].strip(), before))
            start, before = token.end(), mark
    return [*parts, (text[start:].strip(), before)]


def read_list(text: str, joints: frozenset[str] = JOINTS) -> list[str]:
    r"""The parts of a list, `1\pm\sqrt{5}` as its two values; empty parts, as between `, and`, are none."""
    return [sign for part, _ in split_marked(text, joints) if part for sign in _both_signs(part)]


def read_group(text: str) -> Group | None:
    """The list, tuple, set, vector or interval that `text` is; None for anything else."""
    for joints in (frozenset({";"}), JOINTS):
        parts = read_list(text, joints)
        if len(parts) > 1 and (joints is JOINTS or ";" in text):
            return Group("", tuple(parts), "")
    opening = next((bracket for bracket in BRACKETS if text.startswith(bracket)), None)
    if opening is None or (closing := _matching_end(text)) is None:
        return None
    inside = text[len(opening) : -len(closing)].strip()
    parts = read_list(inside)
    if len(parts) == 1:
        parts = read_list(inside, frozenset({";"}))
    if not parts or (len(parts) == 1 and opening != r"\{"):
        return None
    return Group(opening, tuple(parts), closing)


def _both_signs(text: str) -> list[str]:
    r"""`1\pm\sqrt{5}` as its two values."""
    token = next((token for token in _TOKEN.finditer(text) if token.group() == r"\pm"), None)
    if token is None or r"\pm" in text[token.end() :] or r"\mp" in text or text.startswith(r"\{"):
        return [text]
    head, tail = text[: token.start()], text[token.end() :].strip()
    return [canonical(f"{head}+{tail}" if head else tail), canonical(f"{head}-{tail}")]


def _matching_end(text: str) -> str | None:
    """The bracket that closes the first one of `text`, when that is where `text` ends."""
    depth = 0
    for token in _TOKEN.finditer(text):
        mark = token.group()
        depth += _DEPTH.get(mark, 0)
        if depth == 0:
            is_end = token.end() == len(text) and mark in BRACKETS.values()
            return mark if is_end else None
    return None


def without_brackets(text: str) -> str:
    r"""`\left(42\right)` as `42`: brackets around a single thing say nothing."""
    for _ in range(MAX_BRACKETS):
        opening = next((bracket for bracket in ("(", r"\{") if text.startswith(bracket)), None)
        if opening is None or "," in text or _matching_end(text) != BRACKETS[opening]:
            break
        text = text[len(opening) : -len(opening)].strip()
    return text
